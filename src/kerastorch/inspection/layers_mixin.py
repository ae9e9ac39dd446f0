"""`layers` and `get_layer` of a model."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from torch import fx, nn

from kerastorch.core.auto_names import auto_name
from kerastorch.core.errors import check_int, unknown
from kerastorch.core.module_tree import is_built
from kerastorch.core.name_lookup import own_name
from kerastorch.core.overridable_property import overridable_property
from kerastorch.functional.functional_model import Functional
from kerastorch.functional.graph_builder import Constant
from kerastorch.functional.layer_order import layer_nodes
from kerastorch.layers.input_layer import InputLayer


@dataclass(frozen=True)
class _InputLayers:
    """The layers of the inputs of a functional model; in no list, where they would pass for children."""

    by_name: dict[str, InputLayer]


def _without_lists(module: nn.Module) -> Iterator[nn.Module]:
    """Yield the children of a module, and those of lists and dicts in place of these."""
    for child in module.children():
        if isinstance(child, (nn.ModuleList, nn.ModuleDict)):
            yield from _without_lists(child)
        else:
            yield child


class LayersMixin(Functional):
    """Base of a model that lists its layers."""

    _input_layers: _InputLayers | None = None

    def __getstate__(self) -> dict[str, Any]:
        return {key: value for key, value in super().__getstate__().items() if key != "_input_layers"}

    @overridable_property
    def built(self) -> bool:
        """Whether all layers have their weights. A model may define an attribute of its own with this name."""
        return is_built(self)

    @overridable_property
    def layers(self) -> list[nn.Module]:
        """The direct children, in order. A model may define an attribute of its own with this name.

        Lists of layers are no layers in a model made by `kerastorch.keras`: what is in them is listed, as in Keras.
        Those of a functional model are in the order of Keras: layers farther from the outputs come first, and each
        input is an `InputLayer` among them.
        """
        children = list(_without_lists(self) if self._called_as_keras else self.children())
        if not self.is_functional or not isinstance(self.module_viewed, fx.GraphModule):
            return children
        self._record_calls()
        inputs = self._layers_of_inputs()
        found: dict[nn.Module, None] = {}
        for node in layer_nodes(self.module_viewed.graph):
            name = str(node.target)
            found[inputs[name] if node.op == "placeholder" else self.get_submodule(name)] = None
        return [*found, *(child for child in children if child not in found and not isinstance(child, Constant))]

    def _record_calls(self) -> None:
        """Record the calls of a copied model, or of a `Sequential`, so that its layers know `input` and `output`."""
        with suppress(AttributeError, TypeError, ValueError):  # without an Input, or if a layer needs values
            self.symbols  # noqa: B018

    def _layers_of_inputs(self) -> dict[str, InputLayer]:
        """Return a layer for each input of a functional model, by its name."""
        if self._input_layers is None:
            named = zip(self.input_names, self._symbols_of_inputs(), strict=True)
            made = {name: InputLayer(input_tensor=symbol, name=name) for name, symbol in named}
            self._input_layers = _InputLayers(made)
        return self._input_layers.by_name

    def get_layer(self, name: str | None = None, index: int | None = None) -> nn.Module:
        """Return a layer by its name or index.

        Args:
            name: The layer's `name`, or the path of its attribute, such as `"encoder.0"`.
            index: Its index in `layers`; negative indices count from the end.

        Raises:
            ValueError: Both or none of them are given; there is no layer of this name or index.
        """
        if (name is None) == (index is None):
            raise ValueError("get_layer() takes one of name and index.")
        layers: list[nn.Module] = list(self.layers)
        if index is not None:
            if check_int("index", index, -len(layers)) >= len(layers):
                raise ValueError(f"get_layer(): there is no layer {index}, the model has {len(layers)}.")
            return layers[index]
        assert name is not None
        paths: dict[str, nn.Module] = {path: part for path, part in self.named_modules(remove_duplicate=False) if path}
        inputs = [layer for layer in layers if isinstance(layer, InputLayer)]
        for part in (*(layer for layer in layers if layer not in inputs), *paths.values(), *inputs):
            if name in (own_name(part), auto_name(part)):
                return part
        if name not in paths:
            raise unknown("layer", name, {*paths, *filter(None, map(own_name, paths.values()))})
        return paths[name]
