"""Steps of small dense networks run in one thread.

torch divides even small products of matrices, and small steps of fused optimizers, among threads, which then wait for
each other: a small network trains more slowly by that, and at a fraction of the speed if other programs are running.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from kerastorch.core.module_tree import modules, tensors
from kerastorch.core.ownership import is_from
from kerastorch.core.torch_class import declared_class
from kerastorch.layers.core import Activation, Dense
from kerastorch.training.trainer import Trainer

Step = Callable[[Any], Any]

MOST = 8192  # elements of the largest tensor of a small step
MOST_WEIGHTS = 4 * MOST  # of all weights together
_LIGHT = (
    *(
        f"torch.nn.modules.{name}"
        for name in ("linear", "activation", "dropout", "flatten", "batchnorm", "normalization")
    ),
    *(f"kerastorch.layers.{name}" for name in ("dropout", "batch_normalization", "reshaping")),
)


def small_steps_in_one_thread(trainer: Trainer, step: Step) -> Step:
    """Return a step that computes small batches in one thread, and leaves the number of threads as it was.

    Whether a batch is small depends on the shapes of its inputs and of the weights alone, so that the same batch is
    computed in the same way in each fit. Steps of models with other layers than dense ones, and steps that may be
    compiled, are returned as they are.

    Args:
        trainer: Parts that train a model, which is built.
        step: Trains on a batch.
    """
    if torch.get_num_threads() == 1 or trainer.compiled_step is not None:
        return step
    width = _width(modules(trainer.model))
    if width is None:
        return step

    def limited(batch: Any) -> Any:
        x = batch.x
        if x.__class__ is not Tensor or not 0 < x.ndim <= 2 or len(x) * max(width, x.shape[-1]) > MOST:
            return step(batch)
        before = torch.get_num_threads()
        torch.set_num_threads(1)
        try:
            return step(batch)
        finally:
            torch.set_num_threads(before)

    return limited


def _width(parts: Sequence[nn.Module]) -> int | None:
    """Return the largest number of features of a small dense network on the CPU; `None` for other models."""
    if not all(map(_is_light, parts)):
        return None
    held = tensors(parts)
    is_small = all(one.numel() <= MOST and one.device.type == "cpu" for one in held)
    if not held or not is_small or sum(one.numel() for one in held) > MOST_WEIGHTS:
        return None
    return max(max(one.shape, default=1) for one in held)


def _is_light(part: nn.Module) -> bool:
    """Return whether a module computes as little as a dense layer; one without weights of its own calls others."""
    if isinstance(part, (Dense, Activation)):
        return True
    calls_others = bool(part._modules) and not part._parameters and not part._buffers
    return calls_others or is_from(declared_class(type(part)), *_LIGHT)
