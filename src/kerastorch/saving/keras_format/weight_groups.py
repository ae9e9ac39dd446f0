"""Where files of Keras have the weights of each layer: groups that are named by attributes and classes.

Sources: the walk of `keras.saving` over layers, their attributes and the containers in them, of Keras 3.15.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from torch import nn

from kerastorch.core.module_tree import module_within
from kerastorch.core.name_lookup import snake_case
from kerastorch.core.ownership import is_own
from kerastorch.core.torch_class import declared_class
from kerastorch.layers.keras_variables import covers_children

KERAS_CLASSES = {"GroupQueryAttention": "GroupedQueryAttention"}  # public name -> name of the class in Keras


class UniqueNames:
    """Names that are numbered from the second of each kind on: `dense`, `dense_1`."""

    def __init__(self) -> None:
        self._counts: dict[str, int] = {}

    def add(self, name: str) -> str:
        """Return the name, numbered if it was there before."""
        count = self._counts[name] = self._counts.get(name, -1) + 1
        return f"{name}_{count}" if count else name


def join(group: str, name: str) -> str:
    """Return the path of a group within another one, which is empty for the whole file."""
    return f"{group}/{name}" if group else name


def weight_groups(model: nn.Module, known: Mapping[nn.Module, str]) -> Iterator[tuple[str, nn.Module]]:
    """Yield the group of each layer and model within a model, each once.

    Args:
        model: A built model.
        known: Groups that the config of the file says, which names of the user's classes do not change.
    """
    yield from _Walk(known).over(model, "")


class _Walk:
    """A walk over the parts of a model, which comes to each once."""

    def __init__(self, known: Mapping[nn.Module, str]) -> None:
        self._known = known
        self._seen: set[nn.Module] = set()

    def over(self, part: nn.Module, group: str) -> Iterator[tuple[str, nn.Module]]:
        """Yield the groups of a layer or model and of what it has."""
        if part in self._seen:
            return
        self._seen.add(part)
        group = self._known.get(part, group)
        yield group, part
        if covers_children(part):
            return
        for name, child in _children(part):
            if isinstance(child, nn.Module):
                yield from self.over(child, join(group, name))
            else:
                yield from self._over_container(child, join(group, name))

    def _over_container(self, container: Sequence[Any], group: str) -> Iterator[tuple[str, nn.Module]]:
        names = UniqueNames()
        for one in container:
            items = _items(one)
            if items is not None:
                yield from self._over_container(items, join(group, names.add("container")))
            elif isinstance(one, nn.Module):
                yield from self.over(one, join(group, names.add(class_name(one))))


def _children(part: Any) -> Iterator[tuple[str, Any]]:
    """Yield the layers and containers that a layer or model has, by the name of their attribute, in Keras' order."""
    is_model = hasattr(part, "fit")
    if getattr(part, "is_chain", False) or getattr(part, "is_functional", False):
        yield "layers", part.layers
    if is_own(type(part)) and is_model:
        return
    held: dict[str, Any] = dict(part._modules)
    names = sorted(("layers", *held) if is_model else held, key=lambda name: f"~{name}" if name[:1] == "_" else name)
    for name in names:
        one = part.layers if name == "layers" and is_model else held[name]
        items = _items(one)
        if items is not None:
            yield name, items
        elif isinstance(one, nn.Module):
            yield name, one


def _items(value: Any) -> Sequence[Any] | None:
    """Return what a list, tuple or dict of layers holds; `None` for other values."""
    if isinstance(value, (nn.ModuleList, list, tuple)):
        return [*value]
    if isinstance(value, (nn.ModuleDict, dict)):
        return [*value.values()]
    return None


def class_name(part: nn.Module) -> str:
    """Return the name that Keras makes of the class of a layer or model in a list."""
    if getattr(part, "is_functional", False) and is_own(type(part)):
        return "functional"
    name = declared_class(type(module_within(part))).__name__
    return snake_case(KERAS_CLASSES.get(name, name))
