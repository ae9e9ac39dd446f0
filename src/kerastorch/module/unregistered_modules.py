"""Modules and parameters in plain lists, tuples and dicts, where torch does not see them: refused."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Set
from typing import Any, NamedTuple

from torch import nn

from kerastorch.core.errors import warn
from kerastorch.core.module_tree import is_unbuilt, modules, tensors
from kerastorch.core.torch_private import DropoutBase
from kerastorch.module.base_module import BaseModule

_OF_TORCH = frozenset(vars(nn.Module()))  # torch's own attributes, dicts among them


class _Hidden(NamedTuple):
    owner: nn.Module
    attribute: str
    container: Any
    thing: Any  # a module or a parameter


def check_registered(module: nn.Module) -> None:
    """Raise if a layer or model within `module` has weights in a plain list, tuple or dict that torch does not see.

    What is registered in another place of `module` as well, as `[self.a, self.b]`, is fine.

    Raises:
        ValueError: names the attribute, and the container of torch's that takes its place.
    """
    for hidden in _hidden(module):
        if isinstance(hidden.owner, BaseModule):
            raise ValueError(
                f"{_found(hidden)}: torch does not see it there, so it would be neither trained nor counted, saved or "
                f"moved. {_cure(hidden)} To leave a module out on purpose, as a frozen teacher, hide it by "
                "self.__dict__['teacher'] = module."
            )


def warn_unregistered(module: nn.Module) -> None:
    """Warn of the same within modules of torch's kind, whose authors may mean it."""
    for hidden in _hidden(module):
        if not isinstance(hidden.owner, BaseModule):
            warn(
                f"{_found(hidden)}: torch does not see it there, so it is neither trained nor counted, saved, moved or "
                f"put in evaluation mode. {_cure(hidden)}"
            )


def _found(hidden: _Hidden) -> str:
    kind = type(hidden.container).__name__
    return f"{type(hidden.owner).__name__}.{hidden.attribute} is a plain {kind} with a {type(hidden.thing).__name__}"


def _cure(hidden: _Hidden) -> str:
    what = "Module" if isinstance(hidden.thing, nn.Module) else "Parameter"
    kind = f"nn.{what}{'Dict' if isinstance(hidden.container, Mapping) else 'List'}"
    add = "is filled as a dict is" if isinstance(hidden.container, Mapping) else "has append() and extend() too"
    nested = any(isinstance(one, (list, tuple, Mapping, Set)) for one in _items(hidden.container))
    return (
        f"Write self.{hidden.attribute} = torch.{kind}(...), which {add}"
        + (", and the same for each container within it." if nested else ".")
    )  # fmt: skip


def _hidden(module: nn.Module) -> Iterator[_Hidden]:
    """What torch does not see, in the order of attributes."""
    parts = modules(module)
    suspects = [
        (part, name, value)
        for part in parts
        for name, value in vars(part).items()
        if isinstance(value, (list, tuple, Mapping, Set)) and value and name not in _OF_TORCH
    ]
    if not suspects:
        return
    known = {id(one) for one in (*parts, *tensors(parts))}
    for owner, name, container in suspects:
        for thing in _things(container, set()):
            if _is_left_out(thing, known):
                yield _Hidden(owner, name, container, thing)
                break


def _items(container: Any) -> Iterator[Any]:
    yield from container.values() if isinstance(container, Mapping) else container


def _things(container: Any, seen: set[int]) -> Iterator[Any]:
    """The modules and parameters in a container, and in those within it."""
    if id(container) in seen:
        return
    seen.add(id(container))
    for one in _items(container):
        if isinstance(one, (nn.Module, nn.Parameter)):
            yield one
        elif isinstance(one, (list, tuple, Mapping, Set)):
            yield from _things(one, seen)


def _is_left_out(thing: Any, known: set[int]) -> bool:
    """Whether it has weights, or a mode, that are nowhere in the tree; `known` are the ids of what is."""
    if isinstance(thing, nn.Parameter):
        return id(thing) not in known
    return any(_counts(part, known) for part in modules(thing) if id(part) not in known)


def _counts(part: nn.Module, known: set[int]) -> bool:
    own = any(id(tensor) not in known for tensor in tensors([part]))
    acts_by_mode = hasattr(part, "ensure_built") or isinstance(part, DropoutBase)
    return own or acts_by_mode or is_unbuilt(part)
