"""Numbers that are not finite are found wherever they are, and TerminateOnNaN makes no step on them."""

import itertools
import math

import numpy as np
import pytest
import torch
from torch import nn

import kerastorch as kt
from kerastorch.core.finite_check import SMALL, all_finite

SIZES = {"small": 3, "the largest small": SMALL, "large": SMALL + 1}


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
@pytest.mark.parametrize(("broken", "beside"), list(itertools.product(SIZES, SIZES)))
def test_one_wrong_number_is_found_in_a_gradient_of_any_size_beside_any_other(broken, beside, value):
    for order in (0, 1):
        grads = [torch.ones(SIZES[broken]), torch.ones(SIZES[beside])]
        assert all_finite(torch.tensor(1.0), grads)
        grads[0][-1] = value
        assert not all_finite(torch.tensor(1.0), grads[:: -1 if order else 1])


@pytest.mark.parametrize("sizes", [(3, 3), (3, SMALL + 1), (SMALL + 1, SMALL + 1)])
def test_finite_numbers_whose_sum_overflows_are_finite(sizes):
    assert all_finite(torch.tensor(1.0), [torch.full((size,), 3e38) for size in sizes])


class NaNBackward(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x):
        return x.clone()

    @staticmethod
    def backward(ctx, grad):
        return grad * math.nan


class TwoParts(nn.Module):
    """A large table beside a small weight; the gradient of one of them is NaN, the loss is not."""

    def __init__(self, broken):
        super().__init__()
        self.large = nn.Parameter(torch.ones(4, SMALL))
        self.small = nn.Parameter(torch.ones(2))
        self.broken = broken

    def forward(self, x):
        parts = {name: NaNBackward.apply(p) if name == self.broken else p for name, p in self.named_parameters()}
        return x * parts["large"].mean() + parts["small"].sum()


@pytest.mark.parametrize("broken", ["large", "small"])
def test_terminate_on_nan_makes_no_step_where_one_gradient_is_nan(broken, capsys):
    module = TwoParts(broken)
    before = {name: value.clone() for name, value in module.state_dict().items()}
    model = kt.Model(module)
    model.compile("sgd", "mse")
    model.fit(np.ones((8, 1), np.float32), np.zeros((8, 1)), verbose=0, callbacks=kt.callbacks.TerminateOnNaN())
    assert f"invalid gradient of '{broken}', terminating training before its step" in capsys.readouterr().out
    torch.testing.assert_close(dict(module.state_dict()), before, rtol=0, atol=0)
