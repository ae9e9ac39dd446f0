"""A method that all ranks run: if it fails on one rank, the others stop within seconds, with the message of that rank.

A rank that fails leaves its error in the store of the process group. A rank that waits for a message of another one
looks there once a second. If all ranks raise an error of the same class, as for a wrong argument, each raises its own,
and they can go on together.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import Any, TypeVar

from kerastorch.core.errors import DistributedError, screen_warnings, warn
from kerastorch.core.rank_messages import Failure, RankMessages, poll, rank_messages

T = TypeVar("T")
LOOK_SECONDS = 1.0  # between two looks for the message of a rank that has failed
GRACE_SECONDS = 2.0  # in which ranks that fail alike, or that a lost connection stops, leave their messages
REMINDER_SECONDS = 10.0  # after which a rank warns that it waits for others to call the same method
_MOST_HELD = 3  # warnings of a method that a rank holds back until rank 0 might give them, and does not
_LOST = ("gloo/", "Connection closed by peer", "Connection reset by peer", "Broken pipe", "NCCL error")


@contextmanager
def shared(verb: str) -> Iterator[None]:
    """Surround a method that all ranks run.

    Args:
        verb: The method with its arguments, for messages.

    Raises:
        DistributedError: Another rank has stopped; the message has its error.
    """
    messages = rank_messages()
    messages.begin_verb(verb)
    try:
        check(messages)
        yield
    except DistributedError as error:
        messages.put_failure(error)
        messages.stop_all(Failure.of(messages.rank, verb, error))
        raise
    except RuntimeError as error:
        if not _is_lost(error):
            _end(messages, error)
            raise
        found = lost(error)
        messages.put_failure(found)
        messages.stop_all(Failure.of(messages.rank, verb, found))
        raise found from error
    except GeneratorExit:
        raise
    except BaseException as error:
        _end(messages, error)
        raise
    finally:
        messages.end_verb()


def _end(messages: RankMessages, error: BaseException) -> None:
    """Leave an error of this rank; if the others do not fail alike, let them stop."""
    messages.put_failure(error)
    if messages.stop_reason() is not None:
        return
    poll(lambda: len(messages.failures()) == messages.world or messages.stop_reason() is not None, GRACE_SECONDS)
    found = messages.failures()
    if len(found) < messages.world or len({one.kind for one in found}) > 1:
        messages.stop_all(Failure.of(messages.rank, messages.verb, error))


def check(messages: RankMessages | None = None) -> None:
    """Raise an error if another rank has stopped.

    Args:
        messages: Those of the process group. Default: those of the default group.

    Raises:
        DistributedError: It has; this rank could wait for it in vain.
    """
    messages = messages or rank_messages()
    reason = messages.stop_reason()
    if reason is not None:
        raise _stopped(messages, reason)


def checking(stream: Iterator[T]) -> Iterator[T]:
    """Yield the items of a stream, and look once a second whether another rank has stopped.

    Raises:
        DistributedError: It has.
    """
    looked = time.monotonic()
    for item in stream:
        if time.monotonic() - looked > LOOK_SECONDS:
            check()
            looked = time.monotonic()
        yield item


def _stopped(messages: RankMessages, reason: Failure) -> DistributedError:
    if reason.rank == messages.rank:
        said = str(reason).replace(f"rank {reason.rank}", f"rank {reason.rank}, which is this process,", 1)
    else:
        said = reason.text if reason.kind == DistributedError.__name__ else str(reason)
    return DistributedError(said if said.endswith(_ADVICE) else f"{said}\n{_ADVICE}")


_ADVICE = "The processes are no longer in step: start all of them again."


def wait(work: Any, *, is_on_cpu: bool, remind: Callable[[float], None] | None = None) -> None:
    """Wait until a message between the ranks has arrived, unless another rank has stopped.

    Args:
        work: What a function of `torch.distributed` returned with `async_op=True`.
        is_on_cpu: Whether the message is in main memory. If not, the accelerator waits, and this process does not.
        remind: Called once a second with the seconds since the beginning.

    Raises:
        DistributedError: Another rank has stopped, or cannot be reached.
    """
    if not is_on_cpu:
        work.wait()
        return
    began = time.monotonic()
    try:
        while not _has_arrived(work):
            check()
            if remind is not None:
                remind(time.monotonic() - began)
    except DistributedError:
        raise
    except RuntimeError as error:
        raise lost(error) from error


def _has_arrived(work: Any) -> bool:
    """Wait up to a second; return whether a message has arrived.

    Raises:
        RuntimeError: It never will.
    """
    try:
        work.wait(timedelta(seconds=LOOK_SECONDS))
    except RuntimeError:
        if not work.is_completed():
            return False
        work.wait()  # raises the error of the message itself
    return True


def remind_of_call(seconds: float) -> None:
    """Warn that this rank waits, if other ranks have not called the method that it is in.

    Args:
        seconds: How long it waits already.

    Warns:
        UserWarning: About ten seconds have passed.
    """
    if not REMINDER_SECONDS <= seconds < REMINDER_SECONDS + 2 * LOOK_SECONDS:
        return
    messages = rank_messages()
    late = messages.without_call()
    if late:
        warn(
            f"rank {messages.rank} waits for {_named(late)}, which {'has' if len(late) == 1 else 'have'} not called "
            f"{messages.verb}. All processes must call it; do not call it for one rank alone."
        )


def lost(error: BaseException) -> DistributedError:
    """Return the error that says why the connection to other ranks is lost.

    Args:
        error: Error of `torch.distributed`.
    """
    messages = rank_messages()
    messages.put_lost()

    def reason() -> Failure | None:
        others = [one for one in messages.failures() if one.rank != messages.rank]
        return messages.stop_reason() or (others[0] if others else None)

    poll(lambda: reason() is not None or not messages.without_answer(), GRACE_SECONDS)
    found = reason()
    if found is not None:
        return _stopped(messages, found)
    if not messages.is_reachable:
        return DistributedError(
            f"another process has ended, and with it the store of the process group. Its own message is in the output "
            f"of rank 0, or it was killed. {_ADVICE}"
        )
    missing = messages.without_answer()
    for one in missing:
        told = messages.script_error(one)
        if told is not None:
            return DistributedError(f"rank {one} stopped: {told}\n{_ADVICE}")
    if not missing:
        return DistributedError(f"the connection between the processes is lost: {error} {_ADVICE}")
    where = f" in {messages.verb}" if messages.verb else ""
    has_called = "" if not set(missing) & set(messages.without_call()) else ", before it called this method"
    is_one = len(missing) == 1
    return DistributedError(
        f"{_named(missing)} {'does' if is_one else 'do'} not answer{where}{has_called}: "
        f"{'its process' if is_one else 'at least one of these processes'} has ended or was killed, for want of memory "
        f"for example, or its machine cannot be reached. {_ADVICE}"
    )


def _is_lost(error: RuntimeError) -> bool:
    """Return whether an error is that of a lost connection, which torch raises under various classes."""
    return type(error).__module__.startswith(("torch", "builtins")) and any(word in str(error) for word in _LOST)


def _named(ranks: list[int]) -> str:
    return f"rank {ranks[0]}" if len(ranks) == 1 else f"ranks {', '.join(map(str, ranks))}"


@contextmanager
def each_warning_once() -> Iterator[None]:
    """Let a warning of kerastorch that several ranks give within the block be given by rank 0 alone."""
    with screen_warnings(_Warnings(rank_messages())):
        yield


class _Warnings:
    """Decides which warnings a rank gives: one that rank 0 gives, too, is given there alone.

    Args:
        messages: Those of the process group.
    """

    def __init__(self, messages: RankMessages) -> None:
        self._messages, self._held = messages, 0

    def __call__(self, sentence: str) -> str | None:
        """Return the sentence to warn with; `None` for no warning."""
        if self._messages.rank == 0:
            self._messages.put_warning(sentence)
            return sentence
        seconds = GRACE_SECONDS if self._held < _MOST_HELD else 0.0
        if self._messages.wait_for_warning(sentence, seconds):
            return None
        self._held += 1
        return f"rank {self._messages.rank}: {sentence}"
