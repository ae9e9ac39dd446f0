"""Functions that change the shape of tensors, or join and divide them."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from kerastorch.core.errors import check_choice, mismatch
from kerastorch.ops.conversion import axes_of, check_axis, to_tensor, to_tensors
from kerastorch.ops.recording import op

__all__ = [
    "append", "array_split", "broadcast_to", "concatenate", "dsplit", "dstack", "expand_dims", "flip", "fliplr",
    "flipud", "hsplit", "hstack", "moveaxis", "ndim", "pad", "ravel", "repeat", "reshape", "roll", "rot90", "size",
    "split", "squeeze", "stack", "swapaxes", "tile", "transpose", "vsplit", "vstack",
]  # fmt: skip


@op
def reshape(x: Any, newshape: Any) -> Tensor:
    """Return the elements in another shape; one size may be -1, which is computed.

    >>> reshape([1, 2, 3, 4], (2, -1))
    tensor([[1, 2],
            [3, 4]], dtype=torch.int32)
    """
    return torch.reshape(to_tensor(x), _integers(newshape))


def _integers(values: Any) -> tuple[int, ...]:
    """Return one integer or several, also in an array, as a tuple."""
    return tuple(map(int, values)) if hasattr(values, "__len__") else (int(values),)


@op
def ravel(x: Any) -> Tensor:
    """Return the elements as a vector."""
    return torch.ravel(to_tensor(x))


@op
def ndim(x: Any) -> int:
    """Return the number of axes."""
    return to_tensor(x).ndim


@op
def size(x: Any) -> Tensor:
    """Return the number of elements, as a tensor."""
    x = to_tensor(x)
    return torch.full((), x.numel(), dtype=torch.int64, device=x.device)


@op
def transpose(x: Any, axes: Sequence[int] | None = None) -> Tensor:
    """Return a tensor with its axes in another order.

    Args:
        x: A tensor.
        axes: The axes of `x` in the order of the result. Default: the reverse order.
    """
    x = to_tensor(x)
    return x.permute(tuple(reversed(range(x.ndim)) if axes is None else axes))


@op
def swapaxes(x: Any, axis1: int, axis2: int) -> Tensor:
    """Return a tensor with two axes exchanged."""
    return torch.swapaxes(to_tensor(x), axis1, axis2)


@op
def moveaxis(x: Any, source: Any, destination: Any) -> Tensor:
    """Return a tensor with axes moved to other positions; the others keep their order."""
    return torch.moveaxis(to_tensor(x), source, destination)


@op
def expand_dims(x: Any, axis: Any) -> Tensor:
    """Return a tensor with further axes of size 1, which are at `axis` in the result."""
    x = to_tensor(x)
    several = axis if isinstance(axis, (tuple, list)) else (axis,)
    for one in sorted(check_axis(one, x.ndim + len(several)) for one in several):
        x = x.unsqueeze(one)
    return x


@op
def squeeze(x: Any, axis: Any = None) -> Tensor:
    """Return a tensor without axes of size 1.

    Args:
        x: A tensor.
        axis: The axes to drop. Default: all of size 1.

    Raises:
        ValueError: An axis has another size.
    """
    x = to_tensor(x)
    if axis is None:
        return torch.squeeze(x)
    axes = axes_of(x, axis)
    for one in axes:
        if x.shape[one] != 1:
            raise ValueError(f"squeeze: axis {one} of a tensor of shape {tuple(x.shape)} has not size 1.")
    return torch.squeeze(x, axes)


@op
def broadcast_to(x: Any, shape: Any) -> Tensor:
    """Return a tensor broadcast to a shape."""
    return torch.broadcast_to(to_tensor(x), _integers(shape))


@op
def flip(x: Any, axis: Any = None) -> Tensor:
    """Return the elements in reverse order along axes; `None` is all axes."""
    x = to_tensor(x)
    return torch.flip(x, axes_of(x, axis))


@op
def fliplr(x: Any) -> Tensor:
    """Return the elements in reverse order along axis 1."""
    return torch.fliplr(to_tensor(x))


@op
def flipud(x: Any) -> Tensor:
    """Return the elements in reverse order along axis 0."""
    return torch.flipud(to_tensor(x))


@op
def roll(x: Any, shift: Any, axis: Any = None) -> Tensor:
    """Return the elements shifted along axes; those that leave at the end enter at the front."""
    return torch.roll(to_tensor(x), shift, axis)


@op
def rot90(array: Any, k: int = 1, axes: tuple[int, int] = (0, 1)) -> Tensor:
    """Return a tensor turned by `k` times 90 degrees in the plane of two axes, from the first to the second."""
    return torch.rot90(to_tensor(array), k, axes)


@op
def tile(x: Any, repeats: Any) -> Tensor:
    """Return a tensor repeated along each axis.

    >>> tile([1, 2], 2)
    tensor([1, 2, 1, 2], dtype=torch.int32)
    """
    return torch.tile(to_tensor(x), _integers(repeats))


@op
def repeat(x: Any, repeats: Any, axis: int | None = None) -> Tensor:
    """Return a tensor with each element repeated.

    Args:
        x: A tensor.
        repeats: How often: one number, or one for each element along the axis.
        axis: The axis. Default: the tensor is flattened first.
    """
    x = to_tensor(x)
    if isinstance(repeats, (list, tuple)) and len(repeats) == 1:
        repeats = repeats[0]
    if not isinstance(repeats, int):
        repeats = to_tensor(repeats, torch.int64, x.device)
    return torch.repeat_interleave(x, repeats, dim=axis)


@op
def concatenate(xs: Any, axis: int = 0) -> Tensor:
    """Return tensors joined along an axis that they have; their dtypes promote."""
    return torch.cat(to_tensors(*xs), dim=axis)


@op
def stack(x: Any, axis: int = 0) -> Tensor:
    """Return tensors of one shape joined along a new axis.

    >>> stack([[1, 2], [3, 4]], axis=1)
    tensor([[1, 3],
            [2, 4]], dtype=torch.int32)
    """
    return torch.stack(to_tensors(*x), dim=axis)


@op
def append(x1: Any, x2: Any, axis: int | None = None) -> Tensor:
    """Return two tensors joined along an axis; `None` is the vectors of their elements."""
    x1, x2 = to_tensors(x1, x2)
    return torch.cat([x1.flatten(), x2.flatten()]) if axis is None else torch.cat([x1, x2], dim=axis)


@op
def hstack(xs: Any) -> Tensor:
    """Return tensors joined along axis 1, vectors along axis 0."""
    return torch.hstack(to_tensors(*xs))


@op
def vstack(xs: Any) -> Tensor:
    """Return tensors joined along axis 0; vectors are rows."""
    return torch.vstack(to_tensors(*xs))


@op
def dstack(xs: Any) -> Tensor:
    """Return tensors joined along axis 2; vectors and matrices get this axis."""
    return torch.dstack(to_tensors(*xs))


@op
def split(x: Any, indices_or_sections: Any, axis: int = 0) -> list[Tensor]:
    """Return the parts of a tensor along an axis.

    Args:
        x: A tensor.
        indices_or_sections: The number of equal parts, or the indices at which parts begin.
        axis: The axis.

    Raises:
        ValueError: The axis cannot be divided into this number of equal parts.
    """
    x = to_tensor(x)
    n = x.shape[axis]
    if not isinstance(indices_or_sections, int):
        ends = [0, *(min(max(index + n if index < 0 else index, 0), n) for index in _integers(indices_or_sections)), n]
        return [x.narrow(axis, start, max(end - start, 0)) for start, end in pairwise(ends)]
    if indices_or_sections < 1 or n % indices_or_sections:
        raise ValueError(f"split: axis {axis} has size {n}, which is no multiple of {indices_or_sections}.")
    return list(torch.tensor_split(x, indices_or_sections, dim=axis))


@op
def array_split(x: Any, indices_or_sections: Any, axis: int = 0) -> list[Tensor]:
    """Return the parts of a tensor along an axis, as `split`; the first parts may be longer by one."""
    sections = indices_or_sections if isinstance(indices_or_sections, int) else _integers(indices_or_sections)
    return list(torch.tensor_split(to_tensor(x), sections, dim=axis))


@op
def hsplit(x: Any, indices_or_sections: Any) -> list[Tensor]:
    """Return the parts of a tensor along axis 1, of a vector along axis 0."""
    x = to_tensor(x)
    return split(x, indices_or_sections, 0 if x.ndim == 1 else 1)


@op
def vsplit(x: Any, indices_or_sections: Any) -> list[Tensor]:
    """Return the parts of a tensor along axis 0."""
    return split(x, indices_or_sections, 0)


@op
def dsplit(x: Any, indices_or_sections: Any) -> list[Tensor]:
    """Return the parts of a tensor along axis 2."""
    return split(x, indices_or_sections, 2)


@op
def pad(x: Any, pad_width: Any, mode: str = "constant", constant_values: Any = None) -> Tensor:
    """Return a tensor with elements added before and after each axis.

    Args:
        x: A tensor.
        pad_width: `(before, after)` for each axis; one pair or one number is for all axes.
        mode: `"constant"`; `"reflect"`, mirrored at the outer elements; `"symmetric"`, mirrored at the edge.
        constant_values: The number that is added in the mode `"constant"`. Default 0.
    """
    x = to_tensor(x)
    mode = check_choice("mode", mode, ("constant", "reflect", "symmetric"))
    if constant_values is not None and mode != "constant":
        raise ValueError(f"pad: constant_values goes with mode='constant', not with mode={mode!r}.")
    amounts = _pad_amounts(pad_width, x.ndim)
    if mode == "constant":
        flat = [amount for both in reversed(amounts) for amount in both]
        return F.pad(x, flat, value=0 if constant_values is None else constant_values)
    for axis, (before, after) in enumerate(amounts):
        n = x.shape[axis]
        if before or after:
            x = x.index_select(axis, _mirrored(torch.arange(-before, n + after, device=x.device), n, mode))
    return x


def _pad_amounts(pad_width: Any, ndim: int) -> list[tuple[int, int]]:
    if isinstance(pad_width, int):
        return [(pad_width, pad_width)] * ndim
    pairs = [tuple(pair) if hasattr(pair, "__len__") else pair for pair in pad_width]
    if all(isinstance(pair, int) for pair in pairs) and len(pairs) in (1, 2):
        pairs = [(pairs[0], pairs[-1])]
    pairs = pairs * ndim if len(pairs) == 1 else pairs
    if len(pairs) != ndim:
        raise mismatch("pad_width", pad_width, f"(before, after) for each of {ndim} axes")
    return [(int(pair[0]), int(pair[-1])) for pair in pairs]


def _mirrored(index: Tensor, n: int, mode: str) -> Tensor:
    """Return indices within an axis of size `n` for those beyond its ends."""
    if mode == "symmetric":
        index = index % (2 * n)
        return torch.minimum(index, 2 * n - 1 - index)
    if n == 1:
        return torch.zeros_like(index)
    index = index % (2 * n - 2)
    return torch.minimum(index, 2 * n - 2 - index)
