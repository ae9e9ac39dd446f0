"""Losses, metrics, targets and weights by output: one for all, lists, dicts, nested structures, named outputs."""

from collections import namedtuple
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional as F
from torch.utils.data import DataLoader, Dataset

import kerastorch as kt
from kerastorch import Input, layers

N = 24
X = torch.randn(N, 3, generator=torch.Generator().manual_seed(0))
Y = [torch.randn(N, 1, generator=torch.Generator().manual_seed(seed)) for seed in (1, 2, 3)]
W = [torch.rand(N, generator=torch.Generator().manual_seed(seed)) for seed in (4, 5, 6)]
Pair = namedtuple("Pair", "first second")


@dataclass
class Record:
    first: Any
    second: Any = None


STRUCTURES = {
    "list": (lambda a, b, c: [a, b, c], ["output_0", "output_1", "output_2"], ["p", "q", "r"]),
    "dict": (lambda a, b, c: {"u": a, "v": b, "w": c}, ["u", "v", "w"], ["u", "v", "w"]),
    "nested dict": (lambda a, b, c: {"u": [a, b], "w": c}, ["u/0", "u/1", "w"], ["u/p", "u/q", "w"]),
    "nested list": (
        lambda a, b, c: [[a, b], {"w": c}], ["output_0/0", "output_0/1", "output_1/w"], ["0/p", "0/q", "1/w"],
    ),
}  # fmt: skip


class Heads(nn.Module):
    def __init__(self, structure, width=1):
        super().__init__()
        kt.utils.set_random_seed(0)
        self.heads = nn.ModuleList(nn.Linear(3, width) for _ in range(3))
        self.structure = structure

    def forward(self, x):
        return self.structure(*[head(x) for head in self.heads])


def functional(structure):
    kt.utils.set_random_seed(0)
    x = Input((3,))
    return kt.Model(x, structure(*[layers.Dense(1, name=name)(x) for name in "pqr"]))


def make(kind, structure):
    """A model of three outputs, and the three layers that return them."""
    if kind == "functional":
        model = functional(structure)
        return model, [model.get_layer(name) for name in "pqr"]
    net = Heads(structure)
    if kind == "view":
        return kt.Model(net), list(net.heads)

    class Own(kt.Model):
        def __init__(self):
            super().__init__()
            self.net = net

        def forward(self, x):
            return self.net(x)

    return Own(), list(net.heads)


def errors(heads, weights=(None, None, None)):
    """The mean squared error of each output, weighted as Keras does."""
    found = []
    for head, y, w in zip(heads, Y, weights, strict=True):
        square = (head(X) - y).detach().square().mean(1)
        found.append(float((square if w is None else square * w).mean()))
    return found


def every_verb(model, y, weight, wanted):
    """Compare the loss of each verb; `wanted` is that of the weights before training."""
    arguments = {} if weight is None else {"sample_weight": weight}
    validation = (X, y) if weight is None else (X, y, weight)
    assert model.evaluate(X, y, verbose=0, return_dict=True, **arguments)["loss"] == pytest.approx(wanted, rel=1e-5)
    assert model.evaluate(lambda: iter([validation]), verbose=0, return_dict=True)["loss"] == pytest.approx(
        wanted, rel=1e-5
    )
    assert model.test_on_batch(X, y, return_dict=True, **arguments)["loss"] == pytest.approx(wanted, rel=1e-5)
    frozen = [p.detach().clone() for p in model.parameters()]
    history = model.fit(X, y, batch_size=N, validation_data=validation, verbose=0, **arguments).history
    assert history["loss"] == pytest.approx([wanted], rel=1e-5)
    again = model.evaluate(X, y, verbose=0, return_dict=True, **arguments)["loss"]
    assert history["val_loss"] == pytest.approx([again], rel=1e-5)
    assert model.train_on_batch(X, y, return_dict=True, **arguments)["loss"] == pytest.approx(again, rel=1e-5)
    assert any(not torch.equal(p, q) for p, q in zip(frozen, model.parameters(), strict=True))
    return history


@pytest.mark.parametrize("kind", ["functional", "view", "subclass"])
@pytest.mark.parametrize("name", STRUCTURES)
def test_one_loss_is_that_of_each_output(kind, name):
    structure, unnamed, named = STRUCTURES[name]
    model, heads = make(kind, structure)
    model.compile(kt.optimizers.SGD(0.01), "mse")
    history = every_verb(model, structure(*Y), None, sum(errors(heads)))
    names = [f"{one}_loss" for one in (named if kind == "functional" else unnamed)]
    assert set(history) - {"learning_rate"} == {"loss", "val_loss", *names, *(f"val_{one}" for one in names)}
    assert model.metrics_names == ["loss", *names]


@pytest.mark.parametrize("kind", ["functional", "view"])
@pytest.mark.parametrize("name", STRUCTURES)
def test_losses_factors_and_metrics_have_the_structure_of_the_outputs(kind, name):
    structure, unnamed, named = STRUCTURES[name]
    model, heads = make(kind, structure)
    model.compile(
        kt.optimizers.SGD(0.01), structure("mse", "mae", "mse"), structure(1.0, 0.5, 2.0),
        metrics=structure(["mae"], None, ["mse"]),
    )  # fmt: skip
    first, _, third = errors(heads)
    absolute = [float((head(X) - y).detach().abs().mean()) for head, y in zip(heads, Y, strict=True)]
    wanted = first + 0.5 * absolute[1] + 2 * third
    every_verb(model, structure(*Y), None, wanted)
    names = named if kind == "functional" else unnamed
    assert model.metrics_names == ["loss", *(f"{one}_loss" for one in names), f"{names[0]}_mae", f"{names[2]}_mse"]


@pytest.mark.parametrize("kind", ["functional", "view"])
@pytest.mark.parametrize("name", STRUCTURES)
def test_outputs_without_a_loss_need_no_target(kind, name):
    structure = STRUCTURES[name][0]
    for targets in (structure(Y[0], None, Y[2]), structure(Y[0], Y[1], Y[2])):
        model, heads = make(kind, structure)
        model.compile(kt.optimizers.SGD(0.01), structure("mse", None, "mse"))
        first, _, third = errors(heads)
        every_verb(model, targets, None, first + third)


def test_targets_of_the_outputs_with_a_loss_may_stand_alone():
    structure = STRUCTURES["list"][0]
    for kind in ("functional", "view"):
        model, heads = make(kind, structure)
        model.compile(kt.optimizers.SGD(0.01), ["mse", None, "mse"], metrics=[None, None, ["mae"]])
        first, _, third = errors(heads)
        every_verb(model, [Y[0], Y[2]], None, first + third)
        model, heads = make(kind, structure)
        model.compile(kt.optimizers.SGD(0.01), [None, "mse", None])
        every_verb(model, Y[1], None, errors(heads)[1])


@pytest.mark.parametrize("loss", [{"u": "mse"}, {"u": "mse", "v": None}])
@pytest.mark.parametrize("y", [{"u": Y[0]}, Y[0], {"u": Y[0], "v": Y[1], "w": Y[2]}, {"u": Y[0], "v": None}])
def test_a_dict_of_losses_may_leave_outputs_out(loss, y):
    for kind in ("functional", "view", "subclass"):
        model, heads = make(kind, STRUCTURES["dict"][0])
        model.compile(kt.optimizers.SGD(0.01), loss)
        history = every_verb(model, y, None, errors(heads)[0])
        assert set(history) - {"learning_rate"} == {"loss", "val_loss"}


@pytest.mark.parametrize("kind", ["functional", "view"])
@pytest.mark.parametrize("name", STRUCTURES)
def test_each_output_has_its_own_sample_weights(kind, name):
    structure, unnamed, named = STRUCTURES[name]
    given = [(W[0], W[1], W[2]), (W[0], None, W[2].numpy())]
    for weights in given:
        model, heads = make(kind, structure)
        model.compile(kt.optimizers.SGD(0.01), "mse")
        tensors = [None if w is None else torch.as_tensor(w) for w in weights]
        wanted = sum(errors(heads, tensors))
        every_verb(model, structure(*Y), structure(*weights), wanted)
        by_name = dict(zip(named if kind == "functional" else unnamed, weights, strict=True))
        model, heads = make(kind, structure)
        model.compile(kt.optimizers.SGD(0.01), "mse")
        every_verb(model, structure(*Y), by_name, wanted)
    model, heads = make(kind, structure)
    model.compile(kt.optimizers.SGD(0.01), "mse")
    every_verb(model, structure(*Y), W[0], sum(errors(heads, [W[0]] * 3)))


class Samples(Dataset):
    def __len__(self):
        return N

    def __getitem__(self, index):
        return X[index], {"u": Y[0][index], "v": Y[1][index], "w": Y[2][index]}, {"u": W[0][index], "w": W[2][index]}


@pytest.mark.parametrize("source", [lambda: Samples(), lambda: DataLoader(Samples(), 5)])
def test_a_dataset_may_yield_weights_by_output(source):
    model, heads = make("view", STRUCTURES["dict"][0])
    model.compile(kt.optimizers.SGD(0.01), "mse")
    wanted = sum(errors(heads, [W[0], None, W[2]]))
    assert model.evaluate(source(), verbose=0, return_dict=True)["loss"] == pytest.approx(wanted, rel=1e-5)
    model.fit(source(), epochs=2, verbose=0, validation_data=source())


@pytest.mark.parametrize(
    ("weight", "message"),
    [
        ([W[0], W[1]], "sample_weight does not fit the outputs of the model, 'u', 'v', 'w': 2 values in a list"),
        ({"u": W[0], "z": W[1]}, r"'z' is no output. Write sample_weight={'u': ..., 'v': ..., 'w': ...}"),
        ({"u": -W[0]}, r"sample_weight\[0\] = -"),
        ({"u": 0 * W[0], "v": 0 * W[1]}, "sample_weight is all 0"),
        ({"u": W[0][:5]}, r"x has 24 samples, sample_weight\['u'\] has 5"),
    ],
)
def test_weights_of_another_structure_are_refused_in_a_sentence(weight, message):
    model, _ = make("view", STRUCTURES["dict"][0])
    model.compile("sgd", "mse")
    y = {"u": Y[0], "v": Y[1], "w": Y[2]}
    for run in (
        lambda: model.fit(X, y, sample_weight=weight, verbose=0),
        lambda: model.evaluate(X, y, sample_weight=weight, verbose=0),
        lambda: model.train_on_batch(X, y, sample_weight=weight),
        lambda: model.test_on_batch(X, y, sample_weight=weight),
    ):
        with pytest.raises(ValueError, match=message):
            run()


LABELS = {"u": (torch.arange(N) % 2), "v": (torch.arange(N) * 5) % 3, "w": (torch.arange(N) // 3) % 2}


@pytest.mark.parametrize("kind", ["arrays", "loader", "list"])
def test_each_output_has_its_own_class_weights(kind):
    class Loader(Dataset):
        def __len__(self):
            return N

        def __getitem__(self, index):
            return X[index], {name: y[index] for name, y in LABELS.items()}, W[0][index]

    tables = {"u": torch.tensor([1.0, 4.0]), "v": torch.tensor([1.0, 1.0, 0.25])}
    structure = STRUCTURES["dict" if kind != "list" else "list"][0]
    net = Heads(structure, 3)
    model = kt.Model(net)
    model.compile(kt.optimizers.SGD(0.1), "cross_entropy")
    given = {"u": {1: 4.0}, "v": [1.0, 1.0, 0.25]}
    wanted = 0.0
    for head, (name, y) in zip(net.heads, LABELS.items(), strict=True):
        weight = W[0] * (tables[name][y] if name in tables else 1.0)
        wanted += (F.cross_entropy(head(X), y, reduction="none") * weight).mean().item()
    if kind == "loader":
        history = model.fit(DataLoader(Loader(), N), class_weight=given, verbose=0)
    elif kind == "arrays":
        history = model.fit(X, LABELS, batch_size=N, class_weight=given, sample_weight=W[0], verbose=0)
    else:
        y, classes = list(LABELS.values()), [given["u"], given["v"], None]
        history = model.fit(X, y, batch_size=N, class_weight=classes, sample_weight=[W[0]] * 3, verbose=0)
    assert history.history["loss"] == pytest.approx([wanted], rel=1e-5)


def test_one_dict_of_class_weights_is_refused_for_several_outputs():
    model = kt.Model(Heads(STRUCTURES["dict"][0], 3))
    model.compile("sgd", "cross_entropy")
    with pytest.raises(ValueError, match=r"one value for 'u', 'v', 'w'. Write class_weight={'u': ..., 'v': ..., 'w'"):
        model.fit(X, LABELS, class_weight={0: 1.0, 1: 2.0}, verbose=0)
    model.fit(X, LABELS, class_weight={"u": "balanced", "v": "balanced"}, verbose=0)


def named_output(kind):
    kt.utils.set_random_seed(0)
    if kind == "functional":
        x = Input((3,))
        return kt.Model(x, layers.Dense(1, name="o")(x))
    return kt.Sequential([layers.Dense(1, name="o")])


@pytest.mark.parametrize("kind", ["functional", "sequential"])
@pytest.mark.parametrize(
    "compiled",
    [
        {"loss": ["mse"], "metrics": [["mae"]], "loss_weights": [0.5]},
        {"loss": {"o": "mse"}, "metrics": {"o": ["mae"]}, "loss_weights": {"o": 0.5}},
        {"loss": "mse", "metrics": {"o": "mae"}, "loss_weights": 0.5},
        {"loss": ["mse"], "metrics": ["mae"], "loss_weights": {"o": 0.5}},
    ],
)
@pytest.mark.parametrize(("y", "w"), [(Y[0], W[0]), ([Y[0]], [W[0]]), ({"o": Y[0]}, {"o": W[0]})])
def test_the_only_output_may_be_called_by_its_name_or_stand_in_a_list(kind, compiled, y, w):
    model = named_output(kind)
    model.compile(kt.optimizers.SGD(0.01), **compiled)
    model.predict(X, verbose=0)
    weight, bias = model.get_weights()
    square = (torch.from_numpy(X.numpy() @ weight.T + bias) - Y[0]).square()[:, 0]
    history = every_verb(model, y, w, 0.5 * float((square * W[0]).mean()))
    assert set(history) - {"learning_rate"} == {"loss", "mae", "val_loss", "val_mae"}


@pytest.mark.parametrize("kind", ["functional", "sequential"])
def test_a_class_weight_may_be_given_under_the_name_of_the_only_output(kind):
    found = []
    for given in ({"o": {1: 3.0}}, {1: 3.0}, [{1: 3.0}]):
        model = named_output(kind)
        model.compile(kt.optimizers.SGD(0.01), "mse")
        found.append(model.fit(X, LABELS["u"], class_weight=given, verbose=0).history["loss"])
    assert found[0] == found[1] == found[2]


@pytest.mark.parametrize(
    ("compiled", "message"),
    [
        ({"loss": {"z": "mse"}}, r"The model has one output, compile.. was given losses for 'z'. .*loss={'o': ...}"),
        ({"loss": ["mse", "mae"]}, r"The model has one output, compile.. was given losses for 'output_0', 'output_1'"),
        ({"loss": "mse", "metrics": {"z": ["mae"]}}, "The model has one output, compile.. was given metrics for 'z'"),
        ({"loss": "mse", "loss_weights": {"z": 1.0}}, "compile.. was given loss_weights for 'z'"),
        ({"loss": "mse", "loss_weights": "accuracy"}, "loss_weights must be a finite number, .*Metrics go to metrics="),
    ],
)
def test_other_names_for_the_only_output_are_refused_by_compile(compiled, message):
    with pytest.raises(ValueError, match=message):
        named_output("functional").compile("sgd", **compiled)


@pytest.mark.parametrize(
    ("name", "compiled", "message"),
    [
        ("list", {"loss": ["mse", "mse"]}, r"The model has outputs 'p', 'q', 'r', .* Write loss=\[..., ..., ...\]"),
        ("list", {"loss": {"p": "mse", "z": "mse"}}, r"given losses for 'p', 'z'. Write loss={'p': ..., 'q': ..., 'r'"),
        ("dict", {"loss": ["mse"] * 3}, r"Write loss={'u': ..., 'v': ..., 'w': ...}, or one loss for all"),
        (
            "list",
            {"loss": "mse", "metrics": ["mae"]},
            r"metrics are one list, .* metrics=\[\[...\], \[...\], \[...\]\]",
        ),
        ("dict", {"loss": "mse", "metrics": ["mae"] * 3}, r"metrics={'u': \[...\], 'v': \[...\], 'w': \[...\]}"),
        ("nested dict", {"loss": {"u": ["mse"], "w": "mse"}}, r"Write loss={'u': \[..., ...\], 'w': ...}"),
        ("list", {"loss": "mse", "loss_weights": [1.0, 2.0]}, "was given loss_weights for 'output_0', 'output_1'"),
        ("list", {"loss": ["mse"] * 3, "loss_weights": [1.0, 2.0]}, "loss_weights are for .*give both alike"),
    ],
)
def test_another_structure_is_refused_in_a_sentence_that_says_what_to_write(name, compiled, message):
    with pytest.raises(ValueError, match=message):
        make("functional", STRUCTURES[name][0])[0].compile("sgd", **compiled)

    def train_view():
        view, _ = make("view", STRUCTURES[name][0])
        view.compile("sgd", **compiled)
        view.fit(X, STRUCTURES[name][0](*Y), verbose=0)

    with pytest.raises(ValueError, match=r"Write|pass a list for each|give both alike"):
        train_view()


def test_a_list_of_one_metric_for_each_output_is_taken_in_order():
    model, heads = make("functional", STRUCTURES["list"][0])
    model.compile("sgd", "mse", metrics=["mae", "mse", "mae"])
    found = model.evaluate(X, Y, verbose=0, return_dict=True)
    assert found["q_mse"] == pytest.approx(errors(heads)[1], rel=1e-5)
    assert {"p_mae", "q_mse", "r_mae"} < set(found)


@pytest.mark.parametrize("y", [Y[:2], {"first": Y[0], "second": Y[1]}, Pair(*Y[:2])])
@pytest.mark.parametrize("kind", [Pair, Record])
def test_fields_of_namedtuples_and_dataclasses_are_names_of_outputs(kind, y):
    net = Heads(lambda a, b, c: kind(a, b))
    model = kt.Model(net)
    model.compile(kt.optimizers.SGD(0.01), {"first": "mse", "second": "mse"}, metrics={"second": ["mae"]})
    first, second, _ = errors(net.heads)
    every_verb(model, y, None, first + second)
    assert model.metrics_names == ["loss", "first_loss", "second_loss", "second_mae"]
    outputs = model.predict(X, batch_size=7, verbose=0)
    assert type(outputs) is kind
    np.testing.assert_allclose(outputs.second, net.heads[1](X).detach().numpy(), rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize(
    "structure", [lambda a, b, c: (a, None), lambda a, b, c: {"u": a, "v": None}, lambda a, b, c: Record(a)]
)
@pytest.mark.parametrize("compiled", [{"loss": "mse", "metrics": ["mae"]}, {"loss": "mse"}])
def test_one_loss_leaves_out_outputs_that_are_none(structure, compiled):
    net = Heads(structure)
    model = kt.Model(net)
    model.compile(kt.optimizers.SGD(0.01), **compiled)
    every_verb(model, Y[0], None, errors(net.heads)[0])
    every_verb(model, structure(Y[0], None, None), None, errors(net.heads)[0])
    outputs = model.predict(X, batch_size=7, verbose=0)
    if isinstance(outputs, dict):
        assert outputs["v"] is None
    elif isinstance(outputs, Record):
        assert outputs.second is None
    else:
        np.testing.assert_allclose(outputs, net.heads[0](X).detach().numpy(), rtol=1e-5, atol=1e-6)


def test_one_loss_serves_a_model_that_has_more_outputs_in_training():
    class Auxiliary(nn.Module):
        def __init__(self):
            super().__init__()
            self.heads = nn.ModuleList(nn.Linear(3, 1) for _ in range(2))

        def forward(self, x):
            outputs = tuple(head(x) for head in self.heads)
            return outputs if self.training else outputs[0]

    net = Auxiliary()
    model = kt.Model(net)
    model.compile(kt.optimizers.SGD(0.01), "mse")
    wanted = sum(F.mse_loss(head(X), Y[0]).item() for head in net.heads)
    found = model.fit(X, [Y[0], Y[0]], batch_size=N, validation_data=(X, Y[0]), verbose=0).history
    assert found["loss"] == pytest.approx([wanted], rel=1e-5)
    assert found["val_loss"] == pytest.approx([F.mse_loss(net.heads[0](X), Y[0]).item()], rel=1e-5)


def test_one_loss_that_learns_is_shared_and_trained_once():
    class Scaled(nn.Module):
        def __init__(self):
            super().__init__()
            self.scale = nn.Parameter(torch.tensor(2.0))

        def forward(self, output, target):
            return self.scale.square() * F.mse_loss(output, target)

    loss = Scaled()
    model, heads = make("view", STRUCTURES["list"][0])
    model.compile(kt.optimizers.SGD(0.01), loss)
    total = 2.0**2 * sum(errors(heads))
    slope = 2 * 2.0 * sum(errors(heads))
    assert model.fit(X, Y, batch_size=N, verbose=0).history["loss"] == pytest.approx([total], rel=1e-5)
    assert loss.scale.item() == pytest.approx(2.0 - 0.01 * slope, rel=1e-5)


@pytest.mark.parametrize("name", ["list", "nested dict"])
@pytest.mark.parametrize("kind", ["functional", "view"])
def test_compiled_steps_train_the_same_weights(kind, name):
    structure = STRUCTURES[name][0]
    found = []
    for compiled in (False, True):
        model, _ = make(kind, structure)
        model.compile(
            kt.optimizers.SGD(0.1), "mse", structure(1.0, 0.5, 2.0), metrics=structure(["mae"], None, None),
            jit_compile=compiled,
        )  # fmt: skip
        history = model.fit(
            X, structure(*Y), batch_size=6, epochs=3, sample_weight=structure(W[0], None, W[2]), verbose=0
        )
        assert model.trainer.is_compiled == compiled
        found.append(([p.detach().clone() for p in model.parameters()], history.history))
    for eager, graph in zip(found[0][0], found[1][0], strict=True):
        torch.testing.assert_close(graph, eager)
    for log, values in found[0][1].items():
        assert found[1][1][log] == pytest.approx(values, rel=1e-4)


@pytest.mark.parametrize("kind", ["functional", "view"])
def test_a_fit_with_nested_outputs_resumes_to_the_bit(kind, tmp_path):
    class Stop(kt.callbacks.Callback):
        def on_train_batch_end(self, batch, logs=None):
            self.count = getattr(self, "count", 0) + 1
            if self.count == 5:
                raise KeyboardInterrupt

    structure = STRUCTURES["nested dict"][0]

    def train(folder, *callbacks):
        model, heads = make(kind, structure)
        model.compile("adam", "mse", structure(1.0, 0.5, 2.0), metrics=structure(["mae"], None, None))
        saver = kt.callbacks.BackupAndRestore(folder, save_freq=1)
        weights = structure(W[0], None, W[2])
        history = model.fit(
            X, structure(*Y), batch_size=8, epochs=3, sample_weight=weights, verbose=0, callbacks=[*callbacks, saver]
        ).history
        return [p.detach() for head in heads for p in head.parameters()], history

    whole, history = train(tmp_path / "whole")
    with pytest.raises(KeyboardInterrupt):
        train(tmp_path / "broken", Stop())
    resumed, rest = train(tmp_path / "broken")
    assert all(torch.equal(a, b) for a, b in zip(whole, resumed, strict=True))
    assert rest == history


@pytest.mark.parametrize("name", STRUCTURES)
def test_what_compile_was_given_comes_back_from_a_file(name, tmp_path):
    structure = STRUCTURES[name][0]
    for compiled in (
        {"loss": "mse"},
        {
            "loss": structure("mse", None, "mae"),
            "loss_weights": structure(1.0, None, 3.0),
            "metrics": structure(["mae"], None, None),
        },
    ):
        model, _ = make("functional", structure)
        model.compile("sgd", **compiled)
        model.fit(X, structure(*Y), verbose=0)
        model.save(tmp_path / "model.kt")
        loaded = kt.load_model(tmp_path / "model.kt")
        first, second = (one.evaluate(X, structure(*Y), verbose=0, return_dict=True) for one in (model, loaded))
        assert first == second


def test_the_loss_of_an_output_may_be_monitored_before_the_outputs_are_known():
    for monitor in ("val_output_1_loss", "val_loss"):
        model, _ = make("view", STRUCTURES["list"][0])
        model.compile("sgd", "mse")
        stop = kt.callbacks.EarlyStopping(monitor, patience=9)
        history = model.fit(X, Y, validation_data=(X, Y), verbose=0, callbacks=[stop]).history
        assert stop.best == pytest.approx(history[monitor][0])
    model, _ = make("view", STRUCTURES["list"][0])
    model.compile("sgd", "mse")
    with pytest.raises(ValueError, match="Did you mean 'val_loss'"):
        model.fit(X, Y, validation_data=(X, Y), verbose=0, callbacks=[kt.callbacks.EarlyStopping("vall_loss")])


def test_a_loss_over_rows_that_count_differently_is_exact_with_factors():
    net = Heads(lambda a, b, c: {"u": a, "v": b}, 3)
    model = kt.Model(net)
    model.compile("sgd", {"u": nn.CrossEntropyLoss(), "v": "cross_entropy"}, {"u": 2.0, "v": 0.5})
    y = {"u": torch.where(torch.arange(N) < 5, -100, LABELS["v"]), "v": LABELS["v"]}
    wanted = 2 * F.cross_entropy(net.heads[0](X), y["u"]) + 0.5 * F.cross_entropy(net.heads[1](X), y["v"])
    for size in (5, N):
        found = model.evaluate(X, y, batch_size=size, verbose=0, return_dict=True)["loss"]
        assert found == pytest.approx(wanted.item(), rel=1e-5)
