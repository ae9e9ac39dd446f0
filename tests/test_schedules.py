"""Learning-rate schedules follow their closed forms, for numbers, arrays and tensors."""

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

import kerastorch as kt
from kerastorch.optimizers import schedules

STEPS = [0, 1, 2, 7, 9, 10, 11, 19, 20, 21, 30, 31, 55, 70, 71, 150, 151, 1000]


def cosine_rate(step, initial=0.3, steps=20, alpha=0.1):
    return initial * ((1 - alpha) * (1 + math.cos(math.pi * min(step, steps) / steps)) / 2 + alpha)


def warm_cosine_rate(step, initial=0.05, steps=20, alpha=0.1, target=0.3, warmup=10):
    if step < warmup:
        return initial + (target - initial) * step / warmup
    return cosine_rate(step - warmup, target, steps, alpha)


def restarting_rate(step, t_mul, m_mul, initial=0.3, first=10, alpha=0.1):
    start, length, height = 0.0, float(first), 1.0
    while step >= start + length:
        start, length, height = start + length, length * t_mul, height * m_mul
    cosine = height * (1 + math.cos(math.pi * (step - start) / length)) / 2
    return initial * ((1 - alpha) * cosine + alpha)


def polynomial_rate(step, cycle, initial=0.3, steps=10, end=0.02, power=2.0):
    length = steps * max(1, math.ceil(step / steps)) if cycle else steps
    return (initial - end) * (1 - min(step, length) / length) ** power + end


CASES = {
    "exponential": (schedules.ExponentialDecay(0.3, 10, 0.5), lambda s: 0.3 * 0.5 ** (s / 10)),
    "exponential in jumps": (
        schedules.ExponentialDecay(0.3, 10, 0.5, staircase=True),
        lambda s: 0.3 * 0.5 ** (s // 10),
    ),
    "inverse time": (schedules.InverseTimeDecay(0.3, 10, 0.5), lambda s: 0.3 / (1 + 0.5 * s / 10)),
    "inverse time in jumps": (schedules.InverseTimeDecay(0.3, 10, 0.5, True), lambda s: 0.3 / (1 + 0.5 * (s // 10))),
    "polynomial": (schedules.PolynomialDecay(0.3, 10, 0.02, 2.0), lambda s: polynomial_rate(s, cycle=False)),
    "polynomial in cycles": (schedules.PolynomialDecay(0.3, 10, 0.02, 2.0, True), lambda s: polynomial_rate(s, True)),
    "piecewise": (
        schedules.PiecewiseConstantDecay([10, 30], [0.3, 0.2, 0.1]),
        lambda s: 0.3 if s <= 10 else 0.2 if s <= 30 else 0.1,
    ),
    "cosine": (schedules.CosineDecay(0.3, 20, 0.1), cosine_rate),
    "cosine with warm-up": (
        schedules.CosineDecay(0.05, 20, 0.1, warmup_target=0.3, warmup_steps=10),
        warm_cosine_rate,
    ),
    "cosine with a target and no warm-up": (
        schedules.CosineDecay(0.05, 20, 0.1, warmup_target=0.3),
        cosine_rate,
    ),
    "restarts": (schedules.CosineDecayRestarts(0.3, 10, 2.0, 0.5, 0.1), lambda s: restarting_rate(s, 2.0, 0.5)),
    "restarts of one length": (
        schedules.CosineDecayRestarts(0.3, 10, 1.0, 0.9, 0.1),
        lambda s: restarting_rate(s, 1.0, 0.9),
    ),
    "warm-up of a constant": (schedules.Warmup(0.3, 10), lambda s: 0.3 * min(s, 10) / 10),
    "warm-up of a decay": (
        schedules.Warmup(schedules.ExponentialDecay(0.3, 10, 0.5), 10, 0.1),
        lambda s: 0.1 + 0.2 * s / 10 if s < 10 else 0.3 * 0.5 ** ((s - 10) / 10),
    ),
}


@pytest.mark.parametrize("name", CASES)
def test_a_schedule_follows_its_closed_form(name):
    schedule, expected = CASES[name]
    assert [schedule(step) for step in STEPS] == pytest.approx([expected(step) for step in STEPS], rel=1e-12, abs=1e-15)
    assert all(type(schedule(step)) is float for step in STEPS)


@pytest.mark.parametrize("name", CASES)
def test_tensors_and_arrays_of_steps_give_the_rates_of_each_step(name):
    schedule, expected = CASES[name]
    rates = np.array([expected(step) for step in STEPS])
    on_integers = schedule(torch.tensor(STEPS))
    assert on_integers.dtype == torch.float32
    np.testing.assert_allclose(on_integers.numpy(), rates, rtol=1e-6, atol=1e-8)
    on_floats = schedule(torch.tensor(STEPS, dtype=torch.float64))
    np.testing.assert_allclose(on_floats.numpy(), rates, rtol=1e-12, atol=1e-15)
    on_array = schedule(np.array(STEPS))
    assert isinstance(on_array, np.ndarray)
    np.testing.assert_allclose(on_array, rates, rtol=1e-12, atol=1e-15)
    assert schedule(torch.tensor(7)).shape == ()
    assert schedule(np.int64(7)) == schedule(7)


@settings(deadline=None)
@given(st.integers(0, 10**4), st.sampled_from([1.0, 1.5, 2.0, 3.0, 10.0]), st.integers(1, 300))
def test_periods_of_a_restarting_cosine_never_overlap(step, t_mul, first):
    rate = schedules.CosineDecayRestarts(0.3, first, t_mul, 0.5, 0.1)(step)
    assert rate == pytest.approx(restarting_rate(step, t_mul, 0.5, first=first), rel=1e-6)


@pytest.mark.parametrize("index", range(1, 12))
def test_a_period_of_a_restarting_cosine_begins_at_its_highest_rate(index):
    start = (3**index - 1) // 2 * 7
    assert schedules.CosineDecayRestarts(0.3, 7, 3.0)(start) == 0.3
    assert schedules.CosineDecayRestarts(0.3, 7, 3.0)(start - 1) < 0.15


def test_a_warm_up_before_a_cosine_equals_the_warm_up_of_the_cosine():
    own = schedules.CosineDecay(0.02, 50, 0.1, warmup_target=0.4, warmup_steps=13)
    general = schedules.Warmup(schedules.CosineDecay(0.4, 50, 0.1), 13, 0.02)
    assert [own(step) for step in range(80)] == pytest.approx([general(step) for step in range(80)], rel=1e-14)


class Staircase(schedules.LearningRateSchedule):
    def __init__(self, rates):
        self.rates = rates

    def __call__(self, step):
        return self.rates[min(step, len(self.rates) - 1)]


def test_a_warm_up_before_a_schedule_of_your_own_counts_its_steps_from_zero():
    schedule = schedules.Warmup(Staircase([0.4, 0.2, 0.1]), 2)
    assert [schedule(step) for step in range(6)] == [0.0, 0.2, 0.4, 0.2, 0.1, 0.1]
    np.testing.assert_allclose(schedule(torch.arange(6)).numpy(), [0.0, 0.2, 0.4, 0.2, 0.1, 0.1], rtol=1e-6)


@pytest.mark.parametrize("name", CASES)
def test_a_schedule_is_made_again_from_its_config(name):
    schedule, _ = CASES[name]
    copies = [
        type(schedule).from_config(schedule.get_config()),
        schedules.deserialize(schedules.serialize(schedule)),
    ]
    for copy in copies:
        assert type(copy) is type(schedule)
        assert [copy(step) for step in STEPS] == [schedule(step) for step in STEPS]


def test_a_config_of_keras_makes_a_schedule():
    config = {
        "module": "keras.optimizers.schedules",
        "class_name": "ExponentialDecay",
        "config": {
            "initial_learning_rate": 0.1,
            "decay_steps": 10,
            "decay_rate": 0.5,
            "staircase": True,
            "name": "ExponentialDecay",
        },
        "registered_name": None,
    }
    assert schedules.deserialize(config)(19) == 0.05


def test_a_schedule_of_your_own_is_deserialized_by_custom_objects():
    config = schedules.serialize(Staircase([0.5, 0.25]))
    assert config == {"class_name": "Staircase", "config": {"rates": [0.5, 0.25]}}
    assert schedules.deserialize(config, {"Staircase": Staircase})(1) == 0.25
    with pytest.raises(ValueError, match=r"Unknown schedule 'Staircase'. Pass your own classes as custom_objects"):
        schedules.deserialize(config)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (
            lambda: schedules.ExponentialDecay(-0.1, 10, 0.5),
            "initial_learning_rate must be a finite number >= 0, got -",
        ),
        (lambda: schedules.ExponentialDecay(0.1, 0, 0.5), "decay_steps must be a finite number > 0, got 0"),
        (lambda: schedules.CosineDecay(0.1, 10, alpha=2.0), "alpha must be a finite number >= 0 and <= 1"),
        (lambda: schedules.CosineDecay(0.1, 10, warmup_steps=5), "warmup_steps does nothing without warmup_target"),
        (lambda: schedules.CosineDecayRestarts(0.1, 10, t_mul=0.5), "t_mul must be a finite number >= 1"),
        (lambda: schedules.PiecewiseConstantDecay([1, 2], [0.1, 0.2]), "one number more than boundaries, got 2 values"),
        (lambda: schedules.PiecewiseConstantDecay([2, 1], [0.1, 0.2, 0.3]), "boundaries must be in ascending order"),
        (lambda: schedules.PiecewiseConstantDecay(5, [0.1, 0.2]), "boundaries must be a list of numbers, got 5"),
        (lambda: schedules.Warmup(0.1, 0), "warmup_steps must be a finite number > 0"),
        (lambda: schedules.Warmup(lambda step: 0.1, 5), "learning_rate must be a LearningRateSchedule or a number"),
        (lambda: schedules.deserialize({"config": {}}), "config must be a dict"),
        (lambda: schedules.serialize(0.1), "must be a LearningRateSchedule"),
        (lambda: schedules.CosineDecay(0.1, 10)(-1), "step must be a finite number >= 0"),
        (lambda: schedules.CosineDecay(0.1, 10)("1"), "step must be a finite number >= 0"),
        (lambda: schedules.CosineDecay(0.1, 10)(True), "step must be a finite number >= 0"),
    ],
)
def test_a_wrong_argument_is_named(make, message):
    with pytest.raises(ValueError, match=message):
        make()


def test_a_class_without_a_formula_says_what_to_override():
    with pytest.raises(NotImplementedError, match="LearningRateSchedule must override __call__"):
        schedules.LearningRateSchedule()(0)


def test_an_unknown_schedule_has_a_hint():
    with pytest.raises(AttributeError, match="Did you mean 'CosineDecay'"):
        kt.optimizers.schedules.CosinDecay
