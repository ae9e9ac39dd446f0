"""The first batches of each epoch, and the same batches in each epoch: `limit_batches` and `overfit_batches`."""

from __future__ import annotations

import itertools
import numbers
from collections.abc import Iterator, Mapping
from typing import Any

from kerastorch.core.errors import mismatch
from kerastorch.data.batches import Batch, Batches, Resumable
from kerastorch.data.loaders import copy_tensors
from kerastorch.data.rank_slices import RankSlices
from kerastorch.data.sequences import SequenceBatches


def check_number_of_batches(name: str, value: Any) -> int | float | None:
    """Return a number of batches >= 1, or a fraction of them in (0, 1]; `None` stays `None`.

    Raises:
        ValueError: The value is something else.
    """
    if value is None:
        return None
    is_number = not isinstance(value, bool) and isinstance(value, numbers.Real)
    if is_number and isinstance(value, numbers.Integral) and int(value) >= 1:
        return int(value)
    if is_number and not isinstance(value, numbers.Integral) and 0 < float(value) <= 1:
        return float(value)
    raise mismatch(name, value, "a number of batches (an integer >= 1) or a fraction of them (a float > 0 and <= 1)")


def number_of_batches(name: str, value: int | float, batches: Batches) -> int:
    """Return how many batches of a pass are used.

    Args:
        name: Name of the argument, for the message.
        value: A number of batches, or a fraction of them, of which at least one batch is used.
        batches: The data.

    Raises:
        ValueError: `value` is a fraction, and the number of batches is unknown.
    """
    if isinstance(value, int):
        return value
    known = batches.steps()
    if known is None:
        raise ValueError(
            f"{name}={value} is a fraction, but the number of batches of the data is unknown. Pass an int."
        )
    return max(1, int(value * known))


def rows_of(batches: Batches, count: int) -> int | None:
    """Return the number of rows in the first `count` batches of a pass, or `None` if it is unknown.

    If the number of rows of the pass is unknown, each batch counts as a full one.
    """
    size, samples = batches.batch_size, batches.samples
    if samples is not None and count == batches.steps():
        return samples
    if size is None:
        return None
    return count * size if samples is None else min(count * size, samples)


class LimitedBatches:
    """The first `limit` batches of each pass over the data.

    The next epoch begins a new pass, with a new order if the data are shuffled.

    Args:
        batches: The passes over the data.
        limit: Maximal number of batches of an epoch.
    """

    has_position = False

    def __init__(self, batches: Resumable, limit: int) -> None:
        self._batches, self._limit = batches, limit
        self.batch_size = batches.batch_size
        self.samples: int | None = None
        if batches.samples is not None and self.batch_size is not None:
            self.samples = min(batches.samples, limit * self.batch_size)
        self.targets = batches.targets
        self.transient = batches.transient

    @property
    def exact(self) -> bool:
        return self._batches.exact and self._batches.steps() is not None

    def steps(self) -> int:
        return min(self._limit, self._batches.steps() or self._limit)

    def fingerprint(self) -> dict[str, Any]:
        return {**self._batches.fingerprint(), "limit_batches": self._limit}

    def state_dict(self) -> dict[str, Any]:
        return self._batches.state_dict()

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        self._batches.load_state_dict(state)

    def epoch(self, number: int, start: int = 0) -> Iterator[Batch]:
        return self._first(self._batches.epoch(number, start), max(0, self._limit - start))

    @property
    def can_repeat(self) -> bool:
        return self._batches.can_repeat

    def again(self, number: int) -> Iterator[Batch]:
        return itertools.islice(self._batches.again(number), self._limit)

    def _first(self, stream: Iterator[Batch], count: int) -> Iterator[Batch]:
        yield from itertools.islice(stream, count)
        whole = self._batches.whole if isinstance(self._batches, RankSlices) else self._batches
        if isinstance(whole, SequenceBatches):
            whole.end_pass()


class RepeatedBatches:
    """The first `limit` batches of the first pass over the data, which are stored and are the batches of each epoch.

    Args:
        batches: The passes over the data.
        limit: Maximal number of batches.
    """

    has_position = False
    exact = True
    transient = False
    can_repeat = True

    def __init__(self, batches: Resumable, limit: int) -> None:
        self._batches, self._limit = batches, limit
        self.batch_size = batches.batch_size
        self.samples: int | None = None
        self.targets = batches.targets
        self._stored: list[Batch] | None = None

    def steps(self) -> int:
        if self._stored is not None:
            return len(self._stored)
        return min(self._limit, self._batches.steps() or self._limit)

    def fingerprint(self) -> dict[str, Any]:
        return {**self._batches.fingerprint(), "overfit_batches": self._limit}

    def state_dict(self) -> dict[str, Any]:
        """Return the stored batches: data that shuffle themselves would draw others when training resumes."""
        stored = None if self._stored is None else [tuple(batch) for batch in self._stored]
        return {"stored": stored, "batches": self._batches.state_dict()}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        if state["stored"] is None:
            self._batches.load_state_dict(state["batches"])
        else:
            self._stored = [Batch(*batch) for batch in state["stored"]]

    def epoch(self, number: int, start: int = 0) -> Iterator[Batch]:
        if self._stored is None:
            first = itertools.islice(self._batches.epoch(number), self._limit)
            self._stored = [copy_tensors(batch) for batch in first]
        # copied, since a model may change its input in place
        return map(copy_tensors, self._stored[start:])

    def again(self, number: int) -> Iterator[Batch]:
        return self.epoch(number)
