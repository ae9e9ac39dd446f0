"""Batches that are lists with an entry for each sample, such as the images and targets of detection models."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from torch import Tensor

from kerastorch.core.forward_inputs import ForwardInputs
from kerastorch.data.target_parameter import target_name


def is_list_of_dicts(value: Any) -> bool:
    """Return whether a value is a list or tuple of dicts, one for each sample."""
    return isinstance(value, (tuple, list)) and len(value) > 0 and all(isinstance(one, Mapping) for one in value)


def read_sample_lists(parts: tuple[Any, ...], forward: ForwardInputs) -> tuple[dict[str, Any], list[Any]] | None:
    """Return the inputs of `forward` by name, and the targets, of a batch `(images, targets)`.

    `None` unless the batch has a tensor and a dict for each sample, and `forward` has a parameter for each list.

    Args:
        parts: The parts of a batch.
        forward: What `forward` takes.

    >>> import torch
    >>> forward = ForwardInputs(("images", "targets"), ("images",), 2, False)
    >>> batch = ((torch.zeros(3, 8, 8), torch.zeros(3, 9, 9)), ({"labels": 1}, {"labels": 2}))
    >>> inputs, targets = read_sample_lists(batch, forward)
    >>> list(inputs), len(inputs["images"]), targets
    (['images', 'targets'], 2, [{'labels': 1}, {'labels': 2}])
    """
    target = target_name(forward)
    if len(parts) != 2 or target is None or not is_list_of_dicts(parts[1]) or not isinstance(parts[0], (tuple, list)):
        return None
    samples, targets = list(parts[0]), list(parts[1])
    others = [name for name in forward.required if name != target] or [name for name in forward.names if name != target]
    if len(samples) != len(targets) or not all(isinstance(one, Tensor) for one in samples) or not others:
        return None
    return {others[0]: samples, target: targets}, targets
