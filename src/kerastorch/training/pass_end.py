"""PassEnd: the ranks agree whether a pass over training data ends after the running batch."""

from __future__ import annotations

import time

from kerastorch.core import collectives
from kerastorch.core.rank_failures import LOOK_SECONDS
from kerastorch.core.rank_messages import rank_messages

SECONDS_BETWEEN_MESSAGES = 0.1


class PassEnd:
    """Agrees with the other ranks, after each batch, whether the pass ends.

    A message can take as long as the step of a small model. If nothing but a signal can end the pass, the ranks
    therefore exchange messages only about ten times a second. The number of batches in between is the same for all
    of them, and a signal ends the pass after the same batch.

    Args:
        asks_each_batch: Whether a callback, a guard or a step of the user's on this rank may end the pass, which must
            then happen after the running batch.
    """

    def __init__(self, *, asks_each_batch: bool) -> None:
        self._asks_each_batch = asks_each_batch
        self._interval = self._left = 1  # batches from one message to the next, and to the next one from now
        self._began = time.monotonic()

    def __call__(self, wanted: bool) -> bool:
        """Return whether the pass ends after the running batch, on all ranks.

        Args:
            wanted: Whether this rank would end it.
        """
        self._left -= 1
        if self._left:
            return False
        microseconds = int(1e6 * (time.monotonic() - self._began) / self._interval)  # of a batch
        ends, asks, slowest = collectives.largest([wanted, self._asks_each_batch, microseconds])
        longest = int(1e6 * SECONDS_BETWEEN_MESSAGES) // max(1, slowest)
        self._interval = (
            1 if asks else max(1, min(longest, 2 * self._interval))
        )  # the first batches may be slow or fast
        self._left, self._began = self._interval, time.monotonic()
        return bool(ends)


def ends_at_once(wanted: bool) -> bool:
    """Return whether a pass of one process ends after the running batch.

    Args:
        wanted: Whether a callback or a signal ends it.
    """
    return wanted


def ends_with_last_batch(wanted: bool) -> bool:  # noqa: ARG001
    """Return `False`: the ranks compute the same number of batches together, up to the last one.

    Args:
        wanted: Whether a signal ends the pass.
    """
    return False


class EvaluationEnd:
    """Ends an evaluation in which the ranks have different numbers of batches, and send no message after each.

    A rank that a signal has reached leaves a message, for which the others look once a second. All of them must ask
    each other for signals after the pass.
    """

    def __init__(self) -> None:
        self._messages, self._looked = rank_messages(), time.monotonic()

    def __call__(self, wanted: bool) -> bool:
        """Return whether the pass ends after the running batch.

        Args:
            wanted: Whether a signal has reached this rank.
        """
        if wanted:
            self._messages.put_interrupt()
            return True
        if time.monotonic() - self._looked < LOOK_SECONDS:
            return False
        self._looked = time.monotonic()
        return self._messages.is_interrupted()
