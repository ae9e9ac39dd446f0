"""What a fit offers to callbacks that average weights: evaluation with the average, and a second pass over the data."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import Any

from kerastorch.core.rng_state import RandomStates
from kerastorch.data.batches import Resumable
from kerastorch.runtime.batch_transfer import BatchTransfer
from kerastorch.training.train_state import TrainState


class WeightAveraging:
    """The callback that averages the weights of the running fit, if there is one."""

    def __init__(self) -> None:
        self._in_place: Callable[[], AbstractContextManager[None]] | None = None
        self._inputs: RepeatedInputs | None = None

    @property
    def is_registered(self) -> bool:
        """Return whether a callback averages the weights."""
        return self._in_place is not None

    def register(self, in_place: Callable[[], AbstractContextManager[None]]) -> Callable[[], None]:
        """Enter `in_place()` around each `evaluate` and `predict` of this fit.

        Returns:
            A function that removes it.

        Raises:
            ValueError: Another one is registered.
        """
        if self._in_place is not None:
            raise ValueError("two callbacks average the weights of this training; pass one of them.")
        self._in_place = in_place
        return self._remove

    def _remove(self) -> None:
        self._in_place = None

    def in_place(self) -> AbstractContextManager[None]:
        """Put the average in place for a while."""
        assert self._in_place is not None
        return self._in_place()

    @property
    def inputs(self) -> RepeatedInputs:
        """Return the inputs of the running fit, to iterate over once more."""
        assert self._inputs is not None
        return self._inputs

    @contextmanager
    def repeating(self, inputs: RepeatedInputs) -> Iterator[None]:
        """Offer these inputs while a fit runs."""
        self._inputs = inputs
        try:
            yield
        finally:
            self._inputs = None


class RepeatedInputs:
    """The inputs of the batches of the last epoch, on the model's device.

    Args:
        batches: Training data of the fit.
        state: Progress of the fit.
        transfer: Moves batches to the model's device.
    """

    def __init__(self, batches: Resumable, state: TrainState, transfer: BatchTransfer) -> None:
        self._batches, self._state, self._transfer = batches, state, transfer
        self._random = RandomStates(data=batches)

    def check(self, who: str) -> None:
        """Check that the data have a second pass.

        Args:
            who: What needs it, for the message.

        Raises:
            ValueError: They have none.
        """
        if not self._batches.can_repeat:
            raise ValueError(
                f"{who} needs a second pass over the training data, which a generator does not have, nor persistent "
                "workers with steps_per_epoch. Pass a function that returns a new generator, a DataLoader or arrays."
            )

    @contextmanager
    def __call__(self) -> Iterator[Iterator[Any]]:
        """Yield the inputs batch by batch; afterwards random states are as before."""
        before = self._random.capture()
        try:
            batches = self._batches.again(max(0, self._state.epochs_done - 1))
            yield (self._transfer.inputs(batch.x) for batch in batches)
        finally:
            self._random.restore(before)
