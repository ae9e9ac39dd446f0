"""Detection of functions that broadcast targets with outputs, which raises an error.

A rule about shapes alone would reject losses that are right, such as a Gaussian likelihood with two columns of outputs
and one of targets. Therefore the first call of a loss function on each pair of shapes runs under a `TorchFunctionMode`,
which tracks what is computed from targets and from outputs. NumPy and scripted functions cannot be tracked.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Iterable, Mapping
from types import MappingProxyType
from typing import Any, Literal, NamedTuple

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
# functions whose result has values of the first argument; the others only select values or give a shape or dtype
_SELECTING = frozenset({
    "getitem", "index_select", "masked_select", "gather", "take", "take_along_dim", "reshape_as", "view_as",
    "expand_as", "type_as", "to", "masked_fill",
})  # fmt: skip
_NEW_TENSOR = ("_like", "new_")  # end and start of functions in which an argument gives the shape of a new tensor


# targets in the shape and dtype of the outputs; as the user gave them; class numbers without the class axis, or with
# size 1 there
Form = Literal["aligned", "given", "classes", "class column"]


class Call(NamedTuple):
    """The result of a function of targets and outputs.

    Attributes:
        value: The value that the function returned.
        form: Form of the targets on which the function was called.
        used_numpy: Whether it converted targets or outputs to an array, in which broadcasting cannot be detected.
    """

    value: Any
    form: Form
    used_numpy: bool

    @property
    def as_given(self) -> bool:
        """Return whether the function was called on the given targets, not on the aligned ones."""
        return self.form == "given"


def without_broadcasting(
    name: str,
    function: Callable[[Tensor, Tensor], Any],
    given: Tensor,
    aligned: Tensor,
    y_pred: Tensor,
    classes: Mapping[Form, Tensor] = MappingProxyType({}),
) -> Call:
    """Call a function on aligned targets, and if it broadcasts or fails, on the next form of the targets.

    The given targets come second. They are for functions that align them by themselves, such as
    `F.mse_loss(output.squeeze(1), target)`. Class numbers come last.

    Args:
        name: Name of the loss or metric, for error messages.
        function: Takes `(y_true, y_pred)`.
        given: Targets as the user gave them.
        aligned: Targets in the shape and dtype of the outputs, if they have as many elements.
        y_pred: Outputs.
        classes: Targets as class numbers, by form. Default: none.

    Raises:
        ValueError: The function broadcasts all of them.
        Exception: The error of the function on aligned targets, if it fails on all of them.
    """
    first_error: Exception | None = None
    forms: dict[Form, Tensor] = {"aligned": aligned, "given": given, **classes}
    if aligned is given:
        forms.pop("given")
    for form, y_true in forms.items():
        guard = BroadcastGuard(name, y_true, y_pred)
        try:
            with guard:
                return Call(function(y_true, y_pred), form, guard.used_numpy)
        except Exception as error:
            first_error = first_error or error
    assert first_error is not None
    raise first_error


class _Origin(NamedTuple):
    """A tensor, and what it was computed from.

    Attributes:
        tensor: The tensor. The reference prevents that its `id` is reused for another tensor.
        targets: Whether it was computed from targets.
        outputs: Whether it was computed from outputs.
        axes: Number of axes of the targets or outputs.
        whole: Whether it was computed from targets alone or outputs alone, and has as many elements as these.
    """

    tensor: Tensor
    targets: bool
    outputs: bool
    axes: int
    whole: bool


class BroadcastGuard(TorchFunctionMode):
    """Context in which functions of torch raise an error if they broadcast targets and outputs.

    It tracks all tensors that are computed from targets or outputs. An error is raised if all targets meet all outputs
    in different shapes, and if the result is larger than both operands, as for `(n,)` and `(n, 1)`. No error is raised
    if one operand is a single number, a column or a mean, or if both have the same number of axes after one of them got
    a new axis on purpose, as in `y_pred[:, :, None] - y_true[:, None, :]`.

    Args:
        name: Name of the loss or metric, for error messages.
        y_true: Targets, `(batch, ...)`.
        y_pred: Outputs, `(batch, ...)`.

    Attributes:
        used_numpy: Whether targets or outputs were converted to a NumPy array.

    Raises:
        ValueError: Inside the context, at the function that broadcasts.
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
        elif name == "getitem" and isinstance(args[1], tuple):
            self._check_index(args[1])
        result = func(*args, **kwargs)
        if origins:
            self.used_numpy = self.used_numpy or name in ("numpy", "array")
            self._track(name, origins, tensors, result)
        return result

    def _check(self, origins: list[_Origin], explicit: bool) -> None:
        """Raise an error if two operands of different origin are broadcast."""
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

    def _check_index(self, index: tuple[Any, ...]) -> None:
        """Raise an error if targets `(n, 1)` are one of several indices, and are broadcast with the others."""
        indices = [one for one in index if isinstance(one, Tensor)]
        for one in indices if len(indices) > 1 else ():
            origin = self._origins.get(id(one))
            if origin is None or not (origin.targets and origin.whole) or one.ndim < 2 or one.shape[-1] != 1:
                continue
            try:
                result = torch.broadcast_shapes(*(other.shape for other in indices))
            except RuntimeError:  # the shapes do not fit; torch raises its own error
                return
            if math.prod(result) > max(other.numel() for other in indices):
                raise ValueError(
                    f"{self._name}: y of shape {tuple(one.shape)}, as one of several indices, would be broadcast to "
                    f"{tuple(result)}. Write y_true.squeeze(-1) there."
                )

    def _track(self, name: str, origins: list[_Origin], tensors: list[Tensor], result: Any) -> None:
        """Record the origin of the tensors that a function returned."""
        if name.endswith(_NEW_TENSOR[0]) or name.startswith(_NEW_TENSOR[1]):
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
    """Return whether an operation on two tensors broadcasts them, most likely by mistake.

    Args:
        one: An operand.
        other: The other operand.
        explicit: Whether the operation is `torch.broadcast_tensors`, which asks for broadcasting by name.
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
    except RuntimeError:  # the shapes do not fit; torch raises its own error
        return False
    return bool(math.prod(result) > max(a.numel(), b.numel()))


def _tensors(values: Iterable[Any]) -> list[Tensor]:
    """Return the tensors among values, including those in lists and tuples."""
    found: list[Tensor] = []
    for value in values:
        if isinstance(value, Tensor):
            found.append(value)
        elif isinstance(value, (list, tuple)):
            found += _tensors(value)
    return found


def _operation(func: Any) -> str:
    """Return the plain name of a torch function: `sub` for `Tensor.__rsub__` and `Tensor.sub_`."""
    name = str(getattr(func, "__name__", ""))
    plain = name.strip("_")
    if name.startswith("__") and plain[:1] in ("r", "i") and plain[1:] in _BROADCASTING:
        return plain[1:]
    return plain
