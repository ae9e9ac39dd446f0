"""Passing the target to a `forward` that computes the loss itself, such as `forward(idx, targets=None)`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from kerastorch.core.forward_inputs import ForwardInputs
from kerastorch.core.nested import is_object
from kerastorch.data.named_batches import TARGETS


def with_target(x: Any, y: Any, forward: ForwardInputs) -> Any:
    """Return the inputs by name, with the target as the argument that `forward` has for it.

    The inputs are returned as they are if `forward` has no such parameter, or several, or if they hold it already.

    Args:
        x: An input, a tuple or list of inputs, or a dict of inputs by name.
        y: The target; several targets, and `None`, are not passed.
        forward: What `forward` takes.

    >>> forward = ForwardInputs(("idx", "targets"), ("idx",), 2, False)
    >>> with_target("words", "next words", forward)
    {'idx': 'words', 'targets': 'next words'}
    >>> with_target(("words", "next words"), "next words", forward)
    ('words', 'next words')
    """
    names = [name for name in forward.names if name in TARGETS and name != "mask"]
    if len(names) != 1 or y is None or isinstance(y, (tuple, list, Mapping)):
        return x
    if isinstance(x, Mapping) and not is_object(x):
        return {**x, names[0]: x.get(names[0], y)}
    parts = tuple(x) if isinstance(x, (tuple, list)) and not is_object(x) else (x,)
    by_name = dict(zip(forward.names, parts, strict=False))
    return x if len(by_name) < len(parts) or names[0] in by_name else {**by_name, names[0]: y}
