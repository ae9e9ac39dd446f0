"""Reader: what a Writer wrote, made again; every name is looked up in a closed table or among what the caller gave."""

from __future__ import annotations

import functools
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from kerastorch.core.errors import unknown
from kerastorch.core.ownership import is_third_party
from kerastorch.core.serialization import decode, find_class
from kerastorch.layers.base import Layer
from kerastorch.saving import torch_allowlist, torch_modules
from kerastorch.saving.registry import find
from kerastorch.saving.serializer import is_ours

MOST_WORK = 20_000  # calls of one model: parts that hold one part twice, and so on, double them each time


class Reader:
    """The codec that reads.

    Args:
        custom: what a user's names stand for.
        complete: whether all shapes are written, and the weights are loaded afterwards, as for a file: then nothing is
            built by running it, no weight gets numbers, and the work that is asked for is bounded.

    Attributes:
        fills: see `Codec`.
    """

    def __init__(self, custom: Mapping[str, Any], *, complete: bool = False) -> None:
        self.complete = complete
        self.initializes_weights = not complete
        self._custom = custom
        self._work: dict[nn.Module, int] = {}
        self._called = [0]
        self._made: dict[int, nn.Module] = {}
        self._tables: list[list[Any]] = []

    def encode(self, value: Any) -> Any:
        """A reader does not write."""
        return NotImplemented

    def decode(self, value: Mapping[Any, Any]) -> Any:
        """See `Codec`.

        Raises:
            ValueError: a name that is in no table, or something that no Writer writes.
        """
        keys = frozenset(value)
        if keys in ({"module", "class_name", "config"}, {"module", "class_name", "config", "built"}):
            return self._module(value)
        if keys == {"class_name", "config"}:
            return self._object(value["class_name"], value["config"])
        if keys == {"torchmetric", "config"}:
            from kerastorch.saving.torch_metrics import make

            return make(value["torchmetric"], decode(value["config"]))
        if len(keys) != 1:
            return NotImplemented
        (tag,) = keys
        return _SIMPLE[tag](self, value[tag]) if tag in _SIMPLE else NotImplemented

    # --- names ------------------------------------------------------------------------------------------------

    def custom(self, name: Any) -> Any:
        """What a user's name stands for."""
        found = find(name, self._custom) if isinstance(name, str) else None
        if found is None:
            known = f" Known: {', '.join(sorted(self._custom))}." if self._custom else ""
            bare = str(name).rpartition(">")[2]
            raise ValueError(
                f"Unknown class or function {name!r}; custom_objects={{{name!r}: {bare}}} names it.{known}"
            )
        return found

    def _kind(self, name: Any) -> Any:
        if isinstance(name, str) and "." in name:
            return torch_modules.KINDS[name] if name in torch_modules.KINDS else find_class(name)
        return self.custom(name)

    def _object(self, name: Any, config: Any) -> Any:
        kind = self._kind(name)
        if not isinstance(config, Mapping):
            raise ValueError(f"the config of {name} is {type(config).__name__}, not a dict.")
        if kind in torch_modules.NAMES:
            return torch_modules.make(name, decode(config))
        make = getattr(kind, "from_config", None)
        if not hasattr(kind, "get_config") or not is_ours(kind):
            config = decode(config)
        return kind(**config) if make is None else make(config)

    # --- modules ----------------------------------------------------------------------------------------------

    def _module(self, value: Mapping[str, Any]) -> nn.Module:
        self._called.append(0)
        made = self._object(value["class_name"], value["config"])
        called = self._called.pop()
        if not isinstance(made, nn.Module):
            raise ValueError(f"{value['class_name']} made {type(made).__name__}, which is no module.")
        build(made, decode(value.get("built", {})))
        number = value["module"]
        if type(number) is not int or number in self._made:
            raise ValueError(f"two modules have the number {number!r}.")
        self._made[number] = made
        self._work[made] = max(called, self._of_parts(made))
        self._bound(self._work[made])
        return made

    def _again(self, number: Any) -> nn.Module:
        if type(number) is not int or number not in self._made:
            raise ValueError(f"module {number!r} is referred to before it was made.")
        return self._made[number]

    def spend(self, target: Any) -> None:
        """Count a call in the graph that is being made.

        Raises:
            ValueError: of a module whose parameters are not there; the graph calls more than any model does.
        """
        if self.complete and isinstance(target, nn.Module) and _waits(target):
            raise ValueError(f"{type(target).__name__} is called, and the shapes of its parameters are not written.")
        self._called[-1] += self._of(target) if isinstance(target, nn.Module) else 1
        self._bound(self._called[-1])

    def _of(self, module: nn.Module) -> int:
        """How many modules and functions a call of it runs, or a walk through its parts comes by, at most."""
        if module not in self._work:
            self._work[module] = self._of_parts(module)
        return self._work[module]

    def _of_parts(self, module: nn.Module) -> int:
        return 1 + sum(self._of(part) for part in module._modules.values() if part is not None)

    def _bound(self, work: int) -> None:
        if work > MOST_WORK:
            raise ValueError(f"a model that calls its parts more than {MOST_WORK} times, one inside the other.")

    # --- symbols ----------------------------------------------------------------------------------------------

    def begin(self, table: list[Any]) -> None:
        """Numbers of symbols are places in this list, which may grow, from now on."""
        self._tables.append(table)

    def end(self) -> None:
        """Back to the list before."""
        self._tables.pop()

    def _symbol(self, number: Any) -> Any:
        table = self._tables[-1] if self._tables else []
        if type(number) is not int or not 0 <= number < len(table):
            raise ValueError(f"symbol {number!r} is referred to before it was made.")
        return table[number]


def _waits(module: nn.Module) -> bool:
    """Whether a layer of kerastorch's has no parameters yet, other than inside of what is a user's own."""
    if is_third_party(module):
        return False
    return vars(module).get("built") is False or any(_waits(part) for part in module._modules.values() if part)


def build(module: nn.Module, shapes: Any) -> None:
    """Make the parameters of layers for the shapes that they were built for.

    Args:
        module: with the layers in it.
        shapes: the place of each -> the shapes.
    """
    for place, given in shapes.items():
        part = module.get_submodule(place)
        if not isinstance(part, Layer) or not _are_shapes(given):
            raise ValueError(f"{place or type(module).__name__} cannot be built for {given!r}.")
        part.ensure_built(*given)


def _are_shapes(given: Any) -> bool:
    if type(given) is int:
        return given >= -1
    return isinstance(given, tuple) and all(map(_are_shapes, given))


def names_in(value: Any) -> Iterator[str]:
    """The names of a user's classes and functions in what was written."""
    if isinstance(value, list):
        for one in value:
            yield from names_in(one)
    elif isinstance(value, Mapping):
        for tag in ("class_name", "custom"):
            name = value.get(tag)
            if isinstance(name, str) and (tag == "custom" or "." not in name):
                yield name
        for one in value.values():
            yield from names_in(one)


def _from(kind: Any, what: str) -> Any:
    def check(reader: Reader, value: Any) -> Any:  # noqa: ARG001
        if not isinstance(value, kind):
            raise ValueError(f"{what} is written as {type(value).__name__}.")
        return value

    return check


def _torch(reader: Reader, name: Any) -> Any:  # noqa: ARG001
    table = torch_allowlist.VALUES | torch_modules.KINDS
    if not isinstance(name, str) or name not in table:
        raise unknown("function of torch", str(name), table)
    return table[name]


def _partial(reader: Reader, value: Any) -> Any:  # noqa: ARG001
    function, args, kwargs = map(decode, value)
    if not callable(function):
        raise ValueError(f"a partial of {function!r}, which is no function.")
    return functools.partial(function, *args, **kwargs)


_SIMPLE: dict[Any, Any] = {
    "again": Reader._again,
    "symbol": Reader._symbol,
    "custom": Reader.custom,
    "kind": lambda reader, value: find_class(value),
    "torch": _torch,
    "partial": _partial,
    "tuple": lambda reader, value: tuple(decode(one) for one in value),
    "pairs": lambda reader, value: {decode(key): decode(one) for key, one in value},
    "slice": lambda reader, value: slice(*map(decode, value)),
    "ellipsis": lambda reader, value: Ellipsis,
    "tensor": _from(Tensor, "a tensor"),
    "array": _from(np.ndarray, "an array"),
    "device": lambda reader, value: torch.device(value),
}
