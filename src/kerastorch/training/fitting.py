"""One fit: epochs, their validation, and what the callbacks are told."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

from kerastorch.callbacks.base import CallbackList
from kerastorch.data.batches import Batch
from kerastorch.data.workers import heard
from kerastorch.modes import training_mode
from kerastorch.training import passes
from kerastorch.training.assembly import Assembled
from kerastorch.training.feed import Feed
from kerastorch.training.first_nan import FirstNaN
from kerastorch.training.ready import validates_at, with_prefix
from kerastorch.training.session import Session
from kerastorch.training.tail import find_tail
from kerastorch.training.trainer import Trainer


class Fit:
    """What `fit` makes of its arguments, and runs.

    Args:
        trainer: of the model.
        data: what is trained on, and what validates.
        callbacks: told of everything.
        epochs: their numbers.
        feed: puts batches where the model is.
        validation_feed: puts those of the validation there.
        frequency: after which epochs it validates.
    """

    def __init__(
        self,
        trainer: Trainer,
        data: Assembled,
        callbacks: CallbackList,
        epochs: range,
        *,
        feed: Feed,
        validation_feed: Feed,
        frequency: Any,
    ) -> None:
        self._trainer, self._data, self._callbacks, self._epochs = trainer, data, callbacks, epochs
        self._feed, self._validation_feed, self._frequency = feed, validation_feed, frequency
        self._session = trainer.session = Session(trainer, data, callbacks, epochs)

    def run(self) -> None:
        """Train."""
        trainer, session = self._trainer, self._session
        session.begin(self._epochs.start)
        stream = trainer.prepared(self._data.training, self._feed, session.number)
        trainer.setup()
        with trainer.interrupt.watch():
            with self._training():
                self._run(stream)
            if not trainer.interrupt.pending:
                trainer.fits += 1
                for ender in session.enders:
                    ender()

    @contextmanager
    def _training(self) -> Iterator[None]:
        trainer = self._trainer
        tail = find_tail(trainer.model)
        with ExitStack() as stack:
            stack.enter_context(trainer.objective.listening(trainer.model, tail, self._data.training.targets))
            stack.enter_context(training_mode(trainer.model))
            stack.push(_Ending(self._end))
            trainer.first_nan = FirstNaN()
            self._callbacks.emit("on_train_begin", {})
            trainer.update.begin()
            stack.enter_context(trainer.interrupt.first())
            stack.enter_context(heard())
            yield

    def _run(self, stream: Iterator[Batch]) -> None:
        trainer, session, model = self._trainer, self._session, self._trainer.model
        if session.restores and not session.position.done:
            stream = session.restore()
        for epoch in session.left():
            self._epoch(epoch, stream)
            if model.stop_training or epoch == self._epochs[-1]:
                break
            session.begin(epoch + 1)
            stream = self._data.training.epoch(session.number)
        trainer.update.finish()
        session.completed = True

    def _epoch(self, epoch: int, stream: Iterator[Batch]) -> None:
        trainer, session, callbacks = self._trainer, self._session, self._callbacks
        trainer.meter = trainer.new_meter()
        callbacks.emit("on_epoch_begin", epoch, {})
        if session.restores:
            stream = session.restore()
        step = passes.train_step(trainer, callbacks)
        batches = passes.executions(trainer, stream)
        found = passes.epoch(trainer, batches, self._feed, step, callbacks, "train", epoch, session.position.done)
        session.stop(trainer.done)
        trainer.epochs_done = session.number + 1
        self._heed_interrupt()
        if self._data.validation is not None and validates_at(epoch, self._frequency):
            session.hold()
            found |= with_prefix(passes.evaluate(trainer, self._data.validation, self._validation_feed, callbacks))
            self._heed_interrupt()
        session.end(found)
        callbacks.emit("on_epoch_end", epoch, found)
        self._heed_interrupt()

    def _heed_interrupt(self) -> None:
        if self._trainer.interrupt.pending:
            self._session.keep()
            self._trainer.interrupt.end()

    def _end(self) -> None:
        trainer, interrupt = self._trainer, self._trainer.interrupt
        trainer.first_nan = None
        # what the callbacks evaluate now is evaluated whole; who came after the last epoch is heeded after them
        late, interrupt.pending = interrupt.pending and self._session.completed, False
        try:
            self._callbacks.emit_to_all("on_train_end", self._session.logs)
        finally:
            interrupt.pending |= late


class _Ending:
    """Runs when training ends, however it ends; an error of its own never hides the one that ended training."""

    def __init__(self, function: Callable[[], None]) -> None:
        self._function = function

    def __enter__(self) -> None:
        return

    def __exit__(self, kind: Any, error: BaseException | None, traceback: Any) -> None:
        try:
            self._function()
        except Exception as second:
            if error is None:
                raise
            error.add_note(f"on_train_end failed too: {second!r}")
