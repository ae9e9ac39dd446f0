"""Epochs of a fixed number of batches, which span passes over the data: `steps_per_epoch`."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping
from typing import Any

from kerastorch.core.rng_state import RandomStates
from kerastorch.data.batches import Batch, Resumable
from kerastorch.data.loaders import LoaderBatches


class SpanningBatches:
    """Epochs of `limit` batches, each of which continues the pass at which the last one ended.

    If a pass ends within an epoch, the next pass begins.

    Args:
        batches: The passes over the data.
        limit: Number of batches of an epoch.
        random: The generators that a pass draws from when it begins.

    Raises:
        ValueError: A pass has fewer than `limit` batches.
    """

    samples: int | None = None
    has_position = True
    exact = True

    def __init__(self, batches: Resumable, limit: int, random: RandomStates) -> None:
        known = batches.steps()
        if known is not None and known < limit:
            raise ValueError(f"steps_per_epoch={limit}, but the data has {known} batches.")
        self._batches, self._limit, self._random = batches, limit, random
        self.batch_size = batches.batch_size
        self._running: Iterator[Batch] = iter(())
        self._passes = 0
        self._taken = 0  # number of batches of the running pass that were yielded
        self._pass_start: dict[str, Any] = {}  # state of the data and the generators at the start of the running pass
        self.targets = batches.targets
        self.transient = batches.transient

    def steps(self) -> int:
        return self._limit

    def fingerprint(self) -> dict[str, Any]:
        return {**self._batches.fingerprint(), "steps_per_epoch": self._limit}

    def state_dict(self) -> dict[str, Any]:
        start_state = self._pass_start or self._capture_start()
        return {"passes": self._passes, "taken": self._taken, **start_state}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        self._batches.load_state_dict(state["batches"])
        self._passes, self._taken = state["passes"], state["taken"]
        self._running = iter(())
        self._pass_start = {}
        if self._taken:
            self._random.restore(state["random"])
            self._pass_start = self._capture_start()
            self._running = self._batches.epoch(self._passes - 1, self._taken)

    @property
    def can_repeat(self) -> bool:
        # a second iterator of a loader with persistent workers would end the running pass
        loader = self._batches.loader if isinstance(self._batches, LoaderBatches) else None
        return self._batches.can_repeat and not (loader is not None and loader.persistent_workers)

    def again(self, number: int) -> Iterator[Batch]:
        return itertools.islice(self._batches.again(max(0, self._passes - 1)), self._limit)

    def epoch(self, number: int, start: int = 0) -> Iterator[Batch]:
        for given in range(start, self._limit):
            batch = next(self._running, None)
            if batch is None:
                self._pass_start, self._taken = self._capture_start(), 0
                self._running = self._batches.epoch(max(number, self._passes))
                self._passes = max(number, self._passes) + 1
                batch = next(self._running, None)
            if batch is None:
                raise ValueError(f"data ended after {given} of {self._limit} steps.")
            self._taken += 1
            yield batch
        if self._batches.exact and self._taken == self._batches.steps():
            next(self._running, None)  # the iterator ends, so that the hooks at the end of a pass run now

    def _capture_start(self) -> dict[str, Any]:
        return {"batches": self._batches.state_dict(), "random": self._random.capture()}
