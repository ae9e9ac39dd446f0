"""A training that is resumed by another script, or that has kept less than all of its state, says so."""

import functools
import re
import warnings

import numpy as np
import pytest
import torch
from torch import nn
from torch.utils import _pytree as pytree

import kerastorch as kt
from kerastorch.callbacks import BackupAndRestore, Callback, LearningRateScheduler, LRScheduler
from kerastorch.core.errors import CheckpointError
from kerastorch.optimizers import SGD, Adam

_X = torch.randn(40, 3, generator=torch.Generator().manual_seed(0))
_Y = _X[:, :1].clone()


class _StopError(Exception):
    pass


class _Stop(Callback):
    state_attributes = ()

    def __init__(self, batches):
        self.left = batches

    def on_train_batch_end(self, batch, logs=None):
        self.left -= 1
        if not self.left:
            raise _StopError


def _script(folder, optimizer="sgd", loss="mse", *, net=None, stops=False, also=(), own=None, **compiled):
    torch.manual_seed(0)
    model = kt.Model(nn.Linear(3, 1) if net is None else net)
    model.compile(optimizer if own is None else own(model.parameters()), loss, **compiled)
    callbacks = [*also, *([_Stop(6)] if stops else []), BackupAndRestore(folder, save_freq=1)]
    model.fit(_X, _Y, 10, 3, 0, callbacks)
    return model


def _resumed(folder, before, after):
    """The warnings of a resumed training, and the model."""
    with pytest.raises(_StopError):
        _script(folder, **before, stops=True)
    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always")
        model = _script(folder, **after)
    return [str(one.message) for one in said], model


@pytest.mark.parametrize(
    ("before", "after", "words"),
    [
        ({"optimizer": SGD(0.1)}, {"optimizer": SGD(0.2)}, r"learning_rate \(0.1 there, 0.2 here; 0.1 is used\)"),
        ({"optimizer": "sgd"}, {"optimizer": SGD(0.2)}, r"learning_rate \(0.01 there, 0.2 here; 0.01 is used\)"),
        ({"optimizer": Adam(beta_1=0.5)}, {"optimizer": "adam"}, r"beta_1 \(0.5 there, 0.9 here; 0.5 is used\)"),
        ({"optimizer": SGD(clipnorm=1.0)}, {"optimizer": SGD()}, r"clipnorm \(1.0 there, None here; None is used\)"),
        (
            {"optimizer": SGD(weight_decay=0.1)},
            {"optimizer": SGD()},
            r"weight_decay \(0.1 there, None here; None is used\)",
        ),
        (
            {"own": functools.partial(torch.optim.SGD, lr=0.1)},
            {"own": functools.partial(torch.optim.SGD, lr=0.3)},
            r"learning_rate \(0.1 there, 0.3 here; 0.1 is used\)",
        ),
        (
            {"optimizer": functools.partial(torch.optim.SGD, lr=0.1)},
            {"optimizer": functools.partial(torch.optim.SGD, lr=0.3, momentum=0.0)},
            r"learning_rate \(0.1 there, 0.3 here; 0.1 is used\)",
        ),
        ({"loss": "mse"}, {"loss": "mae"}, r"loss \(.*there, .*here; .*is used\)"),
        ({"loss": "huber"}, {"loss": kt.losses.Huber(delta=2.0)}, r"loss \(.*delta=1.0.*there, .*delta=2.0"),
        ({"loss": nn.SmoothL1Loss()}, {"loss": nn.SmoothL1Loss(beta=2.0)}, r"loss \(.*there"),
        ({"regularizers": {"*": "l2"}}, {"regularizers": {"*": "l1"}}, r"regularizers \(.*L2.*there"),
    ],
)
def test_another_setting_is_told_with_what_is_used(before, after, words, tmp_path):
    said, _ = _resumed(tmp_path, before, after)
    assert len(said) == 1
    assert re.search(f"is of a script with other settings: {words}", said[0]), said[0]


def test_the_rate_of_the_checkpoint_is_used(tmp_path):
    model = _resumed(tmp_path, {"optimizer": SGD(0.1)}, {"optimizer": SGD(0.2)})[1]
    assert model.optimizer.param_groups[0]["lr"] == 0.1


@pytest.mark.parametrize(
    "arguments",
    [
        {"optimizer": "adam"},
        {"own": functools.partial(torch.optim.SGD, lr=0.1)},
        {"also": [LearningRateScheduler(lambda epoch, rate: rate * 0.5)]},
        {"also": [LRScheduler(lambda optimizer: torch.optim.lr_scheduler.StepLR(optimizer, 1, 0.1), interval="batch")]},
        {"loss": lambda y_true, y_pred: (y_true - y_pred).abs().mean()},
        {"loss": nn.CrossEntropyLoss(weight=torch.tensor([1.0]))},
        {"loss": nn.MSELoss(), "regularizers": {"*": kt.regularizers.L1L2(0.1, 0.2)}},
    ],
)
def test_the_same_script_is_told_nothing(arguments, tmp_path):
    said, _ = _resumed(tmp_path, dict(arguments), dict(arguments))
    assert said == []


def test_the_rows_in_another_order_are_refused(tmp_path):
    def run(shuffle, *callbacks):
        model = kt.Model(nn.Linear(3, 1))
        model.compile("sgd", "mse")
        model.fit(_X, _Y, 10, 3, 0, [*callbacks, BackupAndRestore(tmp_path, save_freq=1)], shuffle=shuffle)

    with pytest.raises(_StopError):
        run(True, _Stop(6))
    with pytest.raises(CheckpointError, match="shuffle True, this one has False"):
        run(False)


class _Forgets(nn.Module):
    """Keeps a state in an attribute, as `how` says."""

    def __init__(self, how):
        super().__init__()
        self.linear, self.how, self.label = nn.Linear(3, 1), how, "a label"
        self.weights = [self.linear.weight]  # moves in training, and is kept
        self.fixed = (torch.zeros(2), np.zeros(2))
        self.state = None if how == "none" else self._next(torch.zeros(1))

    def _next(self, value):
        return {
            "none": lambda: value,
            "tensor": lambda: value,
            "tuple": lambda: (value, value + 1),
            "nested": lambda: {"layers": [(value, value), (value, 1)]},
            "list of numbers": lambda: [float(value), 1],
            "array": lambda: value.numpy(),
        }[self.how]()

    def forward(self, x):
        out = self.linear(x)
        if self.how == "in place":
            self.state.add_(1.0)
        else:
            self.state = self._next(out.detach().mean().reshape(1))
        return out


class _ForgetsInPlace(_Forgets):
    def _next(self, value):
        return value


@pytest.mark.parametrize("how", ["none", "tensor", "tuple", "nested", "list of numbers", "array", "in place"])
def test_a_state_in_an_attribute_is_restored(how, tmp_path):
    def make():
        return (_ForgetsInPlace if how == "in place" else _Forgets)(how)

    whole, resumed = make(), make()
    _script(tmp_path / "whole", net=whole)
    with pytest.raises(_StopError):
        _script(tmp_path / "resumed", net=make(), stops=True)
    _script(tmp_path / "resumed", net=resumed)
    found, expected = (pytree.tree_leaves(one.state) for one in (resumed, whole))
    assert type(resumed.state) is type(whole.state)
    assert [type(one) for one in found] == [type(one) for one in expected]
    assert all(np.array_equal(one, other) for one, other in zip(found, expected, strict=True))


class _Shares(nn.Module):
    def __init__(self):
        super().__init__()
        self.linear = nn.Linear(3, 1)
        self.register_buffer("total", torch.zeros(2))

    def forward(self, x):
        self.total += 1
        self.part = self.total[:1]
        return self.linear(x)


def test_a_tensor_that_shares_memory_with_a_buffer_is_named_as_lost(tmp_path):
    with pytest.raises(_StopError):
        _script(tmp_path, net=_Shares(), stops=True)
    with pytest.warns(
        UserWarning, match="the model starts from its initial state: the checkpoint does not contain its part"
    ):
        _script(tmp_path, net=_Shares())


def test_a_callback_that_holds_tensors_is_named_too(tmp_path):
    class Remembers(Callback):
        def on_train_batch_end(self, batch, logs=None):
            self.hidden = (torch.ones(1) * batch,)

    with pytest.raises(_StopError):
        _script(tmp_path, also=[Remembers()], stops=True)
    with pytest.warns(
        UserWarning, match="Remembers starts from its initial state: the checkpoint does not contain its hidden"
    ):
        _script(tmp_path, also=[Remembers()])


@pytest.mark.parametrize(
    ("before", "after", "words"),
    [
        ([], ["mae"], r"metrics none; here are \['mae'\]"),
        (["mae"], [], r"metrics \['mae'\]; here are none"),
        (["mae"], ["mae", "mape"], r"metrics \['mae'\]; here are \['mae', 'mape'\]"),
        (["mae"], ["mape"], r"metrics \['mae'\]; here are \['mape'\]"),
    ],
)
def test_other_metrics_within_an_epoch_are_refused_and_nothing_is_changed(before, after, words, tmp_path):
    with pytest.raises(_StopError):
        _script(tmp_path, metrics=before, stops=True)
    net = nn.Linear(3, 1)
    weights = [one.clone() for one in net.parameters()]
    with pytest.raises(CheckpointError, match=words):
        _script(tmp_path, net=net, metrics=after)
    assert all(map(torch.equal, net.parameters(), weights))


def test_a_loss_of_another_kind_within_an_epoch_is_told(tmp_path):
    messages, _ = _resumed(tmp_path, {"loss": "mse"}, {"loss": nn.L1Loss()})
    assert any("loss (MeanSquaredError" in message for message in messages)
