"""Refuse functions that broadcast targets with outputs."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Iterable
from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.overrides import TorchFunctionMode

_BROADCASTING = frozenset({
    "add", "sub", "subtract", "mul", "multiply", "div", "divide", "truediv", "true_divide", "floordiv",
    "floor_divide", "pow", "float_power", "maximum", "minimum", "fmax", "fmin", "eq", "ne", "lt", "le", "gt", "ge",
    "where", "logical_and", "logical_or", "logical_xor", "and", "or", "xor", "xlogy", "atan2", "fmod", "mod",
    "remainder", "lerp", "hypot", "logaddexp", "addcmul", "addcdiv", "clamp", "isclose", "copysign", "dist",
    "cosine_similarity", "pairwise_distance", "mse_loss", "l1_loss", "smooth_l1_loss", "huber_loss",
    "binary_cross_entropy", "binary_cross_entropy_with_logits", "kl_div", "poisson_nll_loss", "gaussian_nll_loss",
    "soft_margin_loss", "hinge_embedding_loss", "margin_ranking_loss", "cosine_embedding_loss",
})  # fmt: skip
# their first argument has the values; what stands beside it says which of them, or in which shape
_SELECTING = frozenset({
    "getitem", "index_select", "masked_select", "gather", "take", "take_along_dim", "reshape_as", "view_as",
    "expand_as", "type_as", "to", "masked_fill",
})  # fmt: skip
_MAKING_NEW = ("_like", "new_")  # the argument gives the shape of a new tensor


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


class _Origin(NamedTuple):
    """What a tensor was computed from.

    Attributes:
        tensor: the tensor itself; it is held so that no other tensor takes its identity.
        targets: it was computed from targets.
        outputs: it was computed from outputs.
        axes: how many axes the targets or outputs had.
        whole: it has as many elements as the targets, or the outputs, and was computed from those alone.
    """

    tensor: Tensor
    targets: bool
    outputs: bool
    axes: int
    whole: bool


class BroadcastGuard(TorchFunctionMode):
    """Raise an error if a function of torch broadcasts targets with outputs while this is active.

    It follows what is computed from either. Refused are all targets with all outputs in another shape, and two tensors
    of which the result is larger than both, as that of `(n,)` and `(n, 1)` is. Allowed are a single number, one column
    or a mean beside a whole, and tensors with as many axes of which one has got a new axis, as in
    `y_pred[:, :, None] - y_true[:, None, :]`.

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
        self._origins = {
            id(y_true): _Origin(y_true, True, False, y_true.ndim, True),
            id(y_pred): _Origin(y_pred, False, True, y_pred.ndim, True),
        }
        self.used_numpy = False

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        name = _operation(func)
        tensors = _tensors((*args, *kwargs.values()))
        origins = [self._origins[id(one)] for one in tensors if id(one) in self._origins]
        if name in _BROADCASTING or name == "broadcast_tensors":
            self._check(origins, explicit=name == "broadcast_tensors")
        result = func(*args, **kwargs)
        if origins:
            self.used_numpy = self.used_numpy or name in ("numpy", "array")
            self._follow(name, origins, tensors, result)
        return result

    def _check(self, origins: list[_Origin], explicit: bool) -> None:
        for one, other in itertools.combinations(origins, 2):
            same = one.targets == other.targets and one.outputs == other.outputs
            if not same and _is_broadcast(one, other, explicit):
                target, output = (one, other) if one.targets and not other.targets else (other, one)
                if target.tensor.numel() == output.tensor.numel():
                    cure = f"Give both one shape in the function, as y_true.reshape({tuple(output.tensor.shape)}) does."
                else:
                    cure = "If it is meant, expand one of them in the function: y_true.expand_as(y_pred)."
                raise ValueError(
                    f"{self._name}: y of shape {tuple(target.tensor.shape)} would be broadcast with outputs of shape "
                    f"{tuple(output.tensor.shape)}. Shapes must match; kerastorch never broadcasts a loss or metric. "
                    f"{cure}"
                )

    def _follow(self, name: str, origins: list[_Origin], tensors: list[Tensor], result: Any) -> None:
        if name.endswith(_MAKING_NEW[0]) or name.startswith(_MAKING_NEW[1]):
            return
        if name in _SELECTING:
            if id(tensors[0]) not in self._origins:
                return
            origins = [self._origins[id(tensors[0])]]
        targets, outputs = any(one.targets for one in origins), any(one.outputs for one in origins)
        axes, size = max(one.axes for one in origins), max(one.tensor.numel() for one in origins)
        whole = all(one.whole for one in origins) and not (targets and outputs)
        for one in _tensors((result,)):
            self._origins[id(one)] = _Origin(one, targets, outputs, axes, whole and one.numel() == size)


def _is_broadcast(one: _Origin, other: _Origin, explicit: bool) -> bool:
    """Return whether two shapes differ in a way that nobody means.

    Args:
        one: a tensor.
        other: the tensor beside it.
        explicit: a function asks for one shape by name, so that one column may go with a whole.
    """
    a, b = one.tensor, other.tensor
    if a.shape == b.shape or 1 in (a.numel(), b.numel()):
        return False
    if a.ndim == b.ndim and (a.ndim > one.axes or b.ndim > other.axes):
        return False
    if one.whole and other.whole and not explicit:
        return True
    try:
        result = torch.broadcast_shapes(a.shape, b.shape)
    except RuntimeError:  # torch's own error follows
        return False
    return bool(math.prod(result) > max(a.numel(), b.numel()))


def _tensors(values: Iterable[Any]) -> list[Tensor]:
    """Return the tensors among values, and within their lists and tuples."""
    found: list[Tensor] = []
    for value in values:
        if isinstance(value, Tensor):
            found.append(value)
        elif isinstance(value, (list, tuple)):
            found += _tensors(value)
    return found


def _operation(func: Any) -> str:
    """Return the name of a torch function: `sub` for `Tensor.__rsub__`, `Tensor.sub_` and `torch.sub`."""
    name = str(getattr(func, "__name__", ""))
    plain = name.strip("_")
    if name.startswith("__") and plain[:1] in ("r", "i") and plain[1:] in _BROADCASTING:
        return plain[1:]
    return plain
