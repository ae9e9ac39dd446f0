"""Steps of small dense networks run in one thread.

torch divides even small products of matrices, and small steps of fused optimizers, among threads, which then wait for
each other: a small network trains more slowly by that, and at a fraction of the speed if other programs are running.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn

from kerastorch.core.module_tree import modules, tensors
from kerastorch.core.ownership import is_from
from kerastorch.core.torch_class import declared_class
from kerastorch.data.batches import Batch
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


@contextmanager
def small_steps_in_one_thread(trainer: Trainer, step: Step) -> Iterator[Step]:
    """Yield a step that computes small batches in one thread; the number of threads from before returns at the end.

    Whether a batch is small depends on the shapes of its inputs and of the weights alone, so that the same batch is
    computed in the same way in each fit. Steps of models with other layers than dense ones, and steps that may be
    compiled, are left as they are.

    Args:
        trainer: Parts that train a model, which is built.
        step: Trains on a batch.
    """
    before = torch.get_num_threads()
    width = _width(modules(trainer.model)) if before > 1 and trainer.compiled_step is None else None
    if width is None:
        yield step
        return
    small = _SmallSteps(step, before, width)
    try:
        yield small
    finally:
        small.restore()


class _SmallSteps:
    """A step that sets the number of threads before it computes.

    Args:
        step: Trains on a batch.
        threads: Their number for batches that are not small.
        width: Largest number of features of a layer.
    """

    def __init__(self, step: Step, threads: int, width: int) -> None:
        self._step, self._before, self._width = step, threads, width
        self._set = threads

    def __call__(self, batch: Batch) -> Any:
        x = batch.x
        is_small = x.__class__ is Tensor and 0 < x.ndim <= 2 and len(x) * max(self._width, x.shape[-1]) <= MOST
        wanted = 1 if is_small else self._before
        if wanted != self._set:
            torch.set_num_threads(wanted)
            self._set = wanted
        return self._step(batch)

    def restore(self) -> None:
        """Set the number from before, unless somebody else has set another one meanwhile."""
        if self._set != self._before and torch.get_num_threads() == self._set:
            torch.set_num_threads(self._before)


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
