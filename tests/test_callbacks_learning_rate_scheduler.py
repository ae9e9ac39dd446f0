"""LearningRateScheduler: the rate as a function of the epoch."""

import math

import numpy as np
import pytest
import torch
from support.problems import Told, fit_told, same_weights

from kerastorch.callbacks import LearningRateScheduler


def model_at(rate, values=(1,) * 9):
    model = Told(values)
    model.compile(torch.optim.SGD(model.parameters(), rate), "mse")
    return model


def test_it_is_asked_with_the_epoch_from_zero_and_the_rate_as_it_is():
    asked = []

    def schedule(epoch, lr):
        asked.append((epoch, lr))
        return lr / 2

    history = fit_told(model_at(1.0), 3, [LearningRateScheduler(schedule)])
    assert asked == [(0, 1.0), (1, 0.5), (2, 0.25)]
    assert history.history["learning_rate"] == [0.5, 0.25, 0.125]


@pytest.mark.parametrize(
    "schedule",
    [
        lambda epoch: 0.5**epoch,
        lambda epoch, lr: 0.5**epoch,
        lambda epoch, rate=None: 0.5**epoch,
        lambda *both: 0.5 ** both[0],
        lambda epoch: np.float32(0.5**epoch),
        lambda epoch: torch.tensor(0.5**epoch),
        lambda epoch: torch.tensor([0.5**epoch]),
    ],
)
def test_one_argument_and_two_numbers_of_numpy_and_torch(schedule):
    history = fit_told(model_at(1.0), 3, [LearningRateScheduler(schedule)])
    assert history.history["learning_rate"] == [1.0, 0.5, 0.25]


def test_an_error_within_the_schedule_is_not_taken_for_a_wrong_number_of_arguments():
    def schedule(epoch, lr=None):
        return lr + None

    with pytest.raises(TypeError, match="unsupported operand"):
        fit_told(model_at(1.0), 1, [LearningRateScheduler(schedule)])


@pytest.mark.parametrize("found", [math.nan, math.inf, -0.1, None, "0.1", True, [0.1]])
def test_what_is_no_rate_is_refused(found):
    with pytest.raises(ValueError, match="what schedule returned must be a finite number >= 0, got"):
        fit_told(model_at(1.0), 1, [LearningRateScheduler(lambda epoch: found)])


def test_what_is_no_schedule_is_refused_at_construction():
    with pytest.raises(ValueError, match="schedule must be a function"):
        LearningRateScheduler(0.1)
    with pytest.raises(TypeError, match=r"schedule must take \(epoch, lr\) or \(epoch\)"):
        LearningRateScheduler(lambda: 0.1)
    with pytest.raises(TypeError, match=r"schedule must take \(epoch, lr\) or \(epoch\)"):
        LearningRateScheduler(lambda a, b, c: 0.1)


def test_the_weights_are_those_of_that_rate():
    scheduled, plain = model_at(1.0), model_at(0.01)
    plain.load_state_dict(scheduled.state_dict())
    fit_told(scheduled, 2, [LearningRateScheduler(lambda epoch: 0.01)], shuffle=False)
    fit_told(plain, 2, [], shuffle=False)
    assert same_weights(scheduled, plain)


def test_all_groups_get_the_rate_and_different_ones_are_refused():
    model = model_at(1.0)
    groups = [{"params": [model.layer.weight]}, {"params": [model.layer.bias]}]
    optimizer = torch.optim.SGD(groups, 1.0)
    model.compile(optimizer, "mse")
    fit_told(model, 1, [LearningRateScheduler(lambda epoch: 0.25)])
    assert [group["lr"] for group in optimizer.param_groups] == [0.25, 0.25]
    optimizer.param_groups[1]["lr"] = 3.0
    with pytest.raises(ValueError, match=r"LearningRateScheduler knows one learning rate.*0\.25, 3\.0"):
        fit_told(model, 1, [LearningRateScheduler(lambda epoch: 0.25)])


def test_an_optimizer_by_name_is_there_in_time():
    model = Told([1, 1])
    model.compile("adam", "mse")
    assert fit_told(model, 2, [LearningRateScheduler(lambda e: 0.1 / (e + 1))]).history["learning_rate"] == [0.1, 0.05]


def test_it_says_what_it_does(capsys):
    fit_told(model_at(1.0), 1, [LearningRateScheduler(lambda epoch: 0.5, verbose=1)])
    assert capsys.readouterr().out == "Epoch 1: LearningRateScheduler setting learning rate to 0.5.\n"
