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
        module: A module, wrapped or not.
        names: Keys of its `state_dict`. If two would become equal, all names map to themselves.
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
        given: Names in a file, which may contain the prefixes of wrappers that the model does not have.
        own: Names of the model's weights without prefixes.
    """
    short = {name: name for name in given}
    for wrapper in _WRAPPERS:
        prefix = f"{wrapper}."
        while short and all(name.startswith(prefix) for name in short.values()) and not _all_start_with(own, prefix):
            short = {name: shortened.removeprefix(prefix) for name, shortened in short.items()}
    known = {name[:end] for name in own for end in (*_dot_positions(name), len(name))}
    taken = set(own) & set(short.values())
    found = {}
    for name, shortened in short.items():
        target = shortened if shortened in own else _without_wrapper_parts(shortened, known)
        is_free = shortened in own or (target in own and target not in taken)
        taken.add(target)
        found[name] = target if is_free else name
    return found


def _all_start_with(names: Collection[str], prefix: str) -> bool:
    return bool(names) and all(name.startswith(prefix) for name in names)


def _dot_positions(name: str) -> list[int]:
    return [at for at, letter in enumerate(name) if letter == "."]


def _without_wrapper_parts(name: str, known: Collection[str]) -> str:
    """Return a name without the parts of wrappers that the model does not have at that place."""
    kept = ""
    for part in name.split("."):
        longer = f"{kept}.{part}" if kept else part
        if longer in known or part not in _WRAPPERS:
            kept = longer
    return kept


def _bare_name(module: nn.Module, name: str) -> str:
    """Return the name of a weight without the parts that wrappers within `module` add."""
    owner: nn.Module | None = module
    kept = []
    for part in name.split("."):
        if owner is None or not _wraps(_behind_views(owner), part):
            kept.append(part)
        owner = None if owner is None else owner._modules.get(part)
    return ".".join(kept)


def _behind_views(module: nn.Module) -> nn.Module:
    while (inner := vars(module).get("module_viewed")) is not None:
        module = inner
    return module


def _wraps(module: nn.Module, child: str) -> bool:
    """Return whether a module is a wrapper that holds what it wraps under this name."""
    kinds = (getattr(sys.modules.get(place), name, None) for place, name in _WRAPPERS.get(child, ()))
    return any(kind is not None and isinstance(module, kind) for kind in kinds)
