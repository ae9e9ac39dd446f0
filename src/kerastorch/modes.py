"""Train and eval mode: switched, and put back module by module."""

from __future__ import annotations

import threading
from collections.abc import Iterable, Iterator
from contextlib import contextmanager

from torch import nn

from kerastorch.freezing import rest
from kerastorch.tree import modules


@contextmanager
def training_mode(module: nn.Module) -> Iterator[None]:
    """`module.train()` for a while; afterwards each submodule is in the mode it had."""
    parts = modules(module)
    before = _modes(parts)
    module.train()
    rest(parts)
    try:
        yield
    finally:
        _restore(before)


@contextmanager
def evaluation_mode(module: nn.Module, parts: Iterable[nn.Module] | None = None) -> Iterator[None]:
    """`module.eval()` for a while; threads that do this together switch once and put back once.

    Args:
        module: any.
        parts: its modules, where they are at hand.
    """
    with _lock:
        shared = _evaluating.get(id(module))
        if shared is None:
            shared = _Shared(_modes(modules(module) if parts is None else parts))
            try:
                _evaluate(module, shared.before)
            except BaseException:
                _restore(shared.before)
                raise
            _evaluating[id(module)] = shared
        shared.users += 1
    try:
        yield
    finally:
        with _lock:
            shared.users -= 1
            if not shared.users:
                del _evaluating[id(module)]
                _restore(shared.before)


class _Shared:
    """Who evaluates a model, and the modes it had before the first of them."""

    def __init__(self, before: list[tuple[nn.Module, bool]]) -> None:
        self.users = 0
        self.before = before


_lock = threading.Lock()
_evaluating: dict[int, _Shared] = {}  # by the id of a model, which lives as long as it is evaluated


def _modes(parts: Iterable[nn.Module]) -> list[tuple[nn.Module, bool]]:
    return [(part, part.training) for part in parts]


def _evaluate(module: nn.Module, before: list[tuple[nn.Module, bool]]) -> None:
    """`module.eval()`: to set flags, and no more, where no submodule has a way of its own to do it."""
    training = [child for child, was in before if was]
    if training and any(_switches_itself(child) for child, _ in before):
        module.eval()
        return
    for child in training:
        _set_mode(child, False)


def _switches_itself(module: nn.Module) -> bool:
    kind, own = type(module), vars(module)
    plain = kind.train is nn.Module.train or kind.train.__module__.startswith("kerastorch.")
    return not plain or kind.eval is not nn.Module.eval or "train" in own or "eval" in own


def _set_mode(module: nn.Module, training: bool) -> None:
    if type(module).__setattr__ is nn.Module.__setattr__:
        object.__setattr__(module, "training", training)  # torch's would look for a parameter of this name first
    else:
        module.training = training


def _restore(before: list[tuple[nn.Module, bool]]) -> None:
    for child, was in before:
        if child.training != was:
            _set_mode(child, was)
