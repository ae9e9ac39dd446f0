"""Readable reprs: the class of an object and the constructor arguments that differ from their defaults."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Collection
from typing import Any

import torch

from kerastorch.core.torch_class import declared_class

_LARGEST_TENSOR = 16  # elements; of a larger tensor the shape is shown


def represent(thing: Any, *, always: Collection[str] = (), never: Collection[str] = (), **defaults: Any) -> str:
    """Return `Class(name=value, ...)` with the arguments that differ from their defaults.

    Values are read from the attributes named like the arguments; an argument without such an attribute is left out.

    Args:
        thing: The object.
        always: Arguments that are shown at their default, too.
        never: Arguments that are not shown.
        **defaults: Values that count as defaults in place of those in the signature, for arguments that the
            constructor fills in itself.

    >>> class Scale:
    ...     def __init__(self, factor, offset=0.0, name=None):
    ...         self.factor, self.offset, self.name = factor, offset, name or "scale"
    >>> represent(Scale(2.0), name="scale")
    'Scale(factor=2.0)'
    >>> represent(Scale(torch.relu), always=["offset"], never=["name"])
    'Scale(factor=relu, offset=0.0)'
    """
    shown = []
    for name, parameter in constructor_parameters(type(thing)).items():
        if name in never or not hasattr(thing, name):
            continue
        value = getattr(thing, name)
        if name in always or not _equal(value, defaults.get(name, parameter.default)):
            shown.append(f"{name}={_represent_value(value)}")
    return f"{type(thing).__name__}({', '.join(shown)})"


def constructor_parameters(kind: type) -> dict[str, inspect.Parameter]:
    """Return the parameters of `__init__` by name.

    `**kwargs` is replaced by the parameters of the next class in the method resolution order.
    """
    found: dict[str, inspect.Parameter] = {}
    for one in declared_class(kind).__mro__:
        if one is object or "__init__" not in vars(one):
            continue
        parameters = list(inspect.signature(vars(one)["__init__"]).parameters.values())[1:]  # without self
        is_variable = {parameter.name: parameter.kind is parameter.VAR_KEYWORD for parameter in parameters}
        found = {parameter.name: parameter for parameter in parameters if not is_variable[parameter.name]} | found
        if not any(is_variable.values()):
            break
    return found


def _equal(value: Any, default: Any) -> bool:
    if value is default:
        return True
    try:
        return bool(value == default)
    except (TypeError, ValueError, RuntimeError):  # arrays and tensors of several elements have no truth value
        return False


def _represent_value(value: Any) -> str:
    """Return the repr of a value without addresses, line breaks or long tensors."""
    if isinstance(value, torch.Tensor):
        is_small = value.numel() <= _LARGEST_TENSOR
        return f"tensor({value.tolist()})" if is_small else f"tensor(shape={tuple(value.shape)})"
    if isinstance(value, (list, tuple)) and type(value).__repr__ in (list.__repr__, tuple.__repr__):
        inner = ", ".join(map(_represent_value, value))
        return f"[{inner}]" if isinstance(value, list) else f"({inner}{',' if len(value) == 1 else ''})"
    if isinstance(value, functools.partial):
        arguments = [*map(_represent_value, value.args)]
        arguments += [f"{name}={_represent_value(one)}" for name, one in value.keywords.items()]
        return f"partial({', '.join([_represent_value(value.func), *arguments])})"
    name = getattr(value, "__name__", None)  # of functions and classes
    if isinstance(name, str):
        return name
    text = repr(value)
    return f"{type(value).__name__}(...)" if "\n" in text or " at 0x" in text else text
