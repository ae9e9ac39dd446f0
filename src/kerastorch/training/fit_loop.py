"""One fit: epochs, their validation, and what the callbacks are told."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from torch import nn

from kerastorch.callbacks.base import CallbackList
from kerastorch.core.errors import warn
from kerastorch.core.train_mode import training_mode
from kerastorch.data.batches import Batch, BatchGroup
from kerastorch.runtime.batch_transfer import BatchTransfer
from kerastorch.training import loops
from kerastorch.training.fit_data import Assembled
from kerastorch.training.fused_activation import find_final_activation
from kerastorch.training.nan_warning import NaNWarning
from kerastorch.training.preflight import validates_at, with_prefix
from kerastorch.training.train_checkpoint import Session
from kerastorch.training.trainer import Trainer


def fit(
    trainer: Trainer,
    data: Assembled,
    callbacks: CallbackList,
    epochs: range,
    *,
    feed: BatchTransfer,
    validation_feed: BatchTransfer,
    frequency: Any,
) -> None:
    """Train.

    Args:
        trainer: of the model.
        data: what is trained on, and what validates.
        callbacks: told of everything.
        epochs: their numbers.
        feed: puts batches where the model is.
        validation_feed: puts those of the validation there.
        frequency: after which epochs it validates.
    """
    session = trainer.session = Session(trainer, data, callbacks, epochs)
    session.begin(epochs.start)
    stream = trainer.prepared(data.training, feed, session.number)
    trainer.setup()
    session.note_settings(trainer.compile_settings())
    with trainer.interrupt.watch(), _closing(trainer):
        with _training(trainer, session, callbacks, data.training.targets) as in_eval:
            if session.restores and not session.position.done:
                stream = session.restore()
            for epoch in session.left():
                trainer.meter = trainer.new_meter()
                callbacks.emit("on_epoch_begin", epoch, {})
                if session.restores:
                    stream = session.restore()
                step, done = loops.train_step(trainer, callbacks, in_eval), session.position.done
                together = loops.group_for_execution(trainer, stream, data.training.transient)
                batches = _placed(trainer, session, together, done)
                found = loops.epoch(trainer, batches, feed, step, callbacks, "train", epoch, done)
                session.stop(trainer.done)
                trainer.epochs_done = session.number + 1
                _heed(trainer, session)
                if data.validation is not None and validates_at(epoch, frequency):
                    session.hold()
                    with _held(trainer, session):
                        found |= with_prefix(loops.evaluate(trainer, data.validation, validation_feed, callbacks))
                session.end(found)
                callbacks.emit("on_epoch_end", epoch, found)
                _heed(trainer, session)
                if trainer.model.stop_training or epoch == epochs[-1]:
                    break
                session.begin(epoch + 1)
                stream = data.training.epoch(session.number)
            trainer.update.finish()
            session.completed = True
        if not trainer.interrupt.pending:
            session.finish()


@contextmanager
def _training(
    trainer: Trainer, session: Session, callbacks: CallbackList, targets: Any
) -> Iterator[frozenset[nn.Module]]:
    """Switch modes and hooks while a model trains, and tell callbacks; yield the modules that stay in eval mode."""
    with (
        trainer.objective.attach(trainer.model, find_final_activation(trainer.model), targets),
        training_mode(trainer.model) as in_eval,
        _told_of_the_end(trainer, session, callbacks),
    ):
        trainer.first_nan = NaNWarning()
        callbacks.emit("on_train_begin", {})
        trainer.update.begin()
        yield in_eval


@contextmanager
def _told_of_the_end(trainer: Trainer, session: Session, callbacks: CallbackList) -> Iterator[None]:
    """An error that callbacks raise at the end never hides the one that ended training."""
    try:
        yield
    except BaseException as error:
        try:
            _end(trainer, session, callbacks)
        except Exception as second:
            if isinstance(error, SystemExit):  # whose notes nobody sees
                warn(f"on_train_end failed: {second!r}")
            error.add_note(f"on_train_end failed too: {second!r}")
        raise
    _end(trainer, session, callbacks)


def _end(trainer: Trainer, session: Session, callbacks: CallbackList) -> None:
    trainer.first_nan = None
    callbacks.emit_to_all("on_train_end", session.logs)


@contextmanager
def _closing(trainer: Trainer) -> Iterator[None]:
    """A fit that has ended holds neither data nor workers."""
    try:
        yield
    finally:
        trainer.session = None


def _heed(trainer: Trainer, session: Session, cause: Exception | None = None) -> None:
    """Where somebody wants training to end, its state is kept, which is that between two batches."""
    if trainer.interrupt.pending:
        session.keep()
        trainer.interrupt.end(cause)


def _placed(
    trainer: Trainer, session: Session, stream: Iterator[Batch | BatchGroup], done: int
) -> Iterator[Batch | BatchGroup]:
    """The batches; what fails here fails between two of them, as workers of a loader that were told to end, too."""
    try:
        for batch in stream:
            yield batch
            done += len(batch) if isinstance(batch, BatchGroup) else 1
    except Exception as error:
        session.stop(done)
        _heed(trainer, session, error)
        raise


@contextmanager
def _held(trainer: Trainer, session: Session) -> Iterator[None]:
    """A validation: what is kept where it is broken off is from before it."""
    try:
        yield
    except Exception as error:
        _heed(trainer, session, error)
        raise
    _heed(trainer, session)
