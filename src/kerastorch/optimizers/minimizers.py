"""Optimizers that minimize with line searches, as a lecture on optimization has them: CG, BFGS, Newton.

Each step brings the loss of one batch near its minimum, so `fit` should get all rows as one batch,
`fit(x, y, batch_size=len(x))`. They are for small models without dropout: a few thousand weights.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

from kerastorch.core.errors import check_float, check_int
from kerastorch.core.serialization import Configurable
from kerastorch.optimizers import scipy_minimizer

_NO_RATE = "It is no learning rate: a line search finds the length of each step."


@dataclass(eq=False, repr=False)
class Minimizer(Configurable):
    """Base of the minimizers.

    Args:
        max_iter: Largest number of iterations of a step, >= 1.
    """

    keyword_advice: ClassVar[Mapping[str, str]] = {
        "learning_rate": "There is none: a line search finds the length of each step.",
        "lr": "There is no learning rate: a line search finds the length of each step.",
        "maxiter": "Its name is max_iter.",
        "gtol": "Its name is tolerance_grad.",
        "xtol": "Its name is tolerance_change.",
    }

    max_iter: int = 20

    def __post_init__(self) -> None:
        check_int("max_iter", self.max_iter, advice=_NO_RATE)
        for name in ("tolerance_grad", "tolerance_change"):
            if hasattr(self, name):
                check_float(name, getattr(self, name), above=0)

    @abstractmethod
    def __call__(self, params: Iterable[Any]) -> scipy_minimizer.ScipyMinimizer:
        """Return the optimizer of `params`, whose `step` requires a closure."""


@dataclass(eq=False, repr=False)
class ConjugateGradient(Minimizer):
    """Nonlinear conjugate gradients with a line search (Polak & Ribière 1969).

    Each direction is the gradient plus a part of the last direction, so that the progress along earlier directions is
    kept. On a quadratic function of `n` weights, `n` iterations reach the minimum. Memory: a few vectors of `n`
    numbers. Computed by SciPy, `minimize(method="CG")`, in float64.

    A step runs up to `max_iter` iterations on one batch: give `fit` all rows as one batch. The loss must be the same
    each time it is computed for the same weights, so dropout makes the line search fail. There is no learning rate.
    After a step the weights are the best ones found; `optimizer.result` is SciPy's account of the step.

    Args:
        max_iter: Largest number of iterations of a step, >= 1. An iteration computes the loss and its gradient about
            twice.
        tolerance_grad: A step ends if no element of the gradient is larger, > 0.

    >>> import torch
    >>> weight = torch.nn.Parameter(torch.tensor([3.0, -2.0]))
    >>> optimizer = ConjugateGradient()([weight])
    >>> def closure():
    ...     optimizer.zero_grad()
    ...     loss = (weight - 1).square() @ torch.tensor([1.0, 10.0])
    ...     loss.backward()
    ...     return loss
    >>> _ = optimizer.step(closure)
    >>> weight.detach().round(decimals=4), optimizer.result.nit
    (tensor([1., 1.]), 2)
    """

    tolerance_grad: float = 1e-5

    def __call__(self, params: Iterable[Any]) -> scipy_minimizer.ConjugateGradient:
        return scipy_minimizer.ConjugateGradient(params, self.max_iter, self.tolerance_grad)


@dataclass(eq=False, repr=False)
class BFGS(Minimizer):
    """The quasi-Newton method of Broyden, Fletcher, Goldfarb and Shanno (1970).

    It multiplies the gradient by an approximation of the inverse Hessian, which it updates with each change of the
    gradient, and searches along that direction. Memory: `n * n` numbers for `n` weights, at most 1 GiB, and a few times
    as much while SciPy updates them; use `'lbfgs'` for larger models. Computed by SciPy, `minimize(method="BFGS")`, in
    float64. The next step continues with the matrix of the last one, which is a part of the optimizer's state.

    A step runs up to `max_iter` iterations on one batch: give `fit` all rows as one batch. The loss must be the same
    each time it is computed for the same weights, so dropout makes the line search fail. There is no learning rate.
    After a step the weights are the best ones found; `optimizer.result` is SciPy's account of the step.

    Args:
        max_iter: Largest number of iterations of a step, >= 1. An iteration computes the loss and its gradient about
            once.
        tolerance_grad: A step ends if no element of the gradient is larger, > 0.

    >>> import torch, kerastorch as kt
    >>> model = kt.Sequential([kt.Input((1,)), kt.layers.Dense(1)])
    >>> model.compile(kt.optimizers.BFGS(max_iter=50), "mse")
    >>> x = torch.linspace(0, 1, 20)[:, None]
    >>> _ = model.fit(x, 3 * x - 1, batch_size=20, verbose=0)
    >>> bool(torch.allclose(model(x), 3 * x - 1, atol=1e-3))
    True
    """

    tolerance_grad: float = 1e-5

    def __call__(self, params: Iterable[Any]) -> scipy_minimizer.BFGS:
        return scipy_minimizer.BFGS(params, self.max_iter, self.tolerance_grad)


@dataclass(eq=False, repr=False)
class NewtonCG(Minimizer):
    """Newton's method: each direction `d` solves `H d = -g` for the Hessian `H` and the gradient `g`.

    The equation is solved by conjugate gradients, up to a precision that grows towards the minimum (Nocedal & Wright,
    Numerical Optimization, algorithm 7.1), so that only products of the Hessian and a vector are needed. Each product
    is the central difference of two gradients; its step fits the dtype of the weights. Memory: a few vectors. Computed
    by SciPy, `minimize(method="Newton-CG")`, in float64.

    A step runs up to `max_iter` iterations on one batch: give `fit` all rows as one batch. The loss must be the same
    each time it is computed for the same weights, so dropout makes the line search fail. There is no learning rate.
    After a step the weights are the best ones found; `optimizer.result` is SciPy's account of the step.

    Args:
        max_iter: Largest number of iterations of a step, >= 1. An iteration computes the loss and its gradient up to
            `40 n` times for `n` weights, mostly far less.
        tolerance_change: A step ends if the mean absolute change of the weights in an iteration is smaller, > 0.

    >>> import torch
    >>> weight = torch.nn.Parameter(torch.tensor([3.0, -2.0]))
    >>> optimizer = NewtonCG()([weight])
    >>> def closure():
    ...     optimizer.zero_grad()
    ...     loss = (weight - 1).pow(4).sum() + (weight - 1).square().sum()
    ...     loss.backward()
    ...     return loss
    >>> _ = optimizer.step(closure)
    >>> weight.detach().round(decimals=3)
    tensor([1., 1.])
    """

    tolerance_change: float = 1e-5

    def __call__(self, params: Iterable[Any]) -> scipy_minimizer.NewtonCG:
        return scipy_minimizer.NewtonCG(params, self.max_iter, self.tolerance_change)
