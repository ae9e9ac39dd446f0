"""CallSignature: the inputs and outputs of a functional model, and the binding of arguments to inputs."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

import torch

from kerastorch.core.torch_private import pytree


class CallSignature(NamedTuple):
    """The inputs and outputs of a functional model, and how arguments are bound to the inputs.

    Attributes:
        names: The names of the inputs, in the order of the parameters of the graph's `forward`.
        keys: The keys of the inputs if they are passed as a dict: the names, or the keys of the dict that the model was
            made with.
        sizes: The shape of one sample of each input, with `None` for sizes that vary.
        dtypes: The dtype of each input.
        structure: The structure of the inputs, with the position of each in `names` in its place.
        outputs: The names of the outputs if they are a tuple or list; `None` for one output, or a dict.
        optional: The names of the inputs that may be `None`.
    """

    names: tuple[str, ...]
    keys: tuple[Any, ...]
    sizes: tuple[tuple[int | None, ...], ...]
    dtypes: tuple[torch.dtype, ...]
    structure: Any
    outputs: tuple[str, ...] | None
    optional: tuple[str, ...] = ()

    def bind(self, args: tuple[Any, ...], kwargs: Mapping[str, Any], *, adds_last_axis: bool = False) -> list[Any]:
        """Return the inputs of a call in the order of `names`.

        Args:
            args: Positional arguments: one for each input, or one tuple, list or dict of all.
            kwargs: Inputs by name.
            adds_last_axis: Whether an input may lack a last axis of size 1, or have one too many, as in Keras.

        Raises:
            ValueError: An input is missing or has a wrong shape, or there are too many.
        """
        given = self._in_order_of_names(args, kwargs)
        if adds_last_axis and len(given) == len(self.names):
            given = [_with_axes(x, sizes) for x, sizes in zip(given, self.sizes, strict=True)]
        if len(given) != len(self.names):
            raise ValueError(f"The model takes {self._inputs()}; got {len(given)}.")
        for name, sizes, x in zip(self.names, self.sizes, given, strict=True):
            if x is None and name in self.optional:
                continue
            if x is None:
                raise ValueError(f"Input {name!r} is None; the model needs a tensor of shape {(None, *sizes)}.")
            found = x.shape[1:]
            if found != sizes and (
                len(found) != len(sizes) or any(b is not None and a != b for a, b in zip(found, sizes, strict=True))
            ):
                raise ValueError(f"Input {name!r} has shape {(None, *sizes)}, got {tuple(x.shape)}.")
        return given

    def inputs_in(self, x: Any) -> list[Any]:
        """Return the inputs in a tensor, tuple, list or dict in the order of `names`, without a check of their shapes.

        Raises:
            ValueError: An input is missing in a dict.
        """
        return self._in_order_of_names((x,), {})

    def _in_order_of_names(self, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> list[Any]:
        given: Any = args
        if len(args) == 1 and not kwargs and isinstance(args[0], (tuple, list, Mapping)):
            given = args[0]
        if kwargs or isinstance(given, Mapping):
            positional = given if isinstance(given, Mapping) else dict(zip(self.keys, args, strict=False))
            return self._by_name({**positional, **kwargs})
        return list(pytree.tree_leaves(_in_order(self.structure, given)))

    def _by_name(self, given: Mapping[Any, Any]) -> list[Any]:
        keys = self.keys if set(given) & set(self.keys) or set(given) - set(self.names) else self.names
        missing = [key for key in keys if key not in given]
        if missing:
            raise ValueError(f"The model takes {self._inputs()}; {missing[0]!r} is missing.")
        return [given[key] for key in keys]

    def _inputs(self) -> str:
        many = f"{len(self.names)} inputs" if len(self.names) > 1 else "1 input"
        return f"{many}: {', '.join(map(repr, self.keys))}"


def _with_axes(x: Any, sizes: tuple[int | None, ...]) -> Any:
    """Return an input with a last axis of size 1 added or removed, if it then has as many axes as it must."""
    if not isinstance(x, torch.Tensor) or x.ndim == 1 + len(sizes):
        return x
    if x.ndim == len(sizes) and sizes and sizes[-1] == 1:
        return x.unsqueeze(-1)
    return x.squeeze(-1) if x.ndim == 2 + len(sizes) and x.shape[-1] == 1 else x


def _in_order(structure: Any, given: Any) -> Any:
    """Return a nested structure with its dicts in the key order of `structure`, if the structures agree."""
    if isinstance(structure, Mapping) and isinstance(given, Mapping) and set(structure) <= set(given):
        return {key: _in_order(structure[key], given[key]) for key in structure}
    if isinstance(structure, (tuple, list)) and isinstance(given, (tuple, list)) and len(structure) == len(given):
        return [_in_order(one, other) for one, other in zip(structure, given, strict=True)]
    return given
