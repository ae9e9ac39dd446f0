"""Iterating over the modules and tensors of a model, in which a `Model` may be a view of another module."""

from __future__ import annotations

import inspect
from collections.abc import Iterable, Iterator
from typing import Any

from torch import Tensor, nn

from kerastorch.core.torch_private import COMPILED_CHILD, is_compiled_in_place


def named_modules(module: nn.Module) -> Iterator[tuple[str, nn.Module]]:
    """Yield names and modules as `module.named_modules()` does, including modules behind views.

    The module that a `Model` views comes before the `Model`, under the same name.
    """
    for name, child in module.named_modules():
        viewed = getattr(child, "module_viewed", None)
        if isinstance(viewed, nn.Module):
            yield name, viewed
        yield name, child


def module_within(module: nn.Module) -> nn.Module:
    """Return the module that a `Model` views; another module as it is."""
    viewed = vars(module).get("module_viewed")
    return module if viewed is None else viewed  # not `or`: modules without children are false, compiled ones fail


def modules(module: nn.Module) -> list[nn.Module]:
    """Return the modules that `named_modules` yields, each once.

    Each call of `fit`, `evaluate` or `predict` uses it, so it is faster than `module.modules()`.
    """
    found: dict[nn.Module, None] = {}
    waiting = [module]
    while waiting:
        child = waiting.pop()
        if child in found:
            continue
        viewed = vars(child).get("module_viewed")  # not getattr, which is slow if a module lacks the attribute
        if viewed is not None:
            found[viewed] = None
        found[child] = None
        if child._modules:
            waiting += [part for part in reversed(child._modules.values()) if part is not None]
    return list(found)


def is_compiled(part: nn.Module) -> bool:
    """Return whether `torch.compile` has compiled a module: its submodules are then not called."""
    return is_compiled_in_place(part) or COMPILED_CHILD in part._modules


def is_unbuilt(part: nn.Module) -> bool:
    """Return whether a module itself, without its children, has yet to make parameters.

    This holds for layers of kerastorch and for torch's `Lazy*` modules before their first call.
    """
    if vars(part).get("built") is False:
        return True
    weights: Iterable[Any] = part._parameters.values()
    for weight in weights:  # noqa: SIM110 - faster than `any`
        if type(weight) is not nn.Parameter and nn.parameter.is_lazy(weight):
            return True
    return False


def is_built(module: nn.Module, parts: Iterable[nn.Module] | None = None) -> bool:
    """Return whether a module and all modules within it have all their parameters.

    Args:
        module: A module.
        parts: What `modules(module)` returns, if the caller has it already.
    """
    return not any(map(is_unbuilt, modules(module) if parts is None else parts))


def tensors(parts: Iterable[nn.Module]) -> list[Tensor]:
    """Return the parameters, then the buffers of modules, without those of their children.

    A tensor that several modules share appears once for each of them.
    """
    parameters: list[Tensor | None] = []
    buffers: list[Tensor | None] = []
    for part in parts:
        parameters += part._parameters.values()
        buffers += part._buffers.values()
    return [tensor for tensor in parameters + buffers if tensor is not None]


_CALL = getattr(getattr(nn.Module, "_call_impl", None), "__code__", None)  # the frame of each call has this code


def outermost_call() -> Any:
    """Return an object of the outermost call of a module that is running in this thread; `None` if there is none.

    It is the dict of its keyword arguments, which Python makes anew in each call: two calls have different objects as
    long as both are referenced. A version of torch that calls modules in another way gives `None`, too.
    """
    frame, found = inspect.currentframe(), None
    while frame is not None:
        if frame.f_code is _CALL:
            found = frame.f_locals.get("kwargs")
        frame = frame.f_back
    return found
