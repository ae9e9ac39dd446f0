"""Context managers that switch a model to training or evaluation mode, and restore the mode of each module."""

from __future__ import annotations

import threading
from collections.abc import Iterable, Iterator
from contextlib import AbstractContextManager, contextmanager

import torch
from torch import nn

from kerastorch.core.call_mode import holding_modes
from kerastorch.core.errors import warn
from kerastorch.core.module_tree import modules, named_modules
from kerastorch.core.ownership import is_own
from kerastorch.core.trainable import set_frozen_batchnorm_eval


@contextmanager
def training_mode(module: nn.Module) -> Iterator[frozenset[nn.Module]]:
    """Switch a module to training mode; yield the submodules that the user has put into eval mode.

    Those submodules stay in eval mode, unless the whole model is in eval mode: then all of it trains. A part in eval
    mode, as a frozen backbone, is a choice of the user; a whole model is in eval mode because it was evaluated last.
    Only modules without children decide this, since containers are created in training mode. At the end of the block
    each submodule is in its former mode again.

    Warns:
        UserWarning: A submodule with children is in eval mode although it has trainable weights.
    """
    parts = modules(module)
    before = _current_modes(parts)
    in_eval = _in_eval_by_user(before)
    try:
        with holding_modes(parts):
            module.train()
            for part in in_eval:
                if part.training:
                    _set_eval(part)
            set_frozen_batchnorm_eval(parts, in_eval)
            _warn_if_trainable(module, in_eval)
            yield in_eval
    finally:
        _restore_modes(before)


def _in_eval_by_user(modes: list[tuple[nn.Module, bool]]) -> frozenset[nn.Module]:
    """Return the modules in eval mode, or none if the whole model is in eval mode."""
    if not any(training and _has_own_mode(part) for part, training in modes):
        return frozenset()
    return frozenset(part for part, training in modes if not training)


def _has_own_mode(part: nn.Module) -> bool:
    """Return whether the mode of a module shows what the user has set.

    It does not for containers and views, which are in training mode when they are created.
    """
    return not part._modules and vars(part).get("module_viewed") is None


def _warn_if_trainable(module: nn.Module, in_eval: frozenset[nn.Module]) -> None:
    """Warn about containers in eval mode with trainable weights.

    Pretrained networks often come in eval mode.
    """
    names: list[str] = []
    for name, part in named_modules(module) if in_eval else ():
        inside = any(name.startswith(f"{outer}.") or not outer for outer in names)
        if part in in_eval and part._modules and not inside and any(p.requires_grad for p in part.parameters()):
            names.append(name)
    if names:
        listed = ", ".join(repr(name) if name else "the model itself" for name in names)
        warn(
            f"{listed}: in eval mode, and left there while the model trains, though weights in it learn. It has no "
            "dropout and keeps its batch statistics. Call .train() on it before fit to train it as usual, or "
            "requires_grad_(False) to freeze its weights too."
        )


def _set_eval(part: nn.Module) -> None:
    """Put one module into eval mode, by its own `eval` if it overrides torch's."""
    if _overrides_mode(part):
        part.eval()
    else:
        set_mode(part, False)


@contextmanager
def evaluation_mode(module: nn.Module, parts: Iterable[nn.Module] | None = None) -> Iterator[None]:
    """Switch a module to evaluation mode, and restore all modes at the end of the block.

    If several threads evaluate a model at once, the first one switches it and the last one restores it.

    Args:
        module: A module.
        parts: What `modules(module)` returns, if the caller has it already.
    """
    with _lock:
        shared = _evaluating.get(id(module))
        if shared is None:
            parts = modules(module) if parts is None else [*parts]
            shared = _SharedModes(_current_modes(parts), holding_modes(parts))
            try:
                shared.held.__enter__()
                _evaluate(module, shared.before)
            except BaseException:
                shared.restore()
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
                shared.restore()


@contextmanager
def mode_within_call(module: nn.Module, training: bool) -> Iterator[None]:
    """Switch all parts of a module to a mode, and restore the mode of each at the end of the block.

    Frozen batch normalization stays in evaluation mode, as in Keras. Several threads may evaluate a module at once.

    Args:
        module: A module.
        training: Whether they train.
    """
    if not training and not torch.compiler.is_compiling():
        with evaluation_mode(module):
            yield
        return
    parts = modules(module)
    before = [(part, part.training) for part in parts if part.training != training]
    for part, _ in before:
        set_mode(part, training)
    if training:
        set_frozen_batchnorm_eval(parts)
    try:
        with holding_modes(parts):
            yield
    finally:
        _restore_modes(before)


@contextmanager
def in_modes(modes: Iterable[tuple[nn.Module, bool]]) -> Iterator[None]:
    """Put each module into a mode, in which its calls compute, and restore its mode at the end of the block.

    Args:
        modes: The modules, and whether each trains.
    """
    modes = [*modes]
    before = [(part, part.training) for part, _ in modes]
    _restore_modes(modes)
    try:
        with holding_modes([part for part, _ in modes]):
            yield
    finally:
        _restore_modes(before)


class _SharedModes:
    """The number of threads that evaluate a model, and the modes it had before the first of them.

    Args:
        before: The modes.
        held: The context in which calls of its parts compute in the mode that is set.
    """

    def __init__(self, before: list[tuple[nn.Module, bool]], held: AbstractContextManager[None]) -> None:
        self.users = 0
        self.before = before
        self.held = held

    def restore(self) -> None:
        """Restore the modes."""
        self.held.__exit__(None, None, None)
        _restore_modes(self.before)


_lock = threading.Lock()
_evaluating: dict[int, _SharedModes] = {}  # by the id of a model, which lives as long as it is evaluated


def _current_modes(parts: Iterable[nn.Module]) -> list[tuple[nn.Module, bool]]:
    return [(part, part.training) for part in parts]


def _evaluate(module: nn.Module, before: list[tuple[nn.Module, bool]]) -> None:
    """Put a module into evaluation mode.

    Only flags are set, which is fast, if no submodule overrides `train` or `eval`.
    """
    training = [child for child, was in before if was]
    if training and any(_overrides_mode(child) for child, _ in before):
        module.eval()
        return
    for child in training:
        set_mode(child, False)


def _overrides_mode(module: nn.Module) -> bool:
    """Return whether a module overrides torch's `train` or `eval`."""
    kind, own = type(module), vars(module)
    plain = kind.train is nn.Module.train or is_own(kind.train)
    return not plain or kind.eval is not nn.Module.eval or "train" in own or "eval" in own


def set_mode(module: nn.Module, training: bool) -> None:
    """Set the mode of one module, without that of its children."""
    if type(module).__setattr__ is nn.Module.__setattr__:
        object.__setattr__(
            module, "training", training
        )  # faster: torch's `__setattr__` first searches for a parameter of this name
    else:
        module.training = training


def _restore_modes(before: list[tuple[nn.Module, bool]]) -> None:
    for child, was in before:
        if child.training != was:
            set_mode(child, was)
