"""The rule of Adafactor."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import torch
from torch import Tensor

from kerastorch.optimizers.update_rules.base import Bucket, Number, UpdateRule, zeros_like


class Adafactor(UpdateRule):
    """The optimizer of torch that `kerastorch.optimizers.Adafactor` makes.

    One weight is updated after the other: to update them together would take a copy of all weights, and the rule is
    there to save memory. `torch.optim.Adafactor` reads norms from the device for each weight, and uses its first
    epsilon in another place.

    Args:
        params: Parameters, `(name, parameter)` pairs, or dicts of parameter groups.
        lr: Learning rate, the largest relative step size.
        beta2_decay: Power of the number of steps that is 1 minus the momentum of the averages.
        eps: Added to squared gradients, and least root mean square of a weight.
        d: Largest root mean square of an update.
        relative_step: Whether the relative step size is at most `1 / sqrt(step)`.
        foreach: Has no effect; the argument is there because all rules have it.
    """

    def __init__(
        self,
        params: Iterable[Any],
        lr: float = 1e-3,
        beta2_decay: float = -0.8,
        eps: tuple[float, float] = (1e-30, 1e-3),
        d: float = 1.0,
        relative_step: bool = True,
        *,
        foreach: bool | None = None,
    ) -> None:
        settings = {
            "lr": lr, "beta2_decay": beta2_decay, "eps": eps, "d": d, "relative_step": relative_step,
            "foreach": foreach,
        }  # fmt: skip
        super().__init__(params, settings)

    def new_state(self, weight: Tensor, group: dict[str, Any]) -> dict[str, Tensor]:
        """Return averages of zeros: of each row and each column of a weight with two axes or more."""
        if weight.ndim < 2:
            return {"variance": zeros_like(weight)}
        *front, rows, columns = weight.shape
        return {"row_var": weight.new_zeros((*front, rows)), "col_var": weight.new_zeros((*front, columns))}

    def update(self, bucket: Bucket, group: dict[str, Any]) -> None:
        """Update one weight after the other."""
        for weight, gradient, state in zip(bucket.weights, bucket.gradients, bucket.states, strict=True):
            squares = gradient.square().add_(group["eps"][0])
            variances = _variances(state, squares, bucket.step ** group["beta2_decay"])
            change = gradient / _positive(variances.sqrt())
            change.div_((_root_mean_square(change) / group["d"]).clamp_(min=1.0))
            size = bucket.rate
            if group["relative_step"]:
                size = _smaller(size, bucket.step**-0.5)
            change.mul_(_root_mean_square(weight).clamp_(min=group["eps"][1]) * size)
            weight.sub_(change)


def _variances(state: dict[str, Any], squares: Tensor, fraction: Number) -> Tensor:
    """Update the averages of squared gradients, and return the estimate for each element.

    Args:
        state: State of a weight.
        squares: Squared gradients.
        fraction: Weight of the new squares in the averages.
    """
    if "variance" in state:
        return state["variance"].lerp_(squares, fraction)  # type: ignore[no-any-return]
    rows = state["row_var"].lerp_(squares.mean(dim=-1), fraction)  # (..., rows)
    columns = state["col_var"].lerp_(squares.mean(dim=-2), fraction)  # (..., columns)
    shares: Tensor = rows / _positive(rows.mean(dim=-1, keepdim=True))
    return shares.unsqueeze(-1) * columns.unsqueeze(-2)  # type: ignore[no-any-return]


def _positive(tensor: Tensor) -> Tensor:
    """Replace zeros in place, so that 0 / 0 is 0: in float16 the first epsilon is 0."""
    return tensor.clamp_(min=torch.finfo(tensor.dtype).tiny)


def _root_mean_square(tensor: Tensor) -> Tensor:
    return tensor.square().mean().sqrt()


def _smaller(first: Number, second: Number) -> Number:
    """Return the smaller one of two numbers, of which some may be tensors."""
    if not isinstance(first, Tensor) and not isinstance(second, Tensor):
        return min(first, second)
    tensors = [one if isinstance(one, Tensor) else torch.tensor(one) for one in (first, second)]
    device = next(one.device for one in (first, second) if isinstance(one, Tensor))
    return torch.minimum(*(one.to(device) for one in tensors))
