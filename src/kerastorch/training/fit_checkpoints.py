"""Who writes the checkpoints of a fit: a process that trains alone, or all ranks together."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from torch import Size, Tensor

from kerastorch.checkpoint.rotation import CheckpointRotation, Rotation
from kerastorch.core.collectives import background_group
from kerastorch.core.distributed_tensors import is_distributed_tensor
from kerastorch.core.process_group import is_alone, is_distributed
from kerastorch.training.trainer import Trainer


def make_rotation(trainer: Trainer, folder: Path, keep: int) -> Rotation:
    """Return what writes and reads the checkpoints of a fit.

    Ranks save together if they train together, or if the script has divided the weights among them itself.

    Args:
        trainer: Parts that train the model, which is built.
        folder: Folder of the checkpoints.
        keep: Number of checkpoints to keep.
    """
    divided = {name: weight for name, weight in trainer.model.named_parameters() if is_distributed_tensor(weight)}
    if not trainer.parallel.is_joint and (not divided or is_alone() or not is_distributed()):
        return CheckpointRotation(folder, keep)
    from kerastorch.checkpoint.sharded_rotation import ShardedRotation  # a second to import

    return ShardedRotation(folder, background_group(), keep, lambda name, shape: like_parameter(name, shape, divided))


def like_parameter(name: str, shape: Size, parameters: Mapping[str, Tensor]) -> Any:
    """Return the parameter that a tensor of a checkpoint belongs to, if they have the same shape; else `None`.

    >>> import torch
    >>> weights = {"0.weight": torch.zeros(2, 3)}
    >>> like_parameter("optimizer.state.0.weight.exp_avg", torch.Size([2, 3]), weights) is weights["0.weight"]
    True

    Args:
        name: Name of the tensor, which has that of the parameter within.
        shape: Shape of the whole tensor.
        parameters: Parameters by name.
    """
    words = name.split(".")
    spans = [(start, end) for start in range(len(words)) for end in range(start + 1, len(words) + 1)]
    for start, end in sorted(spans, key=lambda span: span[0] - span[1]):  # the longest names first
        found = parameters.get(".".join(words[start:end]))
        if found is not None and found.shape == shape:
            return found
    return None
