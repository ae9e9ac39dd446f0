"""Structures of outputs: names for their tensors, and values that are assigned to them by name or by position."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from typing import Any

from torch import Tensor

# The structure of the outputs with a name in place of each tensor: a name, a dict or a list. `''` is the only output.
NameTree = Any


class Fields(dict[str, Any]):
    """The parts of a namedtuple or dataclass by field. Unlike a dict, it has an order that a list can follow."""


def parts_of(value: Any) -> Mapping[Any, Any] | Sequence[Any] | None:
    """Return the parts of a tuple, list, dict, namedtuple or dataclass; `None` for a tensor or another value."""
    if isinstance(value, (Tensor, str)):
        return None
    if isinstance(value, (Mapping, list)):
        return value
    if isinstance(value, tuple):
        fields = getattr(value, "_fields", None)
        return value if fields is None else Fields(zip(fields, value, strict=True))
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return Fields((field.name, getattr(value, field.name)) for field in dataclasses.fields(value))
    return None


def given_parts(value: Any) -> Mapping[Any, Any] | Sequence[Any] | None:
    """Return the parts of a tuple, list or dict; `None` for another value, of which the user may have made a class."""
    return parts_of(value) if is_container(value) else None


def name_tree(
    outputs: Any,
    leaf_names: Sequence[str] | None = None,
    parts_of: Callable[[Any], Mapping[Any, Any] | Sequence[Any] | None] = parts_of,
) -> NameTree:
    """Return the names of outputs in their structure; the only output has the name `''`.

    The name of a nested output is its path, as in Keras: `a/0`. Keys of dicts and fields of namedtuples and dataclasses
    are names. An output in a list has the name of its layer if that is known, else its position: `output_0` in the
    outermost list.

    Args:
        outputs: Outputs, or values in their structure.
        leaf_names: Names of the layers that return them, in the order of the structure.
        parts_of: Returns the parts of a structure, `None` for a value.

    >>> name_tree({"a": [1, 2], "b": 3})
    {'a': ['a/0', 'a/1'], 'b': 'b'}
    >>> name_tree((1, 2), ["price", "rent"])
    ['price', 'rent']
    """
    known = leaf_names is not None and len(leaf_names) == sum(1 for _ in _leaves(outputs, parts_of))
    remaining = iter(leaf_names or ()) if known else None

    def named(value: Any, prefix: str, own: str, is_positional: bool) -> NameTree:
        parts = parts_of(value)
        if parts is None:
            layer = None if remaining is None else next(remaining)
            own = layer if layer is not None and is_positional else own
            return f"{prefix}/{own}" if prefix else own
        path = f"{prefix}/{own}" if prefix else own
        if isinstance(parts, Mapping):
            items = ((key, named(part, path, str(key), False)) for key, part in parts.items())
            return Fields(items) if isinstance(parts, Fields) else dict(items)
        first = "" if path or remaining is not None else "output_"
        return [named(part, path, f"{first}{index}", True) for index, part in enumerate(parts)]

    return named(outputs, "", "", False)


def _leaves(value: Any, parts_of: Callable[[Any], Any] = parts_of) -> Iterator[Any]:
    parts = parts_of(value)
    if parts is None:
        yield value
    else:
        for part in parts.values() if isinstance(parts, Mapping) else parts:
            yield from _leaves(part, parts_of)


def names_in(tree: NameTree) -> list[str]:
    """Return the names in a tree, in its order."""
    return [tree] if isinstance(tree, str) else list(_leaves(tree))


def flatten(outputs: Any, leaf_names: Sequence[str] | None = None) -> dict[str, Any]:
    """Return outputs by name, as `name_tree` names them.

    >>> flatten({"a": [1, None], "b": 3})
    {'a/0': 1, 'a/1': None, 'b': 3}
    """
    if isinstance(outputs, Tensor):
        return {"": outputs}
    if type(outputs) is dict and all(isinstance(one, Tensor) for one in outputs.values()):  # the frequent cases first
        return {str(key): one for key, one in outputs.items()}
    if type(outputs) in (tuple, list) and all(isinstance(one, Tensor) for one in outputs):
        known = leaf_names is not None and len(leaf_names) == len(outputs)
        names = leaf_names if known else map("output_{}".format, range(len(outputs)))
        return dict(zip(names, outputs, strict=True))  # type: ignore[arg-type]
    return dict(zip(names_in(name_tree(outputs, leaf_names)), _leaves(outputs), strict=True))


def replace_names(tree: NameTree, values: Mapping[str, Any]) -> Any:
    """Return the structure of a tree with a value in place of each name.

    >>> replace_names({"a": ["a/0", "a/1"]}, {"a/0": 1, "a/1": 2})
    {'a': [1, 2]}
    """
    if isinstance(tree, str):
        return values[tree]
    if isinstance(tree, Mapping):
        return {key: replace_names(part, values) for key, part in tree.items()}
    return [replace_names(part, values) for part in tree]


def flatten_given(given: Any) -> dict[str, Any]:
    """Return values that a user gave for outputs, by the names that such outputs have.

    >>> flatten_given(["mse", None])
    {'output_0': 'mse', 'output_1': None}
    """
    names = names_in(name_tree(given, parts_of=given_parts))
    return dict(zip(names, _leaves(given, given_parts), strict=True))


class StructureError(ValueError):
    """Values do not fit the structure of the outputs."""


def is_container(given: Any) -> bool:
    """Return whether values for several outputs are given, in a dict, list or tuple."""
    return isinstance(given, (Mapping, list, tuple))


def map_values(function: Callable[[Any], Any], given: Any) -> Any:
    """Apply a function to one value, or to each value in dicts, lists and tuples."""
    if isinstance(given, Mapping):
        return {key: map_values(function, value) for key, value in given.items()}
    return [map_values(function, value) for value in given] if is_container(given) else function(given)


def assign(
    given: Any,
    tree: NameTree,
    *,
    fills: bool,
    wanted: Collection[str] | None = None,
    aliases: Mapping[str, str] = {},
    is_several: Callable[[Any], bool] = is_container,
) -> dict[str, Any]:
    """Assign values to outputs; return the value of each by name, `None` for outputs without a value.

    Args:
        given: One value; or values in the structure of the outputs; or a dict by the names of outputs, or by their
            aliases; or a list in the order of all outputs, or of the wanted ones. A list of one value counts as this
            value.
        tree: Names of the outputs in their structure.
        fills: Whether one value for several outputs is the value of each; if not, it is that of the only wanted one.
        wanted: Outputs that need a value. Default: all.
        aliases: Further names of outputs.
        is_several: Returns whether a value is a structure of values.

    Raises:
        StructureError: The values do not fit the structure.

    >>> assign({"a": 1}, {"a": ["a/0", "a/1"], "b": "b"}, fills=True)
    {'a/0': 1, 'a/1': 1, 'b': None}
    >>> assign([1, 2], ["a", "b", "c"], fills=False, wanted=["a", "c"])
    {'a': 1, 'b': None, 'c': 2}
    """
    names = names_in(tree)
    found: dict[str, Any] = dict.fromkeys(names)
    by_key = {**{name: name for name in names}, **aliases}

    def put(given: Any, tree: NameTree, is_outermost: bool) -> None:
        if given is None:
            return
        inside = names_in(tree)
        needed = [name for name in inside if wanted is None or name in wanted]
        if not is_several(given):
            targets = inside if fills or len(inside) == 1 else needed
            if len(targets) > 1 and not fills:
                raise StructureError(f"one value for {quoted(inside)}")
            found.update(dict.fromkeys(targets, given))
        elif isinstance(given, Mapping):
            for key, value in given.items():
                if isinstance(tree, Mapping) and key in tree:
                    put(value, tree[key], False)
                elif is_outermost and key in by_key:
                    put(value, by_key[key], False)
                else:
                    raise StructureError(f"{key!r} is no output")
        elif len(given) == 1 and 1 in (len(inside), len(needed)):
            put(given[0], (inside if len(inside) == 1 else needed)[0], False)
        else:
            for value, part in zip(given, _in_order(tree, len(given), inside, needed), strict=True):
                put(value, part, False)

    put(given, tree, True)
    return found


def _in_order(tree: NameTree, count: int, inside: list[str], needed: list[str]) -> list[NameTree]:
    """Return the parts of a tree that a list of values is for: its children, else all outputs, else the wanted ones.

    Raises:
        StructureError: No list of this length fits; or the outputs are a dict, in which an order would be a guess.
    """
    children = _children(tree)
    for parts in (children, inside, needed):
        if children and len(parts) == count:
            return parts
    raise StructureError(f"{count} values in a list for {quoted(inside)}")


def _children(tree: NameTree) -> list[NameTree]:
    """Return the parts of a tree that a list can follow; none of a dict, whose order would be a guess."""
    if isinstance(tree, Fields):
        return list(tree.values())
    return tree if isinstance(tree, list) else []


def quoted(names: Sequence[str]) -> str:
    """Return output names as a message shows them."""
    return ", ".join(repr(name) if name else "one output" for name in names)


def template(tree: NameTree) -> str:
    """Return the structure that values for outputs can be written in, for messages.

    >>> template({"a": ["a/0", "a/1"], "b": "b"})
    "{'a': [..., ...], 'b': ...}"
    """
    if isinstance(tree, str):
        return "..."
    if isinstance(tree, Mapping):
        return "{" + ", ".join(f"{key!r}: {template(part)}" for key, part in tree.items()) + "}"
    return f"[{', '.join(map(template, tree))}]"
