"""One fit: its epochs, their validation, and the hooks of the callbacks."""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterator
from contextlib import ExitStack, contextmanager
from functools import partial
from typing import Any, NamedTuple

from torch import nn

from kerastorch.callbacks.callback_list import CallbackList, Checkpointer
from kerastorch.callbacks.learning_rate import learning_rate_logs
from kerastorch.core.errors import warn
from kerastorch.core.train_mode import training_mode
from kerastorch.data.batches import Batch, BatchGroup
from kerastorch.data.limited_batches import rows_of
from kerastorch.runtime.batch_transfer import BatchTransfer
from kerastorch.training import loops
from kerastorch.training.compile_settings import Settings
from kerastorch.training.fit_checkpoints import make_rotation
from kerastorch.training.fit_data import FitData
from kerastorch.training.fused_activation import find_final_activation
from kerastorch.training.nan_warning import NaNWarning
from kerastorch.training.preflight import validates_at, warn_of_minimized_batches, with_prefix
from kerastorch.training.train_checkpoint import (
    FitParts,
    Sections,
    capture,
    check_saved,
    detached,
    epoch_start,
    restore,
)
from kerastorch.training.trainer import Trainer
from kerastorch.training.weight_averaging import RepeatedInputs


class EpochPass(NamedTuple):
    """A pass over the training data that is due: what `loops.epoch` is called with.

    Attributes:
        trainer: Parts that train the model.
        batches: The batches of the epoch.
        transfer: Moves them to the model's device.
        step: Called with each batch.
        callbacks: Their batch hooks are called.
        nan_warning: Warns of the first loss that is not finite.
    """

    trainer: Trainer
    batches: Iterator[Batch | BatchGroup]
    transfer: BatchTransfer
    step: loops.Step
    callbacks: CallbackList
    nan_warning: NaNWarning | None

    def run(self) -> dict[str, float]:
        """Train on the batches; return the means and metrics of the pass."""
        trainer, state = self.trainer, self.trainer.state
        return loops.epoch(
            trainer, state.metrics, self.batches, self.transfer, self.step, self.callbacks, "train", state,
            nan_warning=self.nan_warning,
        )  # fmt: skip


def fit_epochs(
    trainer: Trainer,
    data: FitData,
    callbacks: CallbackList,
    epochs: range,
    transfer: BatchTransfer,
    validation_transfer: BatchTransfer,
    frequency: Any,
    when_ready: Callable[[], None] = lambda: None,
    *,
    waits: bool = False,
) -> Generator[EpochPass, dict[str, float], None]:
    """Train a model for some epochs; a generator, so that the caller can train the epochs of several models together.

    Args:
        trainer: Parts that train the model.
        data: Training data and validation data.
        callbacks: Their hooks are called.
        epochs: Numbers of the epochs.
        transfer: Moves training batches to the model's device.
        validation_transfer: Moves validation batches there.
        frequency: `validation_freq`: after which epochs to validate.
        when_ready: Called when the model is built, and before it is trained. Default: does nothing.
        waits: Whether each pass over the training data is yielded, in place of being run; its logs must be sent then.
    """
    state = trainer.state
    with state.fitting(epochs.start), trainer.parallel.training(trainer.model):
        state.begin_epoch(epoch_start(data))
        stream = trainer.prepared(data.training, transfer, state.pass_number)
        trainer.setup()
        for optimizer in trainer.optimizer_step.optimizers:
            warn_of_minimized_batches(optimizer, data.training)
        settings = trainer.compile_settings()
        when_ready()
        repeating = trainer.weight_averaging.repeating(RepeatedInputs(data.training, state, transfer))
        with trainer.interrupt.watch(), repeating:
            with _training(trainer, callbacks, data.training.targets) as in_eval:
                state.begin_metrics(trainer.new_metrics())
                trainer.model.reset_metrics()
                checkpoint = _Checkpoint.of(trainer, data, callbacks, epochs, settings)
                stream = checkpoint.resume() or stream
                nan_warning = None if trainer.optimizer_step.listeners.is_guarded else NaNWarning(trainer)
                for epoch in checkpoint.epochs_left:
                    if not state.batches_done:  # else the fit resumes within this epoch
                        callbacks.emit("on_epoch_begin", epoch, {})
                    with trainer.using(state.metrics):
                        step = loops.train_step(trainer, callbacks, in_eval)
                        shared = trainer.parallel.training_stream(stream)
                        groups = loops.group_for_execution(trainer, shared, data.training.transient)
                        batches = checkpoint.interruptible(groups)
                        if waits:
                            logs = yield EpochPass(trainer, batches, transfer, step, callbacks, nan_warning)
                        else:
                            logs = loops.epoch(
                                trainer, state.metrics, batches, transfer, step, callbacks, "train", state,
                                nan_warning=nan_warning,
                            )  # fmt: skip
                    if nan_warning is not None:
                        nan_warning.read_logs(logs, epoch)
                    logs |= {name: rate for name, rate in _learning_rates(trainer).items() if name not in logs}
                    state.end_batches(rows_of(data.training, state.batches_done))
                    trainer.optimizer_step.end_training()
                    trainer.parallel.end_epoch(trainer.model)
                    checkpoint.raise_if_interrupted()
                    if data.validation is not None and validates_at(epoch, frequency):
                        with checkpoint.validating():
                            validated = loops.evaluate(trainer, data.validation, validation_transfer, callbacks)
                        logs |= with_prefix(validated)
                    state.end_epoch(logs)
                    callbacks.end_epoch(epoch, logs)
                    trainer.parallel.follow_first(trainer.model, trainer.optimizer_step.optimizers)
                    checkpoint.raise_if_interrupted()
                    if trainer.model.stop_training or epoch == epochs[-1]:
                        break
                    state.begin_epoch(epoch_start(data))
                    state.begin_metrics(trainer.new_metrics())
                    trainer.model.reset_metrics()
                    stream = data.training.epoch(state.pass_number)
                trainer.optimizer_step.end_fit()
                state.complete()
            if not trainer.interrupt.pending:
                state.count_fit()
                checkpoint.finish()


def _learning_rates(trainer: Trainer) -> dict[str, float]:
    """Return the learning rates of the last batch, under their names in the logs."""
    state = trainer.state
    return learning_rate_logs(trainer.optimizers.made, state.logs, state.last_rates)


@contextmanager
def _training(trainer: Trainer, callbacks: CallbackList, targets: Any) -> Iterator[frozenset[nn.Module]]:
    """Switch modes and hooks while a model trains; yield the modules that stay in eval mode."""
    with (
        trainer.compiled_loss.attach(trainer.model, find_final_activation(trainer.model), targets),
        training_mode(trainer.model) as in_eval,
        _calling_on_train_end(trainer, callbacks),
    ):
        callbacks.emit("on_train_begin", {})
        trainer.optimizer_step.begin_fit()
        # after the callbacks have registered their step hooks
        with trainer.optimizer_step.training(), _step_hooks(trainer, callbacks):
            yield in_eval


@contextmanager
def _step_hooks(trainer: Trainer, callbacks: CallbackList) -> Iterator[None]:
    """Call the hooks of callbacks between backward pass and step; without such a hook, nothing is called."""
    step = trainer.optimizer_step
    with ExitStack() as stack:
        if callbacks.has_hook("on_after_backward"):
            stack.callback(step.listeners.register_after_backward(partial(callbacks.emit, "on_after_backward")))
        if callbacks.has_hook("on_before_optimizer_step"):
            stack.callback(step.listeners.register_before_step(partial(callbacks.emit, "on_before_optimizer_step")))
        yield


@contextmanager
def _calling_on_train_end(trainer: Trainer, callbacks: CallbackList) -> Iterator[None]:
    """Call `on_train_end` on every way out; its errors never hide the one that ended training."""
    try:
        yield
    except BaseException as error:
        try:
            callbacks.emit_to_all("on_train_end", trainer.state.logs)
        except Exception as second:
            if isinstance(error, SystemExit):  # Python prints no notes for it
                warn(f"on_train_end failed: {second!r}")
            error.add_note(f"on_train_end failed too: {second!r}")
        raise
    callbacks.emit_to_all("on_train_end", trainer.state.logs)


class _Checkpoint:
    """The state of one fit: saved when training is interrupted, restored when it resumes.

    Args:
        trainer: Parts that train the model.
        parts: What the state is captured from; `None` if no callback saves it.
        checkpointer: The callback that saves it.
        epochs: Numbers of the epochs of the fit.
        callbacks: All callbacks.
    """

    def __init__(
        self,
        trainer: Trainer,
        parts: FitParts | None,
        checkpointer: Checkpointer | None,
        epochs: range,
        callbacks: CallbackList,
    ) -> None:
        self._trainer, self._parts, self._checkpointer = trainer, parts, checkpointer
        self._callbacks, self._epochs = callbacks, epochs
        self._ended = False

    @classmethod
    def of(
        cls, trainer: Trainer, data: FitData, callbacks: CallbackList, epochs: range, settings: Settings
    ) -> _Checkpoint:
        """Prepare the capture of a fit, after `on_train_begin`."""
        checkpointer = callbacks.checkpointer
        parts = None if checkpointer is None else FitParts.of(trainer, data, callbacks, epochs, settings)
        return cls(trainer, parts, checkpointer, epochs, callbacks)

    @property
    def epochs_left(self) -> range:
        """Numbers of the epochs to train, the running one included; none if the saved fit had been stopped."""
        return range(0) if self._ended else range(self._trainer.state.epoch, self._epochs.stop)

    def resume(self) -> Iterator[Batch] | None:
        """Restore the saved state of an unfinished fit, if there is one; return the batches left of its epoch."""
        if self._checkpointer is None or self._parts is None:
            return None
        state, where = self._trainer.state, self._checkpointer.location
        saved = self._checkpointer.load(partial(capture, self._parts, state), partial(make_rotation, self._trainer))
        if saved is None:
            return None
        check_saved(self._parts, saved, where)
        epoch, done = saved["fit"]["epoch"], saved["fit"]["done"]
        if done:  # callbacks begin the epoch before their states in the middle of it are restored
            self._callbacks.emit("on_epoch_begin", epoch, {})
        stream = restore(self._parts, state, saved, where)
        self._checkpointer.announce_resume(epoch, done)
        self._ended = self._trainer.model.stop_training and not done
        return stream

    def raise_if_interrupted(self, cause: Exception | None = None, held: Sections | None = None) -> None:
        """Save the state of the fit and raise, if Ctrl-C was pressed or SIGTERM has come.

        Args:
            cause: Error that came with it.
            held: State to save; default the present one.
        """
        interrupt = self._trainer.interrupt
        # an error has come to this rank alone, so that it must not wait for the others
        if interrupt.pending if cause is not None else self._trainer.parallel.is_interrupted(interrupt):
            if self._checkpointer is not None and self._parts is not None:
                self._checkpointer.save_now(held or capture(self._parts, self._trainer.state))
            interrupt.raise_interrupt(cause)

    def interruptible(self, stream: Iterator[Batch | BatchGroup]) -> Iterator[Batch | BatchGroup]:
        """Yield batches; an error between two of them, as of workers that a signal has ended, may be an interrupt."""
        try:
            yield from stream
        except Exception as error:
            self.raise_if_interrupted(error)
            raise

    @contextmanager
    def validating(self) -> Iterator[None]:
        """Surround a validation: an interrupt saves the state from before it, since it changes states."""
        held = None if self._parts is None else detached(capture(self._parts, self._trainer.state))
        try:
            yield
        except Exception as error:
            self.raise_if_interrupted(error, held)
            raise
        self.raise_if_interrupted(None, held)

    def finish(self) -> None:
        """Tell the checkpointer that the fit ended normally."""
        if self._checkpointer is not None:
            self._checkpointer.finish()
