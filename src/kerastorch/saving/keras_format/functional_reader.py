"""Translate the graph of a functional model: Keras lists layers with their calls, kerastorch the calls in order."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Protocol

import torch

from kerastorch.core.errors import CheckpointError
from kerastorch.saving.keras_format.operation_names import read_call
from kerastorch.saving.serializer import TAGS

_Key = tuple[str, int]  # name of a layer, number of its call


class _Values(Protocol):
    """What translates the layers and arguments."""

    def module(self, written: Mapping[str, Any], group: str | None = None) -> dict[str, Any]: ...

    def value(self, written: Any) -> Any: ...


class FunctionalReader:
    """Translates one functional model.

    Args:
        values: Translates layers and arguments.
        groups: The group of the weights of each layer by name.
    """

    def __init__(self, values: _Values, groups: Mapping[str, str | None]) -> None:
        self._values, self._groups = values, groups
        self._given: list[dict[str, Any]] = []
        self._calls: list[dict[str, Any]] = []
        self._symbols: dict[_Key, int] = {}
        self._modules: dict[str, dict[str, Any]] = {}
        self._several: set[str] = set()  # layers and operations that return several tensors
        self._models: set[str] = set()  # functional models within the model
        self._outputs: dict[str, Any] = {}  # structure of the outputs of each model within the model

    def read(self, config: Mapping[str, Any]) -> dict[str, Any]:
        """Return the encoded config of a functional model.

        Raises:
            CheckpointError: A layer is not known; a call needs a tensor that no call makes.
        """
        layers = {one["name"]: one for one in config["layers"]}
        histories = [*_histories(config)]
        self._several = {name for name, layer in layers.items() if _returns_several(layer)}
        self._several |= {name for (name, _), index in histories if index}
        self._models = {name for name, layer in layers.items() if is_functional(layer)}
        begin = [key for key, _ in map(_history, _ends(config["input_layers"]))]
        for name, number in begin:
            self._symbols[name, number] = len(self._given)
            self._given.append(input_config(layers[name]["config"]))
        self._read_calls(layers, {name for name, _ in begin})
        return {
            "name": config.get("name"),
            "given": self._given,
            "calls": self._calls,
            "inputs": self._structure(config["input_layers"]),
            "outputs": self._structure(config["output_layers"]),
        }

    def _read_calls(self, layers: Mapping[str, Any], begin: set[str]) -> None:
        """Append the calls of all layers, each when its inputs are there."""
        waiting = [
            ((name, number), node)
            for name, layer in layers.items()
            if name not in begin
            for number, node in enumerate(layer["inbound_nodes"])
        ]
        while waiting:
            later = []
            for key, node in waiting:
                if all(one in self._symbols for one, _ in _histories(node)):
                    self._read_call(layers[key[0]], key, node)
                else:
                    later.append((key, node))
            if len(later) == len(waiting):
                raise CheckpointError(f"the calls of {later[0][0][0]!r} need a tensor that no call makes.")
            waiting = later

    def _read_call(self, layer: Mapping[str, Any], key: _Key, node: Mapping[str, Any]) -> None:
        args = [self._argument(one) for one in node["args"]]
        kwargs = {name: self._argument(one) for name, one in node["kwargs"].items() if not _is_default(name, one)}
        module = str(layer.get("module"))
        if module.startswith(("keras.src.ops", "keras.ops")):
            options = {name: self._argument(one) for name, one in layer["config"].items() if name not in _NO_OPTIONS}
            try:
                name, args, kwargs = read_call(layer["class_name"], options, args, kwargs)
            except ValueError as error:
                raise CheckpointError(str(error)) from error
            target: Any = f"ops.{name}"
        else:
            target = self._target(key[0], layer)
        self._symbols[key] = self._append(target, args, kwargs)

    def _target(self, name: str, layer: Mapping[str, Any]) -> dict[str, Any]:
        """Return the encoding of a layer, which is whole at its first call."""
        if name in self._modules:
            return {"again": self._modules[name]["module"]}
        made = self._modules[name] = self._values.module(layer, self._groups[name])
        if isinstance(made["config"], Mapping) and "outputs" in made["config"]:
            self._outputs[name] = made["config"]["outputs"]
        return made

    def _append(self, target: Any, args: list[Any], kwargs: Mapping[str, Any]) -> int:
        """Append a call; return the number of the symbol that it returns."""
        self._calls.append({"call": target, "args": {"tuple": args}, "kwargs": mapping(kwargs)})
        return len(self._given) + len(self._calls) - 1

    def _argument(self, written: Any) -> Any:
        """Return the encoding of an argument of a call, with the symbols in the place of tensors."""
        if isinstance(written, list):
            return [self._argument(one) for one in written]
        if not isinstance(written, Mapping):
            return written
        if written.get("class_name") == "__keras_tensor__":
            return {"symbol": self._symbol(written["config"]["keras_history"])}
        if "class_name" in written:
            value = self._values.value(written)
            is_array = isinstance(value, Mapping) and set(value) == {"array"}  # which a graph holds as a tensor
            return {"tensor": torch.from_numpy(value["array"])} if is_array else value
        return mapping({name: self._argument(one) for name, one in written.items()})

    def _symbol(self, history: Any) -> int:
        """Return the number of the symbol of a tensor; an item of what a call returned is a call of its own."""
        key, index = _history(history)
        symbol = self._symbols[key]
        for step in self._path(key[0], index):
            symbol = self._append("operator.getitem", [{"symbol": symbol}, step], {})
        return symbol

    def _path(self, name: str, index: int) -> list[Any]:
        """Return the keys that lead from what a layer returned to one of its tensors."""
        if name in self._outputs:
            return [*_paths(self._outputs[name])][index]
        return [index] if name in self._several else []

    def _structure(self, written: Any) -> Any:
        """Return the inputs or outputs of the model in their structure.

        There Keras counts the calls of functional models from 1, and those of layers from 0; in calls, all from 0.
        """
        if _is_end(written):
            name, number, index = written
            return {"symbol": self._symbol([name, number - (name in self._models), index])}
        if isinstance(written, Mapping):
            return mapping({name: self._structure(one) for name, one in written.items()})
        return [self._structure(one) for one in written]


_NO_OPTIONS = ("name", "trainable")


def _history(written: Any) -> tuple[_Key, int]:
    """Return the layer, the number of its call, and the number of the tensor that it returned."""
    name, number, index = written
    return (name, number), index


def _is_end(written: Any) -> bool:
    return isinstance(written, list) and len(written) == 3 and isinstance(written[0], str)


def _ends(written: Any) -> Iterator[Any]:
    """Yield the tensors in the structure of the inputs or outputs."""
    if _is_end(written):
        yield written
    else:
        for one in written.values() if isinstance(written, Mapping) else written:
            yield from _ends(one)


def _histories(written: Any) -> Iterator[tuple[_Key, int]]:
    """Yield what made each tensor in a part of the config."""
    if isinstance(written, list):
        for one in written:
            yield from _histories(one)
    elif isinstance(written, Mapping):
        if written.get("class_name") == "__keras_tensor__":
            yield _history(written["config"]["keras_history"])
        else:
            yield from _histories(list(written.values()))


def is_functional(layer: Mapping[str, Any]) -> bool:
    """Return whether a layer in a config is a functional model."""
    config = layer["config"]
    return isinstance(config, Mapping) and "output_layers" in config


def _returns_several(layer: Mapping[str, Any]) -> bool:
    """Return whether a layer or operation returns several tensors, even if only the first one is used."""
    config = layer["config"]
    inner = config.get("layer")
    has_states = config.get("return_state") or (
        isinstance(inner, Mapping) and layer["class_name"] == "Bidirectional" and inner["config"].get("return_state")
    )
    calls = layer.get("inbound_nodes", ())
    has_scores = any(one["kwargs"].get("return_attention_scores") is True for one in calls)
    return bool(has_states or has_scores or layer["class_name"] in _OPERATIONS_OF_SEVERAL)


_OPERATIONS_OF_SEVERAL = {
    "ArraySplit", "Split", "Hsplit", "Vsplit", "Dsplit", "Unstack", "Moments", "TopK", "SVD", "Qr", "Eig", "Eigh",
    "Slogdet", "Histogram", "Meshgrid", "LuFactor", "STFT", "FFT", "FFT2", "IFFT2", "RFFT",
}  # fmt: skip


def _is_default(name: str, value: Any) -> bool:
    """Return whether an argument of a call says nothing: no mask, or the mode, which Keras sets anew in each call."""
    return name == "training" or value is None or (isinstance(value, list) and all(one is None for one in value))


def _paths(outputs: Any) -> Iterator[list[Any]]:
    """Yield the keys that lead to each tensor of an encoded structure, in the order of Keras."""
    if isinstance(outputs, Mapping) and set(outputs) == {"symbol"}:
        yield []
    elif isinstance(outputs, Mapping):
        for name in sorted(outputs):
            yield from ([name, *rest] for rest in _paths(outputs[name]))
    else:
        for index, one in enumerate(outputs):
            yield from ([index, *rest] for rest in _paths(one))


def mapping(held: Mapping[str, Any]) -> Any:
    """Return a dict of encoded values, encoded so that its keys are not read as marks of objects."""
    return {"pairs": [[key, one] for key, one in held.items()]} if TAGS & set(held) else dict(held)


def input_config(config: Mapping[str, Any]) -> dict[str, Any]:
    """Return the encoding of an `Input` for the config of an `InputLayer`."""
    return {
        "shape": list(config["batch_shape"][1:]),
        "dtype": config.get("dtype") or "float32",
        "name": config.get("name"),
    }
