"""A `TensorDataset` is read as its loader would be: by `prepare_batch`, by the inputs of `forward`, without targets."""

import copy
import dataclasses

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional as F
from torch.utils.data import DataLoader, TensorDataset

import kerastorch as kt

DRAWS = torch.Generator().manual_seed(0)
A, B = torch.randn(12, 3, generator=DRAWS), torch.randn(12, 3, generator=DRAWS)
LABELS = torch.arange(12) % 2
FIT = {"batch_size": 4, "epochs": 2, "shuffle": False, "verbose": 0}


class WithLoss(nn.Module):
    """Return the loss if there are labels; the logits show whether there were any."""

    def __init__(self):
        super().__init__()
        self.layer = nn.Linear(3, 2)

    def forward(self, x, labels=None):
        logits = self.layer(x)
        if labels is None:
            return {"logits": logits}
        return {"loss": F.cross_entropy(logits, labels), "logits": logits + F.one_hot(labels, 2)}


class NeedsTargets(nn.Module):
    """Require the targets, and return the loss beside the logits."""

    def __init__(self):
        super().__init__()
        self.layer = nn.Linear(3, 2)

    def forward(self, x, targets):
        logits = self.layer(x)
        return logits, F.cross_entropy(logits, targets)


class Two(nn.Module):
    """Take two inputs."""

    def __init__(self):
        super().__init__()
        self.layer = nn.Linear(6, 2)

    def forward(self, a, b):
        return self.layer(torch.cat([a, b], 1))


def seeded(kind):
    torch.manual_seed(0)
    return kind()


def compiled(net, **given):
    model = kt.Model(net)
    model.compile(torch.optim.SGD(net.parameters(), lr=0.1), **given)
    return model


def trained_by_hand(net, loss, loader):
    optimizer = torch.optim.SGD(net.parameters(), lr=0.1)
    for _ in range(2):
        for batch in loader:
            optimizer.zero_grad()
            loss(net, batch).backward()
            optimizer.step()
    return net


def same(one, other):
    return all(torch.equal(*pair) for pair in zip(one.parameters(), other.parameters(), strict=True))


def test_predict_passes_no_targets_to_a_model_that_takes_them():
    net = seeded(WithLoss)
    model = compiled(net, loss="model")
    data = TensorDataset(A, LABELS)
    with torch.no_grad():
        expected = net(A)["logits"].numpy()
    np.testing.assert_allclose(model.predict(data, verbose=0)["logits"], expected, rtol=1e-6)
    np.testing.assert_allclose(next(iter(model.predict_iter(data, batch_size=12)))["logits"], expected, rtol=1e-6)


def test_prepare_batch_gets_its_items():
    def prepare(batch):
        return batch[0] * 10, batch[1]

    data = TensorDataset(A, LABELS)
    net = seeded(lambda: nn.Linear(3, 2))
    expected = trained_by_hand(
        copy.deepcopy(net), lambda net, batch: F.cross_entropy(net(10 * batch[0]), batch[1]), DataLoader(data, 4)
    )
    model = compiled(net, loss="cross_entropy", prepare_batch=prepare)
    model.fit(data, validation_data=data, **FIT)
    assert same(net, expected)
    with torch.no_grad():
        loss = F.cross_entropy(net(10 * A), LABELS).item()
        outputs = net(10 * A)
    assert model.evaluate(data, verbose=0) == pytest.approx(loss, rel=1e-6)
    np.testing.assert_allclose(model.predict(data, verbose=0), outputs, rtol=1e-5)


@pytest.mark.filterwarnings("ignore:forward.a, b. requires 2 inputs")
def test_flat_triples_are_two_inputs_and_a_target():
    data = TensorDataset(A, B, LABELS)
    net = seeded(Two)
    expected = trained_by_hand(
        copy.deepcopy(net), lambda net, batch: F.cross_entropy(net(*batch[:2]), batch[2]), DataLoader(data, 4)
    )
    model = compiled(net, loss="cross_entropy")
    model.fit(data, **FIT)
    assert same(net, expected)
    with torch.no_grad():
        outputs = net(A, B)
    np.testing.assert_allclose(model.predict(data, verbose=0), outputs, rtol=1e-5)
    np.testing.assert_allclose(model.predict(TensorDataset(A, B), verbose=0), outputs, rtol=1e-5)


@pytest.mark.parametrize("make", [lambda data: data, lambda data: DataLoader(data, 4)], ids=["dataset", "loader"])
def test_targets_that_forward_requires_are_those_of_metrics_too(make):
    net = seeded(NeedsTargets)
    data = TensorDataset(A, LABELS)
    expected = trained_by_hand(copy.deepcopy(net), lambda net, batch: net(*batch)[1], DataLoader(data, 4))
    model = compiled(net, loss="model", metrics=["accuracy"])
    model.fit(make(data), **({**FIT, "batch_size": None} if make(data) is not data else FIT))
    assert same(net, expected)
    found = model.evaluate(make(data), verbose=0, return_dict=True)
    with torch.no_grad():
        logits, loss = net(A, LABELS)
    assert found["loss"] == pytest.approx(loss.item(), rel=1e-5)
    assert found["accuracy"] == pytest.approx((logits.argmax(1) == LABELS).float().mean().item())


def test_weights_beside_targets_that_forward_requires_are_refused():
    model = compiled(seeded(NeedsTargets), loss="model", metrics=["accuracy"])
    loader = DataLoader(TensorDataset(A, LABELS, torch.rand(12)), 4)
    with pytest.raises(ValueError, match="weight"):
        model.fit(loader, verbose=0)


@dataclasses.dataclass
class Rows:
    x: torch.Tensor
    y: torch.Tensor


@pytest.mark.filterwarnings("ignore:a batch is a Rows")
def test_a_dataclass_for_a_forward_of_a_tensor_is_answered_with_the_line_to_write():
    model = compiled(nn.Linear(3, 2), loss="cross_entropy")
    with pytest.raises(TypeError, match=r"prepare_batch=lambda batch: \(batch.x, batch.y\)"):
        model.fit([Rows(A, LABELS)], verbose=0)
    model = compiled(nn.Linear(3, 2), loss="cross_entropy", prepare_batch=lambda batch: (batch.x, batch.y))
    assert model.fit([Rows(A, LABELS)], verbose=0).history["loss"]


def test_a_dict_with_text_beside_x_and_y_is_no_sample_weight():
    model = compiled(nn.Linear(3, 2), loss="cross_entropy")
    with pytest.raises(TypeError, match=r"third item of a batch holds text.*prepare_batch=lambda batch: batch\[:2\]"):
        model.fit(lambda: [(A, LABELS, {"name": ["a"] * 12})], verbose=0)
