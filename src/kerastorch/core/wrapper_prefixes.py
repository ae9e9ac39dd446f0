"""Names of weights without what wrappers put into them: `module.` of DDP, `_orig_mod.` of torch.compile, and FSDP's."""

from __future__ import annotations

import sys
from collections.abc import Collection, Iterable

from torch import nn

# the name of the child, and where the class is that puts it there; one that is not loaded wraps nothing
_WRAPPERS = {
    "module": (("torch.nn.parallel", "DistributedDataParallel"), ("torch.nn.parallel", "DataParallel")),
    "_orig_mod": (("torch._dynamo.eval_frame", "OptimizedModule"),),
    "_fsdp_wrapped_module": (("torch.distributed.fsdp", "FullyShardedDataParallel"),),
}


def bare_names(module: nn.Module, names: Iterable[str]) -> dict[str, str]:
    """Each of `names`, of the `state_dict` of `module`, without its wrappers -> with them."""
    names = list(names)
    found = {_bare(module, name): name for name in names}
    return found if len(found) == len(names) else {name: name for name in names}


def unwrapped(module: nn.Module) -> nn.Module:
    """What stands within wrappers and views."""
    while True:
        module = _viewed(module)
        inner = next((child for name, child in module._modules.items() if child and _wraps(module, name)), None)
        if inner is None:
            return module
        module = inner


def matched(given: Iterable[str], own: Collection[str]) -> dict[str, str]:
    """Each name of a file -> the name of the model's that it means, or itself.

    A wrapper's name in it is passed over where the model has nothing of that name at this place.
    """
    short = {name: name for name in given}
    for wrapper in _WRAPPERS:
        begin = f"{wrapper}."
        while short and all(name.startswith(begin) for name in short.values()) and not _all_begin(own, begin):
            short = {name: less.removeprefix(begin) for name, less in short.items()}
    known = {name[:end] for name in own for end in (*_dots(name), len(name))}
    taken = set(own) & set(short.values())
    found = {}
    for name, less in short.items():
        meant = less if less in own else _walked(less, known)
        free = less in own or (meant in own and meant not in taken)
        taken.add(meant)
        found[name] = meant if free else name
    return found


def _all_begin(names: Collection[str], begin: str) -> bool:
    return bool(names) and all(name.startswith(begin) for name in names)


def _dots(name: str) -> list[int]:
    return [at for at, letter in enumerate(name) if letter == "."]


def _walked(name: str, known: Collection[str]) -> str:
    at = ""
    for part in name.split("."):
        further = f"{at}.{part}" if at else part
        if further in known or part not in _WRAPPERS:
            at = further
    return at


def _bare(module: nn.Module, name: str) -> str:
    at: nn.Module | None = module
    kept = []
    for part in name.split("."):
        if at is None or not _wraps(_viewed(at), part):
            kept.append(part)
        at = None if at is None else at._modules.get(part)
    return ".".join(kept)


def _viewed(module: nn.Module) -> nn.Module:
    while (inner := vars(module).get("module_viewed")) is not None:
        module = inner
    return module


def _wraps(module: nn.Module, child: str) -> bool:
    kinds = (getattr(sys.modules.get(place), name, None) for place, name in _WRAPPERS.get(child, ()))
    return any(kind is not None and isinstance(module, kind) for kind in kinds)
