"""Which package defines a class, a function or the class of an instance: kerastorch, torch, or somebody else."""

from __future__ import annotations

from typing import Any

from kerastorch.core.sharded_modules import class_before_sharding

PACKAGE = __name__.partition(".")[0]  # the import name of this package


def is_own(thing: Any, *modules: str) -> bool:
    """Return whether kerastorch defines a class, function or instance.

    Args:
        thing: A class, a function, a method or an instance, whose class counts.
        modules: If given, only these modules of kerastorch and what they contain count, such as `"layers"`.

    >>> from kerastorch.layers.core import Dense
    >>> is_own(Dense), is_own(Dense(2)), is_own(Dense.forward), is_own(Dense, "losses"), is_own(dict)
    (True, True, True, False, False)
    """
    return is_from(thing, *(f"{PACKAGE}.{module}" for module in modules)) if modules else is_from(thing, PACKAGE)


def is_third_party(thing: Any) -> bool:
    """Return whether neither kerastorch nor torch defines a class, function or instance.

    Nothing is known of what it does.
    """
    return not is_from(thing, PACKAGE, "torch")


def is_from(thing: Any, *modules: str) -> bool:
    """Return whether one of these modules or their submodules defines a class, function or instance.

    >>> import torch
    >>> is_from(torch.nn.Linear(1, 1), "torch.nn"), is_from(torch.nn.Linear, "torch.optim")
    (True, False)
    """
    origin = str(getattr(thing, "__module__", None) or type(thing).__module__)
    if origin.startswith("torch.distributed."):
        kind = thing if isinstance(thing, type) else type(thing)
        if (before := class_before_sharding(kind)) is not kind:
            origin = before.__module__
    return any(origin == module or origin.startswith(f"{module}.") for module in modules)
