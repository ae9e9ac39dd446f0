"""Schedules of torch that end before a fit does, or begin where another has ended."""

import warnings
from functools import partial

import pytest
import torch
from torch.optim import lr_scheduler as lrs

import kerastorch as kt
from kerastorch.callbacks import LearningRateScheduler, LRScheduler

_X = torch.randn(40, 3, generator=torch.Generator().manual_seed(0))
_Y = _X[:, :1].clone()


def _model(optimizer=None):
    torch.manual_seed(0)
    model = kt.Sequential([kt.Input((3,)), kt.layers.Dense(1)])
    model.compile(optimizer or kt.optimizers.SGD(0.1), "mse")
    return model


def _fit(model, schedule, epochs=4, **arguments):
    return model.fit(_X, _Y, 10, epochs, 0, [schedule], **arguments).history


def _one_cycle(steps):
    return partial(lrs.OneCycleLR, max_lr=0.1, total_steps=steps)


def _nested(steps):
    return lambda optimizer: lrs.SequentialLR(
        optimizer, [lrs.ConstantLR(optimizer), _one_cycle(steps - 2)(optimizer)], milestones=[2]
    )


def _nested_first(steps):
    return lambda optimizer: lrs.SequentialLR(
        optimizer, [_one_cycle(steps)(optimizer), lrs.ConstantLR(optimizer)], milestones=[100]
    )


def _chained(steps):
    return lambda optimizer: lrs.ChainedScheduler([lrs.ConstantLR(optimizer), _one_cycle(steps)(optimizer)], optimizer)


@pytest.mark.parametrize("make", [_one_cycle, _nested, _nested_first, _chained])
@pytest.mark.parametrize(
    ("interval", "arguments", "needed"),
    [
        ("batch", {}, 16),
        ("epoch", {}, 4),
        ("batch", {"initial_epoch": 1}, 12),
        ("batch", {"steps_per_epoch": 3}, 12),
        ("batch", {"validation_split": 0.5}, 8),
    ],
)
@pytest.mark.filterwarnings("ignore:.*milestone", "ignore:Detected call")
def test_a_schedule_that_is_too_short_is_refused_before_the_first_batch(make, interval, arguments, needed):
    model = _model()
    before = model.get_weights()[0].copy()
    with pytest.raises(ValueError, match=f"{needed - 1} steps left, this fit has .*total_steps={needed};"):
        _fit(model, LRScheduler(make(needed - 1), interval=interval), **arguments)
    assert (model.get_weights()[0] == before).all()
    rates = _fit(model, LRScheduler(make(needed), interval=interval), **arguments)["learning_rate"]
    assert len(rates) == 4 - arguments.get("initial_epoch", 0)


def test_batches_count_where_gradients_are_accumulated():
    model = _model(kt.optimizers.SGD(0.1, gradient_accumulation_steps=4))
    with pytest.raises(ValueError, match=r"4 epochs of 4 batches, 16 steps .*total_steps=16; batches count"):
        _fit(model, LRScheduler(_one_cycle(4), interval="batch"))
    _fit(model, LRScheduler(_one_cycle(16), interval="batch"))


def test_a_ready_schedule_has_the_steps_that_are_left():
    model = _model()
    scheduler = _one_cycle(20)(model.optimizer)
    _fit(model, LRScheduler(scheduler, interval="batch"))
    with pytest.raises(ValueError, match="4 steps left"):
        _fit(model, LRScheduler(scheduler, interval="batch"))
    _fit(model, LRScheduler(scheduler, interval="batch"), epochs=1)


def test_of_data_without_a_length_nothing_is_refused():
    def batches():
        yield from zip(_X.split(10), _Y.split(10), strict=True)

    _model().fit(batches, epochs=4, verbose=0, callbacks=[LRScheduler(_one_cycle(16), interval="batch")])


def _cosine(optimizer):
    return lrs.CosineAnnealingLR(optimizer, 4)


def test_a_new_schedule_on_a_rate_that_has_run_out_says_so():
    model = _model()
    _fit(model, LRScheduler(_cosine))
    with pytest.warns(UserWarning, match="begins at a learning rate of 0, .* it was 0.1 once.*optimizer.learning_rate"):
        _fit(model, LRScheduler(_cosine))


def test_a_new_schedule_far_below_where_the_one_before_began_says_so():
    model = _model()
    _fit(model, LRScheduler(partial(lrs.ExponentialLR, gamma=0.1)))
    with pytest.warns(UserWarning, match="begins at a learning rate of 1e-05, .* it was 0.1 once"):
        _fit(model, LRScheduler(partial(lrs.ExponentialLR, gamma=0.1)))


@pytest.mark.parametrize("cure", ["the same", "rate", "compile", "its own rates", "a little lower", "chosen low"])
def test_nothing_is_said_where_the_rate_is_meant(cure):
    model = _model()
    first = LRScheduler(partial(lrs.ExponentialLR, gamma=0.5)) if cure == "a little lower" else LRScheduler(_cosine)
    _fit(model, first)
    second = {"the same": first, "its own rates": LRScheduler(_one_cycle(4))}.get(cure, LRScheduler(_cosine))
    if cure == "rate":
        model.optimizer.learning_rate = 0.1
    elif cure == "chosen low":
        model.optimizer.learning_rate = 1e-6
    elif cure == "compile":
        model.compile("sgd", "mse")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        rates = _fit(model, second)["learning_rate"]
    assert rates[0] > 0


def test_a_rate_that_another_callback_has_run_out_to_zero_is_told_too():
    model = _model()
    model.fit(_X, _Y, 10, 2, 0, [LearningRateScheduler(lambda epoch: 0.0)])
    with pytest.warns(UserWarning, match="begins at a learning rate of 0"):
        _fit(model, LRScheduler(_cosine))


@pytest.mark.parametrize("interval", ["epoch", "batch"])
@pytest.mark.parametrize(
    "make",
    [
        lambda optimizer: lrs.PolynomialLR(optimizer, total_iters=2),
        lambda optimizer: lrs.LambdaLR(optimizer, lambda step: max(0.0, 1 - step / 2)),
    ],
)
def test_a_rate_that_runs_out_within_the_fit_is_told_once(make, interval):
    with pytest.warns(UserWarning, match="run out to a learning rate of 0 before the fit ends") as said:
        _fit(_model(), LRScheduler(make, interval=interval), epochs=6)
    assert len(said) == 1


@pytest.mark.parametrize(
    "make",
    [
        lambda optimizer: lrs.PolynomialLR(optimizer, total_iters=8),
        lambda optimizer: lrs.LambdaLR(optimizer, lambda step: 0.0 if step < 3 else 1.0),
        lambda optimizer: lrs.CosineAnnealingLR(optimizer, 2),
        lambda optimizer: lrs.CosineAnnealingWarmRestarts(optimizer, 2),
    ],
    ids=["to its end", "from 0", "cosine and back", "restarts"],
)
def test_a_rate_that_is_zero_for_a_while_only_is_not(make):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        _fit(_model(), LRScheduler(make), epochs=8)
