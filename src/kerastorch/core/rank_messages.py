"""Messages that the ranks of a process group leave in its store: which method each calls, and why one has stopped."""

from __future__ import annotations

import atexit
import itertools
import json
import sys
import time
from collections.abc import Callable
from functools import lru_cache
from typing import Any, NamedTuple

from torch import distributed

from kerastorch.core.torch_private import default_store

_worlds = itertools.count()


class Failure(NamedTuple):
    """Why a rank has stopped.

    Attributes:
        rank: Its number.
        verb: The method that it was in, such as `"fit()"`, or an empty string.
        kind: Class of its error.
        text: Message of its error.
    """

    rank: int
    verb: str
    kind: str
    text: str

    @classmethod
    def of(cls, rank: int, verb: str, error: BaseException) -> Failure:
        """Return why a rank stops with an error."""
        return cls(rank, verb, type(error).__name__, str(error))

    def __str__(self) -> str:
        where = f" in {self.verb}" if self.verb else ""
        return f"rank {self.rank} stopped{where}: {self.kind}{': ' if self.text else ''}{self.text}"


def poll(is_true: Callable[[], bool], seconds: float) -> bool:
    """Return whether something becomes true within some seconds."""
    until, pause = time.monotonic() + seconds, 0.002
    while not is_true():
        if time.monotonic() > until:
            return False
        time.sleep(pause)
        pause = min(2 * pause, 0.1)
    return True


class RankMessages:
    """The messages of one process group. If its store is out of reach, none are found.

    Args:
        store: Store of the process group.
        rank: Number of this rank.
        world: Number of ranks.
        prefix: Distinguishes the keys from those of other groups.
    """

    def __init__(self, store: Any, rank: int, world: int, prefix: str) -> None:
        self.rank, self.world = rank, world
        self._store, self._prefix = store, prefix
        self._verbs = itertools.count(1)
        self._running: list[tuple[int, str]] = []  # the methods that this rank is in, the innermost last

    # --- methods ----------------------------------------------------------------------------------------------

    @property
    def verb(self) -> str:
        """The method that this rank is in; an empty string if it is in none."""
        return self._running[-1][1] if self._running else ""

    @property
    def number(self) -> int:
        """Number of this method, which all ranks count alike."""
        return self._running[-1][0] if self._running else 0

    def begin_verb(self, verb: str) -> None:
        """Record that this rank begins a method.

        Args:
            verb: The method with its arguments.
        """
        self._running.append((next(self._verbs), verb))
        self._put(f"called/{self.rank}", self.number)

    def end_verb(self) -> None:
        """Record that this rank has left the method."""
        self._running.pop()

    def without_call(self) -> list[int]:
        """Return the ranks that have not called the method that this rank is in."""
        return [one for one in range(self.world) if (self._find(f"called/{one}") or 0) < self.number]

    # --- failures ---------------------------------------------------------------------------------------------

    def put_failure(self, error: BaseException) -> None:
        """Leave the message of an error that ends the method on this rank."""
        self._put(f"failed/{self.number}/{self.rank}", Failure.of(self.rank, self.verb, error))

    def failures(self) -> list[Failure]:
        """Return why ranks have left the method that this rank is in."""
        found = [self._find(f"failed/{self.number}/{one}") for one in range(self.world)]
        return [Failure(*one) for one in found if one is not None]

    def stop_all(self, failure: Failure) -> None:
        """Let all ranks stop for a reason, unless there is one already."""
        if self._try(lambda: self._store.add(self._key("stops"), 1)) == 1:
            self._put("stop", failure)

    def stop_reason(self) -> Failure | None:
        """Return why all ranks must stop; `None` if they need not."""
        found = self._find("stop")
        return None if found is None else Failure(*found)

    def put_lost(self) -> None:
        """Record that the connection of this rank to another one is lost, and that this rank is still there."""
        self._put(f"lost/{self.rank}", True)

    def without_answer(self) -> list[int]:
        """Return the ranks that have not left any message about the end of the method that this rank is in."""
        present = {one.rank for one in self.failures()} | {self.rank}
        return [one for one in range(self.world) if one not in present and self._find(f"lost/{one}") is None]

    def script_error(self, rank: int) -> str | None:
        """Return the error that ended the script of a rank, outside any method; `None` if none did."""
        found: str | None = self._find(f"script/{rank}")
        return found

    def leave(self) -> None:
        """Leave the error that ends the script of this rank, if one does."""
        error = getattr(sys, "last_value", None)
        if error is not None:
            self._put(f"script/{self.rank}", f"{type(error).__name__}: {error}")

    # --- signals and warnings ----------------------------------------------------------------------------------------

    def put_interrupt(self) -> None:
        """Record that a signal has reached this rank, so that all ranks leave the running evaluation."""
        self._put(f"interrupted/{self.number}", True)

    def is_interrupted(self) -> bool:
        """Return whether a signal has reached a rank in the method that this rank is in."""
        return self._find(f"interrupted/{self.number}") is not None

    def put_warning(self, sentence: str) -> None:
        """Record that this rank has warned."""
        self._put(self._warning(sentence), True)

    def wait_for_warning(self, sentence: str, seconds: float) -> bool:
        """Return whether another rank gives a warning in the same method within some seconds."""
        return poll(lambda: self._find(self._warning(sentence)) is not None, seconds)

    def _warning(self, sentence: str) -> str:
        return f"warned/{self.number}/{sentence}"

    # --- the store --------------------------------------------------------------------------------------------

    @property
    def is_reachable(self) -> bool:
        """Return whether the store answers; that of a process that has ended does not."""
        return self._try(lambda: self._store.check([self._key("stop")])) is not None

    def _key(self, name: str) -> str:
        return f"{self._prefix}/{name}"

    def _put(self, name: str, value: Any) -> None:
        self._try(lambda: self._store.set(self._key(name), json.dumps(value)))

    def _find(self, name: str) -> Any:
        key = self._key(name)
        if not self._try(lambda: self._store.check([key])):
            return None
        text = self._try(lambda: self._store.get(key))
        return None if text is None else json.loads(text)

    def _try(self, call: Callable[[], Any]) -> Any:
        try:
            return call()
        except (RuntimeError, NotImplementedError):  # of one of torch's classes; which one depends on the store
            return None


def rank_messages() -> RankMessages:
    """Return the messages of the default process group, which must exist."""
    return _messages_of(distributed.group.WORLD)


@lru_cache(maxsize=1)
def _messages_of(world: Any) -> RankMessages:
    """Return the messages of a group.

    Args:
        world: The default group; another one may have replaced it since the last call.
    """
    store, prefix = default_store(), f"kerastorch/group {next(_worlds)}"
    found = RankMessages(store, distributed.get_rank(world), distributed.get_world_size(world), prefix)
    atexit.register(found.leave)
    return found
