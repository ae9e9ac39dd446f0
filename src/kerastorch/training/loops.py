"""Passes over data: one function goes through the batches, in training and in evaluation alike."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import ExitStack, contextmanager, nullcontext
from typing import Any

import torch
from torch import nn

from kerastorch.callbacks.base import CallbackList
from kerastorch.core.module_tree import modules
from kerastorch.core.nested import batch_rows
from kerastorch.core.process_group import without_buffer_sync
from kerastorch.core.tensor_spec import specs_of
from kerastorch.core.train_mode import evaluation_mode, training_mode
from kerastorch.core.trainable import set_frozen_batchnorm_eval, sync_trainable
from kerastorch.data.adaptive_batch_size import measure_and_adapt
from kerastorch.data.batches import Batch, Batches, BatchGroup, group_batches
from kerastorch.data.loaders import copy_tensors
from kerastorch.optimizers.base import unfuse_partly_trained_groups
from kerastorch.runtime.batch_transfer import BatchTransfer
from kerastorch.runtime.error_context import raise_with_context
from kerastorch.training.fused_activation import find_final_activation
from kerastorch.training.metrics_tracker import MetricsTracker, RunningLogs, counted_rows
from kerastorch.training.trainer import Trainer

Step = Callable[[Any], Mapping[str, Any]]


def epoch(
    trainer: Trainer,
    stream: Iterator[Batch | BatchGroup],
    feed: BatchTransfer,
    step: Step,
    callbacks: CallbackList,
    phase: str,
    number: int,
    done: int = 0,
    interruptible: bool = True,
) -> dict[str, float]:
    """One pass over the batches: its numbers.

    Args:
        trainer: of the model.
        stream: the batches.
        feed: puts them where the model is.
        step: what is done with each.
        callbacks: told of each.
        phase: `'train'` or `'test'`.
        number: of the epoch.
        done: how many batches of it are behind it already.
        interruptible: whether Ctrl-C ends it after the running batch.
    """
    begin, end = f"on_{phase}_batch_begin", f"on_{phase}_batch_end"
    begins, ends = callbacks.has_hook(begin), callbacks.has_hook(end)
    meter, objective, model, interrupt = trainer.meter, trainer.objective, trainer.model, trainer.interrupt
    training = phase == "train"
    watch = trainer.first_nan if training and trainer.guard is None else None
    logs = RunningLogs(meter)
    x, ours, every, hooked = None, True, trainer.execution.every, False
    for batch in stream:
        if begins and not hooked:
            callbacks.emit(begin, done, {})
            torch.clear_autocast_cache()  # a callback may have called the model without gradients, or moved its weights
        hooked = True  # the end of this execution is yet to be told
        batch = feed(batch)
        x = batch.x
        objective.forget()
        try:
            outcome = step(batch)
        except Exception as error:
            raise_with_context(error, model, x)
        if outcome is None:
            raise TypeError(f"{phase}_step returned None; return a dict of numbers for the logs, {{'loss': loss}}.")
        ours = ours and outcome.get("loss") is objective.total
        meter.add(outcome, counted_rows(batch) if objective.count is None else objective.count, objective.counts)
        if watch is not None:
            watch(outcome.get("loss"), number, done)
        before = done
        done += len(batch) if isinstance(batch, BatchGroup) else 1
        if done // every > before // every:
            hooked = False
            if ends:
                callbacks.emit(end, done - 1, logs.expire())
                torch.clear_autocast_cache()
        if (interruptible and interrupt.pending) or (training and model.stop_training):
            break
    if ends and hooked:
        callbacks.emit(end, done - 1, logs.expire())
    if not done:
        when = f" in epoch {number + 1}" if training else ""
        raise ValueError(
            f"the data gave no batch{when}. Pass a function that returns a new iterator, a DataLoader, or arrays."
        )
    trainer.done, trainer.seen = done, trainer.seen if x is None else specs_of(x)
    # a loss that a step or compute_loss of the user's own made something else of is left as it is
    return objective.settled(meter.read()) if ours else meter.read()


def evaluate(
    trainer: Trainer, batches: Batches, feed: BatchTransfer, callbacks: CallbackList, interruptible: bool = True
) -> dict[str, float]:
    """One pass in evaluation mode: its numbers; whole despite Ctrl-C where it does not heed that."""
    stream = trainer.prepared(batches, feed, 0)
    trainer.find_penalties()
    model = trainer.model
    with (
        pass_cleanup(trainer),
        separate_autocast_cache(),
        fresh_metrics(trainer, within_step=not interruptible),
        trainer.objective.attach(model, find_final_activation(model), batches.targets),
        evaluation_mode(model),
        without_buffer_sync(feed.parts),
        torch.no_grad(),
    ):
        callbacks.emit("on_test_begin", {})
        step = measure_and_adapt(model.test_step, batches, row_by_row=False)
        logs = epoch(trainer, stream, feed, step, callbacks, "test", 0, interruptible=interruptible)
        callbacks.emit("on_test_end", logs)
        trainer.evaluated = tuple(logs)
        return logs


def predict(
    trainer: Trainer, batches: Batches, feed: BatchTransfer, callbacks: CallbackList, take: Callable[[Any, int], None]
) -> None:
    """Hand the outputs of each batch, still on the device, to `take`."""
    stream = trainer.prepared(batches, feed, 0)
    parts = feed.parts
    with (
        pass_cleanup(trainer),
        separate_autocast_cache(),
        evaluation_mode(trainer.model, parts),
        without_buffer_sync(parts),
        torch.no_grad(),
    ):
        step = measure_and_adapt(trainer.model.predict_step, batches, row_by_row=True)
        listened = callbacks.has_hook("on_predict_batch_begin", "on_predict_batch_end")
        callbacks.emit("on_predict_begin", {})
        for index, batch in enumerate(stream):
            if listened:
                callbacks.emit("on_predict_batch_begin", index, {})
            x = feed.inputs(batch.x)
            try:
                outputs = step(x)
            except Exception as error:
                raise_with_context(error, trainer.model, x)
            take(outputs, batch_rows(x))
            if listened:
                callbacks.emit("on_predict_batch_end", index, {"outputs": outputs})
        callbacks.emit("on_predict_end", {})


def train_on_batch(trainer: Trainer, batches: Batches, feed: BatchTransfer) -> dict[str, float]:
    """One step, outside any fit: its numbers."""
    stream = trainer.prepared(batches, feed, 0)
    trainer.setup()
    model, nobody = trainer.model, CallbackList([], trainer.model, {})
    with (
        fresh_metrics(trainer),
        trainer.objective.attach(model, find_final_activation(model), batches.targets),
        training_mode(model) as in_eval,
    ):
        return epoch(trainer, stream, feed, train_step(trainer, nobody, in_eval), nobody, "train", 0)


def group_for_execution(trainer: Trainer, stream: Iterator[Batch], transient: bool) -> Iterator[Batch | BatchGroup]:
    """Put batches together whose steps run as one; `transient` ones, see `Batches`, are copied for that."""
    size = 1 if trainer.compiled is None else trainer.compiled.steps_per_graph
    if size == 1:
        return stream
    return group_batches(map(copy_tensors, stream) if transient else stream, size)


def train_step(trainer: Trainer, callbacks: CallbackList, in_eval: Collection[nn.Module]) -> Step:
    """Choose what an epoch of training does with a batch: the model's own step, compiled, or within a closure.

    Args:
        trainer: of the model.
        callbacks: called for each batch.
        in_eval: modules that stay in eval mode.
    """
    parts = modules(trainer.model)  # callbacks may have frozen some, or thawed them
    sync_trainable(parts)
    set_frozen_batchnorm_eval(parts, in_eval)
    torch.clear_autocast_cache()
    update, compiled = trainer.update, trainer.compiled
    unfuse_partly_trained_groups(update.optimizer)
    step: Step = trainer.model.train_step
    if compiled is not None:
        compiled.prepare(callbacks)
        if not compiled.is_resting and compiled.fallback_reason is None:
            return compiled
    if not update.needs_closure:
        return step

    def uncounted() -> None:
        """Before a second look of one step at the loss: what it finds is not counted."""
        trainer.objective.forget()
        trainer.meter = MetricsTracker({})

    def by_closure(batch: Batch) -> Mapping[str, Any]:
        meter = trainer.meter
        try:
            found: Mapping[str, Any] = update.by_closure(step, batch, uncounted)
            return found
        finally:
            trainer.meter = meter

    return by_closure


@contextmanager
def fresh_metrics(trainer: Trainer, within_step: bool = False) -> Iterator[None]:
    """Give a pass a meter of its own; the meter of the pass around it comes back.

    Args:
        trainer: of the model.
        within_step: that pass is under way: what users' metric objects have counted comes back, too.
    """
    outer, trainer.meter = trainer.meter, trainer.new_meter()
    try:
        with outer.protected() if within_step else nullcontext():
            yield
    finally:
        trainer.meter = outer


@contextmanager
def separate_autocast_cache() -> Iterator[None]:
    """Within a user's `torch.autocast`: casts of weights are neither taken over from before a pass nor left behind.

    torch keeps them until the outermost autocast ends, whatever becomes of the weights; and those that are made without
    gradients would let nothing learn.
    """
    torch.clear_autocast_cache()
    try:
        yield
    finally:
        torch.clear_autocast_cache()


@contextmanager
def pass_cleanup(trainer: Trainer) -> Iterator[None]:
    """What callbacks switch for a pass is put back."""
    with ExitStack() as leaving:
        outer, trainer.pass_exit_stack = trainer.pass_exit_stack, leaving
        try:
            yield
        finally:
            trainer.pass_exit_stack = outer
