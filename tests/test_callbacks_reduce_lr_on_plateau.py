"""ReduceLROnPlateau: when the rate falls, how far, and over which groups."""

import math

import pytest
import torch
from support.problems import Told, fit_told, through_a_file

from kerastorch.callbacks import LambdaCallback, ReduceLROnPlateau


def rates(values, optimizer=None, **given):
    """The logged learning rate of each epoch with these values of val_loss."""
    model = Told(values)
    model.compile(optimizer(model) if optimizer else torch.optim.SGD(model.parameters(), 1.0), "mse")
    history = fit_told(model, len(values), [ReduceLROnPlateau(**given)])
    return history.history["learning_rate"]


@pytest.mark.parametrize(
    ("values", "given", "expected"),
    [
        ([3, 3, 3, 3], {"patience": 2}, [1, 1, 1, 0.1]),
        ([3, 2, 1, 0], {"patience": 1}, [1, 1, 1, 1]),
        ([3, 3, 3, 3], {"patience": 0, "factor": 0.5}, [1, 1, 0.5, 0.25]),
        ([3, 3, 3, 3, 3, 3], {"patience": 1, "cooldown": 2, "factor": 0.5}, [1, 1, 0.5, 0.5, 0.25, 0.25]),
        ([3, 2.5, 2.4, 2.3], {"patience": 1, "min_delta": 0.2}, [1, 1, 1, 0.1]),
        ([3, 2.99995, 2.9999], {"patience": 1}, [1, 1, 0.1]),
        ([3, 2.99995, 2.9999], {"patience": 1, "min_delta": 0}, [1, 1, 1]),
        ([3, 3, 3, 3, 3], {"patience": 1, "min_lr": 0.05}, [1, 1, 0.1, 0.05, 0.05]),
        ([3, 2, 1], {"patience": 1, "mode": "max"}, [1, 1, 0.1]),
        ([3, 3, 3], {"patience": 1, "factor": 0}, [1, 1, 0]),
    ],
)
def test_the_rate_falls_when_keras_lets_it_fall(values, given, expected):
    assert rates(values, **given) == pytest.approx(expected)


def test_all_groups_fall_together_and_a_rate_that_is_a_tensor_stays_that_tensor():
    model = Told([3, 3, 3])
    rate = torch.tensor(1.0)
    groups = [{"params": [model.layer.weight]}, {"params": [model.layer.bias]}]
    optimizer = torch.optim.Adam(groups, lr=rate)
    model.compile(optimizer, "mse")
    fit_told(model, 3, [ReduceLROnPlateau(patience=2, factor=0.5)])
    assert [float(group["lr"]) for group in optimizer.param_groups] == [0.5, 0.5]
    assert all(isinstance(group["lr"], torch.Tensor) for group in optimizer.param_groups)


def test_the_rate_of_each_group_is_multiplied():
    model = Told([1, 1, 1])
    groups = [{"params": [model.layer.weight], "lr": 0.1}, {"params": [model.layer.bias]}]
    model.compile(torch.optim.SGD(groups, 0.2), "mse")
    history = fit_told(model, 3, [ReduceLROnPlateau(patience=1, factor=0.5, min_lr=0.06)]).history
    assert history["learning_rate_0"] == [0.1, 0.1, pytest.approx(0.06)]
    assert history["learning_rate_1"] == [0.2, 0.2, 0.1]


def test_nan_is_no_improvement_and_never_the_best():
    with pytest.warns(UserWarning, match="ReduceLROnPlateau: val_loss is NaN in epoch"):
        assert rates([math.nan, 2, math.nan, 1, 1], patience=1, factor=0.5) == [1, 0.5, 0.5, 0.25, 0.25]


def test_it_begins_anew_in_each_fit_at_the_rate_that_is_there():
    model = Told([1, 1, 5, 5])
    model.compile(torch.optim.SGD(model.parameters(), 1.0), "mse")
    callback = ReduceLROnPlateau(patience=1, factor=0.5)
    assert fit_told(model, 2, [callback]).history["learning_rate"] == [1, 1]
    assert fit_told(model, 2, [callback]).history["learning_rate"] == [0.5, 0.5]


def test_it_says_what_it_does(capsys):
    rates([1, 1], patience=1, factor=0.5, verbose=1)
    assert capsys.readouterr().out == "Epoch 2: ReduceLROnPlateau reducing learning rate to 0.5.\n"


def test_a_monitor_that_never_came_is_told():
    with pytest.warns(UserWarning, match="ReduceLROnPlateau: val_loss was never logged"):
        fit_told(Told([]), 2, [ReduceLROnPlateau()], validation_freq=5)


def test_the_steps_are_those_of_the_reduced_rate():
    """Two epochs with a rate of zero move nothing."""
    model = Told([1, 1, 1, 1])
    kept = []
    look = LambdaCallback(on_epoch_end=lambda epoch, logs: kept.append(model.layer.weight.detach().clone()))
    fit_told(model, 4, [ReduceLROnPlateau(patience=1, factor=0.0), look])
    assert not torch.equal(kept[0], kept[1])
    assert torch.equal(kept[1], kept[2])
    assert torch.equal(kept[2], kept[3])


@pytest.mark.parametrize("cut", range(7))
def test_its_state_goes_on_in_another_process(tmp_path, cut):
    values = [3, 2, 2, 2, 2, 2, 2]
    given = {"patience": 1, "cooldown": 1, "factor": 0.5}

    def decide(callback, model, values):
        found = []
        for epoch, value in enumerate(values):
            logs = {"val_loss": value}
            callback.on_epoch_end(epoch, logs)
            found.append((logs["learning_rate"], callback.wait, callback.cooldown_counter, callback.best))
        return found

    def begun(model):
        model.compile(torch.optim.SGD(model.parameters(), 1.0), "mse")
        callback = ReduceLROnPlateau(**given)
        callback.set_model(model)
        callback.on_train_begin()
        return callback

    model = Told([])
    whole = decide(begun(model), model, values)
    first = begun(model)
    found = decide(first, model, values[:cut])
    rate = model.optimizer.param_groups[0]["lr"]
    second = begun(model)
    model.optimizer.param_groups[0]["lr"] = rate
    second.load_state_dict(through_a_file(first.state_dict(), tmp_path / "state.kt"))
    assert found + decide(second, model, values[cut:]) == whole


@pytest.mark.parametrize(
    "given",
    [{"factor": 1.0}, {"factor": 2}, {"factor": -0.1}, {"patience": -1}, {"patience": 1.5}, {"cooldown": -1},
     {"min_lr": -1}, {"min_lr": math.inf}, {"mode": "up"}, {"min_delta": "1"}],
)  # fmt: skip
def test_bad_arguments_are_refused(given):
    with pytest.raises(ValueError, match=next(iter(given))):
        ReduceLROnPlateau(**given)
