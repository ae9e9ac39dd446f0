"""Models that compute the loss from an argument, `forward(x, targets=None)`, and data in the form (x, y)."""

import copy

import numpy as np
import pytest
import torch
from support.resumption import whole_and_resumed
from torch import nn
from torch.nn import functional as F
from torch.utils.data import DataLoader, TensorDataset

import kerastorch as kt

X = torch.randn(22, 4, generator=torch.Generator().manual_seed(0))
Y = (X[:, 0] > 0).long()


class Net(nn.Module):
    """Logits and their loss; the loss is `None` if there are no targets."""

    def __init__(self):
        super().__init__()
        self.hidden, self.drop, self.head = nn.Linear(4, 8), nn.Dropout(0.2), nn.Linear(8, 2)

    def logits(self, x):
        return self.head(self.drop(self.hidden(x).relu()))

    def forward(self, x, targets=None):
        logits = self.logits(x)
        return logits, None if targets is None else F.cross_entropy(logits, targets)


class NetOfTwo(Net):
    """Two inputs, and targets that must be passed by name."""

    def forward(self, x, scale, *, labels=None):
        logits = self.logits(x * scale)
        return {"logits": logits} if labels is None else {"loss": F.cross_entropy(logits, labels), "logits": logits}


def batches():
    return DataLoader(TensorDataset(X, Y), 8, shuffle=True, generator=torch.Generator().manual_seed(1))


def trained(callbacks=(), make=Net, data=batches, **fit):
    kt.utils.set_random_seed(0)
    net = make()
    model = kt.Model(net)
    model.compile(torch.optim.SGD(net.parameters(), 0.1), loss="model", metrics=["accuracy"])
    kt.utils.set_random_seed(1)
    history = model.fit(*data() if isinstance(data(), tuple) else (data(),), epochs=2, verbose=0,
                        callbacks=list(callbacks), **fit)  # fmt: skip
    return net, model, history.history


def by_hand(make=Net, call=lambda net, x, y: net(x, y)[1]):
    kt.utils.set_random_seed(0)
    net = make()
    optimizer = torch.optim.SGD(net.parameters(), 0.1)
    loader = batches()
    kt.utils.set_random_seed(1)
    for _ in range(2):
        for x, y in loader:
            optimizer.zero_grad()
            call(net, x, y).backward()
            optimizer.step()
    return net


def is_same(net, other):
    return all(map(torch.equal, net.state_dict().values(), other.state_dict().values()))


def test_the_target_of_a_batch_is_passed_to_the_parameter_that_forward_has_for_it():
    assert is_same(trained()[0], by_hand())


def test_the_target_of_a_batch_with_several_inputs_is_passed_by_name():
    def loader():
        return [((x, torch.ones(len(x), 1)), y) for x, y in zip(X.split(8), Y.split(8), strict=True)]

    net, _, _ = trained(make=NetOfTwo, data=lambda: loader, steps_per_epoch=3)
    kt.utils.set_random_seed(0)
    other = NetOfTwo()
    optimizer = torch.optim.SGD(other.parameters(), 0.1)
    kt.utils.set_random_seed(1)
    for (x, scale), y in loader() * 2:
        optimizer.zero_grad()
        other(x, scale, labels=y)["loss"].backward()
        optimizer.step()
    assert is_same(net, other)


def test_evaluation_has_the_loss_and_the_metrics_of_the_targets():
    net, model, _ = trained()
    net.eval()
    with torch.no_grad():
        logits, loss = net(X, Y)
    accuracy = (logits.argmax(1) == Y).float().mean().item()
    assert model.evaluate(X, Y, verbose=0) == pytest.approx([loss.item(), accuracy], rel=1e-5)
    assert model.evaluate(DataLoader(TensorDataset(X, Y), 8), verbose=0) == pytest.approx([loss.item(), accuracy], 1e-5)
    assert model.test_on_batch(X, Y) == pytest.approx([loss.item(), accuracy], rel=1e-5)


def test_predictions_are_computed_without_targets():
    net, model, _ = trained()
    net.eval()
    expected = net(X)[0].detach().numpy()
    for found in (model.predict(X, verbose=0), model.predict(DataLoader(TensorDataset(X, Y), 8), verbose=0)):
        np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-6)


def test_arrays_are_trained_and_validated_with_their_targets():
    _, _, history = trained(data=lambda: (X.numpy(), Y.numpy()), validation_split=0.25)
    assert set(history) >= {"loss", "accuracy", "val_loss", "val_accuracy"}
    assert history["loss"][1] < history["loss"][0]


def test_a_dict_of_arrays_gets_the_targets_that_it_lacks():
    given = {"x": X, "scale": torch.ones(22, 1)}
    with_labels = trained(make=NetOfTwo, data=lambda: ({**given, "labels": Y},))
    assert is_same(trained(make=NetOfTwo, data=lambda: (given, Y))[0], with_labels[0])


def test_a_fit_that_was_interrupted_within_an_epoch_ends_with_the_same_bits(tmp_path):
    whole, resumed = whole_and_resumed(trained, (1, 0), tmp_path)
    assert is_same(whole[0], resumed[0])
    assert whole[2] == resumed[2]


@pytest.mark.filterwarnings("ignore:the third item of a batch holds integers")
@pytest.mark.parametrize("whole", [True, False])
def test_two_inputs_and_labels_in_a_row_are_answered_with_the_line_to_write(whole):
    data = TensorDataset(X, torch.ones(22, 1), Y)
    line = r"prepare_batch=lambda batch: \(\{'x': batch\[0\], 'scale': batch\[1\]\}, batch\[2\]\)\)"

    class Optional(NetOfTwo):
        def forward(self, x, scale=None, labels=None):
            return super().forward(x, scale, labels=labels)

    net = Optional()
    model = kt.Model(net)
    model.compile("sgd", "model")
    with pytest.raises(ValueError, match=r"takes no sample weights. If they are \(x, scale, labels\).*" + line):
        model.fit(data if whole else DataLoader(data, 8), verbose=0)
    model.compile("sgd", "model", prepare_batch=lambda batch: ({"x": batch[0], "scale": batch[1]}, batch[2]))
    history = model.fit(DataLoader(data, 8), verbose=0).history
    assert history["loss"][0] > 0


def test_a_compiled_module_that_has_no_length_is_trained_with_the_batches_of_the_module():
    def batches_by_name():
        return [
            {"x": x, "scale": torch.ones(len(x), 1), "labels": y} for x, y in zip(X.split(8), Y.split(8), strict=True)
        ]

    class Compiled(NetOfTwo):
        def forward(self, x, scale, labels=None):
            return super().forward(x, scale, labels=labels)

    plain = trained(make=Compiled, data=lambda: batches_by_name)[0]
    compiled = trained(make=lambda: torch.compile(Compiled(), backend="eager"), data=lambda: batches_by_name)[0]
    assert all(map(torch.equal, plain.parameters(), compiled.parameters()))


def test_a_loss_of_compile_gets_the_target_and_forward_does_not():
    net = Net()
    model = kt.Model(net)
    model.compile("sgd", [nn.CrossEntropyLoss(), None])
    net.eval()
    expected = F.cross_entropy(net(X)[0], Y).item()
    assert model.evaluate(X, Y, verbose=0) == pytest.approx(expected, rel=1e-5)


class Pairwise(nn.Module):
    """Computes its loss from two targets."""

    def __init__(self, read):
        super().__init__()
        self.layer, self.read = nn.Linear(5, 2), read

    def forward(self, x, targets=None):
        outputs = self.layer(x)
        if targets is None:
            return outputs, None
        first, second = self.read(targets)
        return outputs, nn.functional.mse_loss(outputs[:, 0], first) + nn.functional.l1_loss(outputs[:, 1], second)


@pytest.mark.parametrize("kind", ["dict", "tuple", "list"])
@pytest.mark.parametrize("source", ["arrays", "batches"])
def test_several_targets_reach_the_parameter_of_forward_in_their_structure(kind, source):
    generator = torch.Generator().manual_seed(1)
    x, first, second = torch.randn(12, 5, generator=generator), torch.randn(12, generator=generator), torch.ones(12)
    y = {"dict": {"a": first, "b": second}, "tuple": (first, second), "list": [first, second]}[kind]
    module = Pairwise((lambda found: (found["a"], found["b"])) if kind == "dict" else (lambda found: found))
    expected = copy.deepcopy(module)
    optimizer = torch.optim.SGD(expected.parameters(), lr=0.1)
    expected(x, y)[1].backward()
    optimizer.step()
    model = kt.Model(module)
    model.compile(torch.optim.SGD(module.parameters(), lr=0.1), "model")
    given = (x, y) if source == "arrays" else (lambda: [(x, y)],)
    model.fit(*given, shuffle=False, verbose=0)
    for one, other in zip(expected.parameters(), module.parameters(), strict=True):
        torch.testing.assert_close(one, other)
    assert model.evaluate(*given, verbose=0) == pytest.approx(expected(x, y)[1].item(), rel=1e-5)
    np.testing.assert_allclose(model.predict(x, verbose=0), expected(x)[0].detach(), rtol=1e-5, atol=1e-6)
