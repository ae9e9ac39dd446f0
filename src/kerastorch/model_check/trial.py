"""Trial: a few training steps on one batch, and what they show."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import AbstractContextManager, ExitStack, suppress
from dataclasses import dataclass, field
from typing import Any

from torch import Tensor

from kerastorch.checkpoint.optimizer_state import find_optimizers
from kerastorch.core.nested import batch_rows, leaves
from kerastorch.core.rng_state import capture_rng_states, restore_rng_states
from kerastorch.data.batches import Batch
from kerastorch.inspection.flops_and_memory import SavedActivationBytes
from kerastorch.model_check.observer import CallObserver
from kerastorch.runtime.batch_transfer import BatchTransfer
from kerastorch.training import loops
from kerastorch.training.trainer import Trainer

STEPS = 3  # steps after which the loss is compared with the first one
TIMED_SECONDS, MOST_TIMED_STEPS = 0.3, 20  # how long steps are timed


@dataclass
class Trial:
    """What a few training steps on one batch have shown.

    Attributes:
        losses: Loss on the batch before each of the steps and after the last one, with the same random numbers;
            without penalties.
        without_gradient: Names of trainable parameters that got no gradient in any step.
        zero_gradient: Names of those whose gradient was 0 in all steps.
        first: The first call of the model.
        last: The call after the last step.
        activation_bytes: Bytes saved for the backward pass; `None` if they cannot be measured.
        optimizer_bytes: Bytes of the state of the optimizers.
        seconds: Time of a step, without the time for the data.
    """

    losses: list[float] = field(default_factory=list)
    without_gradient: list[str] = field(default_factory=list)
    zero_gradient: list[str] = field(default_factory=list)
    first: CallObserver = field(default_factory=CallObserver)
    last: CallObserver = field(default_factory=CallObserver)
    activation_bytes: int | None = None
    optimizer_bytes: int = 0
    seconds: float = 0.0


class OneBatch:
    """Batches that are one batch, repeated.

    Args:
        batch: The batch.
        count: How often a pass has it.
        targets: All targets of the training if they are in memory, which the loss validates.
    """

    transient = False

    def __init__(self, batch: Batch, count: int = 1, targets: Any = None) -> None:
        self._batch, self._count, self.targets = batch, count, targets
        self.batch_size: int | None = batch_rows(batch.x)
        self.samples: int | None = batch_rows(batch.x) * count

    @property
    def exact(self) -> bool:
        """Return that a pass has as many batches as `steps` says."""
        return True

    def steps(self) -> int:
        """Return the number of batches."""
        return self._count

    def epoch(self, number: int) -> Iterator[Batch]:
        """Yield the batch `count` times."""
        for _ in range(self._count):
            yield self._batch


def run_trial(trainer: Trainer, transfer: BatchTransfer, batch: Batch, targets: Any) -> Trial:
    """Train on one batch a few times; the caller puts the model back.

    Args:
        trainer: Parts that train the model.
        transfer: Moves the batch to the model's device.
        batch: The batch.
        targets: All targets if they are in memory, which the loss validates.

    Raises:
        Exception: The error of the first step.
    """
    trial, random = Trial(), capture_rng_states()
    gradients = _Gradients(trainer)
    once = OneBatch(batch, targets=targets)
    with gradients.watched():
        for number in range(STEPS + 1):
            restore_rng_states(random)
            gradients.allows_steps = number < STEPS
            observer = trial.first if number == 0 else trial.last if number == STEPS else CallObserver()
            with observer.attached(trainer.model):
                logs = loops.train_on_batch(trainer, once, transfer)
            loss = logs.get("data_loss", logs.get("loss"))
            if loss is not None:
                trial.losses.append(float(loss))
        trial.without_gradient, trial.zero_gradient = gradients.missing()
        trial.optimizer_bytes = _state_bytes(trainer)
        trial.seconds = _time_steps(trainer, transfer, batch)
        with suppress(Exception):  # a backward pass of the user's own may not allow hooks on saved tensors
            trial.activation_bytes = _activation_bytes(trainer, transfer, once)
    return trial


class _Gradients:
    """A guard of steps that notes which parameters have got a gradient.

    A guard also makes steps run uncompiled.
    """

    def __init__(self, trainer: Trainer) -> None:
        self._trainer = trainer
        self.allows_steps = True
        self._named = {name: weight for name, weight in trainer.model.named_parameters() if weight.requires_grad}
        self._with_gradient: set[str] = set()
        self._not_zero: set[str] = set()
        self._is_called = False

    def watched(self) -> AbstractContextManager[Any]:
        """Return a context within which gradients are noted."""
        stack = ExitStack()
        stack.callback(self._trainer.optimizer_step.listeners.register_guard(self._note))
        return stack

    def _note(self, _: Tensor) -> bool:
        self._is_called = True
        for name, weight in self._named.items():
            if weight.grad is not None:
                self._with_gradient.add(name)
                if name not in self._not_zero and bool(weight.grad.any()):
                    self._not_zero.add(name)
        return self.allows_steps

    def missing(self) -> tuple[list[str], list[str]]:
        """Return the names of parameters without a gradient, and of those whose gradient was 0 in all steps."""
        if not self._is_called:  # a train_step of the user's own makes its steps itself
            return [], []
        without = [name for name in self._named if name not in self._with_gradient]
        return without, [name for name in self._named if name in self._with_gradient - self._not_zero]


def _state_bytes(trainer: Trainer) -> int:
    """Return the bytes of the tensors in the states of all optimizers."""
    made = trainer.optimizer_step.optimizers
    every = (*made, *find_optimizers(trainer.model, made).values())
    states = [about for optimizer in every for about in optimizer.state.values()]
    return sum(leaf.nbytes for _, leaf in leaves(states) if isinstance(leaf, Tensor))


def _time_steps(trainer: Trainer, transfer: BatchTransfer, batch: Batch) -> float:
    """Return the seconds of one step, the mean over some steps in a row."""
    start = time.perf_counter()
    loops.train_on_batch(trainer, OneBatch(batch), transfer)
    once = time.perf_counter() - start
    count = max(1, min(MOST_TIMED_STEPS, int(TIMED_SECONDS / max(once, 1e-6))))
    start = time.perf_counter()
    loops.train_on_batch(trainer, OneBatch(batch, count), transfer)
    return (time.perf_counter() - start) / count


def _activation_bytes(trainer: Trainer, transfer: BatchTransfer, once: OneBatch) -> int:
    """Return the bytes that autograd saves in the forward pass of a step."""
    saved = SavedActivationBytes(trainer.model)
    with saved:
        loops.train_on_batch(trainer, once, transfer)
    batch = next(once.epoch(0))
    return saved.bytes(transfer.inputs(batch.x))


def parameter_bytes(trainer: Trainer) -> int:
    """Return the bytes of the parameters of the model, where a shared one counts once."""
    return sum(weight.nbytes for weight in trainer.model.parameters())


def gradient_bytes(trainer: Trainer) -> int:
    """Return the bytes of the gradients of the trainable parameters."""
    return sum(weight.nbytes for weight in trainer.model.parameters() if weight.requires_grad)
