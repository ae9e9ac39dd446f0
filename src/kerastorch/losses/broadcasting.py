"""Refuse functions of targets and outputs that broadcast the one over the other."""

from __future__ import annotations

from typing import Any

from torch import Tensor
from torch.overrides import TorchFunctionMode

_ELEMENTWISE = frozenset({
    "add", "sub", "subtract", "mul", "multiply", "div", "divide", "truediv", "true_divide", "floordiv",
    "floor_divide", "pow", "float_power", "maximum", "minimum", "fmax", "fmin", "eq", "ne", "lt", "le", "gt", "ge",
    "where", "logical_and", "logical_or", "logical_xor", "and", "or", "xor", "xlogy", "atan2", "fmod", "mod",
    "remainder", "lerp", "hypot", "logaddexp", "addcmul", "addcdiv", "clamp", "isclose", "mse_loss", "l1_loss",
    "smooth_l1_loss", "huber_loss", "binary_cross_entropy", "binary_cross_entropy_with_logits", "kl_div",
    "poisson_nll_loss", "soft_margin_loss", "hinge_embedding_loss",
})  # fmt: skip


class BroadcastGuard(TorchFunctionMode):
    """Raise an error if an elementwise function broadcasts all targets with all outputs while this is active.

    It follows both through functions that keep their shape. Parts of them, such as single columns, may be combined in
    any way: a function that takes a mean and a variance from two columns of the outputs may have one column of targets.

    Args:
        name: of the loss or metric, for messages.
        y_true: targets, `(batch, ...)`.
        y_pred: outputs, of another shape.

    Raises:
        ValueError: within, at the function that broadcasts.
    """

    def __init__(self, name: str, y_true: Tensor, y_pred: Tensor) -> None:
        super().__init__()
        self._name = name
        self._targets, self._outputs = [y_true], [y_pred]

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        tensors = [one for one in (*args, *kwargs.values()) if isinstance(one, Tensor)]
        target, output = _first(self._targets, tensors), _first(self._outputs, tensors)
        if target is not None and output is not None:
            if _operation(func) in _ELEMENTWISE and target.shape != output.shape:
                raise ValueError(
                    f"{self._name}: y of shape {tuple(target.shape)} would be broadcast with outputs of shape "
                    f"{tuple(output.shape)}. Shapes must match; kerastorch never broadcasts a loss or metric. If it is "
                    "meant, expand one of them in the function: y_true.expand_as(y_pred)."
                )
            return func(*args, **kwargs)
        result = func(*args, **kwargs)
        for source, followed in ((target, self._targets), (output, self._outputs)):
            if source is not None and isinstance(result, Tensor) and result.shape == source.shape:
                followed.append(result)
        return result


def _first(followed: list[Tensor], tensors: list[Tensor]) -> Tensor | None:
    return next((one for one in tensors if any(one is other for other in followed)), None)


def _operation(func: Any) -> str:
    """Return the name of a torch function: `sub` for `Tensor.__rsub__`, `Tensor.sub_` and `torch.sub`."""
    name = str(getattr(func, "__name__", ""))
    plain = name.strip("_")
    if name.startswith("__") and plain[:1] in ("r", "i") and plain[1:] in _ELEMENTWISE:
        return plain[1:]
    return plain
