"""What models return beside one tensor: caches, states, `None`, texts and objects, in every method."""

import copy
from collections import OrderedDict, namedtuple
from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional as F

import kerastorch as kt

ROWS = 20


def rows():
    generator = torch.Generator().manual_seed(0)
    return torch.randn(ROWS, 4, generator=generator), torch.randint(0, 3, (ROWS,), generator=generator)


class Cache:
    """What a language model stores between two calls."""

    def __init__(self, state):
        self.layers = [state.detach()]


@dataclass
class Record:
    logits: Any
    hidden: Any = None
    cache: Any = None


@dataclass(frozen=True)
class Frozen:
    output: Any
    note: str = "text"


class ModelOutput(OrderedDict):
    """Holds `None` in no key, and has its keys as attributes, as outputs of Hugging Face."""

    def __init__(self, **parts):
        super().__init__((name, part) for name, part in parts.items() if part is not None)
        self.__dict__.update(parts)


Named = namedtuple("Named", "output state")


class Net(nn.Module):
    """A linear layer whose output stands in a structure."""

    def __init__(self, form):
        super().__init__()
        self.layer, self.form = nn.Linear(4, 3), form

    def forward(self, x):
        return self.form(self.layer(x))


class Shy:
    """Has no public attribute but its logits, as a property."""

    def __init__(self, logits):
        self._logits = logits

    @property
    def logits(self):
        return self._logits


FORMS = {
    "a cache": lambda h: (h, Cache(h)),
    "None": lambda h: (h, None),
    "a list with None": lambda h: [None, h, None],
    "numbers and texts": lambda h: (h, 3, True, "text"),
    "a tuple in a tuple": lambda h: ((h, Cache(h)), None),
    "states": lambda h: (h, (h.clone(), h.clone())),
    "a dict": lambda h: {"logits": h, "cache": Cache(h), "hidden": None},
    "a dict of any name": lambda h: {"scores": h, "names": ["a", "b"]},
    "logits among tensors": lambda h: {"hidden": 2 * h, "logits": h, "attention": (h, h)},
    "a dataclass": lambda h: Record(h, (h, h), Cache(h)),
    "a dataclass of any name": lambda h: Frozen(h),
    "a namedtuple": lambda h: Named(h, Cache(h)),
    "a model output": lambda h: ModelOutput(loss=None, logits=h, past_key_values=Cache(h)),
    "an object": lambda h: SimpleNamespace(logits=h, cache=Cache(h)),
    "a property": lambda h: Shy(h),
    "a loss that is not used": lambda h: {"loss": h.mean(), "logits": h},
}


def main_array(predictions):
    """Return the output that counts, wherever it stands."""
    if isinstance(predictions, np.ndarray):
        return predictions
    if isinstance(predictions, dict):
        return predictions["logits"] if "logits" in predictions else predictions["scores"]
    if isinstance(predictions, Record):
        return predictions.logits
    return predictions.output if hasattr(predictions, "output") else predictions[0]


def compiled(net, loss="cross_entropy", **given):
    model = kt.Model(net)
    model.compile(torch.optim.Adam(model.parameters(), lr=0.01), loss, metrics=["accuracy"], **given)
    return model


@pytest.mark.parametrize("form", FORMS)
def test_a_plain_loss_trains_the_output_that_counts_as_by_hand(form):
    x, y = rows()
    net = Net(FORMS[form])
    expected = copy.deepcopy(net.layer)
    optimizer = torch.optim.Adam(expected.parameters(), lr=0.01)
    for _ in range(2):
        for start in range(0, ROWS, 8):
            optimizer.zero_grad()
            F.cross_entropy(expected(x[start : start + 8]), y[start : start + 8]).backward()
            optimizer.step()
    model = compiled(net)
    model.fit(x, y, epochs=2, batch_size=8, shuffle=False, verbose=0, validation_data=(x, y))
    for one, other in zip(expected.parameters(), net.parameters(), strict=True):
        assert torch.equal(one, other)
    logits = expected(x)
    wanted = [F.cross_entropy(logits, y).item(), (logits.argmax(1) == y).float().mean().item()]
    assert model.evaluate(x, y, verbose=0) == pytest.approx(wanted, rel=1e-5)
    assert model.test_on_batch(x, y) == pytest.approx(wanted, rel=1e-5)
    assert model.train_on_batch(x, y) == pytest.approx(wanted, rel=1e-5)


@pytest.mark.parametrize("is_compiled", [True, False], ids=["compiled", "not compiled"])
@pytest.mark.parametrize("form", FORMS)
def test_predictions_hold_tensors_alone(form, is_compiled):
    x, _ = rows()
    net = Net(FORMS[form])
    model = compiled(net) if is_compiled else kt.Model(net)
    wanted = net.layer(x).detach().numpy()
    whole = model.predict(x, batch_size=8, verbose=0)
    np.testing.assert_allclose(main_array(whole), wanted, rtol=1e-5, atol=1e-6)
    parts = [main_array(one) for one in model.predict_iter(x, batch_size=8)]
    np.testing.assert_array_equal(np.concatenate(parts), main_array(whole))
    np.testing.assert_allclose(main_array(model.predict_on_batch(x)), wanted, rtol=1e-5, atol=1e-6)


def test_predictions_have_the_structure_of_the_outputs():
    x, _ = rows()

    def structure(form):
        return kt.Model(Net(FORMS[form])).predict(x, verbose=0)

    assert isinstance(structure("a cache"), np.ndarray)
    assert isinstance(structure("numbers and texts"), np.ndarray)
    assert list(structure("a dict")) == ["logits", "hidden"]
    assert structure("a dict")["hidden"] is None
    assert list(structure("a dict of any name")) == ["scores"]
    assert list(structure("a model output")) == ["logits"]
    assert list(structure("a loss that is not used")) == ["logits"]
    assert list(structure("an object")) == ["logits"]
    assert structure("a namedtuple").state is None
    assert structure("a dataclass").cache is None
    assert [one.shape for one in structure("a dataclass").hidden] == [(ROWS, 3)] * 2
    assert structure("a dataclass of any name").note is None


def test_outputs_of_a_dict_are_written_into_arrays_of_the_caller():
    x, _ = rows()
    net = Net(FORMS["a model output"])
    out = {"logits": np.empty((ROWS, 3), np.float32)}
    assert kt.Model(net).predict(x, verbose=0, out=out) is out
    np.testing.assert_allclose(out["logits"], net.layer(x).detach().numpy(), rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize(
    ("form", "kind"), [(lambda h: Cache(h), "Cache"), (lambda h: (None, "text"), "str"), (lambda h: {"a": 1}, "int")]
)
def test_a_model_that_returns_no_tensor_is_refused(form, kind):
    x, y = rows()
    model = compiled(Net(form))
    with pytest.raises(TypeError, match=f"returned a {kind}"):
        model.predict(x, verbose=0)
    with pytest.raises((TypeError, ValueError), match=r"not a tensor|no output of the model has a loss"):
        model.fit(x, y, verbose=0)


def test_one_target_for_two_tensors_is_a_question_with_its_answers():
    x, y = rows()
    with pytest.raises(
        ValueError, match=r"give a target for each.*loss=\[\.\.\., \.\.\.\] with None.*\(outputs, target\)"
    ):
        compiled(Net(lambda h: (h, 2 * h))).fit(x, y, verbose=0)


@pytest.mark.parametrize("targets", [lambda y: y, lambda y: [y], lambda y: (y, None)])
def test_an_output_without_a_loss_needs_no_target(targets):
    x, y = rows()
    net = Net(lambda h: (h, 2 * h))
    model = kt.Model(net)
    model.compile("sgd", ["cross_entropy", None])
    expected = F.cross_entropy(net.layer(x), y).item()
    assert model.evaluate(x, targets(y), verbose=0) == pytest.approx(expected, rel=1e-5)
    model.fit(x, targets(y), verbose=0)


def test_a_scalar_output_may_be_given_to_a_criterion_and_is_refused_for_a_loss():
    x, y = rows()
    net = Net(lambda h: h.square().mean())
    model = kt.Model(net)
    model.compile("sgd", lambda output, target: output * 2)
    assert model.evaluate(x, y, verbose=0) == pytest.approx(2 * net.layer(x).square().mean().item(), rel=1e-5)
    model.compile("sgd", "mse")
    with pytest.raises(ValueError, match=r"returned a scalar.*loss='model'"):
        model.evaluate(x, y.float(), verbose=0)


def test_classes_on_the_last_axis_of_sequences_are_a_sentence_for_losses_of_torch():
    x, y = torch.randn(6, 7, 4), torch.randint(0, 3, (6, 7))
    for loss in ("cross_entropy", nn.CrossEntropyLoss(), "nll_loss"):
        with pytest.raises(ValueError, match=r"takes the classes on axis 1.*movedim\(-1, 1\)"):
            compiled(Net(lambda h: h), loss).fit(x, y, verbose=0)


def test_compiled_steps_leave_caches_out():
    x, y = rows()
    x, y = x.repeat(4, 1), y.repeat(4)
    found = []
    for jit in (False, True):
        torch.manual_seed(1)
        net = Net(FORMS["a model output"])
        model = compiled(net, jit_compile=jit)
        found.append(model.fit(x, y, epochs=3, batch_size=16, verbose=0).history)
    assert found[1]["loss"] == pytest.approx(found[0]["loss"], rel=1e-5)
    assert found[1]["accuracy"] == pytest.approx(found[0]["accuracy"])


def test_images_in_channels_last_format_are_tried_on_models_with_caches():
    class Convolutional(nn.Module):
        def __init__(self):
            super().__init__()
            self.conv, self.pool, self.head = nn.Conv2d(3, 8, 3), nn.MaxPool2d(2), nn.Linear(8, 3)

        def forward(self, x):
            maps = self.pool(self.conv(x))
            return {"logits": self.head(maps.mean((2, 3))), "maps": (maps,), "cache": Cache(maps)}

    x, y = torch.randn(ROWS, 3, 10, 10), rows()[1]
    model = compiled(Convolutional())
    model.fit(x, y, verbose=0)
    assert model.predict(x, verbose=0)["logits"].shape == (ROWS, 3)


@pytest.mark.parametrize("batch_size", [5, 8], ids=["batches of one size", "a smaller last batch"])
def test_states_without_a_row_for_each_input_are_lists_beside_the_rows(batch_size):
    x = torch.randn(ROWS, 6, 4)
    net = nn.LSTM(4, 3, num_layers=2, batch_first=True)
    steps, (hidden, cell) = kt.Model(net).predict(x, batch_size=batch_size, verbose=0)
    expected = [net(part) for part in x.split(batch_size)]
    np.testing.assert_allclose(steps, torch.cat([one[0] for one in expected]).detach().numpy(), rtol=1e-5, atol=1e-6)
    for found, index in ((hidden, 0), (cell, 1)):
        assert len(found) == len(expected)
        for array, one in zip(found, expected, strict=True):
            np.testing.assert_allclose(array, one[1][index].detach().numpy(), rtol=1e-5, atol=1e-6)


def test_an_output_of_different_lengths_is_a_list_beside_arrays():
    class Steps(nn.Module):
        def __init__(self):
            super().__init__()
            self.layer = nn.Linear(4, 3)

        def forward(self, x):
            steps = self.layer(x)
            return {"logits": steps.mean(1), "hidden_states": (steps,)}

    net, batches = Steps(), [torch.randn(4, length, 4) for length in (3, 6, 5)]
    found = kt.Model(net).predict(lambda: iter(batches), verbose=0)
    assert found["logits"].shape == (12, 3)
    (hidden,) = found["hidden_states"]
    assert [one.shape for one in hidden] == [(4, 3, 3), (4, 6, 3), (4, 5, 3)]


def test_recurrent_layers_train_on_the_output_beside_their_states():
    x, y = torch.randn(ROWS, 6, 4), torch.randn(ROWS, 6, 3)
    net = nn.LSTM(4, 3, batch_first=True)
    model = kt.Model(net)
    model.compile("adam", "mse", metrics=["mae"])
    expected = [F.mse_loss(net(x)[0], y).item(), F.l1_loss(net(x)[0], y).item()]
    assert model.evaluate(x, y, verbose=0) == pytest.approx(expected, rel=1e-5)
    model.fit(x, y, verbose=0)
