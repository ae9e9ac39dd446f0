"""What hangs on a module, weight or optimizer as a function, beside what kerastorch hangs there for a time."""

from __future__ import annotations

import functools
from collections.abc import Iterator, Mapping
from typing import Any

from torch import nn

from kerastorch.core.module_tree import named_modules
from kerastorch.core.ownership import is_own
from kerastorch.core.torch_private import TENSOR_HOOKS


def hooks_of(thing: Any) -> Iterator[Any]:
    """All functions in the attributes that torch keeps hooks in."""
    names = vars(thing) if hasattr(thing, "__dict__") else ()
    for name in (*names, *TENSOR_HOOKS):
        held = getattr(thing, name, None) if name.endswith("_hooks") else None
        if isinstance(held, Mapping):
            yield from dict.fromkeys(held.values())


def is_foreign(hook: Any) -> bool:
    """Whether it is not of kerastorch itself, or of torch for its own modules."""
    while isinstance(hook, functools.partial):
        hook = hook.func
    return not is_own(hook)


def attached_hooks(model: nn.Module) -> dict[str, list[str]]:
    """The place of a module or weight -> the hooks on it, and a `forward` that somebody put in place of its own."""
    found: dict[str, list[str]] = {}
    for place, part in named_modules(model):
        names = {_name(hook) for hook in hooks_of(part) if is_foreign(hook)}
        if "forward" in vars(part):
            names.add("another forward")
        if names:
            found[place] = sorted({*found.get(place, ()), *names})
    for place, weight in model.named_parameters():
        if names := {_name(hook) for hook in hooks_of(weight) if is_foreign(hook)}:
            found[place] = sorted(names)
    return found


def _name(hook: Any) -> str:
    while isinstance(hook, functools.partial):
        hook = hook.func
    hook = getattr(hook, "hook", hook)  # torch wraps those on its loading
    return f"the hook {getattr(hook, '__qualname__', type(hook).__name__)}"
