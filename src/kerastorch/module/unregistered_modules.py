"""Checks for modules and parameters in plain lists, tuples and dicts, where torch does not register them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Set
from typing import Any, NamedTuple

from torch import nn

from kerastorch.core.errors import warn
from kerastorch.core.module_tree import is_unbuilt, modules, tensors
from kerastorch.core.torch_private import DropoutBase
from kerastorch.module.base_module import BaseModule

_TORCH_ATTRIBUTES = frozenset(vars(nn.Module()))  # they hold dicts, such as _parameters


class _Hidden(NamedTuple):
    """A module or parameter that torch does not see, and the attribute that holds it."""

    owner: nn.Module
    attribute: str
    container: Any
    thing: Any  # a module or a parameter


def register_plain_lists(module: nn.Module) -> None:
    """Replace the attributes of a layer or model that are lists, tuples or dicts of modules, as Keras registers these.

    They become a `torch.nn.ModuleList`, or a `ModuleDict` if all keys are text. Lists that contain other things, too,
    stay as they are, and their modules are registered beside them: those of `blocks` in `blocks_layers`.

    Args:
        module: The layer or model; those within it are left as they are.
    """
    for name, held in [*module.named_children()]:
        if isinstance(held, _HeldLayers) and held.of not in vars(module):
            delattr(module, name)  # the list was replaced
    for name, value in [*vars(module).items()]:
        is_left = name in _TORCH_ATTRIBUTES or isinstance(value, nn.Module)  # a module here was hidden on purpose
        registered = None if is_left else _registered(value)
        if registered is not None:
            delattr(module, name)
            setattr(module, name, registered)
        elif not is_left and isinstance(value, (list, tuple, Mapping, Set)):
            _hold_layers(module, name, value)


class _HeldLayers(nn.ModuleList):
    """The modules of a list that contains other things, too.

    Args:
        parts: The modules.
        of: Name of the attribute that is the list.
    """

    def __init__(self, parts: Iterable[nn.Module] = (), of: str = "") -> None:
        super().__init__(parts)
        self.of = of


def _hold_layers(module: nn.Module, name: str, value: Any) -> None:
    """Register the modules in a list, dict or set that torch registers nowhere else."""
    place = f"{name}_layers"
    held = getattr(module, place, None)
    if held is not None and not isinstance(held, _HeldLayers):
        return  # the name is taken; the layers are an error at the first use
    elsewhere = {id(part) for child in module.children() if child is not held for part in modules(child)}
    found = {id(one): one for one in _things(value, set()) if isinstance(one, nn.Module) and id(one) not in elsewhere}
    if list(found) != [id(one) for one in (() if held is None else held)]:
        setattr(module, place, _HeldLayers(found.values(), name))


def _registered(value: Any) -> nn.Module | None:
    """Return a module, or a list or dict of modules as a module; `None` for anything else."""
    if isinstance(value, nn.Module):
        return value
    if not isinstance(value, (list, tuple, Mapping)) or not value:
        return None
    parts = [part for one in _items(value) if (part := _registered(one)) is not None]
    if len(parts) < len(value):
        return None
    if not isinstance(value, Mapping):
        return nn.ModuleList(parts)
    return nn.ModuleDict(dict(zip(value, parts, strict=True))) if all(isinstance(key, str) for key in value) else None


def check_registered(module: nn.Module) -> None:
    """Raise if a layer or model in `module` has weights in a plain list, tuple or dict that torch does not see.

    A list of modules that are registered elsewhere in `module` too, as `[self.a, self.b]`, is accepted. The lists of
    layers and models that are called as in Keras are registered.

    Raises:
        ValueError: There are such weights; the message names the attribute and the torch container to use.
    """
    found = [*_hidden(module)]
    as_keras = [one.owner for one in found if isinstance(one.owner, BaseModule) and one.owner._called_as_keras]
    for owner in as_keras:
        register_plain_lists(owner)
    for hidden in _hidden(module) if as_keras else found:
        if isinstance(hidden.owner, BaseModule):
            raise ValueError(
                f"{_place(hidden)}: torch does not see it there, so it would be neither trained nor counted, saved or "
                f"moved. {_advice(hidden)} To leave a module out on purpose, as a frozen teacher, hide it by "
                "self.__dict__['teacher'] = module."
            )


def warn_unregistered(module: nn.Module) -> None:
    """Warn of weights in plain lists, tuples or dicts of other torch modules, whose authors may want this.

    Warns:
        UserWarning: There are such weights; the message names the attribute and the torch container to use.
    """
    for hidden in _hidden(module):
        if not isinstance(hidden.owner, BaseModule):
            warn(
                f"{_place(hidden)}: torch does not see it there, so it is neither trained nor counted, saved, moved or "
                f"put in evaluation mode. {_advice(hidden)}"
            )


def _place(hidden: _Hidden) -> str:
    kind = type(hidden.container).__name__
    return f"{type(hidden.owner).__name__}.{hidden.attribute} is a plain {kind} with a {type(hidden.thing).__name__}"


def _advice(hidden: _Hidden) -> str:
    what = "Module" if isinstance(hidden.thing, nn.Module) else "Parameter"
    kind = f"nn.{what}{'Dict' if isinstance(hidden.container, Mapping) else 'List'}"
    add = "is filled as a dict is" if isinstance(hidden.container, Mapping) else "has append() and extend() too"
    nested = any(isinstance(one, (list, tuple, Mapping, Set)) for one in _items(hidden.container))
    return (
        f"Write self.{hidden.attribute} = torch.{kind}(...), which {add}"
        + (", and the same for each container within it." if nested else ".")
    )  # fmt: skip


def _hidden(module: nn.Module) -> Iterator[_Hidden]:
    """Yield one hidden module or parameter for each attribute that holds any, in the order of attributes."""
    parts = modules(module)
    suspects = [
        (part, name, value)
        for part in parts
        for name, value in vars(part).items()
        if name not in _TORCH_ATTRIBUTES and isinstance(value, (list, tuple, Mapping, Set)) and value
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
    """Yield the modules and parameters in a container, at any depth."""
    if id(container) in seen:
        return
    seen.add(id(container))
    for one in _items(container):
        if isinstance(one, (nn.Module, nn.Parameter)):
            yield one
        elif isinstance(one, (list, tuple, Mapping, Set)):
            yield from _things(one, seen)


def _is_left_out(thing: Any, known: set[int]) -> bool:
    """Return whether a module or parameter is missing from the module tree, and whether that has consequences.

    Args:
        thing: A module or a parameter.
        known: The ids of all modules and tensors in the tree.
    """
    if isinstance(thing, nn.Parameter):
        return id(thing) not in known
    return any(_has_weights_or_mode(part, known) for part in modules(thing) if id(part) not in known)


def _has_weights_or_mode(part: nn.Module, known: set[int]) -> bool:
    """Return whether a module has own weights, will have them, or acts differently in training mode."""
    own = any(id(tensor) not in known for tensor in tensors([part]))
    acts_by_mode = hasattr(part, "ensure_built") or isinstance(part, DropoutBase)
    return own or acts_by_mode or is_unbuilt(part)
