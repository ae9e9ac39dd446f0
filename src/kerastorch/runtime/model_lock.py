"""Which verbs of a model may run in several threads at once: who waits for whom, and who is refused."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

from torch import nn

from kerastorch.core.module_tree import is_built, modules

WAIT = 30.0  # seconds; with a bound no ring of threads that wait for each other stands still for ever


@dataclass(eq=False)
class _Use:
    """A verb that runs, or a `fit` that is about to."""

    model: nn.Module
    verb: str
    parts: Sequence[nn.Module]
    alone: bool  # it changes weights or modes: nothing runs beside it
    thread: int

    def excludes(self, other: _Use) -> bool:
        """Whether both must not run at once: in two threads, on models that have a module in common."""
        if self.thread == other.thread:
            return False
        beside = not (self.alone or other.alone or self.verb == other.verb == "evaluate")
        return not beside and not set(self.parts).isdisjoint(other.parts)


_uses: list[_Use] = []
_changed = threading.Condition()


@contextmanager
def model_lock(
    model: nn.Module, verb: str, alone: bool = False, parts: Sequence[nn.Module] | None = None
) -> Iterator[None]:
    """Hold a model, and what it shares with other models, while a verb runs.

    `predict` runs beside `predict` and `evaluate` of other threads. Otherwise a verb waits, at most `WAIT` seconds, but
    not for a `fit`: that may itself wait for what this thread makes, so beside it every verb is refused at once. The
    thread that holds a model goes on with it: callbacks of `fit` may evaluate.

    Args:
        model: any.
        verb: `'fit'`, `'train_on_batch'`, `'evaluate'`, `'predict'` or `'export'`, which runs where `predict` does.
        alone: whether nothing may run beside it in any case, since its callbacks may change the model.
        parts: its modules, if they are at hand.

    Raises:
        RuntimeError: another thread holds the model; or `fit` is called within a `fit` of the same model.
    """
    parts = modules(model) if parts is None else parts
    alone = alone or verb in ("fit", "train_on_batch") or not is_built(model, parts)
    use = _Use(model, verb, parts, alone, threading.get_ident())
    with _changed:
        _acquire(use)
    try:
        yield
    finally:
        _release(use)


def is_fitting(model: nn.Module) -> bool:
    """Whether a `fit` of this very model is under way."""
    return any(use.verb == "fit" and use.model is model for use in tuple(_uses))


def _acquire(use: _Use) -> None:
    if use.verb == "fit" and is_fitting(use.model):
        raise RuntimeError("fit() is already running on this model.")
    deadline = time.monotonic() + WAIT
    if use.verb == "fit":
        _refuse_beside_fit(use)
        _uses.append(use)  # already now: no other verb begins while it waits for those that run
    try:
        while any(map(use.excludes, _uses)):
            _refuse_beside_fit(use)
            if not _changed.wait(deadline - time.monotonic()):
                other = next(filter(use.excludes, _uses))
                raise RuntimeError(f"{use.verb}() has waited {WAIT:.0f} seconds: {_running(other)}")
    except BaseException:
        if use in _uses:
            _uses.remove(use)
            _changed.notify_all()
        raise
    if use.verb != "fit":
        _uses.append(use)


def _refuse_beside_fit(use: _Use) -> None:
    for other in filter(use.excludes, _uses):
        if other.verb == "fit":
            raise RuntimeError(f"{use.verb}() is refused: {_running(other)}")


def _running(other: _Use) -> str:
    return (
        f"{other.verb}() is running on this model, or on one that shares layers with it, in another thread. Wait until "
        "it has ended, or give each thread a copy that was made before (copy.deepcopy(model))."
    )


def _release(use: _Use) -> None:
    with _changed:
        _uses.remove(use)
        _changed.notify_all()


def _after_fork() -> None:
    """In a child process only the thread that forked is there."""
    global _changed
    _changed = threading.Condition()
    _uses[:] = [use for use in _uses if use.thread == threading.get_ident()]


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)
