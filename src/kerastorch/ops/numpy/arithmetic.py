"""Functions of two tensors, element by element; shapes broadcast."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from kerastorch.ops.conversion import bool_as_int, common_tensors, floatx, result_type, to_tensor, to_tensors
from kerastorch.ops.makers import binary, bitwise, in_float32, promoting
from kerastorch.ops.recording import op

__all__ = [
    "add", "allclose", "arctan2", "bitwise_and", "bitwise_left_shift", "bitwise_or", "bitwise_right_shift",
    "bitwise_xor", "divide", "divide_no_nan", "equal", "floor_divide", "fmax", "fmin", "fmod", "gcd", "greater",
    "greater_equal", "heaviside", "hypot", "isclose", "lcm", "ldexp", "left_shift", "less", "less_equal", "logaddexp",
    "logaddexp2", "logical_and", "logical_or", "logical_xor", "maximum", "minimum", "mod", "multiply", "nextafter",
    "not_equal", "power", "right_shift", "subtract", "true_divide",
]  # fmt: skip


def _difference(x1: Tensor, x2: Tensor) -> Tensor:
    """Return `x1 - x2`; torch subtracts no booleans."""
    x1 = x1.to(x2.dtype) if x1.dtype == torch.bool else x1
    return torch.subtract(x1, x2.to(x1.dtype) if x2.dtype == torch.bool else x2)


def _remainder(function: Callable[..., Tensor]) -> Callable[..., Tensor]:
    """Return a function of torch that computes remainders, for booleans as for int32."""

    def remainder(x1: Tensor, x2: Tensor) -> Tensor:
        if x1.dtype == x2.dtype == torch.bool:
            x1, x2 = bool_as_int(x1), bool_as_int(x2)
        return function(x1, x2)

    return remainder


add = binary("add", torch.add, "Return `x1 + x2`.")
subtract = binary("subtract", _difference, "Return `x1 - x2`.")
multiply = binary("multiply", torch.multiply, "Return `x1 * x2`.")
divide = binary("divide", torch.divide, "Return `x1 / x2`.")
true_divide = binary("true_divide", torch.divide, "Return `x1 / x2`.")
power = binary("power", torch.pow, "Return `x1` to the power of `x2`.")
mod = binary("mod", _remainder(torch.remainder), "Return the remainder of `x1 / x2`, with the sign of `x2`.")
fmod = binary("fmod", _remainder(torch.fmod), "Return the remainder of `x1 / x2`, with the sign of `x1`.")
gcd = binary("gcd", torch.gcd, "Return the greatest common divisors of integers.")
lcm = binary("lcm", torch.lcm, "Return the least common multiples of integers.")
equal = binary("equal", torch.eq, "Return `x1 == x2`.")
not_equal = binary("not_equal", torch.ne, "Return `x1 != x2`.")
greater = binary("greater", torch.gt, "Return `x1 > x2`.")
greater_equal = binary("greater_equal", torch.ge, "Return `x1 >= x2`.")
less = binary("less", torch.lt, "Return `x1 < x2`.")
less_equal = binary("less_equal", torch.le, "Return `x1 <= x2`.")
logical_and = binary("logical_and", torch.logical_and, "Return `True` for elements that both are `True`, or not 0.")
logical_or = binary("logical_or", torch.logical_or, "Return `True` for elements one of which is `True`, or not 0.")
logical_xor = binary("logical_xor", torch.logical_xor, "Return `True` for elements exactly one of which is `True`.")
maximum = promoting("maximum", torch.maximum, "Return the larger of each two elements; NaN if one is NaN.")
minimum = promoting("minimum", torch.minimum, "Return the smaller of each two elements; NaN if one is NaN.")
fmax = promoting("fmax", torch.fmax, "Return the larger of each two elements; NaN only if both are NaN.")
fmin = promoting("fmin", torch.fmin, "Return the smaller of each two elements; NaN only if both are NaN.")
bitwise_and = bitwise("bitwise_and", torch.bitwise_and, "Return the bits that both integers have.")
bitwise_or = bitwise("bitwise_or", torch.bitwise_or, "Return the bits that one of two integers has.")
bitwise_xor = bitwise("bitwise_xor", torch.bitwise_xor, "Return the bits that exactly one of two integers has.")
bitwise_left_shift = bitwise("bitwise_left_shift", torch.bitwise_left_shift, "Return `x * 2^y` of integers.")
bitwise_right_shift = bitwise("bitwise_right_shift", torch.bitwise_right_shift, "Return `x // 2^y` of integers.")
left_shift = bitwise("left_shift", torch.bitwise_left_shift, "Return `x * 2^y` of integers.")
right_shift = bitwise("right_shift", torch.bitwise_right_shift, "Return `x // 2^y` of integers.")


def _with_floats(*values: Any) -> list[Tensor]:
    """Return tensors of the float dtype to which they promote."""
    tensors = to_tensors(*values)
    dtype = result_type(*tensors, float)
    return [tensor.to(dtype) for tensor in tensors]


def _double_if_int64(*values: Any) -> list[Tensor]:
    """Return tensors of one dtype: that to which they promote, or floats for integers."""
    tensors = common_tensors(*to_tensors(*values))
    return tensors if tensors[0].is_floating_point() else [tensor.to(floatx()) for tensor in tensors]


@op
def arctan2(x1: Any, x2: Any) -> Tensor:
    """Return the angle of the point `(x2, x1)` to the first axis, from -pi to pi."""
    return in_float32(torch.arctan2)(*_with_floats(x1, x2))


@op
def logaddexp(x1: Any, x2: Any) -> Tensor:
    """Return `log(exp(x1) + exp(x2))`, without overflow."""
    return in_float32(torch.logaddexp)(*_with_floats(x1, x2))


@op
def logaddexp2(x1: Any, x2: Any) -> Tensor:
    """Return `log2(2^x1 + 2^x2)`, without overflow."""
    return in_float32(torch.logaddexp2)(*_with_floats(x1, x2))


@op
def hypot(x1: Any, x2: Any) -> Tensor:
    """Return `sqrt(x1^2 + x2^2)`, without overflow."""
    return torch.hypot(*_double_if_int64(x1, x2))


@op
def heaviside(x1: Any, x2: Any) -> Tensor:
    """Return 0 for negative `x1`, 1 for positive, and `x2` for 0."""
    x1, x2 = common_tensors(*to_tensors(x1, x2))
    if x1.dtype == torch.bool:
        return torch.where(x1, x1, x2)
    return torch.heaviside(*_double_if_int64(x1, x2))


@op
def ldexp(x1: Any, x2: Any) -> Tensor:
    """Return `x1 * 2^x2`; `x2` are integers."""
    x1, x2 = to_tensors(x1, x2)
    if x2.is_floating_point() or x2.dtype == torch.bool:
        raise TypeError(f"ldexp: x2 must be integers, got {x2.dtype}.")
    return torch.ldexp(x1, x2).to(result_type(x1, x2, float))


@op
def nextafter(x1: Any, x2: Any) -> Tensor:
    """Return the floats next to `x1` in the direction of `x2`."""
    x1, x2 = to_tensors(x1, x2)
    return torch.nextafter(x1.double(), x2.double()).to(result_type(x1, x2, float))


@op
def floor_divide(x1: Any, x2: Any) -> Tensor:
    """Return `x1 / x2`, rounded down.

    >>> floor_divide([7, -7], 2)
    tensor([ 3, -4], dtype=torch.int32)
    """
    x1, x2 = common_tensors(x1, x2)
    return torch.floor_divide(x1, x2).to(x1.dtype)


@op
def divide_no_nan(x1: Any, x2: Any) -> Tensor:
    """Return `x1 / x2`, and 0 where `x2` is 0."""
    dtype = result_type(*(x if isinstance(x, (int, float)) else to_tensor(x) for x in (x1, x2)), float)
    x1, x2 = (x.to(dtype) for x in to_tensors(x1, x2))
    safe = torch.where(x2 == 0, torch.ones_like(x2), x2)
    return torch.where(x2 == 0, 0, x1 / safe)


@op
def isclose(x1: Any, x2: Any, rtol: float = 1e-5, atol: float = 1e-8, equal_nan: bool = False) -> Tensor:
    """Return `|x1 - x2| <= atol + rtol * |x2|` for floats, `x1 == x2` for others.

    Args:
        x1: A tensor.
        x2: A tensor.
        rtol: Relative tolerance.
        atol: Absolute tolerance.
        equal_nan: Whether NaN is close to NaN.
    """
    x1, x2 = common_tensors(x1, x2)
    if not x1.is_floating_point():
        return torch.eq(x1, x2)
    return torch.isclose(x1, x2, rtol=rtol, atol=atol, equal_nan=equal_nan)


@op
def allclose(x1: Any, x2: Any, rtol: float = 1e-5, atol: float = 1e-8, equal_nan: bool = False) -> Tensor:
    """Return whether all elements are close; arguments as in `isclose`."""
    return isclose(x1, x2, rtol, atol, equal_nan).all()
