"""The running statistics of batch normalization, computed anew for other weights."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn

from kerastorch.core.module_tree import modules
from kerastorch.core.torch_private import BatchNormBase
from kerastorch.layers.batch_normalization import BatchNormalization
from kerastorch.layers.random_generator import RandomGenerator


def batch_statistics(model: nn.Module) -> list[Tensor]:
    """Return the running means and variances of batch normalization, and the counts of batches."""
    norms = [part for part in modules(model) if isinstance(part, (BatchNormBase, BatchNormalization))]
    return [buffer for norm in norms for buffer in norm._buffers.values() if buffer is not None]


def recompute_batch_statistics(model: nn.Module, call: Callable[[Any], Any], inputs: Iterable[Any]) -> None:
    """Set the running statistics to the means over some batches, as `torch.optim.swa_utils.update_bn` does.

    Batch normalization in eval mode or frozen keeps its statistics. Other modules are called in their modes, and have
    the same buffers afterwards. Random states are not restored.

    Args:
        model: A module in training mode.
        call: Calls it on the inputs of one batch.
        inputs: Inputs of the batches.
    """
    norms = [part for part in modules(model) if _learns_statistics(part)]
    others = _other_state(model)
    with torch.no_grad():
        held = [tensor.clone() for tensor in others]
        with _averaging_over_batches(norms) as begin_batch:
            for number, x in enumerate(inputs):
                begin_batch(number)
                call(x)
        for tensor, value in zip(others, held, strict=True):
            tensor.copy_(value)


def learns_batch_statistics(model: nn.Module) -> bool:
    """Return whether a module in training mode has batch normalization whose statistics change."""
    return any(map(_learns_statistics, modules(model)))


def _other_state(model: nn.Module) -> list[Tensor]:
    """Return the buffers that are no statistics of batch normalization, and the counts of seeded random numbers."""
    statistics = {id(buffer) for buffer in batch_statistics(model)}
    parts = modules(model)
    generators = [value for part in parts for value in vars(part).values() if isinstance(value, RandomGenerator)]
    counts = [generator.count for generator in generators if generator.count is not None]
    return [*(buffer for buffer in model.buffers() if id(buffer) not in statistics), *counts]


def _learns_statistics(part: nn.Module) -> bool:
    if isinstance(part, BatchNormalization):
        return part.training and part.trainable
    return isinstance(part, BatchNormBase) and part.training and part.running_mean is not None


@contextmanager
def _averaging_over_batches(norms: list[nn.Module]) -> Iterator[Callable[[int], None]]:
    """Reset statistics, and let them become means over batches; yield what must be called before each batch."""
    momenta: list[Any] = [norm.momentum for norm in norms]
    for norm in norms:
        if isinstance(norm, BatchNormalization):
            norm.running_mean.zero_()
            norm.running_var.fill_(1)
        else:
            norm.reset_running_stats()  # type: ignore[operator]
            norm.momentum = None  # type: ignore[assignment]

    def begin_batch(number: int) -> None:
        for norm in norms:
            if isinstance(norm, BatchNormalization):
                norm.momentum = number / (number + 1)  # torch computes the mean itself if its momentum is None

    try:
        yield begin_batch
    finally:
        for norm, momentum in zip(norms, momenta, strict=True):
            norm.momentum = momentum
