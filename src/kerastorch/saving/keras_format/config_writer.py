"""Write the config of a model in Keras' form: each object as its module, class, config and registered name."""

from __future__ import annotations

import functools
import json
from collections.abc import Mapping, Sequence
from importlib import resources
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from kerastorch.core.module_tree import module_within
from kerastorch.core.name_lookup import snake_case
from kerastorch.core.ownership import is_own
from kerastorch.core.serialization import argument_names, decode, name_of, use_codec
from kerastorch.core.torch_class import declared_class
from kerastorch.functional.functional_model import Functional
from kerastorch.layers.axes import positive_channel_axis
from kerastorch.layers.base import Layer
from kerastorch.saving.deserializer import Reader
from kerastorch.saving.keras_format import build_shapes
from kerastorch.saving.keras_format.functional_writer import FunctionalWriter, input_layer
from kerastorch.saving.keras_format.weight_groups import UniqueNames
from kerastorch.saving.registry import get_registered_name
from kerastorch.saving.serializer import Writer

_SCHEDULES = "optimizers.schedules."


@functools.cache
def _known_arguments() -> dict[str, list[str]]:
    """Return the classes of Keras, as `"layers.Dense"`, with the arguments that each takes."""
    text = resources.files(__package__).joinpath("keras_arguments.json").read_text()
    found: dict[str, list[str]] = json.loads(text)
    return found


class ConfigWriter:
    """Translates models, layers, and what else they hold.

    Layers without a name get one, as in Keras: that of the class, with a number from the second on.

    Args:
        whole: The model that is written; Keras builds it for the shapes in its config, and models within it by calls.
    """

    def __init__(self, whole: nn.Module) -> None:
        self._whole = _model_within(whole)
        self._names = UniqueNames()
        self._named: dict[nn.Module, str] = {}

    def module(self, module: nn.Module) -> dict[str, Any]:
        """Return the class and the config of a layer or model.

        Raises:
            TypeError: Keras has no such layer or argument.
        """
        module = _model_within(module)
        if getattr(module, "is_chain", False) and is_own(type(module)):
            return self._model("keras", "Sequential", self._sequential(module), module)
        kind = declared_class(type(module))
        if isinstance(module, Functional) and module.is_functional and _has_config_of_graph(kind):
            functional = FunctionalWriter(self, module).write()
            if is_own(kind):
                return self._model("keras.src.models.functional", "Functional", functional, module)
            return self._model(None, kind.__name__, functional, module, get_registered_name(kind))
        if not hasattr(module, "get_config"):
            raise TypeError(
                f"{kind.__name__} is a module of torch, which Keras does not have; take the layer of kerastorch.layers."
            )
        config = self._config(module)
        if is_own(kind):
            return _described("keras.layers", kind.__name__, self._arguments(f"layers.{kind.__name__}", config, module))
        registered = get_registered_name(kind)
        takes_name = "name" in argument_names(kind)
        found = _described(
            None, kind.__name__, config | ({"name": self.name(module)} if takes_name else {}), registered
        )
        if not hasattr(module, "fit") or module is not self._whole:
            return found
        return found | {"build_config": {"input_shape": build_shapes.written_shapes(module)}}

    def name(self, module: nn.Module) -> str:
        """Return the name of a layer or model."""
        if module not in self._named:
            own = getattr(module, "name", None)
            name = own if isinstance(own, str) else snake_case(declared_class(type(module)).__name__)
            self._named[module] = self._names.add(name)
        return self._named[module]

    def operation_name(self, class_name: str) -> str:
        """Return a name for an operation or input."""
        return self._names.add(snake_case(class_name))

    def value(self, value: Any) -> Any:
        """Return an argument in Keras' form.

        Raises:
            TypeError: It is code, or an object without a config.
        """
        if isinstance(value, nn.Module) and not isinstance(value, nn.ModuleList):
            return self.module(value)
        if value is None or isinstance(value, (bool, int, float, str)):
            return value
        if isinstance(value, (tuple, list, nn.ModuleList)):
            return [self.value(one) for one in value]
        if isinstance(value, Mapping):
            return {str(key): self.value(one) for key, one in value.items()}
        if isinstance(value, torch.dtype):
            return str(value).removeprefix("torch.")
        if isinstance(value, np.generic):
            return value.item()
        if isinstance(value, (Tensor, np.ndarray)):
            array = value.detach().cpu().numpy() if isinstance(value, Tensor) else value
            return {"class_name": "__numpy__", "config": {"value": array.tolist(), "dtype": str(array.dtype)}}
        if isinstance(value, slice):
            parts = {name: self.value(getattr(value, name)) for name in ("start", "stop", "step")}
            return {"class_name": "__slice__", "config": parts}
        if value is Ellipsis:
            return {"class_name": "__ellipsis__", "config": {}}
        if hasattr(value, "get_config"):
            return self._object(value)
        return _function(value)

    def _object(self, value: Any) -> dict[str, Any]:
        """Return an initializer, regularizer, loss, metric or optimizer in Keras' form."""
        kind = type(value)
        config = self._config(value)
        known = name_of(kind)
        if known is None:
            return _described(None, kind.__name__, config, get_registered_name(kind))
        room, _, name = known.partition(".")
        if f"{_SCHEDULES}{name}" in _known_arguments():
            room = _SCHEDULES.rstrip(".")
        return _described(f"keras.{room}", name, self._arguments(f"{room}.{name}", config, value))

    def _config(self, thing: Any) -> dict[str, Any]:
        """Return the arguments of an object in Keras' form, by name."""
        writer = Writer()
        with use_codec(writer):
            encoded = thing.get_config()
        with use_codec(Reader(writer.custom)):
            return {
                key: self.value(held if _holds_modules(held := getattr(thing, key, None)) else decode(one))
                for key, one in encoded.items()
                if key != "learned"
            }

    def _arguments(self, name: str, config: Mapping[str, Any], thing: Any) -> dict[str, Any]:
        """Return the arguments that Keras' class takes; others must be at values without effect.

        Raises:
            TypeError: Keras has no such class, or no such argument.
        """
        known = _known_arguments().get(name)
        if known is None:
            raise TypeError(f"Keras has no {name}.")
        found = dict(config)
        kind = type(thing).__name__
        if isinstance(thing, Layer) and kind in _ADAPTED:
            found = _ADAPTED[kind](thing, found)
        extra = [key for key in found if key not in (*known, "name", "trainable") and found[key] not in (None, False)]
        if extra:
            raise TypeError(f"Keras' {name} has no argument {extra[0]}={found[extra[0]]!r}.")
        kept = {key: one for key, one in found.items() if key in known}
        if isinstance(thing, nn.Module):
            kept["name"] = self.name(thing)
        return kept

    def _model(
        self, module: str | None, name: str, config: Mapping[str, Any], model: nn.Module, registered: str | None = None
    ) -> dict[str, Any]:
        trainable = bool(getattr(model, "trainable", True))
        return _described(module, name, {"name": self.name(model), "trainable": trainable, **config}, registered)

    def _sequential(self, chain: Any) -> dict[str, Any]:
        layers = [self.module(layer) for layer in chain.layers if not _is_input_layer(layer)]
        given = chain._input
        if given is not None:
            return {"layers": [input_layer(given, self), *layers]}
        shape = build_shapes.shape_of_chain(chain) if chain is self._whole else None
        return {"layers": layers} | ({} if shape is None else {"build_input_shape": shape})


def _described(module: str | None, name: str, config: Any, registered: str | None = None) -> dict[str, Any]:
    return {"module": module, "class_name": name, "config": config, "registered_name": registered}


def _has_config_of_graph(kind: type) -> bool:
    """Return whether the config of a functional model of a class is its graph, and no arguments of the user's."""
    owners = (next(one for one in kind.__mro__ if name in vars(one)) for name in ("__init__", "get_config"))
    return all(map(is_own, owners))


def _model_within(module: nn.Module) -> nn.Module:
    """Return the model that a `Model` views, if it is a view of one."""
    viewed = module_within(module)
    return viewed if hasattr(viewed, "get_config") else module


def _holds_modules(value: Any) -> bool:
    items: Sequence[Any] = [*value] if isinstance(value, (list, tuple, nn.ModuleList)) else [value]
    return bool(items) and all(isinstance(one, nn.Module) for one in items)


def _is_input_layer(layer: nn.Module) -> bool:
    return type(layer).__name__ == "InputLayer"


def _function(value: Any) -> Any:
    """Return a function in Keras' form: one of Keras as its name, one of the user as what it is registered under."""
    known = name_of(value) if callable(value) else None
    if known is not None:
        return known.rpartition(".")[2]
    name = getattr(value, "__name__", "")
    if not callable(value) or not name.isidentifier():
        raise TypeError(f"{value!r} has no name under which Keras finds it; write it with def.")
    registered = get_registered_name(value)
    return {"module": "builtins", "class_name": "function", "config": registered, "registered_name": registered}


# --- layers whose arguments are others -------------------------------------------------------------------------


def _with_channel_axis(layer: Layer, config: dict[str, Any]) -> dict[str, Any]:
    """Give the axis of the channels, which is found from the inputs here if none was given."""
    if config.get("axis") is None:
        shapes = layer.built_on or ((),)
        config["axis"] = positive_channel_axis(layer, None, len(shapes[0]))
    return config


def _with_one_size(_layer: Layer, config: dict[str, Any]) -> dict[str, Any]:
    return config | {"size": config["size"][0]}


_ADAPTED = {
    "BatchNormalization": _with_channel_axis,
    "GroupNormalization": _with_channel_axis,
    "UpSampling1D": _with_one_size,
}
