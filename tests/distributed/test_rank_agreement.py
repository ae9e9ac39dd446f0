"""Processes that were given different models or arguments get an error in words, all of them the same."""

import pytest
import torch
from torch import distributed, nn

import kerastorch as kt

X = torch.randn(20, 3, generator=torch.Generator().manual_seed(0))
Y = X.sum(1, keepdim=True)


def other(value, instead):
    return instead if distributed.get_rank() == 1 else value


def error_of_model(case):
    layers = kt.layers
    model = {
        "width": lambda: kt.Sequential([layers.Dense(other(8, 9)), layers.Dense(1)]),
        "built": lambda: kt.Sequential([kt.Input((3,)), layers.Dense(other(8, 9)), layers.Dense(1)]),
        "depth": lambda: kt.Sequential([layers.Dense(8)] * other(0, 1) + [layers.Dense(1)]),
        "bias": lambda: kt.Model(nn.Linear(3, 1, bias=other(True, False))),
        "dtype": lambda: kt.Model(nn.Linear(3, 1, dtype=other(torch.float32, torch.float64))),
        "buffer": lambda: kt.Model(nn.Sequential(nn.Linear(3, 1), *[nn.BatchNorm1d(1, affine=False)] * other(0, 1))),
    }[case]()
    model.compile("sgd", "mse")
    try:
        model.fit(X, Y, verbose=0)
    except ValueError as error:
        return str(error)
    return None


@pytest.mark.parametrize(
    ("case", "words"),
    [
        ("width", r"weight 0\.weight is \(8, 3\) float32 on rank 0, and \(9, 3\) float32 on rank 1"),
        ("built", r"weight 0\.weight is \(8, 3\) float32 on rank 0, and \(9, 3\) float32 on rank 1"),
        ("depth", r"weight 0\.weight is \(1, 3\) float32 on rank 0, and \(8, 3\) float32 on rank 1"),
        ("bias", r"weight (module\.)?bias is \(1,\) float32 on rank 0, and missing on rank 1"),
        ("dtype", r"weight (module\.)?weight is \(1, 3\) float32 on rank 0, and \(1, 3\) float64 on rank 1"),
        ("buffer", r"weight 1\.running_mean is missing on rank 0, and \(1,\) float32 on rank 1"),
    ],
)
def test_models_that_differ(case, words, two):
    errors = two.run(error_of_model, case)
    assert errors[0] == errors[1]
    with pytest.raises(ValueError, match=words):
        raise ValueError(errors[0])


def error_of_arguments(first, second, make=None):
    model = kt.Sequential([kt.layers.Dense(1)])
    optimizer, loss, given = first if distributed.get_rank() == 0 else second
    model.compile(optimizer, loss, **given)
    try:
        model.fit(X, Y, verbose=0)
    except ValueError as error:
        return str(error)
    return None


@pytest.mark.parametrize(
    ("first", "second", "words"),
    [
        (("sgd", "mse", {}), ("sgd", "mae", {}), "loss is"),
        (
            ("sgd", "mse", {}),
            ("sgd", "mse", {"loss_weights": 2.0}),
            "loss_weights is None on rank 0, and 2.0 on rank 1",
        ),
        (
            (kt.optimizers.SGD(0.1), "mse", {}),
            (kt.optimizers.SGD(0.2), "mse", {}),
            "learning_rate is 0.1 on rank 0, and 0.2 on rank 1",
        ),
        (("sgd", "mse", {}), (kt.optimizers.SGD(clipnorm=1.0), "mse", {}), "clipnorm is None on rank 0, and 1.0"),
        (("sgd", "mse", {}), ("sgd", "mse", {"regularizers": {"*": "l2"}}), "regularizers is"),
        (("sgd", "mse", {}), ("adam", "mse", {}), "optimizer is SGD on rank 0, and Adam on rank 1"),
    ],
)
def test_arguments_of_compile_that_differ(first, second, words, two):
    errors = two.run(error_of_arguments, first, second)
    assert errors[0] == errors[1]
    assert errors[0].startswith("The arguments of compile() differ between the processes:")
    assert words in errors[0]


def second_fit():
    """A fit after a callback of rank 0 has changed the learning rate, and after another compile."""
    model = kt.Sequential([kt.layers.Dense(4), kt.layers.BatchNormalization(), kt.layers.Dense(1)])
    model.compile("adam", nn.SmoothL1Loss(), metrics=["mae"])
    halve = kt.callbacks.LearningRateScheduler(lambda epoch, rate: rate / 2)
    model.fit(X, Y, epochs=2, verbose=0, callbacks=halve)
    model.fit(X, Y, epochs=2, verbose=0)
    model.compile(kt.optimizers.Adam(kt.optimizers.schedules.ExponentialDecay(0.1, 5, 0.9)), "mse")
    model.fit(X, Y, epochs=2, verbose=0)
    return [weight.tolist() for weight in model.parameters()]


def test_equal_ones_are_no_error(two):
    first, second = two.run(second_fit)
    assert first == second


def _with_own_metrics(verb):
    model = kt.Model(nn.Linear(3, 1))
    model.compile("sgd", "mse", metrics=["mae"] if distributed.get_rank() else ["mse", "mae"])
    with pytest.raises(ValueError, match="the metrics of the processes differ") as error:
        getattr(model, verb)(torch.ones(8, 3), torch.ones(8, 1), verbose=0)
    return str(error.value)


@pytest.mark.parametrize("verb", ["fit", "evaluate"])
def test_other_metrics_on_another_rank_are_an_error_on_all(two, verb):
    for told in two.run(_with_own_metrics, verb):
        assert "rank 0 has mae, mse, and rank 1 has mae." in told
