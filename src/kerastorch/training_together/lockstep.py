"""Lockstep: the epochs of several fits, each batch of which is trained on by all models at once."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence
from typing import Any

import torch

from kerastorch.data.batches import Batch, BatchGroup, shape_of
from kerastorch.training.eager_step import step_output
from kerastorch.training.jit.errors import UntraceableError
from kerastorch.training.jit.graph_output import GraphOutput, join_graph_outputs
from kerastorch.training.jit.guards import GuardSet
from kerastorch.training.step_output import StepOutput
from kerastorch.training_together.eligibility import check_passes, may_change_models
from kerastorch.training_together.member import Member
from kerastorch.training_together.member_graph import record_member
from kerastorch.training_together.stacked_step import StackedStep
from kerastorch.training_together.stacking import Exactness

SMALLEST_SHARE = 0.5  # of the models of a stack that still train; a new stack is made if fewer do


class TrainedBatches(BatchGroup):
    """Batches that a model has trained on already, with the result of these steps."""

    output: StepOutput

    @classmethod
    def of(cls, batches: Sequence[Batch], output: StepOutput) -> TrainedBatches:
        """Return batches with the output of their steps."""
        found = cls(batches)
        found.output = output
        return found


class Lockstep:
    """Trains epochs of several members, and falls back to epochs of single members.

    The first batch of each member is trained on by its own step, which validates the data and makes the state of the
    optimizer. The next one is trained on both ways; only if all numbers are equal, bit by bit, further batches are
    trained on by the stack alone.

    Args:
        is_pending: Returns whether an interrupt ends the training.

    Attributes:
        reason: Why the epochs are not trained together; `None` as long as they are.
    """

    def __init__(self, is_pending: Callable[[], bool]) -> None:
        self.reason: str | None = None
        self._is_pending = is_pending
        self._step: StackedStep | None = None
        self._members: list[Member] = []  # rows of the stack
        self._shape: Any = None
        self._guards: dict[int, GuardSet | None] = {}  # by the `id` of the member
        self._has_begun = False

    def train(self, members: Sequence[Member]) -> None:
        """Train the due epoch of each member, and what follows it up to the next one.

        Args:
            members: Those whose epoch is due.
        """
        streams = [_Stream(member) for member in members]
        if not self._has_begun:
            for stream in streams:
                stream.train_alone()
            self._has_begun = True
        if self.reason is None:
            try:
                self._train_stacked(streams)
            except UntraceableError as error:
                self.reason = str(error)
        for stream in streams:
            stream.finish()

    def _train_stacked(self, streams: Sequence[_Stream]) -> None:
        """Train on the batches of equal shapes that all members have.

        Raises:
            UntraceableError: The models cannot be stacked; the batches that were drawn are left to the members.
        """
        if len(streams) < 2 or _common_shape(streams) is None:
            return
        if self._step is not None and not self._is_valid(streams):
            self._step = None
            for stream in streams:  # a weight that is trained from now on gets its optimizer state
                stream.train_alone()
        if self._step is None and _common_shape(streams) is not None:
            self._step = self._make_step(streams)
        if self._step is None or _common_shape(streams) != self._shape:
            return
        by_member = {id(stream.member): stream for stream in streams}
        rows = [by_member.get(id(member)) for member in self._members]
        self._step.load()
        try:
            while _common_shape(streams) == self._shape and not self._is_pending():
                taken = {id(stream.member): stream.take() for stream in streams}
                spare = next(iter(taken.values()))  # for the rows of models that train no more
                batches = [taken.get(id(member), spare) for member in self._members]
                for row, batch, output in zip(rows, batches, self._step(batches), strict=True):
                    if row is not None:
                        row.add(batch, output)
        finally:
            self._step.unload([row is not None for row in rows])

    def _is_valid(self, streams: Sequence[_Stream]) -> bool:
        """Return whether the stack can be used for the members that still train."""
        if len(streams) < SMALLEST_SHARE * len(self._members):
            return False
        for stream in streams:
            earlier = self._guards[id(stream.member)]
            if earlier is not None and stream.guards().first_violation(earlier) is not None:
                return False
        return True

    def _make_step(self, streams: Sequence[_Stream]) -> StackedStep | None:
        """Return a step of the stack that gives the same numbers as the steps of the members, which make some.

        Raises:
            UntraceableError: There is none.
        """
        members = [stream.member for stream in streams]
        check_passes([stream.due for stream in streams], [stream.peek() for stream in streams])
        self._members, self._shape = members, _common_shape(streams)
        recorded = record_member(members[0].trainer, members[0].module, streams[0].peek())
        for exactness in Exactness:
            if _common_shape(streams) != self._shape:
                return None  # the epoch has no further batch of this shape; the next one tries again
            batches = [stream.peek() for stream in streams]
            step = StackedStep(members, recorded, batches, exactness)
            states = step.random_states()
            step.load()  # stacking has run the graph once
            outputs = step(batches)
            step.set_random_states(states)
            alone = [stream.train_alone() for stream in streams]
            if step.equals_members() and all(map(_agree, outputs, alone)):
                self._guards = {
                    id(stream.member): stream.guards() if may_change_models(stream.due) else None for stream in streams
                }
                return step
        raise UntraceableError("a step of all models gives other numbers than a step of each")


def _agree(output: GraphOutput, alone: StepOutput | None) -> bool:
    """Return whether the logs of a step of the stack are those of a step of the member, except for rounding."""
    if alone is None or output.step.logs.keys() != alone.logs.keys():
        return False
    return all(
        torch.allclose(torch.as_tensor(output.step.logs[name]), torch.as_tensor(value), 1e-5, 1e-7, equal_nan=True)
        for name, value in alone.logs.items()
    )


class _Stream:
    """The batches of a member's epoch: those that it has trained on, and those that are left."""

    def __init__(self, member: Member) -> None:
        assert member.due is not None
        self.member, self.due = member, member.due
        self._trained: list[TrainedBatches] = []
        self._batches: list[Batch] = []  # trained on by the stack since the last entry of `_trained`
        self._outputs: list[GraphOutput] = []
        self._next: tuple[Batch, Batch] | None = None  # as drawn, and as transferred
        self._is_exhausted = False

    def peek(self) -> Batch:
        """Return the next batch, on the model's device."""
        assert self.has_next()
        assert self._next is not None
        return self._next[1]

    def has_next(self) -> bool:
        """Return whether there is a next batch."""
        if self._next is None and not self._is_exhausted:
            drawn: Any = next(self.due.batches, None)
            if drawn is None:
                self._is_exhausted = True
            else:
                self._next = drawn, self.due.transfer(drawn)  # type: ignore[assignment]
        return self._next is not None

    def take(self) -> Batch:
        """Return the next batch, on the model's device, and move on."""
        batch = self.peek()
        self._next = None
        return batch

    def add(self, batch: Batch, output: GraphOutput) -> None:
        """Store a batch that the stack has trained on."""
        self._batches.append(batch)
        self._outputs.append(output)

    def guards(self) -> GuardSet:
        """Return what the recorded step takes as constant."""
        return GuardSet(self.member.trainer, self.member.optimizer_step.optimizer)

    def train_alone(self) -> StepOutput | None:
        """Train on the next batch by the step of the member; return its output, `None` if there is no batch."""
        if not self.has_next():
            return None
        self._flush()
        batch, trainer = self.peek(), self.member.trainer
        trainer.compiled_loss.begin_step()
        with self.member.drawing():
            output = step_output(trainer, self.due.step(batch))
        self._trained.append(TrainedBatches.of([batch], output))
        self._next = None
        return output

    def finish(self) -> None:
        """Train on the batches that are left, and let the fit go on to its next epoch."""
        self._flush()
        left = [] if self._next is None else [self._next[0]]
        due = self.due
        self.member.train(
            due._replace(
                batches=itertools.chain(self._trained, left, due.batches),
                transfer=_TransferOthers(due.transfer),  # type: ignore[arg-type]
                step=_step_others(due.step),
            )
        )

    def _flush(self) -> None:
        """Make one group of the batches that the stack has trained on; metrics get their outputs."""
        if not self._batches:
            return
        joined = join_graph_outputs(self._outputs)
        metrics = self.member.trainer.context.metrics
        for pairs in joined.metric_inputs:
            metrics.update(
                {name: y_pred for name, (y_pred, _, _) in pairs.items()},
                {name: y_true for name, (_, y_true, _) in pairs.items()},
                {name: weight for name, (_, _, weight) in pairs.items()},
            )
        self._trained.append(TrainedBatches.of(self._batches, joined.step))
        self._batches, self._outputs = [], []


def _common_shape(streams: Sequence[_Stream]) -> Any:
    """Return the shape of the next batch of all members; `None` if they differ, or one has none."""
    if not all(stream.has_next() for stream in streams):
        return None
    shapes = {shape_of(stream.peek()) for stream in streams}
    return shapes.pop() if len(shapes) == 1 else None


class _TransferOthers:
    """A transfer that passes batches that were trained on already, and is the one it is made of in all else.

    Args:
        transfer: Moves the other batches to the model's device.
    """

    def __init__(self, transfer: Any) -> None:
        self._transfer = transfer

    def __call__(self, batch: Any) -> Any:
        return batch if isinstance(batch, TrainedBatches) else self._transfer(batch)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._transfer, name)


def _step_others(step: Callable[[Any], Any]) -> Callable[[Any], Any]:
    """Return a step that returns the output of batches that were trained on already."""
    return lambda batch: batch.output if isinstance(batch, TrainedBatches) else step(batch)
