"""RateFinder: raises the learning rate from batch to batch in a short training, and records the losses."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

from torch import Tensor
from torch.optim import Optimizer

from kerastorch.callbacks.base import Callback, Logs
from kerastorch.callbacks.progress_bar import ProgressBar, Verbose
from kerastorch.core.rng_state import RandomStates
from kerastorch.optimizers.learning_rate import rates, set_rates
from kerastorch.optimizers.scheduled_rate import scheduled_rate
from kerastorch.training.learning_rate_curve import RunningMean
from kerastorch.training.training_snapshot import TrainingSnapshot


class RateFinder(Callback):
    """A callback that raises the learning rate with each batch, and restores the model when training ends.

    Parameter groups keep the ratios of their rates; the group with the largest rate has the rate of the test. A
    schedule of the optimizer is suspended.

    Args:
        test_rates: Rate of each batch.
        mean: Decides when the losses diverge.
        random: Random generators to restore.
        is_built: Whether the model is built. If not, its generators are restored to their states after that.

    Attributes:
        losses: Loss of each batch before its step.
    """

    is_checkpointer = True  # lets the fit find the random generators of its parts
    modifies_training = True

    def __init__(self, test_rates: list[float], mean: RunningMean, random: RandomStates, is_built: bool) -> None:
        self._test_rates, self._mean, self._random = test_rates, mean, random
        self._random_states = random.capture() if is_built else None
        self._cleanup = ExitStack()
        self.losses: list[float] = []

    @contextmanager
    def testing(self) -> Iterator[None]:
        """Surround the training; check at its end that losses were recorded.

        Raises:
            ValueError: There is no loss.
        """
        self.model.stop_training = False
        try:
            with warnings.catch_warnings():
                warnings.filterwarnings("ignore", message="jit_compile: training continues uncompiled while")
                yield
        finally:
            self._cleanup.close()
            if self._random_states is not None:
                self._random.restore(self._random_states)
        if not self.losses:
            raise ValueError(
                "find_lr: no loss was recorded. Either the loss of the first batch is not finite, or a train_step of "
                "your own does not call self.trainer.backward_and_step(loss)."
            )

    def on_train_begin(self, logs: Logs | None = None) -> None:
        step = self.model.trainer.optimizer_step
        self._optimizer = self._only(step.optimizers)
        if self._random_states is None:
            self._random_states = self._random.capture()
        self._cleanup.callback(TrainingSnapshot(self.model.trainer).restore)
        self._ratios = _ratios(rates(self._optimizer))
        self._uses_closure, self._is_recorded = step.needs_closure, False
        self._cleanup.callback(self.model.trainer.optimizer_step.listeners.register_guard(self._allow_step))
        schedule = scheduled_rate(self._optimizer)
        if schedule is not None:
            self._cleanup.enter_context(schedule.suspended())

    def _only(self, optimizers: tuple[Optimizer, ...]) -> Optimizer:
        """Return the only optimizer of the model, which has a learning rate.

        Raises:
            ValueError: There are several, or it has no rate.
        """
        if len(optimizers) > 1:
            raise ValueError("find_lr tests the learning rate of one optimizer, and the model has several.")
        rates(optimizers[0])
        return optimizers[0]

    def on_train_batch_begin(self, batch: int, logs: Logs | None = None) -> None:
        self._is_recorded = False
        self._set_rate()

    def _set_rate(self) -> None:
        """Set the rate of the batch whose loss is recorded next."""
        rate = self._test_rates[min(len(self.losses), len(self._test_rates) - 1)]
        set_rates(self._optimizer, [rate * ratio for ratio in self._ratios])

    def _allow_step(self, loss: Tensor) -> bool:
        """Record the loss, after the backward pass and before the step; return whether the step is made."""
        if len(self.losses) == len(self._test_rates):
            return False
        if self._uses_closure and self._is_recorded:  # another evaluation of the loss in the same step
            return True
        self._is_recorded = True
        self._set_rate()  # several batches may be executed between two calls of the batch hooks
        value = float(loss.detach())  # waits for the device: the loss decides whether the next batch is trained on
        diverges = self._mean.diverges(value)
        if not diverges:
            self.losses.append(value)
        if diverges or len(self.losses) == len(self._test_rates):
            self.model.stop_training = True
        return not diverges


class FinderProgress(ProgressBar):
    """A callback that shows the progress of a range test over all its batches.

    Args:
        verbose: As for `ProgressBar`.
        finder: Knows the losses.
    """

    def __init__(self, verbose: Verbose, finder: RateFinder) -> None:
        super().__init__(verbose, "find_lr")
        self._finder = finder

    def on_train_begin(self, logs: Logs | None = None) -> None:
        super().on_train_begin(logs)
        self._open(self.what)

    def on_epoch_begin(self, epoch: int, logs: Logs | None = None) -> None:
        pass  # a test may take several passes over the data

    def on_train_batch_end(self, batch: int, logs: Logs | None = None) -> None:
        self._advance(len(self._finder.losses) - 1, None)

    def on_epoch_end(self, epoch: int, logs: Logs | None = None) -> None:
        pass

    def on_train_end(self, logs: Logs | None = None) -> None:
        self._close(self.what, None)
        super().on_train_end(logs)


def _ratios(group_rates: list[float]) -> list[float]:
    """Return the rates of the parameter groups divided by the largest; 1 each if all are 0."""
    largest = max(group_rates)
    return [rate / largest for rate in group_rates] if largest else [1.0] * len(group_rates)
