"""LRScheduler by name or class: the rates are torch's, with the lengths of the fit filled in."""

import functools

import pytest
import torch
from support.problems import regression
from torch import nn
from torch.optim import lr_scheduler

import kerastorch as kt
from kerastorch.callbacks import Callback, LRScheduler

BATCHES = 4


class Rates(Callback):
    """Read the rate of each batch."""

    def __init__(self):
        self.rates = []

    def on_train_batch_begin(self, batch, logs=None):
        self.rates.append(self.model.optimizer.param_groups[0]["lr"])


def rates_of(scheduler, epochs=3, **options):
    x, y = regression(8 * BATCHES)
    model = kt.Model(nn.Linear(6, 1))
    model.compile(kt.optimizers.SGD(0.4, momentum=0.9), "mse")
    seen = Rates()
    arguments = {"x": x, "y": y, "batch_size": 8, "epochs": epochs, "verbose": 0} | options
    model.fit(callbacks=[seen, scheduler], **arguments)
    return seen.rates


def by_hand(make, interval, epochs=3, batches=BATCHES):
    optimizer = torch.optim.SGD([nn.Parameter(torch.zeros(1))], 0.4, momentum=0.9)
    scheduler, found = make(optimizer), []
    for _ in range(epochs):
        for _ in range(batches):
            found.append(optimizer.param_groups[0]["lr"])
            optimizer.step()
            if interval == "batch":
                scheduler.step()
        if interval == "epoch":
            scheduler.step()
    return found


@pytest.mark.parametrize("name", ["one_cycle", "OneCycleLR", "one_cycle_lr", "onecyclelr", "OneCycle", "one cycle"])
def test_one_cycle_takes_the_batches_of_the_fit_under_each_spelling_of_its_name(name):
    expected = by_hand(lambda one: lr_scheduler.OneCycleLR(one, max_lr=0.1, total_steps=12), "batch")
    assert rates_of(LRScheduler(name, max_lr=0.1)) == expected


@pytest.mark.parametrize(
    "make",
    [
        lambda: LRScheduler(lr_scheduler.OneCycleLR, max_lr=0.1),
        lambda: LRScheduler(functools.partial(lr_scheduler.OneCycleLR, max_lr=0.1)),
        lambda: LRScheduler(functools.partial(lr_scheduler.OneCycleLR, max_lr=0.3), max_lr=0.1),
        lambda: LRScheduler("one_cycle", max_lr=0.1, epochs=3),
        lambda: LRScheduler("one_cycle", max_lr=0.1, steps_per_epoch=BATCHES),
        lambda: LRScheduler("one_cycle", max_lr=0.1, total_steps=12),
        lambda: LRScheduler("one_cycle", interval="batch", max_lr=0.1),
        lambda: LRScheduler(lambda one, total_steps: lr_scheduler.OneCycleLR(one, 0.1, total_steps)),
        lambda: LRScheduler(
            lambda one, epochs, steps_per_epoch: lr_scheduler.OneCycleLR(
                one, 0.1, epochs=epochs, steps_per_epoch=steps_per_epoch
            )
        ),
    ],
)
def test_the_lengths_of_the_fit_are_filled_in(make):
    expected = by_hand(lambda one: lr_scheduler.OneCycleLR(one, max_lr=0.1, total_steps=12), "batch")
    assert rates_of(make()) == expected


EPOCHS = 6
BY_NAME = {
    "cosine_annealing": ({}, "epoch", lambda one: lr_scheduler.CosineAnnealingLR(one, EPOCHS)),
    "CosineAnnealingLR": (
        {"T_max": 3, "eta_min": 0.1},
        "epoch",
        lambda one: lr_scheduler.CosineAnnealingLR(one, 3, 0.1),
    ),
    "cosine_annealing_lr": (
        {"interval": "batch"},
        "batch",
        lambda one: lr_scheduler.CosineAnnealingLR(one, EPOCHS * BATCHES),
    ),
    "polynomial": ({"power": 2.0}, "epoch", lambda one: lr_scheduler.PolynomialLR(one, EPOCHS, 2.0)),
    "PolynomialLR": ({"total_iters": 4}, "epoch", lambda one: lr_scheduler.PolynomialLR(one, 4)),
    "linear": (
        {"start_factor": 1.0, "end_factor": 0.1},
        "epoch",
        lambda one: lr_scheduler.LinearLR(one, 1.0, 0.1, EPOCHS),
    ),
    "LinearLR": ({}, "epoch", lr_scheduler.LinearLR),
    "constant": ({"factor": 0.5}, "epoch", lambda one: lr_scheduler.ConstantLR(one, 0.5)),
    "step": ({"step_size": 2}, "epoch", lambda one: lr_scheduler.StepLR(one, 2)),
    "multi_step": ({"milestones": [1, 3]}, "epoch", lambda one: lr_scheduler.MultiStepLR(one, [1, 3])),
    "exponential": ({"gamma": 0.5}, "epoch", lambda one: lr_scheduler.ExponentialLR(one, 0.5)),
    "cosine_annealing_warm_restarts": (
        {"T_0": 2},
        "epoch",
        lambda one: lr_scheduler.CosineAnnealingWarmRestarts(one, 2),
    ),
    "lambda": (
        {"lr_lambda": lambda epoch: 0.9**epoch},
        "epoch",
        lambda one: lr_scheduler.LambdaLR(one, lambda epoch: 0.9**epoch),
    ),
    "cyclic": (
        {"base_lr": 0.1, "max_lr": 0.5, "step_size_up": 3},
        "batch",
        lambda one: lr_scheduler.CyclicLR(one, 0.1, 0.5, 3),
    ),
}


@pytest.mark.parametrize("name", BY_NAME)
@pytest.mark.filterwarnings("ignore:LRScheduler. the PolynomialLR has run out")
def test_a_name_gives_the_rates_of_its_class(name):
    arguments, interval, make = BY_NAME[name]
    assert rates_of(LRScheduler(name, **arguments), EPOCHS) == pytest.approx(by_hand(make, interval, EPOCHS), rel=1e-12)


def test_a_scheduler_that_was_made_for_the_epochs_steps_after_each_epoch():
    expected = by_hand(lambda one: lr_scheduler.OneCycleLR(one, 0.1, total_steps=5), "epoch", 5)
    assert rates_of(LRScheduler("one_cycle", max_lr=0.1, total_steps=5), 5) == expected
    assert rates_of(LRScheduler(lambda one: lr_scheduler.OneCycleLR(one, 0.1, total_steps=5)), 5) == expected
    assert rates_of(LRScheduler("one_cycle", interval="epoch", max_lr=0.1), 5) == expected


def test_lengths_are_those_of_each_fit():
    x, y = regression(8 * BATCHES)
    model = kt.Model(nn.Linear(6, 1))
    model.compile(kt.optimizers.SGD(0.4, momentum=0.9), "mse")
    seen, scheduler = Rates(), LRScheduler("one_cycle", max_lr=0.1)
    for epochs in (2, 5):
        model.fit(x, y, 8, epochs, 0, [seen, scheduler])
    expected = [
        *by_hand(lambda one: lr_scheduler.OneCycleLR(one, max_lr=0.1, total_steps=8), "batch", 2),
        *by_hand(lambda one: lr_scheduler.OneCycleLR(one, max_lr=0.1, total_steps=20), "batch", 5),
    ]
    assert seen.rates == pytest.approx(expected)


@pytest.mark.parametrize(
    ("options", "epochs", "batches"),
    [({"initial_epoch": 1}, 2, 4), ({"steps_per_epoch": 2}, 3, 2), ({"validation_split": 0.5}, 3, 2)],
)
def test_lengths_are_those_of_the_epochs_and_batches_that_are_trained(options, epochs, batches):
    def make(one):
        return lr_scheduler.OneCycleLR(one, max_lr=0.1, total_steps=epochs * batches)

    assert rates_of(LRScheduler("one_cycle", max_lr=0.1), **options) == by_hand(make, "batch", epochs, batches)


def test_a_length_in_batches_needs_a_known_number_of_batches():
    x, y = regression(8 * BATCHES)

    def batches():
        return ((x[at : at + 8], y[at : at + 8]) for at in range(0, len(x), 8))

    options = {"x": batches, "y": None, "batch_size": None}
    with pytest.raises(ValueError, match=r"OneCycleLR needs total_steps.*steps_per_epoch"):
        rates_of(LRScheduler("one_cycle", max_lr=0.1), **options)
    expected = by_hand(lambda one: lr_scheduler.CosineAnnealingLR(one, 3), "epoch")
    assert rates_of(LRScheduler("cosine_annealing"), **options) == pytest.approx(expected)


def test_plateau_by_name_monitors_a_log():
    assert LRScheduler("reduce_lr_on_plateau", "loss", patience=0).monitor == "loss"
    with pytest.raises(ValueError, match="ReduceLROnPlateau needs a log to monitor"):
        LRScheduler("reduce_lr_on_plateau")
    with pytest.raises(ValueError, match="StepLR monitors no log"):
        LRScheduler("step", "loss", step_size=2)


@pytest.mark.parametrize(
    ("make", "kind", "message"),
    [
        (lambda: LRScheduler("one_cyle"), ValueError, "Unknown scheduler 'one_cyle'. Did you mean 'one_cycle'"),
        (lambda: LRScheduler("cosine"), ValueError, "Its name is 'cosine_annealing'"),
        (lambda: LRScheduler("sequential"), ValueError, "made of other schedulers: pass a function"),
        (
            lambda: LRScheduler("one_cycle"),
            TypeError,
            r"it needs max_lr, too.*LRScheduler\('one_cycle_lr', max_lr=...\)",
        ),
        (
            lambda: LRScheduler("step", step_sice=2),
            TypeError,
            "StepLR has no argument 'step_sice'. Did you mean 'step_size'",
        ),
        (lambda: LRScheduler(lambda one: one, gamma=2), TypeError, "has no argument 'gamma'"),
        (lambda: LRScheduler(kt.optimizers.schedules.CosineDecay(0.1, 5)), TypeError, "Give it to the optimizer"),
        (lambda: LRScheduler("step", None, "steps", step_size=2), ValueError, "interval"),
        (
            lambda: LRScheduler(lr_scheduler.StepLR(torch.optim.SGD([torch.zeros(1)], 0.1), 2), gamma=0.5),
            TypeError,
            "exists already; give its arguments",
        ),
    ],
)
def test_a_wrong_argument_is_an_error_at_once(make, kind, message):
    with pytest.raises(kind, match=message):
        make()


def test_it_shows_its_arguments():
    assert repr(LRScheduler("step", step_size=2)) == "LRScheduler(scheduler=StepLR, step_size=2)"
    assert repr(LRScheduler("linear", interval="batch")) == "LRScheduler(scheduler=LinearLR, interval='batch')"
