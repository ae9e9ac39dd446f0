"""Find the hooks that users have put on modules, weights and optimizers."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from torch import Tensor, nn

from kerastorch.core.module_tree import named_modules
from kerastorch.core.ownership import is_own
from kerastorch.core.torch_private import TENSOR_HOOKS
from kerastorch.optimizers.base import TorchOptimizer

Hook = Callable[..., Any]


def hooks_of(owner: nn.Module | Tensor | TorchOptimizer) -> Iterator[Hook]:
    """Yield all functions in the attributes that torch stores hooks in."""
    names = vars(owner) if hasattr(owner, "__dict__") else ()
    for name in (*names, *TENSOR_HOOKS):
        hooks = getattr(owner, name, None) if name.endswith("_hooks") else None
        if isinstance(hooks, Mapping):
            yield from dict.fromkeys(hooks.values())


def is_foreign(hook: Hook) -> bool:
    """Return whether a hook is not one of kerastorch's own."""
    while isinstance(hook, functools.partial):
        hook = hook.func
    return not is_own(hook)


def attached_hooks(model: nn.Module) -> dict[str, list[str]]:
    """Return descriptions of users' hooks and replaced `forward` methods, by the path of the module or weight."""
    found: dict[str, list[str]] = {}
    for path, part in named_modules(model):
        names = {_describe(hook) for hook in hooks_of(part) if is_foreign(hook)}
        if "forward" in vars(part) and is_foreign(vars(part)["forward"]):
            names.add("another forward")
        if names:
            found[path] = sorted({*found.get(path, ()), *names})
    for path, weight in model.named_parameters():
        if names := {_describe(hook) for hook in hooks_of(weight) if is_foreign(hook)}:
            found[path] = sorted(names)
    return found


def _describe(hook: Hook) -> str:
    """Return words for a hook: its qualified name, or its class."""
    while isinstance(hook, functools.partial):
        hook = hook.func
    hook = getattr(hook, "hook", hook)  # torch wraps hooks on the loading of state dicts
    return f"the hook {getattr(hook, '__qualname__', type(hook).__name__)}"
