"""Out of memory: repeat a step on micro-batches that fit, or say why that would give other numbers."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from traceback import walk_tb
from typing import Any

import torch
from torch import Tensor

from kerastorch.core.errors import warn
from kerastorch.core.nested import batch_rows, leaves, map_structure
from kerastorch.data.batches import Batch, BatchGroup
from kerastorch.runtime.error_context import raise_with_context
from kerastorch.training.micro_batch_step import (
    InexactError,
    MicroBatchStep,
    free,
    is_out_of_memory,
    refuse,
    why_not_repeatable,
)
from kerastorch.training.micro_batches import can_be_split, select_rows, split_rows, why_not_exact
from kerastorch.training.step_output import StepOutput
from kerastorch.training.step_repetition import RecordedStep
from kerastorch.training.trainer import Trainer

Step = Callable[[Any], Mapping[str, Any] | StepOutput]


def recover(
    error: Exception, trainer: Trainer, batch: Batch | BatchGroup, phase: str
) -> tuple[Step, Mapping[str, Any] | StepOutput]:
    """Repeat a step that ran out of memory on micro-batches, or raise its error with its layer or a reason.

    Called in the `except` block that caught the error, so that steps without an error cost nothing.

    Args:
        error: Raised by the step.
        trainer: Parts that train the model.
        batch: Its batch.
        phase: `'train'` or `'test'`.

    Returns:
        The step for this batch and the next ones, and its output for this batch.
    """
    if not is_out_of_memory(error):
        raise_with_context(error, trainer.model, batch.x)
    if isinstance(batch, BatchGroup):
        refuse(error, "several batches run as one compiled graph; set jit_compile=False")
    reason = why_not_exact(trainer, batch, phase) or why_not_repeatable(error, trainer) or _in_graph(error)
    if reason:
        refuse(error, reason)
    free(error, trainer)
    n_rows = batch_rows(batch.x)
    micro = MicroBatchStep(trainer, phase, -(-n_rows // 2))
    try:
        micro.check_first(batch)
    except InexactError as inexact:
        refuse(error, str(inexact))
    step = _recorded(trainer, micro) if phase == "train" else micro
    output = step(batch)
    if phase == "test":
        trainer.state.limit_evaluation_rows(micro.rows)
        warn(f"memory ran out for a batch of {n_rows} rows: it is evaluated in parts of {micro.rows} rows.")
        return step, output
    trainer.state.limit_training_rows(micro.rows)
    compiled = " Training continues uncompiled." if trainer.is_compiled else ""
    warn(
        f"memory ran out for a batch of {n_rows} rows: it is trained on in micro-batches of {micro.rows} rows, and so "
        "are the next ones. Their gradients are added, so that loss, gradients and metrics are those of the whole "
        f"batch; dropout draws other masks.{compiled}"
    )
    return step, output


def limited_step(trainer: Trainer, step: Step, phase: str) -> Step:
    """Return a step in micro-batches if memory ran out before, else `step` itself.

    Args:
        trainer: Parts that train the model.
        step: The step on whole batches.
        phase: `'train'` or `'test'`.
    """
    rows = trainer.state.training_rows if phase == "train" else trainer.state.evaluation_rows
    if rows is None:
        return step
    micro = MicroBatchStep(trainer, phase, rows)
    return _recorded(trainer, micro) if phase == "train" else micro


def _recorded(trainer: Trainer, micro: MicroBatchStep) -> Step:
    """Let the step keep its last batch if the one that it replaces did, for a message about NaN."""
    if trainer.recorded_step is None:
        return micro
    recorded: Step = trainer.record_step(RecordedStep(trainer, micro))
    return recorded


def _in_graph(error: BaseException) -> str:
    """Return a reason if an error comes from a compiled graph, which may have changed weights."""
    names = {frame.f_code.co_name for frame, _ in walk_tb(error.__traceback__)}
    is_compiled = "_run_new_shape" in names or "_verify" in names or "_executable" in names
    if is_compiled and "_run_eager" not in names:
        return "memory ran out in a compiled step, which may have changed weights; set jit_compile=False"
    return ""


def predict_in_parts(error: Exception | None, trainer: Trainer, step: Callable[[Any], Any], x: Any) -> Any:
    """Return the outputs for a batch, computed for parts of its rows that fit into memory.

    Args:
        error: Raised for the whole batch; `None` if memory ran out for an earlier one.
        trainer: Holds the model.
        step: Computes the outputs of some rows.
        x: Inputs of the batch.
    """
    n_rows = batch_rows(x)
    rows = trainer.state.evaluation_rows or n_rows
    while True:
        if error is not None:
            rows = _half(error, trainer, x, rows)
        parts = [select_rows(x, part) for part in split_rows(n_rows, rows)] if rows < n_rows else [x]
        try:
            outputs = [step(part) for part in parts]
            break
        except Exception as again:
            error = again
    if len(parts) == 1:
        return outputs[0]
    if any(_has_other_rows(output, batch_rows(part)) for output, part in zip(outputs, parts, strict=True)):
        refuse(error or torch.OutOfMemoryError("out of memory"), "the outputs are not one for each row")
    if error is not None:
        trainer.state.limit_evaluation_rows(rows)
        warn(f"memory ran out for a batch of {n_rows} rows: it is predicted in parts of {rows} rows.")
    return map_structure(lambda *some: torch.cat(some), outputs[0], *outputs[1:])


def _half(error: Exception, trainer: Trainer, x: Any, rows: int) -> int:
    """Return the half of the rows of a part for which memory ran out, or raise the error if that does not help."""
    if not is_out_of_memory(error):
        raise_with_context(error, trainer.model, x)
    if trainer.parallel.divides_weights:
        refuse(error, "the weights are divided among the processes, which must compute the same number of batches")
    if rows == 1:
        refuse(error, "a single row does not fit into memory")
    if not can_be_split(x, batch_rows(x)):
        refuse(error, "the inputs do not consist of rows")
    free(error, trainer)
    return -(-rows // 2)


def _has_other_rows(output: Any, rows: int) -> bool:
    found = [leaf for _, leaf in leaves(output)]
    return any(not isinstance(leaf, Tensor) or not leaf.ndim or len(leaf) != rows for leaf in found)
