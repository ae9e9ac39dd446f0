"""Train and eval mode: switched, and put back module by module."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from weakref import WeakKeyDictionary

from torch import nn

from kerastorch.tree import modules


@contextmanager
def training_mode(module: nn.Module) -> Iterator[None]:
    """`module.train()` for a while; afterwards each submodule is in the mode it had."""
    before = _modes(module)
    module.train()
    try:
        yield
    finally:
        _restore(before)


@contextmanager
def evaluation_mode(module: nn.Module) -> Iterator[None]:
    """`module.eval()` for a while; threads that do this together switch once and put back once."""
    with _lock:
        shared = _evaluating.setdefault(module, _Shared())
        if not shared.users:
            shared.before = _modes(module)
            if any(training for _, training in shared.before):
                module.eval()
        shared.users += 1
    try:
        yield
    finally:
        with _lock:
            shared.users -= 1
            if not shared.users:
                del _evaluating[module]
                _restore(shared.before)


class _Shared:
    """Who evaluates a model, and the modes it had before the first of them."""

    def __init__(self) -> None:
        self.users = 0
        self.before: list[tuple[nn.Module, bool]] = []


_lock = threading.Lock()
_evaluating: WeakKeyDictionary[nn.Module, _Shared] = WeakKeyDictionary()


def _modes(module: nn.Module) -> list[tuple[nn.Module, bool]]:
    return [(child, child.training) for child in modules(module)]


def _restore(before: list[tuple[nn.Module, bool]]) -> None:
    for child, was in before:
        child.training = was
