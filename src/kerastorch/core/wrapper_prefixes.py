"""Names of weights without the prefixes of wrappers: `module.` of DDP, `_orig_mod.` of torch.compile, and FSDP's."""

from __future__ import annotations

import sys
from collections.abc import Collection, Iterable

from torch import nn

from kerastorch.core.torch_private import COMPILED_CHILD, COMPILED_CLASS, FSDP_CHILD

# The name of the child that a wrapper adds -> module and name of the wrapper's class. A class whose module is not
# imported wraps nothing.
_WRAPPERS = {
    "module": (("torch.nn.parallel", "DistributedDataParallel"), ("torch.nn.parallel", "DataParallel")),
    COMPILED_CHILD: (COMPILED_CLASS,),
    FSDP_CHILD: (("torch.distributed.fsdp", "FullyShardedDataParallel"),),
}


def bare_names(module: nn.Module, names: Iterable[str]) -> dict[str, str]:
    """Return a dict from names without the prefixes of wrappers to the names in `state_dict`.

    Args:
        module: any module, wrapped or not.
        names: keys of its `state_dict`. If two would become equal, all names map to themselves.
    """
    names = list(names)
    found = {_bare_name(module, name): name for name in names}
    return found if len(found) == len(names) else {name: name for name in names}


def unwrap(module: nn.Module) -> nn.Module:
    """Return the module within wrappers and views."""
    while True:
        module = _behind_views(module)
        inner = next((child for name, child in module._modules.items() if child and _wraps(module, name)), None)
        if inner is None:
            return module
        module = inner


def match_names(given: Iterable[str], own: Collection[str]) -> dict[str, str]:
    """Return a dict from the names in a file to those of the model that they mean, or to themselves.

    Args:
        given: names in a file, which may contain the prefixes of wrappers that the model does not have.
        own: names of the model's weights without prefixes.
    """
    short = {name: name for name in given}
    for wrapper in _WRAPPERS:
        begin = f"{wrapper}."
        while short and all(name.startswith(begin) for name in short.values()) and not _all_begin(own, begin):
            short = {name: less.removeprefix(begin) for name, less in short.items()}
    known = {name[:end] for name in own for end in (*_dot_positions(name), len(name))}
    taken = set(own) & set(short.values())
    found = {}
    for name, less in short.items():
        meant = less if less in own else _without_wrapper_parts(less, known)
        free = less in own or (meant in own and meant not in taken)
        taken.add(meant)
        found[name] = meant if free else name
    return found


def _all_begin(names: Collection[str], begin: str) -> bool:
    return bool(names) and all(name.startswith(begin) for name in names)


def _dot_positions(name: str) -> list[int]:
    return [at for at, letter in enumerate(name) if letter == "."]


def _without_wrapper_parts(name: str, known: Collection[str]) -> str:
    """Return a name without the parts of wrappers that the model does not have at that place."""
    at = ""
    for part in name.split("."):
        further = f"{at}.{part}" if at else part
        if further in known or part not in _WRAPPERS:
            at = further
    return at


def _bare_name(module: nn.Module, name: str) -> str:
    at: nn.Module | None = module
    kept = []
    for part in name.split("."):
        if at is None or not _wraps(_behind_views(at), part):
            kept.append(part)
        at = None if at is None else at._modules.get(part)
    return ".".join(kept)


def _behind_views(module: nn.Module) -> nn.Module:
    while (inner := vars(module).get("module_viewed")) is not None:
        module = inner
    return module


def _wraps(module: nn.Module, child: str) -> bool:
    """Return whether a module is a wrapper that holds what it wraps under this name."""
    kinds = (getattr(sys.modules.get(place), name, None) for place, name in _WRAPPERS.get(child, ()))
    return any(kind is not None and isinstance(module, kind) for kind in kinds)
