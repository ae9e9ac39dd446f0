"""Functions of each element of one tensor."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from kerastorch.ops.conversion import as_float, bool_as_int, floatx, is_inexact, result_type, to_dtype, to_tensor
from kerastorch.ops.makers import unary
from kerastorch.ops.recording import op

__all__ = [
    "abs",
    "absolute",
    "angle",
    "arccos",
    "arccosh",
    "arcsin",
    "arcsinh",
    "arctan",
    "arctanh",
    "bitwise_invert",
    "bitwise_not",
    "cbrt",
    "ceil",
    "clip",
    "conj",
    "conjugate",
    "copy",
    "cos",
    "cosh",
    "deg2rad",
    "exp",
    "exp2",
    "expm1",
    "fabs",
    "floor",
    "i0",
    "imag",
    "isfinite",
    "isinf",
    "isnan",
    "isneginf",
    "isposinf",
    "isreal",
    "log",
    "log1p",
    "log2",
    "log10",
    "logical_not",
    "nan_to_num",
    "negative",
    "rad2deg",
    "real",
    "reciprocal",
    "round",
    "sign",
    "signbit",
    "sin",
    "sinc",
    "sinh",
    "sqrt",
    "square",
    "tan",
    "tanh",
    "trunc",
    "view",
]  # fmt: skip


def _float64_of_int64(x: Tensor) -> Tensor:
    return x.double() if x.dtype == torch.int64 else x


def _rounded(function: Any) -> Any:
    """Return a function that rounds floats, and returns integers as floats."""

    def rounded(x: Tensor) -> Tensor:
        dtype = floatx() if x.dtype == torch.int64 else result_type(x, float)
        return (function(x) if x.is_floating_point() else x).to(dtype)

    return rounded


def _cube_root(x: Tensor) -> Tensor:
    x = _float64_of_int64(bool_as_int(x))
    return torch.sign(x) * torch.abs(x) ** (1 / 3)


def _bessel_dtype(x: Tensor) -> Tensor:
    if x.dtype == torch.int64:
        return x.double()
    return as_float(x)


absolute = unary("absolute", lambda x: x if x.dtype == torch.bool else torch.abs(x), "Return the absolute values.")
abs = unary("abs", lambda x: x if x.dtype == torch.bool else torch.abs(x), "Return the absolute values.")
fabs = unary("fabs", torch.abs, "Return the absolute values as floats.", as_float)
angle = unary("angle", torch.angle, "Return the angles of complex numbers, in radians.")
arccos = unary("arccos", torch.arccos, "Return the inverse of the cosine.")
arccosh = unary("arccosh", torch.arccosh, "Return the inverse of the hyperbolic cosine.")
arcsin = unary("arcsin", torch.arcsin, "Return the inverse of the sine.")
arcsinh = unary("arcsinh", torch.arcsinh, "Return the inverse of the hyperbolic sine.")
arctan = unary("arctan", torch.arctan, "Return the inverse of the tangent.")
arctanh = unary("arctanh", torch.arctanh, "Return the inverse of the hyperbolic tangent.")
bitwise_invert = unary("bitwise_invert", torch.bitwise_not, "Return integers with all bits inverted.")
bitwise_not = unary("bitwise_not", torch.bitwise_not, "Return integers with all bits inverted.")
cbrt = unary("cbrt", _cube_root, "Return the cube roots.")
ceil = unary("ceil", _rounded(torch.ceil), "Round up to whole numbers, as floats.")
conj = unary("conj", lambda x: torch.conj(x).resolve_conj(), "Return the complex conjugates.")
conjugate = unary("conjugate", lambda x: torch.conj(x).resolve_conj(), "Return the complex conjugates.")
copy = unary("copy", torch.clone, "Copy a tensor.")
cos = unary("cos", torch.cos, "Return the cosine of angles in radians.")
cosh = unary("cosh", torch.cosh, "Return the hyperbolic cosine.")
deg2rad = unary("deg2rad", torch.deg2rad, "Convert degrees to radians.", _float64_of_int64)
exp = unary("exp", torch.exp, "Return `e^x`.", as_float)
exp2 = unary("exp2", torch.exp2, "Return `2^x`.", as_float)
expm1 = unary("expm1", torch.expm1, "Return `e^x - 1`, exact for small `x`.", as_float)
floor = unary("floor", _rounded(torch.floor), "Round down to whole numbers, as floats.")
i0 = unary("i0", torch.i0, "Return the modified Bessel function of the first kind, of order 0.", _bessel_dtype)
imag = unary(
    "imag",
    lambda x: torch.imag(x) if x.is_complex() else torch.zeros_like(x),
    "Return the imaginary parts; 0 for real numbers.",
)
isfinite = unary("isfinite", torch.isfinite, "Return `True` for numbers that are neither infinite nor NaN.")
isinf = unary("isinf", torch.isinf, "Return `True` for infinite numbers.")
isnan = unary("isnan", torch.isnan, "Return `True` for NaN.")
isneginf = unary("isneginf", torch.isneginf, "Return `True` for minus infinity.")
isposinf = unary("isposinf", torch.isposinf, "Return `True` for plus infinity.")
isreal = unary("isreal", torch.isreal, "Return `True` for numbers without an imaginary part.")
log = unary("log", torch.log, "Return the natural logarithm.")
log10 = unary("log10", torch.log10, "Return the logarithm to base 10.")
log1p = unary("log1p", torch.log1p, "Return `log(1 + x)`, exact for small `x`.")
log2 = unary("log2", torch.log2, "Return the logarithm to base 2.")
logical_not = unary("logical_not", torch.logical_not, "Return `True` for elements that are 0 or `False`.")
negative = unary("negative", torch.negative, "Return `-x`.")
rad2deg = unary("rad2deg", torch.rad2deg, "Convert radians to degrees.", _float64_of_int64)
real = unary("real", torch.real, "Return the real parts.")
reciprocal = unary("reciprocal", torch.reciprocal, "Return `1 / x`.")
sign = unary("sign", torch.sign, "Return -1, 0 or 1, the signs of the elements.")
signbit = unary("signbit", torch.signbit, "Return `True` for elements with a minus sign, -0.0 among them.")
sin = unary("sin", torch.sin, "Return the sine of angles in radians.")
sinc = unary("sinc", torch.sinc, "Return `sin(pi x) / (pi x)`, 1 at 0.")
sinh = unary("sinh", torch.sinh, "Return the hyperbolic sine.")
sqrt = unary("sqrt", torch.sqrt, "Return the square root.")
square = unary("square", torch.square, "Return `x^2`.", bool_as_int)
tan = unary("tan", torch.tan, "Return the tangent of angles in radians.")
tanh = unary("tanh", torch.tanh, "Return the hyperbolic tangent.")
trunc = unary("trunc", lambda x: x if x.dtype == torch.bool else torch.trunc(x), "Round towards 0.")


@op
def clip(x: Any, x_min: Any, x_max: Any) -> Tensor:
    """Return `x` limited to the range from `x_min` to `x_max`, which broadcast.

    >>> clip([1, 5, 9], 2, 8)
    tensor([2, 5, 8], dtype=torch.int32)
    """
    x = bool_as_int(to_tensor(x))
    low, high = (to_tensor(bound, device=x.device) for bound in (x_min, x_max))
    return torch.clip(x, low, high)


@op
def nan_to_num(x: Any, nan: float = 0.0, posinf: float | None = None, neginf: float | None = None) -> Tensor:
    """Return `x` with numbers in the place of NaN and infinity.

    Args:
        x: A tensor.
        nan: In the place of NaN.
        posinf: In the place of infinity. Default: the largest number of the dtype.
        neginf: In the place of minus infinity. Default: the smallest number of the dtype.
    """
    return torch.nan_to_num(to_tensor(x), nan=nan, posinf=posinf, neginf=neginf)


@op
def round(x: Any, decimals: int = 0) -> Tensor:
    """Round to a number of decimals; halves to the even neighbour."""
    x = to_tensor(x)
    if is_inexact(x):
        return torch.round(x, decimals=decimals)
    return x if x.dtype == torch.bool else torch.round(x.to(floatx()), decimals=decimals).to(x.dtype)


@op
def view(x: Any, dtype: Any = None) -> Tensor:
    """Return the bytes of a tensor read as another dtype."""
    x = to_tensor(x)
    return x if dtype is None else x.view(to_dtype(dtype))
