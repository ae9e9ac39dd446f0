"""Whether a module computes in evaluation mode if a call does not say `training=True`, as layers of Keras do.

In torch, a module computes in the mode that it is in, and a new one is in training mode. A layer or model that is made
by `kerastorch.keras` evaluates unless the call says otherwise, until its user sets a mode by `train()` or `eval()`.
While `fit`, `evaluate` or a call with `training=` runs, the modes that these have set hold in all parts.

The choice is an entry of the dict of a module, so that it is copied with the module and found without a search: `True`
for one that evaluates by default, `False` for one whose mode holds for now.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import AbstractContextManager, contextmanager

from torch import nn

_NAME = "_evaluates_by_default"


def evaluate_by_default(module: nn.Module) -> None:
    """Let calls of a module compute in evaluation mode unless they say otherwise."""
    vars(module)[_NAME] = True


def evaluates_by_default(module: nn.Module) -> bool:
    """Return whether a call that does not say `training=` computes in evaluation mode, whatever mode is set."""
    return vars(module).get(_NAME) is True


def follow_mode(module: nn.Module) -> None:
    """Let a module compute in the mode that it is in, as in torch, because its user has set one."""
    if vars(module).get(_NAME) is True:
        del vars(module)[_NAME]


def follow_modes(parts: Iterable[nn.Module]) -> None:
    """Let modules compute in the modes that they are in, also later, because they are parts of a module that does."""
    for part in parts:
        vars(part).pop(_NAME, None)


def holding_modes(parts: Iterable[nn.Module]) -> AbstractContextManager[None]:
    """Let all of these modules compute in the modes that they are in, within a block."""
    return _changed(parts, before=True)


def called_by_hand(parts: Iterable[nn.Module]) -> AbstractContextManager[None]:
    """Undo `holding_modes` within a block, in which code of the user's calls the modules."""
    return _changed(parts, before=False)


@contextmanager
def _changed(parts: Iterable[nn.Module], *, before: bool) -> Iterator[None]:
    """Negate the entry of the modules that have it at a value, within a block."""
    changed = [part for part in parts if vars(part).get(_NAME) is before]
    for part in changed:
        vars(part)[_NAME] = not before
    try:
        yield
    finally:
        for part in changed:
            if _NAME in vars(part):  # else it follows its mode by now
                vars(part)[_NAME] = before
