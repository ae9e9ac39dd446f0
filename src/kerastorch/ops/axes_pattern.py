"""`rearrange`: reshaping and transposing by a pattern of named axes, as in einops."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from typing import Any

from torch import Tensor

from kerastorch.ops.conversion import to_tensor
from kerastorch.ops.recording import op

__all__ = ["rearrange"]

_TOKEN = re.compile(r"\(([^()]*)\)|(\w+)|(\S)")


@op
def rearrange(tensor: Any, pattern: str, **axes_lengths: int) -> Tensor:
    """Return a tensor with its axes in another order, divided or joined, by a pattern.

    Args:
        tensor: A tensor.
        pattern: The names of the axes before and after an arrow; brackets join axes: `"b h w c -> b (h w) c"`.
        **axes_lengths: Sizes of axes within brackets on the left; one of each bracket may be left out.

    Raises:
        ValueError: The pattern does not fit the tensor.

    >>> rearrange([[1, 2, 3, 4]], "a (b c) -> c a b", b=2).shape
    torch.Size([2, 1, 2])
    """
    x = to_tensor(tensor)
    sides = pattern.split("->")
    if len(sides) != 2:
        raise ValueError(f"rearrange: a pattern has one arrow, as 'a b -> b a', got {pattern!r}.")
    left, right = (_groups(side, pattern) for side in sides)
    given, wanted = ([name for group in groups for name in group] for groups in (left, right))
    if sorted(given) != sorted(wanted) or len(set(given)) < len(given):
        raise ValueError(f"rearrange: each axis must occur once on both sides of the arrow, got {pattern!r}.")
    if len(left) != x.ndim:
        raise ValueError(f"rearrange: {pattern!r} has {len(left)} axes on the left, the tensor has {x.ndim}.")
    sizes: dict[str, int] = {}
    for group, size in zip(left, x.shape, strict=True):
        sizes |= _sizes_in(group, size, axes_lengths, pattern)
    divided = x.reshape([sizes[name] for name in given]).permute([given.index(name) for name in wanted])
    return divided.reshape([math.prod(sizes[name] for name in group) for group in right])


def _groups(side: str, pattern: str) -> list[list[str]]:
    """Return the names of the axes in each bracket, or those that stand alone."""
    groups = []
    for bracket, name, other in _TOKEN.findall(side):
        if other:
            raise ValueError(f"rearrange: {other!r} is no name of an axis, in {pattern!r}.")
        groups.append([name] if name else bracket.split())
    return groups


def _sizes_in(group: list[str], size: int, given: Mapping[str, int], pattern: str) -> dict[str, int]:
    """Return the sizes of the axes that are joined in one axis."""
    unknown = [name for name in group if name not in given]
    if len(group) == 1 and group[0] not in given:
        return {group[0]: size}
    known = math.prod(given[name] for name in group if name in given)
    if len(unknown) > 1 or known < 1 or size % known or (not unknown and known != size):
        raise ValueError(f"rearrange: an axis of size {size} cannot be divided into {' '.join(group)}, in {pattern!r}.")
    return {name: given.get(name, size // known) for name in group}
