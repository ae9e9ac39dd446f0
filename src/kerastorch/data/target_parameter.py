"""Passing the target to a `forward` that computes the loss itself, such as `forward(idx, targets=None)`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from torch import Tensor

from kerastorch.core.forward_inputs import ForwardInputs
from kerastorch.core.nested import is_object
from kerastorch.data.batches import Batch
from kerastorch.data.named_batches import TARGETS


def with_target(x: Any, y: Any, forward: ForwardInputs) -> Any:
    """Return the inputs by name, with the target as the argument that `forward` has for it.

    The inputs are returned as they are if `forward` has no such parameter, or several, or if they hold it already.

    Args:
        x: An input, a tuple or list of inputs, or a dict of inputs by name.
        y: The target, or several in their structure; `None` is not passed.
        forward: What `forward` takes.

    >>> forward = ForwardInputs(("idx", "targets"), ("idx",), 2, False)
    >>> with_target("words", "next words", forward)
    {'idx': 'words', 'targets': 'next words'}
    >>> with_target(("words", "next words"), "next words", forward)
    ('words', 'next words')
    """
    target = target_name(forward)
    if target is None or y is None:
        return x
    if isinstance(x, Mapping) and not is_object(x):
        return {**x, target: x.get(target, y)}
    parts = tuple(x) if isinstance(x, (tuple, list)) and not is_object(x) else (x,)
    by_name = dict(zip(forward.names, parts, strict=False))
    return x if len(by_name) < len(parts) or target in by_name else {**by_name, target: y}


def target_name(forward: ForwardInputs) -> str | None:
    """Return the parameter that `forward` has for the target, or `None` if there is none or several may be meant."""
    names = [name for name in forward.names if name in TARGETS and name != "mask"]
    return names[0] if len(names) == 1 else None


def check_no_third_item(batch: Batch, forward: ForwardInputs) -> None:
    """Check that integers are not passed as sample weights to a model that computes its loss, and takes none.

    Args:
        batch: What was read as `(x, y, sample_weight)`.
        forward: What `forward` takes.

    Raises:
        ValueError: The weights are integers, so that the items are rather inputs and the target.
    """
    target = target_name(forward)
    inputs = [name for name in forward.names if name != target][:2]
    weight = batch.sample_weight
    if target is None or len(inputs) < 2 or not isinstance(weight, Tensor) or weight.is_floating_point():
        return
    named = ", ".join(f"{name!r}: batch[{at}]" for at, name in enumerate(inputs))
    raise ValueError(
        "a batch has three items, which are (x, y, sample_weight), and the loss that the model returns takes no sample "
        f"weights. If they are ({', '.join(inputs)}, {target}), write compile(..., prepare_batch=lambda batch: "
        f"({{{named}}}, batch[2]))."
    )
