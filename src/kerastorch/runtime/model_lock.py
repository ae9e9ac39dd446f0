"""A lock that decides which methods of a model may run in several threads at once."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

from torch import nn

from kerastorch.core.module_tree import is_built, modules

MAX_WAIT = 30.0  # seconds that a call waits for other threads; a bound ends deadlocks


@dataclass(eq=False)
class _Call:
    """A call of `fit`, `evaluate` or `predict` that runs, or a `fit` that waits for other calls."""

    model: nn.Module
    verb: str
    parts: Sequence[nn.Module]
    alone: bool  # it changes weights or modes, so that nothing may run at the same time
    thread: int

    def excludes(self, other: _Call) -> bool:
        """Return whether two calls must not run at once: in two threads, on models that share a module."""
        if self.thread == other.thread:
            return False
        may_overlap = not (self.alone or other.alone or self.verb == other.verb == "evaluate")
        return not may_overlap and not set(self.parts).isdisjoint(other.parts)


_calls: list[_Call] = []
_changed = threading.Condition()


@contextmanager
def model_lock(
    model: nn.Module, verb: str, alone: bool = False, parts: Sequence[nn.Module] | None = None
) -> Iterator[None]:
    """Lock a model, and the modules it shares with other models, within the block.

    `predict` runs at the same time as `predict` and `evaluate` of other threads. Other calls wait for each other for at
    most `MAX_WAIT` seconds. No call waits for a `fit`, which may itself wait for data from the calling thread: the call
    raises at once. The thread that holds the lock may call other methods, so that callbacks of `fit` can evaluate.

    Args:
        model: A module.
        verb: `'fit'`, `'train_on_batch'`, `'evaluate'`, `'predict'` or `'export'`, which is treated like `predict`.
        alone: Whether nothing may run at the same time in any case, since callbacks may change the model.
        parts: What `modules(model)` returns, if the caller has it already.

    Raises:
        RuntimeError: Another thread holds the model, or `fit` is called within a `fit` of the same model.
    """
    parts = modules(model) if parts is None else parts
    alone = alone or verb in ("fit", "train_on_batch") or not is_built(model, parts)
    call = _Call(model, verb, parts, alone, threading.get_ident())
    with _changed:
        _acquire(call)
    try:
        yield
    finally:
        _release(call)


def is_fitting(model: nn.Module) -> bool:
    """Return whether a `fit` of this model is running."""
    return any(call.verb == "fit" and call.model is model for call in tuple(_calls))


def _acquire(call: _Call) -> None:
    if call.verb == "fit" and is_fitting(call.model):
        raise RuntimeError("fit() is already running on this model.")
    deadline = time.monotonic() + MAX_WAIT
    if call.verb == "fit":
        _raise_if_fitting(call)
        _calls.append(call)  # registered at once, so that no other call begins while it waits
    try:
        while any(map(call.excludes, _calls)):
            _raise_if_fitting(call)
            if not _changed.wait(deadline - time.monotonic()):
                other = next(filter(call.excludes, _calls))
                raise RuntimeError(f"{call.verb}() has waited {MAX_WAIT:.0f} seconds: {_busy_message(other)}")
    except BaseException:
        if call in _calls:
            _calls.remove(call)
            _changed.notify_all()
        raise
    if call.verb != "fit":
        _calls.append(call)


def _raise_if_fitting(call: _Call) -> None:
    for other in filter(call.excludes, _calls):
        if other.verb == "fit":
            raise RuntimeError(f"{call.verb}() is refused: {_busy_message(other)}")


def _busy_message(other: _Call) -> str:
    return (
        f"{other.verb}() is running on this model, or on one that shares layers with it, in another thread. Wait until "
        "it has ended, or give each thread a copy that was made before (copy.deepcopy(model))."
    )


def _release(call: _Call) -> None:
    with _changed:
        _calls.remove(call)
        _changed.notify_all()


def _after_fork() -> None:
    """Drop the calls of other threads in a child process, which has only the thread that forked."""
    global _changed
    _changed = threading.Condition()
    _calls[:] = [call for call in _calls if call.thread == threading.get_ident()]


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)
