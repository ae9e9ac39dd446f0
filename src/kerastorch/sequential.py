"""Sequential: a model that is a chain of layers."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Any, Self

import torch
from torch import nn

from kerastorch import activations
from kerastorch.core.channel_tracking import channels_after, check_axis
from kerastorch.core.errors import shown
from kerastorch.core.lazy_build import build_by_call
from kerastorch.core.module_tree import is_built, modules
from kerastorch.core.overridable_property import overridable_property
from kerastorch.core.serialization import decode, encode
from kerastorch.core.tensor_spec import BUILD_SIZES, TensorSpec
from kerastorch.functional.graph_builder import masks_on
from kerastorch.layers.channels_check import ChannelsLastError
from kerastorch.layers.input_layer import InputLayer
from kerastorch.layers.rnn import reset_all_states
from kerastorch.model import Model
from kerastorch.saving.deserializer import Reader
from kerastorch.saving.functional_config import input_config, input_from
from kerastorch.symbolic.input import Input
from kerastorch.symbolic.masks import makes_mask, mask_after, takes_mask
from kerastorch.symbolic.symbolic_tensor import Symbol, call


class Sequential(Model):
    """A chain of layers: each is called on the output of the layer before it.

    Layers are those of kerastorch and any `nn.Module`, torch's `Lazy*` modules included. Their parameters are created
    by an `Input` in front, by `build`, or by the first data.

    Args:
        layers: The layers in a list, optionally with an `Input` in front. Default: none; `add` appends them.
        *more: Further layers, if `layers` is a single one: `Sequential(Dense(3), Dense(1))`, as in `nn.Sequential`.
        name: The name of the model in other models and in messages. Default: none.

    Raises:
        TypeError: An item is not a module.
        ValueError: An `Input` is not in front, or a layer cannot take the output of the one before it.

    >>> model = Sequential([Input(shape=(4,)), nn.Linear(4, 3), nn.ReLU()])
    >>> [tuple(p.shape) for p in model.parameters()]
    [(3, 4), (3,)]
    """

    is_chain = True

    def __init__(
        self,
        layers: Iterable[nn.Module | Input] | nn.Module | Input | None = None,
        *more: nn.Module | Input,
        name: str | None = None,
    ) -> None:
        super().__init__(name=name)
        self._input: Input | None = None
        self._makes_masks = False
        self._takes_masks: frozenset[str] = frozenset()
        for layer in _to_list(layers, more):
            self._append(layer)
        self._build_from_input()

    def forward(self, x: Any) -> Any:
        """Return the output of the last layer; masks go from layer to layer."""
        if self._makes_masks:
            return self.forward_masked(x)[0]
        for layer in self._modules.values():
            x = layer(x)  # type: ignore[misc]
        return x

    def forward_masked(self, x: Any, mask: Any = None) -> tuple[Any, Any]:
        """Return the output and its mask; the mask is `None` if all time steps count.

        Args:
            x: The input of the first layer.
            mask: The mask of its time steps, shape `(batch, time)`, `True` for steps that count. Default: all count.
        """
        for name, layer in self._modules.items():
            if isinstance(layer, Sequential):
                x, mask = layer.forward_masked(x, mask)
                continue
            assert layer is not None
            used = mask is not None and name in self._takes_masks
            y = layer(x, mask=mask) if used else layer(x)
            x, mask = y, mask_after(layer, x, mask, used)
        return x, mask

    def compute_mask(self, x: Any, mask: Any = None) -> Any:
        """Return the mask of the output on a symbolic input, or `None`; for functional models that contain the chain.

        Args:
            x: The symbolic input.
            mask: The mask of the input; it is not used.
        """
        if not self._makes_masks or not isinstance(x, Symbol):
            return None
        sizes = tuple(size if isinstance(size, int) else None for size in x.shape[1:])
        begin = end = Input(sizes, x.dtype)
        for layer in self:
            end = call(layer, end)
        return masks_on(begin, end, [x], self)

    def add(self, layer: nn.Module | Input) -> None:
        """Append a layer.

        Args:
            layer: An `nn.Module`, or an `Input` if the model has no layers yet.

        Raises:
            TypeError: `layer` is not a module.
            ValueError: An `Input` is not in front; the layer contains the model, or cannot take the model's output.
        """
        self._append(layer)
        self._build_from_input()

    def pop(self) -> nn.Module:
        """Remove the last layer and return it.

        Raises:
            IndexError: There are no layers.
        """
        if not len(self):
            raise IndexError("There are no layers in the model.")
        last = self[-1]
        del self._modules[str(len(self) - 1)]
        self._find_masks()
        return last

    def build(self, input_shape: Sequence[int | None]) -> None:
        """Create the parameters for inputs of a shape.

        Args:
            input_shape: The shape of a batch, `None` for sizes that vary: `(None, 64)`.

        Raises:
            ValueError: The shape has no batch axis, or a layer cannot take its input.

        >>> model = Sequential([nn.LazyLinear(3)])
        >>> model.build((None, 4))
        >>> model.count_params()
        15
        """
        if not input_shape:
            raise ValueError("input_shape needs the batch axis and at least one more: (None, 64).")
        given = Input(tuple(input_shape)[1:])
        self._build_on(given)
        if self._input is None:
            self._input = given
        self._seen = TensorSpec((None, *given.sample_shape), given.dtype)

    @property
    def layers(self) -> list[nn.Module]:
        """The layers in order, without the `Input`."""
        self._record_calls()
        return [*self]

    def __len__(self) -> int:
        return len(self._modules)

    def __iter__(self) -> Iterator[nn.Module]:
        return iter([layer for layer in self._modules.values() if layer is not None])

    def __getitem__(self, index: int) -> nn.Module:
        layers: list[nn.Module] = [*self]
        return layers[index]

    @overridable_property
    def symbols(self) -> tuple[Any, Any]:
        """The `Input` in front and the symbolic output; the first access records `output` of each layer too."""
        if self._input is None:
            raise AttributeError("only a Sequential with an Input in front, Sequential([Input(shape), ...]), has this")
        if self._symbols is None:
            symbol: Any = self._input
            for layer in self:
                symbol = call(layer, symbol)
            self._symbols = self._input, symbol
        return self._symbols

    def _config(self) -> dict[str, Any]:
        if self._has_own_init():
            return super()._config()
        given = None if self._input is None else input_config(self._input)
        layers = [encode(layer) for layer in self]
        return {"name": self.__dict__.get("name"), "input": given, "layers": layers}

    @classmethod
    def _from(cls, reader: Reader, config: dict[str, Any]) -> Self:
        if "layers" not in config:
            return super()._from(reader, config)
        made = cls([decode(layer) for layer in config["layers"]], name=config["name"])
        if config["input"] is not None:
            made._input = input_from(config["input"])
            if not reader.complete:
                made._build_from_input()
        return made

    def _ends(self) -> tuple[Any, Any]:
        return self._only_call() if self._input is None else self.symbols

    def _append(self, layer: Any) -> None:
        """Check a layer and register it, or store an `Input`."""
        if isinstance(layer, type):
            raise TypeError(f"Sequential takes layers, got the class {layer.__name__}; pass {layer.__name__}(...).")
        if isinstance(layer, InputLayer):
            layer = layer.input
        if isinstance(layer, Input):
            if len(self) or self._input is not None:
                raise ValueError("Input comes first, and once.")
            self._input = layer
        elif isinstance(layer, nn.Module):
            if self in modules(layer):
                raise ValueError("A model cannot be a layer of itself.")
            declared = getattr(layer, "declared_input", None)
            if declared is not None and not len(self) and self._input is None:
                self._input = Input(declared)
            channels_after(layer, [channels_after(self, [None])], check_axis)
            self.add_module(str(len(self)), layer)
            self._find_masks()
        else:
            raise TypeError(f"Sequential takes layers, got {shown(layer)}.{_hint(layer)}")

    def _find_masks(self) -> None:
        """Find out which layers make or take masks, after a change of the layers."""
        self._symbols = None
        self._parts_follow = False
        self._makes_masks = any(map(makes_mask, modules(self)))
        self._takes_masks = frozenset(name for name, layer in self._modules.items() if layer and takes_mask(layer))

    def _build_from_input(self) -> None:
        if self._input is not None and len(self):
            self._build_on(self._input)

    def _build_on(self, given: Input) -> None:
        """Make the parameters for an `Input`; sizes that vary are the first that all layers can take."""
        sizes = BUILD_SIZES if None in given.sample_shape else BUILD_SIZES[:1]
        if not is_built(self):
            build_by_call(self, self._run_on, map(given.example, sizes), _may_depend_on_sizes)
            reset_all_states(self)

    def _run_on(self, example: torch.Tensor) -> None:
        """Run the layers on an example, in evaluation mode; an error names the layer and its input's shape."""
        place = next((p for p in (*self.parameters(), *self.buffers()) if p.is_floating_point()), None)
        if place is not None:
            example = example.to(place.device, place.dtype if example.is_floating_point() else example.dtype)
        for index, layer in enumerate(self):
            shape = tuple(example.shape)
            try:
                example = layer(example)
            except RuntimeError as error:
                raise ValueError(f"layer {index} ({layer}) cannot take its input of shape {shape}: {error}") from error


def _may_depend_on_sizes(error: Exception) -> bool:
    """Return whether another size may do: not for channels-last images, as a size of 1 would pass for channels."""
    return isinstance(error, ValueError) and not isinstance(error, ChannelsLastError)


def _to_list(layers: Any, more: tuple[Any, ...]) -> list[Any]:
    """Return the layers of a list, or those that were given one by one."""
    if layers is None or isinstance(layers, str):
        return [*([] if layers is None else [layers]), *more]
    is_layer = isinstance(layers, (nn.Module, Input)) and (bool(more) or not isinstance(layers, Iterable))
    return [layers, *more] if is_layer else [*layers, *more]


def _hint(given: Any) -> str:
    """Return a sentence that says what to write in place of something that is no layer."""
    if isinstance(given, str):
        try:
            activations.get(given)
        except ValueError:
            return " Layers are objects, such as kerastorch.layers.Dense(10)."
        return f" An activation as a layer is kerastorch.layers.Activation({given!r})."
    if isinstance(given, (list, tuple)):
        return " Write all layers in one list; layers in a list of their own are Sequential([...])."
    if isinstance(given, int):
        return f" A layer of {given} units is kerastorch.layers.Dense({given})."
    if isinstance(given, Symbol):
        return " It is what a layer returned for an Input. Give the layers, or Model(inputs, outputs) for calls."
    if callable(given):
        return " A function as a layer is kerastorch.layers.Lambda(function), an activation is Activation(function)."
    return ""
