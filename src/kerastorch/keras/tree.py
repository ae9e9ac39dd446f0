"""Nested structures under Keras' path: tuples, lists, dicts, named tuples, deques, and what torch's pytrees know.

`None` is a leaf. Dicts are visited in the order of their sorted keys, an `OrderedDict` in its own order; results have
the keys in the order of the argument.
"""

from __future__ import annotations

from collections import OrderedDict, defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

from kerastorch.core.absent_names import absent_name
from kerastorch.core.torch_private import pytree

__all__ = [
    "MAP_TO_NONE", "assert_same_paths", "assert_same_structure", "flatten", "flatten_with_path", "is_nested",
    "lists_to_tuples", "map_shape_structure", "map_structure", "map_structure_up_to", "pack_sequence_as", "traverse",
]  # fmt: skip

_DICTS = (dict, defaultdict, OrderedDict)
_Path = tuple[Any, ...]


class MAP_TO_NONE:  # noqa: N801
    """Return this class from the function of `traverse` to put `None` in the place of a part."""


class _Node(NamedTuple):
    """A container: its keys or positions, what they hold, and a function that makes it again of other parts."""

    keys: list[Any]
    parts: list[Any]
    rebuild: Callable[[list[Any]], Any]


def is_nested(structure: Any) -> bool:
    """Return whether a value is a container, and not a leaf.

    >>> is_nested({"a": 1}), is_nested(()), is_nested("text"), is_nested(None)
    (True, True, False, False)
    """
    return _opened(structure) is not None


def flatten(structure: Any) -> list[Any]:
    """Return the leaves of a structure.

    >>> flatten({"b": [1, 2], "a": (3, None)})
    [3, None, 1, 2]
    """
    return [leaf for _, leaf in _leaves(structure)]


def flatten_with_path(structure: Any) -> list[tuple[_Path, Any]]:
    """Return the leaves of a structure with their paths, which are tuples of keys and positions.

    >>> flatten_with_path([{"a": 1}, 2])
    [((0, 'a'), 1), ((1,), 2)]
    """
    return list(_leaves(structure))


def pack_sequence_as(structure: Any, flat_sequence: Iterable[Any]) -> Any:
    """Return a structure with other leaves, which are given in the order of `flatten`.

    Args:
        structure: The structure; its leaves do not count.
        flat_sequence: The leaves.

    Raises:
        ValueError: The structure has another number of leaves.

    >>> pack_sequence_as({"b": 0, "a": (0, 0)}, [1, 2, 3])
    {'b': 3, 'a': (1, 2)}
    """
    leaves = list(flat_sequence)
    count = len(flatten(structure))
    if count != len(leaves):
        raise ValueError(f"The structure has {count} leaves, flat_sequence has {len(leaves)}.")
    following = iter(leaves)

    def packed(one: Any) -> Any:
        node = _opened(one)
        if node is None:
            return next(following)
        return node.rebuild([packed(part) for part in node.parts])

    return packed(structure)


def map_structure(func: Callable[..., Any], *structures: Any, none_is_leaf: bool = True) -> Any:
    """Apply a function to the leaves of structures that are nested in the same way.

    Args:
        func: Called with one leaf of each structure.
        *structures: One structure or several.
        none_is_leaf: Whether `func` is called for `None`. Default `True`.

    Raises:
        ValueError: The structures differ.

    >>> map_structure(lambda x, y: x + y, {"a": [1, 2]}, {"a": [3, 4]})
    {'a': [4, 6]}
    """
    _check_arguments(func, structures)
    for other in structures[1:]:
        assert_same_structure(structures[0], other)

    def on_leaf(*leaves: Any) -> Any:
        if none_is_leaf or leaves[0] is not None:
            return func(*leaves)
        if any(leaf is not None for leaf in leaves):
            raise ValueError(f"With none_is_leaf=False, all leaves beside None must be None, got {leaves!r}.")
        return None

    return _mapped(on_leaf, structures[0], structures)


def map_structure_up_to(shallow_structure: Any, func: Callable[..., Any], *structures: Any) -> Any:
    """Apply a function to the parts of structures that stand where another structure has leaves.

    Args:
        shallow_structure: The structure of the result.
        func: Called with one part of each of `structures`.
        *structures: Structures that are nested as `shallow_structure`, or deeper.

    Raises:
        ValueError: A structure is nested differently.

    >>> map_structure_up_to([None, None], len, [[1, 1], [2]])
    [2, 1]
    """
    _check_arguments(func, structures)
    for other in structures:
        _check_same(shallow_structure, other, (), may_be_deeper=True)
    return _mapped(func, shallow_structure, structures)


def assert_same_structure(a: Any, b: Any, check_types: bool | None = None) -> None:  # noqa: ARG001
    """Raise an error if two structures are nested differently; `dict`, `defaultdict` and `OrderedDict` are one kind.

    Args:
        a: A structure.
        b: Another one.
        check_types: No effect, as in Keras.

    Raises:
        ValueError: A container has another type, another length or other keys.
    """
    _check_same(a, b, (), may_be_deeper=False)


def assert_same_paths(a: Any, b: Any) -> None:
    """Raise an error if the leaves of two structures have different paths; the types of containers do not count.

    Args:
        a: A structure.
        b: Another one.

    Raises:
        ValueError: A path is in one of them alone.
    """
    paths, others = ({path for path, _ in _leaves(one)} for one in (a, b))
    if paths != others:
        raise ValueError(
            f"The paths of the structures differ: only the first has {sorted(paths - others, key=repr)}, only the "
            f"second has {sorted(others - paths, key=repr)}."
        )


def traverse(func: Callable[[Any], Any], structure: Any, top_down: bool = True) -> Any:
    """Call a function with a structure and each part of it, and put what it returns in the place of the part.

    Args:
        func: Returns `None` to leave a part as it is, `MAP_TO_NONE` to put `None` in its place, else what takes its
            place. Parts of a part that is replaced are not visited if `top_down` is set.
        structure: The structure.
        top_down: Whether a container is visited before its parts. Default `True`.

    >>> traverse(lambda part: sum(part) if isinstance(part, tuple) else None, [(1, 2), 3])
    [3, 3]
    """
    if not callable(func):
        raise TypeError(f"func must be a function, got {func!r}.")

    def within(part: Any) -> Any:
        node = _opened(part)
        if node is None:
            return part
        return node.rebuild([traverse(func, one, top_down) for one in node.parts])

    if top_down:
        found = func(structure)
        found = within(structure) if found is None else found
    else:
        inside = within(structure)
        found = func(inside)
        found = inside if found is None else found
    return None if found is MAP_TO_NONE else found


def lists_to_tuples(structure: Any) -> Any:
    """Return a structure with tuples in the place of lists.

    >>> lists_to_tuples({"a": [1, [2]]})
    {'a': (1, (2,))}
    """
    return traverse(lambda part: tuple(part) if isinstance(part, list) else None, structure, top_down=False)


def map_shape_structure(func: Callable[[Any], Any], structure: Any) -> Any:
    """Apply a function to the shapes in a structure, and to other leaves.

    Args:
        func: Called with each tuple or list of integers and `None`, as one leaf.
        structure: The structure.

    >>> map_shape_structure(len, {"a": (None, 3), "b": [(2, 3, 4)]})
    {'a': 2, 'b': [3]}
    """
    if _is_shape(structure):
        return func(structure)
    node = _opened(structure)
    return func(structure) if node is None else node.rebuild([map_shape_structure(func, one) for one in node.parts])


def _is_shape(value: Any) -> bool:
    return isinstance(value, (list, tuple)) and all(size is None or isinstance(size, int) for size in value)


def _opened(structure: Any) -> _Node | None:
    """Return the keys and parts of a container, `None` for a leaf."""
    if type(structure) in _DICTS:
        return _opened_dict(structure)
    parts, spec = pytree.tree_flatten(structure, is_leaf=lambda one: one is not structure)
    if len(parts) == 1 and parts[0] is structure:
        return None
    return _Node(list(range(len(parts))), parts, lambda new: pytree.tree_unflatten(new, spec))


def _opened_dict(structure: dict[Any, Any]) -> _Node:
    keys = list(structure)
    if not isinstance(structure, OrderedDict):
        try:
            keys.sort()
        except TypeError as error:
            raise TypeError(
                f"The keys of a dict must be sortable, got {keys}; an OrderedDict has its own order."
            ) from error

    def rebuild(parts: list[Any]) -> Any:
        new = dict(zip(keys, parts, strict=True))
        pairs = [(key, new[key]) for key in structure]
        return (
            defaultdict(structure.default_factory, pairs)
            if isinstance(structure, defaultdict)
            else type(structure)(pairs)
        )

    return _Node(keys, [structure[key] for key in keys], rebuild)


def _leaves(structure: Any, path: _Path = ()) -> Iterator[tuple[_Path, Any]]:
    node = _opened(structure)
    if node is None:
        yield path, structure
    else:
        for key, part in zip(node.keys, node.parts, strict=True):
            yield from _leaves(part, (*path, key))


def _mapped(func: Callable[..., Any], shallow: Any, structures: Sequence[Any]) -> Any:
    """Return a structure with the results of a function of the parts of others, which are nested as deep or deeper."""
    node = _opened(shallow)
    if node is None:
        return func(*structures)
    is_dict = isinstance(shallow, dict)
    columns = [[one[key] for key in node.keys] if is_dict else _parts(one) for one in structures]
    return node.rebuild([_mapped(func, part, column) for part, *column in zip(node.parts, *columns, strict=True)])


def _parts(structure: Any) -> list[Any]:
    node = _opened(structure)
    assert node is not None  # structures have been compared
    return node.parts


def _check_arguments(func: Any, structures: Sequence[Any]) -> None:
    if not callable(func):
        raise TypeError(f"func must be a function, got {func!r}.")
    if not structures:
        raise ValueError("At least one structure is needed.")


def _check_same(a: Any, b: Any, path: _Path, may_be_deeper: bool) -> None:
    node, other = _opened(a), _opened(b)
    if node is None:
        if other is None or may_be_deeper:
            return
    elif other is not None and _kind(a) is _kind(b) and _same_keys(node, other):
        parts = dict(zip(other.keys, other.parts, strict=True))
        for key, part in zip(node.keys, node.parts, strict=True):
            _check_same(part, parts[key], (*path, key), may_be_deeper)
        return
    place = "".join(f"[{key!r}]" for key in path)
    raise ValueError(
        f"The structures differ{f' at {place}' if place else ''}: {_described(a, node)} and {_described(b, other)}."
    )


def _kind(structure: Any) -> type:
    return dict if type(structure) in _DICTS else type(structure)


def _same_keys(node: _Node, other: _Node) -> bool:
    return len(node.keys) == len(other.keys) and set(node.keys) == set(other.keys)


def _described(structure: Any, node: _Node | None) -> str:
    name = type(structure).__name__
    if node is None:
        return f"a leaf of type {name}"
    return (
        f"a {name} with the keys {node.keys}" if isinstance(structure, dict) else f"a {name} of length {len(node.keys)}"
    )


def __dir__() -> list[str]:
    return sorted(__all__)


if not TYPE_CHECKING:

    def __getattr__(name: str) -> Any:
        raise absent_name(__name__, name, __all__)
