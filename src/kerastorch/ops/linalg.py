"""Linear algebra; axes before the last two are batches."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from kerastorch.core.errors import check_choice
from kerastorch.ops.conversion import as_float, floatx, result_type, to_tensor, to_tensors
from kerastorch.ops.core.control_flow import jvp
from kerastorch.ops.makers import unary
from kerastorch.ops.recording import op

__all__ = [
    "cholesky", "cholesky_inverse", "det", "eig", "eigh", "inv", "jvp", "logdet", "lstsq", "lu_factor", "matrix_rank",
    "norm", "pinv", "qr", "solve", "solve_triangular", "svd",
]  # fmt: skip

det = unary("det", torch.linalg.det, "Return the determinants of square matrices.", as_float)
logdet = unary("logdet", torch.logdet, "Return the logarithms of determinants; NaN for negative ones.", as_float)
inv = unary("inv", torch.linalg.inv, "Return the inverses of square matrices.", as_float)


@op
def cholesky(x: Any, upper: bool = False) -> Tensor:
    """Return the lower triangular `L` with `L @ L.T = x`, for positive definite matrices; or the upper one."""
    return torch.linalg.cholesky(as_float(to_tensor(x)), upper=upper)


@op
def cholesky_inverse(x: Any, upper: bool = False) -> Tensor:
    """Return the inverses of matrices whose Cholesky factors are given, lower or upper."""
    return torch.cholesky_inverse(as_float(to_tensor(x)), upper=upper)


@op
def eig(x: Any) -> tuple[Tensor, Tensor]:
    """Return the complex eigenvalues and eigenvectors of square matrices."""
    values, vectors = torch.linalg.eig(as_float(to_tensor(x)))
    return values, vectors


@op
def eigh(x: Any) -> tuple[Tensor, Tensor]:
    """Return the eigenvalues, in ascending order, and eigenvectors of symmetric matrices."""
    values, vectors = torch.linalg.eigh(as_float(to_tensor(x)))
    return values, vectors


@op
def lu_factor(x: Any) -> tuple[Tensor, Tensor]:
    """Return the LU decomposition in one matrix, and the row that each row was exchanged with, from 0."""
    factors, pivots = torch.linalg.lu_factor(as_float(to_tensor(x)))
    return factors, pivots - 1


@op
def qr(x: Any, mode: str = "reduced") -> tuple[Tensor, Tensor]:
    """Return an orthogonal `Q` and an upper triangular `R` with `Q @ R = x`; the mode is `reduced` or `complete`."""
    q, r = torch.linalg.qr(as_float(to_tensor(x)), mode=check_choice("mode", mode, ("reduced", "complete")))
    return q, r


@op
def svd(x: Any, full_matrices: bool = True, compute_uv: bool = True) -> Any:
    """Return `U`, `S` and `V` of the singular value decomposition `U @ diag(S) @ V`.

    Args:
        x: Matrices.
        full_matrices: Whether `U` and `V` are square.
        compute_uv: Whether `U` and `V` are returned, or `S` alone.
    """
    x = as_float(to_tensor(x))
    return tuple(torch.linalg.svd(x, full_matrices=full_matrices)) if compute_uv else torch.linalg.svdvals(x)


@op
def solve(a: Any, b: Any) -> Tensor:
    """Return `x` with `a @ x = b`; `b` is a vector or a matrix for each matrix of `a`."""
    a, b = (as_float(x) for x in to_tensors(a, b))
    if b.ndim == a.ndim - 1:
        return torch.linalg.solve(a, b[..., None])[..., 0]
    return torch.linalg.solve(a, b)


@op
def solve_triangular(a: Any, b: Any, lower: bool = False) -> Tensor:
    """Return `x` with `a @ x = b` for triangular matrices `a`, upper ones, or lower ones if `lower` is set."""
    a, b = (as_float(x) for x in to_tensors(a, b))
    if b.ndim == a.ndim - 1:
        return torch.linalg.solve_triangular(a, b[..., None], upper=not lower)[..., 0]
    return torch.linalg.solve_triangular(a, b, upper=not lower)


@op
def lstsq(a: Any, b: Any, rcond: float | None = None) -> Tensor:
    """Return the `x` for which `|a @ x - b|` is least, and of these the shortest.

    Args:
        a: A matrix.
        b: A vector or a matrix.
        rcond: Singular values below this times the largest count as 0. Default: the precision of the dtype times the
            larger size of `a`.
    """
    a, b = (as_float(x) for x in to_tensors(a, b))
    rcond = max(a.shape[-2:]) * torch.finfo(a.dtype).eps if rcond is None else rcond
    inverse = torch.linalg.pinv(a, rtol=rcond)
    return inverse @ b


@op
def matrix_rank(x: Any, tol: float | None = None) -> Tensor:
    """Return the ranks of matrices, int32: how many singular values are above `tol`."""
    return torch.linalg.matrix_rank(as_float(to_tensor(x)), atol=tol).to(torch.int32)


@op
def pinv(x: Any, rcond: float | None = None) -> Tensor:
    """Return the pseudo-inverses; singular values below `rcond` times the largest count as 0."""
    return torch.linalg.pinv(as_float(to_tensor(x)), rtol=rcond)


@op
def norm(x: Any, ord: Any = None, axis: Any = None, keepdims: bool = False) -> Tensor:
    """Return norms of vectors or matrices.

    Args:
        x: A tensor.
        ord: The order: a number, `"fro"` or `"nuc"`. Default: the root of the sum of squares.
        axis: One axis for vectors, two for matrices. Default: all axes.
        keepdims: Whether reduced axes stay, with size 1.
    """
    x = to_tensor(x)
    x = x.to(floatx() if x.dtype == torch.int64 else result_type(x, float))
    return torch.linalg.norm(x, ord=ord, dim=tuple(axis) if isinstance(axis, list) else axis, keepdim=keepdims)


def __dir__() -> list[str]:
    return sorted(__all__)
