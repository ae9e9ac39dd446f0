"""Refuse functions of targets and outputs that broadcast the one over the other."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

from torch import Tensor
from torch.overrides import TorchFunctionMode

_ELEMENTWISE = frozenset({
    "add", "sub", "subtract", "mul", "multiply", "div", "divide", "truediv", "true_divide", "floordiv",
    "floor_divide", "pow", "float_power", "maximum", "minimum", "fmax", "fmin", "eq", "ne", "lt", "le", "gt", "ge",
    "where", "logical_and", "logical_or", "logical_xor", "and", "or", "xor", "xlogy", "atan2", "fmod", "mod",
    "remainder", "lerp", "hypot", "logaddexp", "addcmul", "addcdiv", "clamp", "isclose", "cosine_similarity",
    "pairwise_distance", "mse_loss", "l1_loss", "smooth_l1_loss", "huber_loss", "binary_cross_entropy",
    "binary_cross_entropy_with_logits", "kl_div", "poisson_nll_loss", "soft_margin_loss", "hinge_embedding_loss",
})  # fmt: skip


class Call(NamedTuple):
    """What a function of targets and outputs returned.

    Attributes:
        value: of the call.
        as_given: it was called on the targets that were given, not on the aligned ones.
        used_numpy: it made an array of the targets or outputs, in which nothing can be followed.
    """

    value: Any
    as_given: bool
    used_numpy: bool


def without_broadcasting(
    name: str, function: Callable[[Tensor, Tensor], Any], given: Tensor, aligned: Tensor, y_pred: Tensor
) -> Call:
    """Call a function on aligned targets, and if it broadcasts or fails on them, on those that were given.

    A function may bring targets and outputs together itself, as `F.mse_loss(output.squeeze(1), target)` does.

    Args:
        name: of the loss or metric, for messages.
        function: takes `(y_true, y_pred)`.
        given: targets as they came.
        aligned: targets in the shape and dtype of the outputs, if they have as many elements.
        y_pred: outputs.

    Raises:
        ValueError: it broadcasts targets and outputs both times.
    """
    first_error: Exception | None = None
    for y_true in (aligned,) if aligned is given else (aligned, given):
        guard = BroadcastGuard(name, y_true, y_pred)
        try:
            with guard:
                return Call(function(y_true, y_pred), y_true is not aligned, guard.used_numpy)
        except Exception as error:
            first_error = first_error or error
    assert first_error is not None
    raise first_error


class BroadcastGuard(TorchFunctionMode):
    """Raise an error if an elementwise function broadcasts all targets with all outputs while this is active.

    It follows both through functions that keep the number of their elements. Parts of them, such as single columns, may
    be combined in any way: a function that takes a mean and a variance from two columns of the outputs may have one
    column of targets.

    Args:
        name: of the loss or metric, for messages.
        y_true: targets, `(batch, ...)`.
        y_pred: outputs.

    Attributes:
        used_numpy: targets or outputs became a NumPy array.

    Raises:
        ValueError: within, at the function that broadcasts.
    """

    def __init__(self, name: str, y_true: Tensor, y_pred: Tensor) -> None:
        super().__init__()
        self._name = name
        self._targets, self._outputs = [y_true], [y_pred]
        self.used_numpy = False

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        tensors = [one for one in (*args, *kwargs.values()) if isinstance(one, Tensor)]
        target, output = _first(self._targets, tensors), _first(self._outputs, tensors)
        name = _operation(func)
        if target is not None and output is not None:
            if name in _ELEMENTWISE and target.shape != output.shape:
                raise ValueError(
                    f"{self._name}: y of shape {tuple(target.shape)} would be broadcast with outputs of shape "
                    f"{tuple(output.shape)}. Shapes must match; kerastorch never broadcasts a loss or metric. If it is "
                    "meant, expand one of them in the function: y_true.expand_as(y_pred)."
                )
            return func(*args, **kwargs)
        result = func(*args, **kwargs)
        for source, followed in ((target, self._targets), (output, self._outputs)):
            if source is None:
                continue
            if isinstance(result, Tensor) and result.numel() == source.numel():
                followed.append(result)
            self.used_numpy = self.used_numpy or name in ("numpy", "array")
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
