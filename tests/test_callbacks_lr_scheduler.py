"""LRScheduler: torch's schedulers in fit give the rates they give in a loop by hand."""

import math
from functools import partial

import pytest
import torch
from support.problems import Told, fit_told, through_a_file
from torch import nn
from torch.optim import lr_scheduler as torch_schedules

from kerastorch.callbacks import LambdaCallback, LRScheduler
from kerastorch.optimizers import SGD

BATCHES = 4  # an epoch of fit_told
SCHEDULES = {
    "step": partial(torch_schedules.StepLR, step_size=2, gamma=0.5),
    "multi-step": partial(torch_schedules.MultiStepLR, milestones=[2, 2, 3], gamma=0.5),
    "lambda": lambda optimizer: torch_schedules.LambdaLR(optimizer, lambda epoch: 1 / (1 + epoch)),
    "multiplicative": lambda optimizer: torch_schedules.MultiplicativeLR(optimizer, lambda epoch: 0.9),
    "constant": partial(torch_schedules.ConstantLR, factor=0.25, total_iters=3),
    "linear": torch_schedules.LinearLR,
    "exponential": partial(torch_schedules.ExponentialLR, gamma=0.7),
    "cosine": lambda optimizer: torch_schedules.CosineAnnealingLR(optimizer, 10),
    "restarts": partial(torch_schedules.CosineAnnealingWarmRestarts, T_0=3, T_mult=2),
    "polynomial": partial(torch_schedules.PolynomialLR, total_iters=20, power=2),
    "cyclic": partial(torch_schedules.CyclicLR, base_lr=0.01, max_lr=0.1, step_size_up=3),
    "one cycle": partial(torch_schedules.OneCycleLR, max_lr=0.1, total_steps=50),
    "sequence": lambda optimizer: torch_schedules.SequentialLR(
        optimizer,
        [torch_schedules.LinearLR(optimizer, total_iters=3), torch_schedules.ExponentialLR(optimizer, 0.5)],
        [3],
    ),
    "chain": lambda optimizer: torch_schedules.ChainedScheduler(
        [torch_schedules.ConstantLR(optimizer, 0.1, 2), torch_schedules.ExponentialLR(optimizer, 0.9)], optimizer
    ),
}


def by_hand(make, steps, rate=0.5):
    """The rates of so many steps, and the momenta."""
    weight = nn.Parameter(torch.zeros(1))
    optimizer = torch.optim.SGD([weight], rate, momentum=0.9)
    scheduler = make(optimizer)
    found = []
    for _ in range(steps):
        found.append((optimizer.param_groups[0]["lr"], optimizer.param_groups[0]["momentum"]))
        optimizer.step()
        scheduler.step()
    return found


def model_at(rate=0.5, values=(1,) * 30, groups=None):
    model = Told(values)
    params = groups(model) if groups else model.parameters()
    model.compile(torch.optim.SGD(params, rate, momentum=0.9), "mse")
    return model


def seen_by(model, when):
    """Rates and momenta at each call of a hook."""
    found = []

    def note(*args):
        group = model.optimizer.param_groups[0]
        found.append((group["lr"], group["momentum"]))

    return found, LambdaCallback(**{when: note})


@pytest.mark.parametrize("name", SCHEDULES)
def test_each_epoch_has_the_rate_of_a_loop_by_hand(name):
    model = model_at()
    found, note = seen_by(model, "on_epoch_begin")
    history = fit_told(model, 6, [LRScheduler(SCHEDULES[name], interval="epoch"), note])
    assert found == by_hand(SCHEDULES[name], 6)
    assert history.history["learning_rate"] == [rate for rate, _ in found]


@pytest.mark.parametrize("name", SCHEDULES)
def test_each_batch_has_the_rate_of_a_loop_by_hand(name):
    model = model_at()
    found, note = seen_by(model, "on_train_batch_begin")
    history = fit_told(model, 3, [LRScheduler(SCHEDULES[name], interval="batch"), note])
    assert found == by_hand(SCHEDULES[name], 3 * BATCHES)
    assert history.history["learning_rate"] == [rate for rate, _ in found[BATCHES - 1 :: BATCHES]]


def test_a_ready_scheduler_over_the_models_optimizer_goes_on_from_fit_to_fit():
    model = model_at()
    callback = LRScheduler(torch_schedules.ExponentialLR(model.optimizer, 0.5))
    rates = fit_told(model, 2, [callback]).history["learning_rate"]
    rates += fit_told(model, 2, [callback]).history["learning_rate"]
    assert rates == [0.5, 0.25, 0.125, 0.0625]


def test_a_function_begins_anew_in_each_fit_at_the_rates_before_or_those_set_since():
    model = model_at()
    callback = LRScheduler(lambda optimizer: torch_schedules.CosineAnnealingLR(optimizer, 2))
    first = fit_told(model, 2, [callback]).history["learning_rate"]
    assert model.optimizer.param_groups[0]["lr"] == pytest.approx(0, abs=1e-12)
    assert fit_told(model, 2, [callback]).history["learning_rate"] == first == pytest.approx([0.5, 0.25])
    model.optimizer.param_groups[0]["lr"] = 0.1
    assert fit_told(model, 2, [callback]).history["learning_rate"] == pytest.approx([0.1, 0.05])


def test_one_cycle_runs_in_each_fit():
    model = model_at()
    callback = LRScheduler(
        partial(torch_schedules.OneCycleLR, max_lr=0.1, total_steps=2 * BATCHES + 1), interval="batch"
    )
    first = fit_told(model, 2, [callback]).history["learning_rate"]
    assert fit_told(model, 2, [callback]).history["learning_rate"] == first


def test_each_group_keeps_its_own_rate():
    def groups(model):
        return [{"params": [model.layer.weight], "lr": 0.1}, {"params": [model.layer.bias]}]

    history = fit_told(
        model_at(0.4, groups=groups), 2, [LRScheduler(partial(torch_schedules.ExponentialLR, gamma=0.5))]
    )
    assert history.history["learning_rate_0"] == [0.1, 0.05]
    assert history.history["learning_rate_1"] == [0.4, 0.2]
    assert "learning_rate" not in history.history


def test_torchs_plateau_looks_at_the_monitored_value():
    make = partial(torch_schedules.ReduceLROnPlateau, patience=0, factor=0.5)
    history = fit_told(model_at(values=[3, 3, 2, 3]), 4, [LRScheduler(make, monitor="val_loss")])
    assert history.history["learning_rate"] == [0.5, 0.5, 0.25, 0.25]
    with pytest.warns(UserWarning, match="val_loss is NaN"):
        history = fit_told(model_at(values=[3, math.nan, 2]), 3, [LRScheduler(make, monitor="val_loss")])
    assert history.history["learning_rate"] == [0.5, 0.5, 0.25]


def test_torchs_plateau_waits_for_validation():
    make = partial(torch_schedules.ReduceLROnPlateau, patience=0, factor=0.5)
    history = fit_told(model_at(values=[3, 3]), 4, [LRScheduler(make, monitor="val_loss")], validation_freq=2)
    assert history.history["learning_rate"] == [0.5] * 4


def test_batches_that_are_executed_or_accumulated_together_are_counted_each():
    model = model_at()
    model.compile(torch.optim.SGD(model.parameters(), 0.5, momentum=0.9), "mse", steps_per_execution=2)
    fit_told(model, 1, [LRScheduler(SCHEDULES["exponential"], interval="batch")])
    assert model.optimizer.param_groups[0]["lr"] == pytest.approx(0.5 * 0.7**BATCHES)
    model.compile(SGD(0.5, gradient_accumulation_steps=3), "mse")
    fit_told(model, 1, [LRScheduler(SCHEDULES["exponential"], interval="batch")])  # torch warns if asked too early
    assert model.optimizer.param_groups[0]["lr"] == pytest.approx(0.5 * 0.7**BATCHES)


# --- what is refused ----------------------------------------------------------------------------------------------


def test_a_scheduler_over_another_optimizer_is_refused():
    weight = nn.Parameter(torch.zeros(1))
    other = torch_schedules.StepLR(torch.optim.SGD([weight], 0.1), 1)
    with pytest.raises(ValueError, match=r"StepLR is over another optimizer than the model's\. Pass a function"):
        fit_told(model_at(), 1, [LRScheduler(other)])
    with pytest.raises(TypeError, match="must return a scheduler over the optimizer it is given"):
        fit_told(model_at(), 1, [LRScheduler(lambda optimizer: other)])
    with pytest.raises(TypeError, match="must return a scheduler over the optimizer it is given, got None"):
        fit_told(model_at(), 1, [LRScheduler(lambda optimizer: None)])


@pytest.mark.parametrize(
    ("arguments", "kind", "message"),
    [
        (
            (0.1,),
            TypeError,
            "scheduler must be a name or class in torch.optim.lr_scheduler, a scheduler, or a function",
        ),
        ((torch_schedules.StepLR,), TypeError, r"StepLR cannot be called with the optimizer alone, it needs step_size"),
        ((lambda: None,), TypeError, "takes no optimizer"),
        ((torch_schedules.LinearLR, None, "step"), ValueError, "interval"),
        ((torch_schedules.ReduceLROnPlateau, "val_loss", "batch"), ValueError, "batches have no 'val_loss'"),
    ],
)
def test_bad_arguments_are_refused_at_construction(arguments, kind, message):
    with pytest.raises(kind, match=message):
        LRScheduler(*arguments)


def test_a_monitor_that_is_missing_or_without_a_use_is_refused():
    with pytest.raises(ValueError, match="ReduceLROnPlateau needs a log to monitor"):
        fit_told(model_at(), 1, [LRScheduler(torch_schedules.ReduceLROnPlateau)])
    with pytest.raises(ValueError, match="LinearLR monitors no log"):
        fit_told(model_at(), 1, [LRScheduler(torch_schedules.LinearLR, monitor="val_loss")])
    with pytest.raises(ValueError, match="ReduceLROnPlateau needs a log to monitor"):
        LRScheduler(torch_schedules.ReduceLROnPlateau(model_at().optimizer))


# --- resuming -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", [*SCHEDULES, "plateau"])
@pytest.mark.parametrize("cut", [0, 2, 3])
def test_its_state_goes_on_in_another_process(tmp_path, name, cut):
    plateau = name == "plateau"
    make = partial(torch_schedules.ReduceLROnPlateau, patience=1, factor=0.5) if plateau else SCHEDULES[name]
    values = [3.0, 2.0, 2.0, 2.0, 1.0, 1.0, 1.0, 1.0]

    def begun(model):
        callback = LRScheduler(make, "val_loss" if plateau else None, "epoch")
        callback.set_model(model)
        callback.on_train_begin()
        callback.on_epoch_begin(0)
        return callback

    def rates(callback, values):
        found = []
        for epoch, value in enumerate(values):
            logs = {"val_loss": value}
            callback.on_epoch_end(epoch, logs)
            found.append(logs["learning_rate"])
        return found

    whole = rates(begun(model_at()), values)
    model = model_at()
    first = begun(model)
    found = rates(first, values[:cut])
    kept = through_a_file({"optimizer": model.optimizer.state_dict(), "own": first.state_dict()}, tmp_path / "state.kt")
    model = model_at()
    second = begun(model)
    model.optimizer.load_state_dict(kept["optimizer"])
    second.load_state_dict(kept["own"])
    assert found + rates(second, values[cut:]) == whole
