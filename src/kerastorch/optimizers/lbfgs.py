"""LBFGS under Keras' names of arguments, computed by `torch.optim.LBFGS`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import torch

from kerastorch.core.errors import check_choice, check_float, check_int
from kerastorch.optimizers.base import Optimizer


@dataclass(eq=False, repr=False)
class LBFGS(Optimizer):
    """The quasi-Newton method BFGS with a limited memory (Liu & Nocedal 1989).

    The inverse Hessian follows from the last `history_size` changes of weights and gradients. Memory: two vectors of
    the size of all weights for each of them. A step runs up to `max_iter` iterations on one batch: give `fit` all rows
    as one batch. The loss must be the same each time it is computed for the same weights, so dropout disturbs it.

    The names and defaults are those of `torch.optim.LBFGS`, except for `learning_rate`. With
    `line_search_fn="strong_wolfe"` the length of each step is searched, which makes steps reliable.

    Args:
        learning_rate: Length of a step along the quasi-Newton direction; with a line search, its first trial. > 0.
        max_iter: Largest number of iterations of a step, >= 1.
        max_eval: Largest number of times that a step computes the loss, >= 1. Default: `max_iter * 5 // 4`.
        tolerance_grad: A step ends if no element of the gradient is larger, >= 0.
        tolerance_change: A step ends if loss and weights change less, >= 0.
        history_size: Number of changes that are stored, >= 1.
        line_search_fn: `"strong_wolfe"`, or `None` for no line search.

    Raises:
        ValueError: An argument is out of its bounds, or is one that a line search cannot apply: a dict of learning
            rates, `weight_decay`, `gradient_accumulation_steps` or `loss_scale_factor`.

    >>> weight = torch.nn.Parameter(torch.tensor([3.0, -2.0]))
    >>> optimizer = LBFGS(line_search_fn="strong_wolfe")([weight])
    >>> def closure():
    ...     optimizer.zero_grad()
    ...     loss = (weight - 1).square() @ torch.tensor([1.0, 10.0])
    ...     loss.backward()
    ...     return loss
    >>> _ = optimizer.step(closure)
    >>> weight.detach().round(decimals=4)
    tensor([1., 1.])
    """

    keyword_advice: ClassVar[Mapping[str, str]] = {**Optimizer.keyword_advice, "maxiter": "Its name is max_iter."}
    kind = torch.optim.LBFGS

    learning_rate: float = 1.0
    max_iter: int = 20
    max_eval: int | None = None
    tolerance_grad: float = 1e-7
    tolerance_change: float = 1e-9
    history_size: int = 100
    line_search_fn: str | None = None

    def __post_init__(self) -> None:
        super().__post_init__()
        check_int("max_iter", self.max_iter)
        check_int("history_size", self.history_size)
        if self.max_eval is not None:
            check_int("max_eval", self.max_eval)
        check_float("tolerance_grad", self.tolerance_grad, least=0)
        check_float("tolerance_change", self.tolerance_change, least=0)
        if self.line_search_fn is not None:
            self.line_search_fn = check_choice("line_search_fn", self.line_search_fn, ["strong_wolfe"])
        self._check_options()

    def _check_options(self) -> None:
        """Raise an error if a setting has no meaning for steps that compute the loss several times."""
        if isinstance(self.learning_rate, Mapping):
            raise ValueError("LBFGS treats all weights as one vector: its learning_rate is one number, not a dict.")
        if self.weight_decay:
            raise ValueError(
                "LBFGS has no weight_decay, which would change the weights between the evaluations of the loss. Put "
                "the penalty into the loss: kernel_regularizer=L2(...)."
            )
        for name in ("gradient_accumulation_steps", "loss_scale_factor"):
            if getattr(self, name) is not None:
                raise ValueError(f"LBFGS has no {name}: each step computes the loss of one batch several times.")

    def arguments(self) -> dict[str, Any]:
        names = ("max_iter", "max_eval", "tolerance_grad", "tolerance_change", "history_size", "line_search_fn")
        return {name: getattr(self, name) for name in names}
