"""Find the hooks that users have put on modules, weights and optimizers."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from torch import Tensor, nn

from kerastorch.core.module_tree import named_modules
from kerastorch.core.ownership import is_from, is_own
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
    """Return whether a hook is not one of kerastorch's own, or of torch's for parameters of several processes."""
    hook = _unwrap(hook)
    return not is_own(hook) and not is_from(hook, "torch.distributed")


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
    hook = _unwrap(hook)
    return f"the hook {getattr(hook, '__qualname__', type(hook).__name__)}"


def _unwrap(hook: Hook) -> Hook:
    """Return the function within partials, and within what torch makes of a hook on the loading of state dicts."""
    while isinstance(hook, functools.partial):
        hook = hook.func
    found: Hook = getattr(hook, "hook", hook)
    return found
