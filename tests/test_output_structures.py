"""Targets, losses and outputs in every structure: paired as Keras pairs them, or refused in a sentence."""

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional as F

import kerastorch as kt

X = torch.randn(20, 3, generator=torch.Generator().manual_seed(0))
Y = X[:, :1] * 2


class Two(nn.Module):
    """Two outputs, in a tuple or in a dict."""

    def __init__(self, kind=tuple):
        super().__init__()
        self.a, self.b, self.kind = nn.Linear(3, 1), nn.Linear(3, 1), kind

    def forward(self, x):
        return (self.a(x), self.b(x)) if self.kind is tuple else {"a": self.a(x), "b": self.b(x)}


class WithNone(nn.Module):
    def __init__(self):
        super().__init__()
        self.a = nn.Linear(3, 1)

    def forward(self, x, mask=None):
        return self.a(x) if mask is not None else (self.a(x), None)


class MayBeNone(nn.Module):
    def __init__(self):
        super().__init__()
        self.a = nn.Linear(3, 1)

    def forward(self, p, q=None):
        return self.a(p) if q is None else self.a(p) + q


def compiled(net, loss, **options):
    model = kt.Model(net)
    model.compile("sgd", loss, **options)
    return model


@pytest.mark.parametrize("wrapped", [[Y], (Y,), [Y.numpy()]])
def test_the_target_of_one_output_may_stand_in_a_list(wrapped):
    net = nn.Linear(3, 1)
    model = compiled(net, "mse", metrics=["mae"])
    error = (net(X) - Y).detach()
    wanted = [error.square().mean().item(), error.abs().mean().item()]
    assert model.evaluate(X, wrapped, verbose=0) == pytest.approx(wanted)
    assert model.evaluate([X], wrapped, verbose=0) == pytest.approx(wanted)
    assert model.test_on_batch(X, wrapped) == pytest.approx(wanted)
    assert model.evaluate(lambda: iter([(X, wrapped)]), verbose=0) == pytest.approx(wanted)
    history = model.fit(X, wrapped, validation_data=(X, wrapped), verbose=0).history
    assert history["val_loss"][0] == pytest.approx(F.mse_loss(net(X), Y).item())


@pytest.mark.parametrize(
    ("kind", "loss"), [(tuple, ["mse", None]), (tuple, [None, "mse"]), (dict, {"a": "mse", "b": None})]
)
def test_one_target_is_that_of_the_only_output_with_a_loss(kind, loss):
    net = Two(kind)
    model = compiled(net, loss)
    first = loss["a"] if kind is dict else loss[0]
    wanted = F.mse_loss((net.a if first else net.b)(X), Y).item()
    assert model.evaluate(X, Y, verbose=0) == pytest.approx(wanted)
    paired = {"a": Y} if kind is dict else [Y if first else None, None if first else Y]
    assert model.evaluate(X, paired, verbose=0) == pytest.approx(wanted)
    assert model.evaluate(X, {"a": Y, "b": Y} if kind is dict else (Y, Y), verbose=0) == pytest.approx(wanted)
    model.fit(X, Y, validation_data=(X, Y), verbose=0)
    model.train_on_batch(X, Y)


@pytest.mark.parametrize(
    ("kind", "y", "message"),
    [
        (tuple, Y, r"The model has the outputs 'output_0', 'output_1' and y is one array; give a target for each"),
        (dict, Y, r"y is one array; give a target for each of 'a', 'b', in a dict by name"),
        (tuple, [Y, Y, Y], "The model has 2 outputs, y has 3 parts"),
        (tuple, [Y, None], r"loss 'mean_squared_error' of output 'output_1' needs y, got None"),
        (dict, [Y, Y], r"y must be a dict with these, got a list"),
        (dict, {"a": Y}, r"y must be a dict with these, got 'a'"),
        (tuple, {"x": Y}, r"The model's outputs are 'output_0', 'output_1'; y must be a dict with these, got 'x'"),
    ],
)
@pytest.mark.parametrize("verb", ["fit", "evaluate", "loader", "train_on_batch"])
def test_targets_in_another_structure_are_refused_in_a_sentence(kind, y, message, verb):
    model = compiled(Two(kind), ["mse", "mse"] if kind is tuple else {"a": "mse", "b": "mse"})
    run = {
        "fit": lambda: model.fit(X, y, verbose=0),
        "evaluate": lambda: model.evaluate(X, y, verbose=0),
        "loader": lambda: model.fit(iter([(X, y)]), verbose=0),
        "train_on_batch": lambda: model.train_on_batch(X, y),
    }[verb]
    with pytest.raises(ValueError, match=message):
        run()


@pytest.mark.parametrize("y", [{"o": Y}, [Y, Y]])
def test_targets_of_several_outputs_are_refused_for_one(y):
    with pytest.raises(ValueError, match="The model has one output, y"):
        compiled(nn.Linear(3, 1), "mse").evaluate(X, y, verbose=0)


def test_metrics_of_an_output_without_a_target_are_refused_in_a_sentence():
    model = compiled(Two(), ["mse", None], metrics=[["mae"], ["mae"]])
    with pytest.raises(ValueError, match="give a target for each of 'output_0', 'output_1'"):
        model.evaluate(X, Y, verbose=0)
    with pytest.raises(ValueError, match="metrics of output 'output_1' need y, got None"):
        model.evaluate(X, [Y, None], verbose=0)


def test_none_among_outputs_needs_no_loss():
    net = WithNone()
    model = compiled(net, ["mse", None])
    assert model.evaluate(X, Y, verbose=0) == pytest.approx(F.mse_loss(net.a(X), Y).item())
    outputs = model.predict(X, batch_size=7, verbose=0)
    np.testing.assert_allclose(outputs[0], net.a(X).detach().numpy(), rtol=1e-5, atol=1e-6)
    assert outputs[1] is None
    with pytest.raises(TypeError, match=r"forward\(\) returned a NoneType as output_1, not a tensor"):
        compiled(net, ["mse", "mse"]).evaluate(X, [Y, Y], verbose=0)


@pytest.mark.parametrize("x", [{"p": X, "q": None}, (X, None)])
def test_none_may_be_an_input_that_forward_does_not_need(x):
    net = MayBeNone()
    model = compiled(net, "mse")
    assert model.evaluate(x, Y, batch_size=6, verbose=0) == pytest.approx(F.mse_loss(net.a(X), Y).item())
    np.testing.assert_allclose(model.predict(x, verbose=0), net.a(X).detach().numpy(), rtol=1e-5, atol=1e-6)
    model.fit(x, Y, validation_split=0.2, verbose=0)


def test_none_for_an_input_of_a_functional_model_is_refused():
    p, q = kt.Input((3,), name="p"), kt.Input((3,), name="q")
    model = kt.Model({"p": p, "q": q}, kt.layers.Dense(1)(kt.layers.Add()([p, q])))
    with pytest.raises(ValueError, match=r"Input 'q' is None; the model needs a tensor of shape \(None, 3\)"):
        model({"p": X, "q": None})


@pytest.mark.parametrize("dtype", [torch.bool, torch.int64, torch.float32])
def test_one_hot_targets_of_any_dtype_have_an_accuracy(dtype):
    labels = (X[:, 0] > 0).long()
    net = nn.Sequential(nn.Linear(3, 2), nn.Softmax(1))
    model = compiled(net, "categorical_crossentropy", metrics=["accuracy", "categorical_accuracy"])
    found = model.evaluate(X, F.one_hot(labels, 2).to(dtype), verbose=0)
    right = (net(X).argmax(1) == labels).float().mean().item()
    assert found == pytest.approx([F.nll_loss(net(X).log(), labels).item(), right, right], rel=1e-5)


def test_a_batch_of_ignored_classes_adds_nothing_to_the_loss_of_several_outputs():
    class Heads(nn.Module):
        def __init__(self):
            super().__init__()
            self.a, self.b = nn.Linear(3, 1), nn.Linear(3, 2)

        def forward(self, x):
            return self.a(x), self.b(x)

    net = Heads()
    classes = torch.tensor([0, 1, -100, 1] * 5)
    model = compiled(net, ["mse", nn.CrossEntropyLoss()], regularizers={"a.weight": kt.regularizers.L2(0.1)})
    wanted = F.mse_loss(net.a(X), Y) + F.cross_entropy(net.b(X), classes) + 0.1 * net.a.weight.square().sum()
    assert model.evaluate(X, [Y, classes], batch_size=1, verbose=0)[0] == pytest.approx(wanted.item(), rel=1e-5)
    model.fit(X, [Y, classes], batch_size=1, verbose=0)
    assert all(bool(p.isfinite().all()) for p in net.parameters())


@pytest.mark.parametrize("dtype", [torch.bool, torch.int64, torch.float32])
def test_class_weights_take_one_hot_targets_of_any_dtype(dtype):
    labels = (X[:, 0] > 0).long()
    net = nn.Linear(3, 2)
    loss = kt.losses.CategoricalCrossentropy(from_logits=True)
    wanted = (F.cross_entropy(net(X), labels, reduction="none") * torch.tensor([1.0, 3.0])[labels]).mean().item()
    history = compiled(net, loss).fit(
        X, F.one_hot(labels, 2).to(dtype), batch_size=20, class_weight={0: 1.0, 1: 3.0}, verbose=0
    )
    assert history.history["loss"] == pytest.approx([wanted], rel=1e-5)
