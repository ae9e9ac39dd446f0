"""Products of vectors, matrices and tensors, and sums that belong to them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from kerastorch.core.errors import check_choice
from kerastorch.ops.conversion import as_float, common_tensors, floatx, result_type, sum_dtype, to_tensor, to_tensors
from kerastorch.ops.makers import in_float32
from kerastorch.ops.recording import op

__all__ = [
    "corrcoef", "correlate", "cross", "dot", "einsum", "inner", "kron", "matmul", "outer", "slogdet", "tensordot",
    "trace", "trapezoid", "vdot", "vectorize",
]  # fmt: skip


@op
def matmul(x1: Any, x2: Any) -> Tensor:
    """Return the matrix product; axes before the last two broadcast. The product of int8 is int32."""
    x1, x2 = to_tensors(x1, x2)
    both_int8 = x1.dtype == x2.dtype == torch.int8
    return _product(torch.matmul, x1, x2, torch.int32 if both_int8 else result_type(x1, x2))


def _product(function: Callable[..., Tensor], x1: Tensor, x2: Tensor, dtype: torch.dtype) -> Tensor:
    """Return a product of two tensors in a dtype.

    Products of integers are computed as such on the CPU, and by float64 on other devices, for which torch has none.
    """
    computed = dtype
    if dtype == torch.bool:
        computed = floatx()
    elif not dtype.is_floating_point and not dtype.is_complex and x1.device.type != "cpu":
        computed = torch.float64
    return in_float32(function)(x1.to(computed), x2.to(computed)).to(dtype)


@op
def dot(x1: Any, x2: Any) -> Tensor:
    """Return the sums of products over the last axis of `x1` and the last but one of `x2`, or its only one."""
    x1, x2 = to_tensors(x1, x2)
    dtype = result_type(x1, x2)
    if x1.ndim == 0 or x2.ndim == 0:
        return torch.multiply(x1.to(dtype), x2.to(dtype))
    if x2.ndim <= 2:
        return _product(torch.matmul, x1, x2, dtype)
    return _product(lambda a, b: torch.tensordot(a, b, dims=([-1], [-2])), x1, x2, dtype)


@op
def inner(x1: Any, x2: Any) -> Tensor:
    """Return the sums of products over the last axes."""
    x1, x2 = common_tensors(x1, x2)
    return _product(torch.inner, x1, x2, x1.dtype)


@op
def vdot(x1: Any, x2: Any) -> Tensor:
    """Return the sum of products of all elements; those of a complex `x1` are conjugated."""
    x1, x2 = (x.flatten() for x in common_tensors(x1, x2))
    return _product(torch.vdot, x1, x2, x1.dtype)


@op
def outer(x1: Any, x2: Any) -> Tensor:
    """Return the matrix of the products of each element of `x1` with each of `x2`."""
    x1, x2 = to_tensors(x1, x2)
    return torch.outer(x1.flatten(), x2.flatten())


@op
def tensordot(x1: Any, x2: Any, axes: Any = 2) -> Tensor:
    """Return the sums of products over axes.

    Args:
        x1: A tensor.
        x2: A tensor.
        axes: How many of the last axes of `x1` and the first of `x2`; or the axes of `x1` and those of `x2`.
    """
    x1, x2 = common_tensors(x1, x2)
    if not isinstance(axes, int):
        axes = tuple(list(one) if isinstance(one, (list, tuple)) else [one] for one in axes)
    return _product(lambda a, b: torch.tensordot(a, b, dims=axes), x1, x2, x1.dtype)


@op
def einsum(subscripts: str, *operands: Any, **kwargs: Any) -> Tensor:
    """Return sums of products that are written with letters for axes.

    Args:
        subscripts: As in NumPy: `"ij,jk->ik"`.
        *operands: The tensors. The result of int8 is int32.
        **kwargs: `optimize` of NumPy, which has no effect.

    >>> einsum("ij->j", [[1, 2], [3, 4]])
    tensor([4, 6], dtype=torch.int32)
    """
    unknown = sorted(set(kwargs) - {"optimize"})
    if unknown:
        raise TypeError(f"einsum takes no argument {unknown[0]!r}.")
    tensors = to_tensors(*operands)
    dtype = tensors[0].dtype
    for tensor in tensors[1:]:
        dtype = torch.promote_types(dtype, tensor.dtype)
    if all(tensor.dtype == torch.int8 for tensor in tensors):
        dtype = torch.int32
    computed = dtype if dtype.is_floating_point or dtype.is_complex or tensors[0].is_cpu else torch.float64
    return torch.einsum(subscripts, *(tensor.to(computed) for tensor in tensors)).to(dtype)


@op
def kron(x1: Any, x2: Any) -> Tensor:
    """Return the Kronecker product."""
    return torch.kron(*to_tensors(x1, x2))


@op
def cross(x1: Any, x2: Any, axisa: int = -1, axisb: int = -1, axisc: int = -1, axis: int | None = None) -> Tensor:
    """Return the cross product of vectors of size 3; of vectors of size 2, its third component.

    Args:
        x1: A tensor of vectors.
        x2: A tensor of vectors.
        axisa: The axis of the vectors in `x1`.
        axisb: The axis of the vectors in `x2`.
        axisc: The axis of the vectors in the result.
        axis: All three of these.
    """
    x1, x2 = common_tensors(x1, x2)
    axisa, axisb, axisc = (axisa, axisb, axisc) if axis is None else (axis, axis, axis)
    x1, x2 = x1.movedim(axisa, -1), x2.movedim(axisb, -1)
    if x1.shape[-1] == x2.shape[-1] == 2:
        return x1[..., 0] * x2[..., 1] - x1[..., 1] * x2[..., 0]
    x1, x2 = (F.pad(x, (0, 1)) if x.shape[-1] == 2 else x for x in (x1, x2))
    return torch.linalg.cross(*torch.broadcast_tensors(x1, x2), dim=-1).movedim(-1, axisc)


@op
def trace(x: Any, offset: int = 0, axis1: int = 0, axis2: int = 1) -> Tensor:
    """Return the sum of a diagonal of the matrices along two axes."""
    x = to_tensor(x)
    return torch.diagonal(x, offset, axis1, axis2).sum(-1, dtype=sum_dtype(x))


@op
def trapezoid(y: Any, x: Any = None, dx: Any = 1.0, axis: int = -1) -> Tensor:
    """Return the integral of samples along an axis, by the trapezoidal rule.

    Args:
        y: The samples.
        x: The points of the samples. Default: points at the distance `dx`.
        dx: The distance of neighbours.
        axis: The axis.
    """
    y = to_tensor(y)
    y = as_float(y) if y.dtype == torch.bool else y
    if x is not None:
        return torch.trapezoid(y, to_tensor(x, device=y.device), dim=axis)
    y = y.movedim(axis, -1)
    return (to_tensor(dx, device=y.device) * (y[..., 1:] + y[..., :-1]) / 2).sum(-1)


@op
def corrcoef(x: Any) -> Tensor:
    """Return the correlations of the rows of a matrix."""
    x = to_tensor(x)
    x = x.double() if x.dtype == torch.int64 else as_float(x) if x.dtype == torch.bool else x
    rows = x if x.ndim > 1 else x.reshape(1, -1)
    rows = as_float(rows)
    distance = rows - rows.mean(1, keepdim=True)
    products = distance @ distance.mH  # torch.corrcoef reads values, and has no shape without them
    deviation = products.diagonal().real.sqrt()
    found = products / deviation / deviation[:, None]
    found = found if found.is_complex() else found.clip(-1, 1)
    return found if x.ndim > 1 else found[0, 0]


@op
def correlate(x1: Any, x2: Any, mode: str = "valid") -> Tensor:
    """Return the sums of products of two vectors, one of which is shifted.

    Args:
        x1: A vector.
        x2: A vector.
        mode: `"valid"` for shifts with full overlap, `"same"` for as many as the longer vector has elements, `"full"`
            for all shifts.
    """
    x1, x2 = (as_float(x) for x in common_tensors(x1, x2))
    mode = check_choice("mode", mode, ("valid", "same", "full"))
    n, m = len(x1), len(x2)
    full = F.conv1d(x1[None, None], x2[None, None], padding=m - 1)[0, 0]  # (n + m - 1,)
    if mode == "full":
        return full
    short, long = sorted((n, m))
    start = short - 1 if mode == "valid" else (short - 1) // 2 if n >= m else short // 2
    return full[start : start + (long - short + 1 if mode == "valid" else long)]


@op
def slogdet(x: Any) -> tuple[Tensor, Tensor]:
    """Return the signs and the logarithms of the absolute values of determinants."""
    sign, logarithm = torch.linalg.slogdet(to_tensor(x))
    return sign, logarithm


def vectorize(pyfunc: Callable[..., Any], *, excluded: Any = None, signature: str | None = None) -> Callable[..., Any]:
    """Return a function that applies another to each element of its arguments, which broadcast.

    Args:
        pyfunc: A function of tensors without axes.
        excluded: Positions of arguments that are passed as they are.
        signature: Only `None`: functions of elements.
    """
    if signature is not None:
        raise ValueError(
            f"vectorize takes no signature, got {signature!r}; use vectorized_map for functions of slices."
        )
    kept = set(excluded or ())

    def vectorized(*args: Any) -> Any:
        mapped = torch.broadcast_tensors(*to_tensors(*(arg for at, arg in enumerate(args) if at not in kept)))

        def on_elements(*elements: Tensor) -> Any:
            rest = iter(elements)
            return pyfunc(*(arg if at in kept else next(rest) for at, arg in enumerate(args)))

        for _ in range(mapped[0].ndim):
            on_elements = torch.vmap(on_elements)
        return on_elements(*mapped)

    vectorized.__doc__ = pyfunc.__doc__
    return vectorized
