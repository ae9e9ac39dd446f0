"""Loops over the first axis of tensors: `map`, `scan` and `associative_scan`."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from kerastorch.core.torch_private import pytree
from kerastorch.ops.conversion import check_axis, to_tensor
from kerastorch.ops.core.control_flow import refuse_symbols

__all__ = ["associative_scan", "map", "scan"]


def map(f: Callable[[Any], Any], xs: Any) -> Any:
    """Apply a function to each slice along the first axis, one after the other, and stack the results.

    Args:
        f: Function of a slice, or of a structure of slices.
        xs: A tensor, or a structure of tensors.
    """
    return scan(lambda _, x: ((), f(x)), (), xs)[1]


def scan(
    f: Callable[[Any, Any], tuple[Any, Any]],
    init: Any,
    xs: Any = None,
    length: int | None = None,
    reverse: bool = False,
    unroll: int | bool = 1,
) -> tuple[Any, Any]:
    """Call a function on each slice along the first axis, with a state that it passes on.

    Args:
        f: Function of the state and a slice of `xs`; returns the next state and a result.
        init: The first state, a tensor or a structure of tensors.
        xs: A tensor, or a structure of tensors. Default: `f` is called `length` times with `None`.
        length: The number of calls. Default: the size of the first axis of `xs`.
        reverse: Whether the last slice is first.
        unroll: No effect: the loop is one of Python.

    Returns:
        The last state, and the stacked results.
    """
    refuse_symbols("scan", init, xs)
    if not callable(f):
        raise TypeError(f"scan: f must be a function, got {f!r}.")
    if xs is None and length is None:
        raise ValueError("scan takes xs, length=, or both.")
    state, xs = pytree.tree_map(to_tensor, init), pytree.tree_map(to_tensor, xs) if xs is not None else None
    n = int(length) if length is not None else len(pytree.tree_leaves(xs)[0])
    results = []
    for at in reversed(range(n)) if reverse else range(n):
        state, result = f(state, None if xs is None else pytree.tree_map(lambda x, at=at: x[at], xs))
        results.append(pytree.tree_map(torch.zeros_like, state) if result is None else result)
    if reverse:
        results.reverse()
    return state, pytree.tree_map(lambda *parts: torch.stack([to_tensor(part) for part in parts]), *results)


def associative_scan(f: Callable[[Any, Any], Any], elems: Any, reverse: bool = False, axis: int = 0) -> Any:
    """Return the results of an associative function on all slices up to each, along an axis.

    The function is called on many slices at once, about twice the logarithm of the size of the axis times.

    Args:
        f: Associative function of two tensors, or of two structures of them, slice by slice.
        elems: A tensor, or a structure of tensors with axes of one size.
        reverse: Whether the last slice is first.
        axis: The axis.

    >>> associative_scan(torch.add, torch.tensor([1, 2, 3]))
    tensor([1, 3, 6])
    """
    refuse_symbols("associative_scan", elems)
    if not callable(f):
        raise TypeError(f"associative_scan: f must be a function, got {f!r}.")
    leaves, structure = pytree.tree_flatten(pytree.tree_map(to_tensor, elems))
    axis = check_axis(axis, leaves[0].ndim)
    if len({leaf.shape[axis] for leaf in leaves}) > 1:
        raise ValueError(f"associative_scan: axis {axis} of all tensors must have one size.")

    def combine(left: list[Tensor], right: list[Tensor]) -> list[Tensor]:
        found = f(pytree.tree_unflatten(left, structure), pytree.tree_unflatten(right, structure))
        return list(pytree.tree_leaves(found))

    lines = [leaf.movedim(axis, 0) for leaf in leaves]
    lines = [line.flip(0) for line in lines] if reverse else lines

    def on_lines(left: list[Tensor], right: list[Tensor]) -> list[Tensor]:
        found = combine([one.movedim(0, axis) for one in left], [one.movedim(0, axis) for one in right])
        return [one.movedim(axis, 0) for one in found]

    scanned = _scan(on_lines, lines)
    scanned = [line.flip(0) for line in scanned] if reverse else scanned
    return pytree.tree_unflatten([line.movedim(0, axis) for line in scanned], structure)


def _scan(combine: Callable[[list[Tensor], list[Tensor]], list[Tensor]], lines: list[Tensor]) -> list[Tensor]:
    """Return the results up to each row: those of pairs first, then those between them."""
    n = len(lines[0])
    if n < 2:
        return lines
    pairs = combine([line[: n - n % 2 : 2] for line in lines], [line[1::2] for line in lines])
    odd = _scan(combine, pairs)  # the results up to rows 1, 3, 5, ...
    rest = [line[2::2] for line in lines]
    even = [line[:1] for line in lines]
    if len(rest[0]):
        between = combine([one[: len(rest[0])] for one in odd], rest)
        even = [torch.cat([first, one]) for first, one in zip(even, between, strict=True)]
    return [_interleaved(one, other) for one, other in zip(even, odd, strict=True)]


def _interleaved(even: Tensor, odd: Tensor) -> Tensor:
    """Return the rows of two tensors in turn; the first may have one more."""
    n = len(odd)
    both = torch.stack([even[:n], odd], dim=1).flatten(0, 1)
    return both if len(even) == n else torch.cat([both, even[n:]])
