"""The loops over batches: one function runs a pass, in training and in evaluation."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import Any

import torch
from torch import nn

from kerastorch.callbacks.callback_list import CallbackList
from kerastorch.core.module_tree import modules
from kerastorch.core.nested import batch_rows
from kerastorch.core.process_group import without_buffer_sync
from kerastorch.core.sharded_modules import reshard
from kerastorch.core.tensor_spec import specs_of
from kerastorch.core.train_mode import evaluation_mode, training_mode
from kerastorch.core.trainable import set_frozen_batchnorm_eval, sync_trainable
from kerastorch.data.adaptive_batch_size import measure_and_adapt
from kerastorch.data.batch_groups import group_batches
from kerastorch.data.batches import Batch, Batches, BatchGroup
from kerastorch.data.loaders import copy_tensors
from kerastorch.data.rank_turns import are_by_turns
from kerastorch.optimizers.step_hooks import unfuse_partly_trained_groups
from kerastorch.runtime.batch_transfer import BatchTransfer
from kerastorch.training.eager_step import eager_step, step_output
from kerastorch.training.evaluation_gradients import evaluation_gradients
from kerastorch.training.fused_activation import find_final_activation
from kerastorch.training.jit.compiled_step import Policy
from kerastorch.training.memory_recovery import limited_step, predict_in_parts, recover
from kerastorch.training.metrics_tracker import MetricsTracker, RunningLogs, counted_rows
from kerastorch.training.monte_carlo_dropout import Sampling
from kerastorch.training.nan_warning import NaNWarning
from kerastorch.training.own_metrics import protected
from kerastorch.training.own_steps import own_metrics, predict_step_of, step_of
from kerastorch.training.precision import separate_autocast_cache
from kerastorch.training.predictions import tensor_step
from kerastorch.training.rank_step import is_idle
from kerastorch.training.step_mixin import overrides
from kerastorch.training.step_output import StepOutput
from kerastorch.training.step_repetition import RecordedStep
from kerastorch.training.train_state import TrainState
from kerastorch.training.trainer import Trainer

Step = Callable[[Any], Mapping[str, Any] | StepOutput]


def epoch(
    trainer: Trainer,
    metrics: MetricsTracker,
    stream: Iterator[Batch | BatchGroup],
    transfer: BatchTransfer,
    step: Step,
    callbacks: CallbackList,
    phase: str,
    state: TrainState,
    *,
    interruptible: bool = True,
    by_turns: bool = True,
    nan_warning: NaNWarning | None = None,
) -> dict[str, float]:
    """Run a step on each batch; return the means and metrics of the pass.

    Args:
        trainer: Parts that train the model.
        metrics: Means and metrics of this pass.
        stream: The batches.
        transfer: Moves them to the model's device.
        step: Called with each batch.
        callbacks: Their batch hooks are called.
        phase: `'train'` or `'test'`.
        state: Its `epoch` is the number of the epoch, and `batches_done` counts on from the batches before these.
        interruptible: Ctrl-C ends the pass after the running batch.
        by_turns: Whether the batches of several ranks alternate; else each has consecutive ones.
        nan_warning: Warns of the first loss that is not finite.
    """
    begin, end = f"on_{phase}_batch_begin", f"on_{phase}_batch_end"
    has_begin, has_end = callbacks.has_hook(begin), callbacks.has_hook(end)
    loss, model, interrupt = trainer.compiled_loss, trainer.model, trainer.interrupt
    training, done = phase == "train", state.batches_done
    ends = trainer.parallel.pass_end(training=training, asks_each_batch=training and _may_end(trainer, callbacks))
    logs = RunningLogs(metrics)
    x, every, is_hooked = None, trainer.compile_options.every, False
    has_compiled_loss = True  # in all batches; else `loss` is that of a step of the user's own, and stays as it is
    for batch in stream:
        if has_begin and not is_hooked:
            callbacks.emit(begin, done, {})
            torch.clear_autocast_cache()  # a callback may have called the model without gradients, or moved its weights
        is_hooked = True  # the hook for the end of this execution is still to be called
        batch = transfer(batch)
        x = batch.x
        loss.begin_step()
        try:
            output = step(batch)
        except Exception as error:
            step, output = recover(error, trainer, batch, phase)
        if type(output) is not StepOutput:
            output = step_output(trainer, output)
        has_compiled_loss = has_compiled_loss and output.has_compiled_loss
        metrics.add(output.logs, counted_rows(batch) if output.weight is None else output.weight, output.weights)
        if nan_warning is not None:
            nan_warning(output.logs.get("loss"), state.epoch, done, batch)
        before = done
        done += len(batch) if isinstance(batch, BatchGroup) else 1
        state.count_batches(done)
        if done // every > before // every:
            is_hooked = False
            if has_end:
                callbacks.emit(end, done - 1, logs.expire())
                torch.clear_autocast_cache()
        if ends((interruptible and interrupt.pending) or (training and model.stop_training)):
            break
    if has_end and is_hooked:
        callbacks.emit(end, done - 1, logs.expire())
    if not done:
        when = f" in epoch {state.epoch + 1}" if training else ""
        raise ValueError(
            f"the data gave no batch{when}. Pass a function that returns a new iterator, a DataLoader, or arrays."
        )
    if x is not None:
        trainer.state.record_inputs(specs_of(x))
    found = trainer.parallel.read(metrics, transfer.device, by_turns=by_turns)
    return loss.finalize_logs(found) if has_compiled_loss else found


def _may_end(trainer: Trainer, callbacks: CallbackList) -> bool:
    """Return whether something else than a signal may end an epoch before its last batch."""
    is_guarded = trainer.optimizer_step.listeners.is_guarded
    return is_guarded or overrides(trainer.model, "train_step") or callbacks.may_end_epoch()


def evaluate(
    trainer: Trainer,
    batches: Batches,
    transfer: BatchTransfer,
    callbacks: CallbackList,
    *,
    interruptible: bool = True,
) -> dict[str, float]:
    """Run a pass in evaluation mode; return its means and metrics.

    Args:
        trainer: Parts that train the model.
        batches: The data.
        transfer: Moves batches to the model's device.
        callbacks: Their test hooks are called.
        interruptible: Ctrl-C ends the pass; an evaluation by a callback within `fit` is not interrupted.
    """
    stream = trainer.parallel.evaluation_stream(trainer.prepared(batches, transfer, 0))
    trainer.find_penalties()
    model = trainer.model
    with (
        trainer.pass_cleanup(),
        separate_autocast_cache(),
        trainer.evaluation_weights(),
        _fresh_metrics(trainer) as metrics,
        trainer.compiled_loss.attach(model, find_final_activation(model), batches.targets),
        evaluation_mode(model),
        without_buffer_sync(transfer.parts),
        _sharded_again(transfer.parts),
        _gradient_mode(trainer),
    ):
        callbacks.emit("on_test_begin", {})
        mixed = trainer.precision.around(step_of(trainer, "test_step"), trainer.device_type())
        counted = trainer.parallel.evaluation_step(trainer, mixed)
        step = limited_step(trainer, measure_and_adapt(counted, batches, row_by_row=False), "test")
        logs = epoch(
            trainer, metrics, stream, transfer, step, callbacks, "test", TrainState(),
            interruptible=interruptible, by_turns=are_by_turns(batches),
        )  # fmt: skip
        callbacks.emit("on_test_end", logs)
        trainer.state.record_evaluation(logs)
        return logs


def predict(
    trainer: Trainer,
    batches: Batches,
    transfer: BatchTransfer,
    callbacks: CallbackList,
    take: Callable[[Any, int], None],
    sampling: Sampling,
) -> None:
    """Run the model on each batch in evaluation mode.

    Args:
        trainer: Parts that train the model.
        batches: The data.
        transfer: Moves batches to the model's device.
        callbacks: Their predict hooks are called.
        take: Called with the outputs of each batch, on the device, and its number of rows.
        sampling: How often the outputs of a batch are computed.
    """
    stream = trainer.parallel.evaluation_stream(trainer.prepared(batches, transfer, 0))
    with predicting(trainer, transfer.parts), sampling.modes(trainer.model):
        step = measure_and_adapt(
            sampling.step(prediction_step(trainer, transfer.device.type)), batches, row_by_row=True
        )
        has_hooks = callbacks.has_hook("on_predict_batch_begin", "on_predict_batch_end")
        callbacks.emit("on_predict_begin", {})
        for index, batch in enumerate(stream):
            if has_hooks:
                callbacks.emit("on_predict_batch_begin", index, {})
            x = transfer.inputs(batch.x)
            outputs = predict_batch(trainer, step, x)
            if not is_idle(batch):
                take(outputs, batch_rows(x))
            if has_hooks:
                callbacks.emit("on_predict_batch_end", index, {"outputs": sampling.samples_first(outputs)})
        callbacks.emit("on_predict_end", {})


def predict_batch(trainer: Trainer, step: Callable[[Any], Any], x: Any) -> Any:
    """Return the outputs of `step` for the inputs of one batch; errors name the layer and the shapes.

    Args:
        trainer: Holds the model.
        step: The model's `predict_step`, or a function around it.
        x: Inputs on the model's device.
    """
    if trainer.state.evaluation_rows is not None:
        return predict_in_parts(None, trainer, step, x)
    try:
        return step(x)
    except Exception as error:
        return predict_in_parts(error, trainer, step, x)


@contextmanager
def predicting(trainer: Trainer, parts: Sequence[nn.Module]) -> Iterator[None]:
    """Prepare a model for prediction: evaluation mode, no gradients, and no casts of old weights.

    Args:
        trainer: Parts of the model.
        parts: The modules of the model.
    """
    with (
        trainer.pass_cleanup(),
        separate_autocast_cache(),
        trainer.evaluation_weights(),
        evaluation_mode(trainer.model, parts),
        without_buffer_sync(parts),
        _sharded_again(parts),
        _gradient_mode(trainer),
    ):
        yield


def prediction_step(trainer: Trainer, device_type: str) -> Callable[[Any], Any]:
    """Return what prediction does with the inputs of a batch, in the precision of the model; it returns tensors.

    Args:
        trainer: Parts of the model.
        device_type: Kind of the device that computes.
    """
    step = tensor_step(predict_step_of(trainer), trainer.compiled_loss.outputs)
    return trainer.precision.predicting(step, device_type)


def train_on_batch(trainer: Trainer, batches: Batches, transfer: BatchTransfer) -> dict[str, float]:
    """Make one step outside any fit; return its loss and metrics.

    Args:
        trainer: Parts that train the model.
        batches: The data, one batch.
        transfer: Moves it to the model's device.
    """
    stream = trainer.parallel.training_stream(trainer.prepared(batches, transfer, 0))
    trainer.setup()
    model, no_callbacks = trainer.model, CallbackList([], trainer.model, {})
    with (
        _fresh_metrics(trainer) as metrics,
        trainer.compiled_loss.attach(model, find_final_activation(model), batches.targets),
        training_mode(model) as in_eval,
        trainer.optimizer_step.training(),
    ):
        step = train_step(trainer, no_callbacks, in_eval)
        return epoch(trainer, metrics, stream, transfer, step, no_callbacks, "train", TrainState())


def group_for_execution(trainer: Trainer, stream: Iterator[Batch], transient: bool) -> Iterator[Batch | BatchGroup]:
    """Group the batches whose steps run as one compiled graph.

    Args:
        trainer: Its compiled step knows the number of batches.
        stream: The batches.
        transient: Their memory is used again by the next batch (see `Batches`), so that they must be copied.
    """
    size = 1 if trainer.compiled_step is None else trainer.compiled_step.steps_per_graph
    if size == 1:
        return stream
    return group_batches(map(copy_tensors, stream) if transient else stream, size)


def train_step(trainer: Trainer, callbacks: CallbackList, in_eval: Collection[nn.Module]) -> Step:
    """Return what an epoch of training does with a batch, in the precision of the model.

    Args:
        trainer: Parts that train the model.
        callbacks: Called for each batch.
        in_eval: Modules that stay in eval mode.
    """
    parts = modules(trainer.model)  # callbacks may have changed which ones are trainable
    sync_trainable(parts)
    set_frozen_batchnorm_eval(parts, in_eval)
    torch.clear_autocast_cache()
    optimizer_step, compiled = trainer.optimizer_step, trainer.compiled_step
    for optimizer in optimizer_step.optimizers:
        unfuse_partly_trained_groups(optimizer)
    optimizer_step.begin_training()
    if compiled is not None and trainer.state.training_rows is None:
        device_type = trainer.device_type()
        trainer.precision.around(compiled.begin_epoch, device_type)(callbacks)  # guards compare settings of autocast
        if compiled.policy is Policy.COMPILE:
            return trainer.precision.around(compiled, device_type)
    step = limited_step(trainer, trainer.parallel.training_step(trainer, eager_step(trainer)), "train")
    if not optimizer_step.listeners.is_guarded:
        return step
    copies_weights = any(getattr(one, "copies_weights", False) for one in callbacks.callbacks)
    keeps_state = copies_weights and overrides(trainer.model, "train_step")
    recorded: Step = trainer.record_step(RecordedStep(trainer, step, keeps_state=keeps_state))
    return recorded


def _gradient_mode(trainer: Trainer) -> AbstractContextManager[object]:
    enabled = bool(trainer.compile_args.get("gradients_in_evaluation", False))
    return evaluation_gradients(enabled=enabled, parameters=trainer.model.parameters() if enabled else ())


@contextmanager
def _fresh_metrics(trainer: Trainer) -> Iterator[MetricsTracker]:
    """Give a pass its own metrics; those of the pass around it return afterwards, users' metric objects included."""
    outer = trainer.context.metrics
    compiled = outer.protected() if isinstance(outer, MetricsTracker) else nullcontext()
    with protected(own_metrics(trainer) if trainer.state.is_fitting else []):
        metrics = trainer.new_metrics()
        trainer.model.reset_metrics()
        with trainer.using(metrics), compiled:
            yield metrics


@contextmanager
def _sharded_again(parts: Sequence[nn.Module]) -> Iterator[None]:
    """Let the modules hold their shards again at the end of a pass without backward passes."""
    try:
        yield
    finally:
        reshard(parts)
