"""Walking a module's tree where a `Model` may be a view of another module."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from torch import Tensor, nn

from kerastorch.core.torch_private import is_compiled_in_place


def named_modules(module: nn.Module) -> Iterator[tuple[str, nn.Module]]:
    """As `module.named_modules()`, and before each view, under the same name, the module it is a view of."""
    for name, child in module.named_modules():
        viewed = getattr(child, "module_viewed", None)
        if isinstance(viewed, nn.Module):
            yield name, viewed
        yield name, child


def modules(module: nn.Module) -> list[nn.Module]:
    """The same without names, each module once: a walk cheap enough to be made at every call of a verb."""
    found: dict[nn.Module, None] = {}
    waiting = [module]
    while waiting:
        child = waiting.pop()
        if child in found:
            continue
        viewed = vars(child).get("module_viewed")  # not getattr: where there is none, torch's makes an error of it
        if viewed is not None:
            found[viewed] = None
        found[child] = None
        if child._modules:
            waiting += [part for part in reversed(child._modules.values()) if part is not None]
    return list(found)


def is_compiled(part: nn.Module) -> bool:
    """Whether torch.compile stands behind a module: what goes on in it is not seen from outside."""
    return is_compiled_in_place(part) or hasattr(part, "_orig_mod")


def is_unbuilt(part: nn.Module) -> bool:
    """Whether this module, its children aside, has yet to make parameters: kerastorch's layers and torch's `Lazy*`."""
    if vars(part).get("built") is False:
        return True
    return any(weight is not None and nn.parameter.is_lazy(weight) for weight in part._parameters.values())


def is_built(module: nn.Module, parts: Iterable[nn.Module] | None = None) -> bool:
    """Return whether a module and all modules within it have all their parameters.

    Args:
        module: any module.
        parts: what `modules(module)` returns, if the caller has it already.
    """
    return not any(map(is_unbuilt, modules(module) if parts is None else parts))


def tensors(parts: Iterable[nn.Module]) -> list[Tensor]:
    """The parameters of all `parts`, then the buffers; a shared one comes as often as it is held."""
    parameters: list[Tensor | None] = []
    buffers: list[Tensor | None] = []
    for part in parts:
        parameters += part._parameters.values()
        buffers += part._buffers.values()
    return [tensor for tensor in parameters + buffers if tensor is not None]
