"""The model that a check tries: the model itself, whose state is put back, or a copy if it is not built."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from kerastorch.core.lazy_build import copy_module
from kerastorch.core.module_tree import is_built
from kerastorch.training.compile_mixin import CompileMixin
from kerastorch.training.trainer import Trainer
from kerastorch.training.training_snapshot import TrainingSnapshot


def make_subject(model: CompileMixin) -> CompileMixin:
    """Return a built model itself, or a copy of a model that is not built, compiled in the same way.

    Args:
        model: A model, compiled or not.
    """
    if is_built(model):
        return model
    memo: dict[int, Any] = {}  # so that the copy of an optimizer holds the weights of the copied model
    twin: Any = copy_module(model, memo)
    trainer = model._trainer
    if trainer is not None:
        arguments = {**trainer.compile_args, "device": trainer.device, "data_device": trainer.data_device}
        CompileMixin.compile(twin, **copy.deepcopy(arguments, memo))  # a subclass may have a `compile` of its own
    return twin  # type: ignore[no-any-return]


@contextmanager
def unchanged(trainer: Trainer) -> Iterator[None]:
    """Put weights, buffers, gradients, optimizers, losses, metrics and progress back at the end of the block.

    Args:
        trainer: Parts that train a built model.
    """
    state = trainer.state
    specs = state.input_specs
    trainer.setup()
    snapshot = TrainingSnapshot(trainer)
    try:
        with state.preserved(), trainer.new_metrics().protected():
            yield
    finally:
        snapshot.restore()
        state.record_inputs(specs)
