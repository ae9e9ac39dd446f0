"""Trainer: the loops below `Model`. A plain object, no module: the model's state is the user's alone."""

from __future__ import annotations

import itertools
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from typing import Any

import torch
from torch import Tensor

from kerastorch import regularizers
from kerastorch.callbacks.base import CallbackList
from kerastorch.constraints import constrained
from kerastorch.data.batches import Batch, Batches, Resumable, Several, grouped
from kerastorch.data.placement import check_place
from kerastorch.data.spec import described
from kerastorch.freezing import heed, rest
from kerastorch.layers.base import is_built
from kerastorch.layers.rnn import forget
from kerastorch.metrics.metric import Metric
from kerastorch.modes import evaluation_mode, training_mode
from kerastorch.optimizers.base import TorchOptimizer, unfuse_beginners
from kerastorch.optimizers.lookup import attach
from kerastorch.randomness import Randomness
from kerastorch.regularizers import penalties
from kerastorch.training.calling import call
from kerastorch.training.execution import EAGER, Execution
from kerastorch.training.explain import raise_explained
from kerastorch.training.feed import Feed
from kerastorch.training.first_nan import FirstNaN
from kerastorch.training.interrupt import Interrupt
from kerastorch.training.jit.compiled import Compiled
from kerastorch.training.layout import Layout
from kerastorch.training.masking import OutputMask
from kerastorch.training.meter import Meter, RunningLogs, Scores, batch_rows
from kerastorch.training.objective import Objective
from kerastorch.training.ready import check_owner, check_parameters, find_device, validates_at, with_prefix
from kerastorch.training.session import Session
from kerastorch.training.sizing import growing
from kerastorch.training.tail import find_tail
from kerastorch.training.update import Update
from kerastorch.tree import modules, tensors

Step = Callable[[Any], Mapping[str, Any]]


class Trainer:
    """What `compile` makes of its arguments, and what is done with it.

    Args:
        model: the module with `train_step` and `test_step`.
        settings: the optimizer as `optimizers.get` gives it.
        objective: the losses.
        metrics: output name -> metrics.
        patterns: regularizers by parameter name.
        device: `'auto'` or a device.
        layout: the memory format of images; as they come if `None`.
        data_device: where arrays are kept.
        execution: whether steps are compiled, and how many run between two looks of the callbacks.

    Attributes:
        output_mask: tells which steps of each output count.
        say: called with a sentence about what takes long or took long; a callback that shows progress sets it.
        epochs_done: how many epochs were trained since `compile`: the next one's place in the order of batches.
        fits: how many fits of the model have ended as they should, under an earlier `compile` too.
        session: the fit that is under way, or was last.
        done: how many batches the last pass has gone through.
        leaving: of the running `evaluate` or `predict`: what is pushed there is undone on every way out of it.
        given: what `compile` was given, as it was, for whoever saves it.
        minimize: `minimize(loss)` makes one step of the optimizer; for a `train_step` of your own.
    """

    minimize: Callable[[Tensor], None]

    def __init__(
        self,
        model: Any,
        settings: Any,
        objective: Objective,
        metrics: Mapping[str, list[Metric]],
        patterns: Mapping[str, Any],
        device: Any,
        layout: Layout | None = None,
        data_device: Any = "auto",
        execution: Execution = EAGER,
    ) -> None:
        self.model = model
        self.objective = objective
        self.metrics = metrics
        self.optimizer: TorchOptimizer | None = None
        if isinstance(settings, TorchOptimizer):
            check_owner(model, settings, objective.parameters())
            self.optimizer = settings
        self.epochs_done = self.fits = self.done = 0
        self.session: Session | None = None
        self.given: dict[str, Any] = {}
        self.meter = self.new_meter()
        self.output_mask = OutputMask(model, objective.names)
        self.interrupt = Interrupt()
        self.leaving = ExitStack()
        self._first_nan: FirstNaN | None = None
        self._claimed = threading.Lock()
        self.device = device
        self.layout = layout
        self.data_device = check_place(data_device)
        self.columns: list[Any] | None = None
        self.seen: Any = None
        self.patterns = {name: penalty for name, one in patterns.items() if (penalty := regularizers.get(one))}
        if self.patterns and is_built(model):
            penalties(model, self.patterns)  # a pattern that matches nothing is refused now
        self.say: Callable[[str], None] = _unheard
        self._settings = settings
        self._execution = execution
        self._compiled: Compiled | None = None
        self._update: Update | None = None

    @property
    def update(self) -> Update:
        """Backward and step; there once the model is built."""
        assert self._update is not None
        return self._update

    @property
    def guard(self) -> Callable[[Tensor], bool] | None:
        """Asked with the loss after each backward pass whether a step may follow; set within `fit`."""
        return None if self._update is None else self._update.guard

    @guard.setter
    def guard(self, guard: Callable[[Tensor], bool] | None) -> None:
        if self._update is not None:
            self._update.guard = guard

    @property
    def running(self) -> bool:
        """Whether a fit is under way."""
        return self._claimed.locked()

    @property
    def compiles(self) -> bool:
        """Whether training steps are compiled, as far as is known before they are."""
        return self._compiled is not None and self._compiled.cause is None

    @contextmanager
    def claimed(self) -> Iterator[None]:
        """For the time of one fit; a second at the same time is refused."""
        if not self._claimed.acquire(blocking=False):
            raise RuntimeError("fit() is already running on this model.")
        try:
            yield
        finally:
            self._claimed.release()

    # --- set-up -----------------------------------------------------------------------------------------------

    def new_meter(self) -> Meter:
        """A meter with fresh accumulators."""
        return Meter({name: Scores(some, self.objective.loss_of(name)) for name, some in self.metrics.items()})

    def feed(self, class_weight: Any = None) -> Feed:
        """Puts batches where the model is; the model goes to the device first."""
        parts = modules(self.model)
        found = {tensor.device for tensor in tensors(parts)}
        device = find_device(found, self.device)
        if found - {device}:
            self.model.to(device)
            if self.optimizer is not None and self.optimizer.state:
                self.optimizer.load_state_dict(self.optimizer.state_dict())  # its state goes where the weights went
        arrange = None if self.layout is None else self.layout.arrange(device)
        return Feed(parts, device, class_weight, arrange, self.data_device)

    def build(self, x: Any) -> None:
        """Make the parameters of lazy layers by a dry run, in eval mode, so that buffers stay as they are."""
        if not is_built(self.model):
            with evaluation_mode(self.model), torch.no_grad():
                try:
                    call(self.model, x)
                except Exception as error:
                    raise_explained(error, self.model, x)
            forget(self.model)

    def attached(self) -> TorchOptimizer:
        """The optimizer, over the weights of a built model."""
        if self.optimizer is None:
            learned = [*self.model.parameters(), *self.objective.parameters()]
            sparse = any(getattr(module, "sparse", False) is True for module in modules(self.model))
            self.optimizer = attach(self._settings, learned, sparse=sparse)
        return self.optimizer

    def setup(self) -> Update:
        """Of a built model: optimizer, penalties and constraints; again at each fit, for what changed in between."""
        heed(modules(self.model))
        optimizer = self.attached()
        check_parameters(self.model, optimizer, self.objective.parameters())
        if self._update is None:
            self._update = Update(optimizer, self._settings)
            self.minimize = self._update.step
            self._compiled = Compiled(self, self._update, self._execution) if self._execution.jit else None
        self.find_penalties()
        self._update.constraints = constrained(self.model)
        self.output_mask.forget()
        return self._update

    def find_penalties(self) -> None:
        """What the loss includes for weights, as they are now."""
        self.objective.penalties = penalties(self.model, self.patterns)

    def prepared(self, batches: Batches, feed: Feed, number: int) -> Iterator[Batch]:
        """The batches of an epoch, the first of which builds a model that is not built yet."""
        feed.look_at(batches.targets)
        stream = batches.epoch(number)
        if is_built(self.model, feed.parts):
            return stream
        first = next(stream, None)
        if first is None:
            return iter(())
        self.build(feed.inputs(first.x))
        return itertools.chain((first,), stream)

    # --- loops ------------------------------------------------------------------------------------------------

    def fit(
        self,
        batches: Resumable,
        feed: Feed,
        callbacks: CallbackList,
        epochs: range,
        validation: Batches | None,
        validation_feed: Feed,
        frequency: Any,
        random: Randomness,
    ) -> None:
        """Epochs and their events.

        Args:
            batches: to train on.
            feed: puts them where the model is.
            callbacks: told of everything.
            epochs: their numbers.
            validation: what to evaluate on after an epoch.
            validation_feed: puts that where the model is.
            frequency: after which epochs.
            random: what is drawn from.
        """
        session = self.session = Session(self, callbacks, batches, epochs, validation, random)
        session.begin(epochs.start)
        stream = self.prepared(batches, feed, session.number)
        update = self.setup()
        tail = find_tail(self.model)
        with self.interrupt.watch():
            with ExitStack() as stack:
                stack.enter_context(self.objective.listening(self.model, tail, batches.targets))
                stack.enter_context(training_mode(self.model))
                stack.push(_Ending(lambda: self._end(callbacks, session)))
                self._first_nan = FirstNaN()
                callbacks.emit("on_train_begin", {})
                update.begin()
                stack.enter_context(self.interrupt.first())
                if session.restores and not session.position.done:
                    stream = session.restore()
                for epoch in session.left():
                    self.meter = self.new_meter()
                    callbacks.emit("on_epoch_begin", epoch, {})
                    if session.restores:
                        stream = session.restore()
                    step = self._train_step(update, callbacks)
                    done = session.position.done
                    found = self.epoch(self._executions(stream), feed, step, callbacks, "train", epoch, done)
                    session.stop(self.done)
                    self.epochs_done = session.number + 1
                    self._heed_interrupt(session)
                    if validation is not None and validates_at(epoch, frequency):
                        session.hold()
                        found |= with_prefix(self.evaluate(validation, validation_feed, callbacks))
                        self._heed_interrupt(session)
                    session.end(found)
                    callbacks.emit("on_epoch_end", epoch, found)
                    self._heed_interrupt(session)
                    if self.model.stop_training or epoch == epochs[-1]:
                        break
                    session.begin(epoch + 1)
                    stream = batches.epoch(session.number)
                update.finish()
                session.completed = True
            if not self.interrupt.pending:
                self.fits += 1
                for ender in session.enders:
                    ender()

    def _heed_interrupt(self, session: Session) -> None:
        if self.interrupt.pending:
            session.keep()
            self.interrupt.end()

    def _end(self, callbacks: CallbackList, session: Session) -> None:
        self._first_nan = None
        # what the callbacks evaluate now is evaluated whole; who came after the last epoch is heeded after them
        late, self.interrupt.pending = self.interrupt.pending and session.completed, False
        try:
            callbacks.emit_to_all("on_train_end", session.logs)
        finally:
            self.interrupt.pending |= late

    def evaluate(self, batches: Batches, feed: Feed, callbacks: CallbackList) -> dict[str, float]:
        """One pass in evaluation mode: its numbers."""
        stream = self.prepared(batches, feed, 0)
        self.find_penalties()
        with (
            self._undone(),
            self._own_meter(),
            self.objective.listening(self.model, find_tail(self.model), batches.targets),
            evaluation_mode(self.model),
            torch.no_grad(),
        ):
            callbacks.emit("on_test_begin", {})
            step = growing(self.model.test_step, batches, row_by_row=False)
            logs = self.epoch(stream, feed, step, callbacks, "test", 0)
            callbacks.emit("on_test_end", logs)
            return logs

    @contextmanager
    def _own_meter(self) -> Iterator[None]:
        """A meter for a pass within another, whose meter comes back."""
        outer, self.meter = self.meter, self.new_meter()
        try:
            yield
        finally:
            self.meter = outer

    @contextmanager
    def _undone(self) -> Iterator[None]:
        """What callbacks switch for a pass is put back."""
        with ExitStack() as leaving:
            outer, self.leaving = self.leaving, leaving
            try:
                yield
            finally:
                self.leaving = outer

    def epoch(
        self,
        stream: Iterator[Batch | Several],
        feed: Feed,
        step: Step,
        callbacks: CallbackList,
        phase: str,
        number: int,
        done: int = 0,
    ) -> dict[str, float]:
        """One pass over the batches, in training and in evaluation alike: its numbers.

        Args:
            stream: the batches.
            feed: puts them where the model is.
            step: what is done with each.
            callbacks: told of each.
            phase: `'train'` or `'test'`.
            number: of the epoch.
            done: how many batches of it are behind it already.
        """
        begin, end = f"on_{phase}_batch_begin", f"on_{phase}_batch_end"
        begins, ends = callbacks.listens(begin), callbacks.listens(end)
        meter, objective, model, interrupt = self.meter, self.objective, self.model, self.interrupt
        training = phase == "train"
        watch = self._first_nan if training and self.guard is None else None
        logs = RunningLogs(meter)
        x, ours, every, hooked = None, True, self._execution.every, False
        for batch in stream:
            if begins and not hooked:
                callbacks.emit(begin, done, {})
            hooked = True  # the end of this execution is yet to be told
            batch = feed(batch)
            x = batch.x
            objective.forget()
            try:
                outcome = step(batch)
            except Exception as error:
                raise_explained(error, model, x)
            if outcome is None:
                raise TypeError(f"{phase}_step returned None; return a dict of numbers for the logs, {{'loss': loss}}.")
            ours = ours and outcome.get("loss") is objective.total
            meter.add(outcome, batch_rows(x) if objective.count is None else objective.count, objective.counts)
            if watch is not None:
                watch(outcome.get("loss"), number, done)
            before = done
            done += len(batch) if isinstance(batch, Several) else 1
            if done // every > before // every:
                hooked = False
                if ends:
                    callbacks.emit(end, done - 1, logs.expire())
            if interrupt.pending or (training and model.stop_training):
                break
        if ends and hooked:
            callbacks.emit(end, done - 1, logs.expire())
        if not done:
            when = f" in epoch {number + 1}" if training else ""
            raise ValueError(
                f"the data gave no batch{when}. Pass a function that returns a new iterator, a DataLoader, or arrays."
            )
        self.done, self.seen = done, self.seen if x is None else described(x)
        # a loss that a step or compute_loss of the user's own made something else of is left as it is
        return objective.settled(meter.read()) if ours else meter.read()

    def predict(self, batches: Batches, feed: Feed, callbacks: CallbackList, take: Callable[[Any, int], None]) -> None:
        """Hand the outputs of each batch, still on the device, to `take`."""
        stream = self.prepared(batches, feed, 0)
        with self._undone(), evaluation_mode(self.model, feed.parts), torch.no_grad():
            step = growing(self.model.predict_step, batches, row_by_row=True)
            listened = callbacks.listens("on_predict_batch_begin", "on_predict_batch_end")
            callbacks.emit("on_predict_begin", {})
            for index, batch in enumerate(stream):
                if listened:
                    callbacks.emit("on_predict_batch_begin", index, {})
                x = feed.inputs(batch.x)
                try:
                    outputs = step(x)
                except Exception as error:
                    raise_explained(error, self.model, x)
                take(outputs, batch_rows(x))
                if listened:
                    callbacks.emit("on_predict_batch_end", index, {"outputs": outputs})
            callbacks.emit("on_predict_end", {})

    def on_batch(self, batches: Batches, feed: Feed, *, training: bool) -> dict[str, float]:
        """One batch, trained or evaluated by itself: its numbers."""
        if not training:
            return self.evaluate(batches, feed, CallbackList([], self.model, {}))
        stream = self.prepared(batches, feed, 0)
        update = self.setup()
        with (
            self._own_meter(),
            self.objective.listening(self.model, find_tail(self.model), batches.targets),
            training_mode(self.model),
        ):
            told = CallbackList([], self.model, {})
            return self.epoch(stream, feed, self._train_step(update, told), told, "train", 0)

    def _executions(self, stream: Iterator[Batch]) -> Iterator[Batch | Several]:
        """Batches whose steps run as one, together."""
        size = 1 if self._compiled is None else self._compiled.together
        return stream if size == 1 else grouped(stream, size)

    def _train_step(self, update: Update, callbacks: CallbackList) -> Step:
        parts = modules(self.model)  # callbacks may have frozen some, or thawed them
        heed(parts)
        rest(parts)
        unfuse_beginners(update.optimizer)
        step: Step = self.model.train_step
        if self._compiled is not None:
            self._compiled.prepare(callbacks)
            if not self._compiled.resting and self._compiled.cause is None:
                return self._compiled
        if not update.needs_closure:
            return step

        def by_closure(batch: Batch) -> Mapping[str, Any]:
            meter = self.meter
            try:
                found: Mapping[str, Any] = update.by_closure(step, batch, self._uncounted)
                return found
            finally:
                self.meter = meter

        return by_closure

    def _uncounted(self) -> None:
        """Before a second look of one step at the loss: what it finds is not counted."""
        self.objective.forget()
        self.meter = Meter({})


def _unheard(sentence: str) -> None:
    """Nobody watches."""


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
