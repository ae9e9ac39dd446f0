"""The `.h5` files of Keras 2, which Keras 3 writes, too: the config as an attribute, weights by layer in a list."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any, NamedTuple

from torch import Tensor

from kerastorch.checkpoint import atomic_file
from kerastorch.checkpoint.bounded_json import parse_json
from kerastorch.core.errors import CheckpointError
from kerastorch.saving.keras_format import weights_h5
from kerastorch.saving.keras_format.operation_names import is_operation_class
from kerastorch.saving.keras_format.weight_groups import KERAS_CLASSES
from kerastorch.saving.keras_format.weights_h5 import Groups

_WEIGHTS = "model_weights"


class LegacyFile(NamedTuple):
    """What an `.h5` file of a model holds.

    Attributes:
        config: The config of the model in the form of Keras 3.
        compile_config: What `compile` was given, in the form of Keras 3; `None` if it was not called.
        weights: For each layer that has weights, by name, its arrays: trained ones first, then the others.
        groups: As in `KerasArchive`; the state of the optimizer is not read.
    """

    config: dict[str, Any]
    compile_config: dict[str, Any] | None
    weights: dict[str, list[Tensor]]
    groups: Groups = MappingProxyType({})


def read(path: Path) -> LegacyFile:
    """Return what an `.h5` file holds; nothing in it is run.

    Raises:
        CheckpointCorruptError: The file is damaged.
        CheckpointError: It has weights alone, or its arrays are in other files.
    """
    where = str(path)
    with weights_h5.opened(atomic_file.read(path, follow_symlinks=True), where) as file:
        if "model_config" not in file.attrs:
            raise CheckpointError(
                f"{where} has no architecture. Make the model as you did before, and call its load_weights."
            )
        config = _in_new_form(parse_json(_bytes(file.attrs["model_config"]), where))
        trained = file.attrs.get("training_config")
        compiled = None if trained is None else _compile_config(parse_json(_bytes(trained), where))
        weights = _weights(weights_h5.child_of(file, _WEIGHTS, where), where)
    for layer in config["config"].get("layers", ()):
        if layer["class_name"] == "Normalization" and layer["config"].get("mean") is None:
            mean, variance = weights[layer["config"]["name"]][:2]
            layer["config"]["learned"] = {"mean": mean.tolist(), "variance": variance.tolist()}
    return LegacyFile(config, compiled, weights)


def read_weights(data: bytes | memoryview, where: str) -> dict[str, list[Tensor]] | None:
    """Return the arrays of each layer in a file of weights, or of a model; `None` if they are not in such lists.

    Args:
        data: The bytes of the file.
        where: Name of the file, for messages.

    Raises:
        CheckpointCorruptError: The file is damaged.
    """
    with weights_h5.opened(data, where) as file:
        is_model = file.get(_WEIGHTS, getlink=True, default=None) is not None
        group = weights_h5.child_of(file, _WEIGHTS, where) if is_model else file
        return _weights(group, where) if _names(group, "layer_names") else None


def _bytes(text: Any) -> memoryview:
    return memoryview(text if isinstance(text, bytes) else str(text).encode())


def _weights(group: Any, where: str) -> dict[str, list[Tensor]]:
    arrays = weights_h5.read_arrays(group, where)
    layers = {layer: weights_h5.child_of(group, layer, where) for layer in _names(group, "layer_names")}
    names = {layer: _names(held, "weight_names") for layer, held in layers.items()}
    return {layer: [arrays[f"{layer}/{name}"] for name in held] for layer, held in names.items() if held}


def _names(group: Any, attribute: str) -> list[str]:
    """Return a list of names that is an attribute, or several attributes if it is long."""
    if attribute in group.attrs:
        parts = [group.attrs[attribute]]
    else:
        numbered = (f"{attribute}{number}" for number in range(len(group.attrs)))
        parts = [group.attrs[name] for name in numbered if name in group.attrs]
    return [name.decode() if isinstance(name, bytes) else str(name) for part in parts for name in part]


# --- the config of Keras 2 in the form of Keras 3 --------------------------------------------------------------

# arguments that say nothing beside the shapes of the inputs, or that only choose how something is computed
_FORMER = {
    "batch_input_shape",
    "input_length",
    "query_shape",
    "key_shape",
    "value_shape",
    "implementation",
    "time_major",
}
_OF_PLAIN_KERNELS = {"groups", "kernel_initializer", "kernel_regularizer", "kernel_constraint"}  # inherited, not used
_NAMES = {class_name: public for public, class_name in KERAS_CLASSES.items()}
_MODELS = ("Sequential", "Functional", "Model")
_ROOMS = {"initializer": "initializers", "regularizer": "regularizers", "constraint": "constraints"}


def _in_new_form(written: Mapping[str, Any]) -> dict[str, Any]:
    """Return the config of a layer or model with the modules of classes, and with calls, as Keras 3 has them."""
    name, given = written["class_name"], written["config"]
    if name in _MODELS:
        config = _model(name, {"layers": given} if isinstance(given, list) else given)  # a list in early versions
    else:
        config = _layer(name, given)
    is_operation = "inbound_nodes" in written and "trainable" not in config and is_operation_class(name)
    module = "keras" if name in _MODELS else "keras.src.ops" if is_operation else "keras.layers"
    found = {"module": module, "registered_name": None, **written}
    found |= {"class_name": _NAMES.get(name, name), "config": config}
    if "inbound_nodes" in written:
        found["inbound_nodes"] = [_call(node) for node in written["inbound_nodes"]]
    return found


def _layer(name: str, given: Mapping[str, Any]) -> dict[str, Any]:
    """Return the config of a layer in the new form."""
    former = _FORMER | (_OF_PLAIN_KERNELS if name.startswith(("Separable", "Depthwise")) else set())
    former |= {"groups"} if name.endswith("Transpose") else set()
    config = {key: _value(key, one) for key, one in given.items() if key not in former}
    if name == "InputLayer":
        config.setdefault("batch_shape", given.get("batch_input_shape"))
    if name == "BatchNormalization" and isinstance(config.get("axis"), list):
        config["axis"] = config["axis"][0]
    return config


def _model(name: str, given: Mapping[str, Any]) -> dict[str, Any]:
    """Return the config of a model in the new form."""
    layers = given["layers"]
    config = {**given, "layers": _layers(name, layers)}
    if any(isinstance(node, list) for one in layers for node in one.get("inbound_nodes", ())):
        models = {one["name"] for one in layers if one["class_name"] in _MODELS}
        chains = {one["name"] for one in layers if one["class_name"] == "Sequential"}  # graphs count from 1 in Keras 3
        ends = ("input_layers", "output_layers")
        config = {key: _counted_from_0(one, chains if key in ends else models) for key, one in config.items()}
    return config


def _counted_from_0(value: Any, models: set[str]) -> Any:
    """Return a part of the config in which the calls of some models are counted from 0, not from 1."""
    if isinstance(value, list):
        if len(value) == 3 and isinstance(value[0], str) and value[0] in models:
            return [value[0], value[1] - 1, value[2]]
        return [_counted_from_0(one, models) for one in value]
    if isinstance(value, Mapping):
        return {key: _counted_from_0(one, models) for key, one in value.items()}
    return value


def _layers(name: str, written: list[Any]) -> list[Any]:
    """Return the layers of a model; the shape that the first one was given becomes an `InputLayer`."""
    first = written[0]["config"] if written and isinstance(written[0]["config"], Mapping) else {}
    layers = [_in_new_form(one) for one in written]
    shape = first.get("batch_input_shape")
    if name == "Sequential" and shape is not None and written[0]["class_name"] != "InputLayer":
        about = {"batch_shape": shape, "dtype": first.get("dtype", "float32"), "name": None}
        layers.insert(0, {"module": "keras.layers", "class_name": "InputLayer", "config": about})
    return layers


def _value(key: str, value: Any) -> Any:
    """Return an argument of a layer with the modules of the objects in it."""
    if isinstance(value, list):
        return [_value(key, one) for one in value]
    if not isinstance(value, Mapping) or "class_name" not in value:
        return value
    if "module" in value and value["class_name"] not in _MODELS:
        return value
    room = next((room for ending, room in _ROOMS.items() if key.endswith(ending)), None)
    return _in_new_form(value) if room is None else {**value, "module": f"keras.{room}"}


def _call(node: Any) -> dict[str, Any]:
    """Return a call of a layer: Keras 2 has a list of the layers whose outputs it takes, with other arguments."""
    if isinstance(node, Mapping):
        return dict(node)
    tensors = [_tensor(one) for one in node]
    others = {key: _argument(one) for given in node for kwargs in given[3:] for key, one in kwargs.items()}
    return {"args": tensors if len(tensors) == 1 else [tensors], "kwargs": others}


def _tensor(written: Any) -> dict[str, Any]:
    return {"class_name": "__keras_tensor__", "config": {"keras_history": list(written[:3])}}


def _argument(value: Any) -> Any:
    """Return an argument by name; a list of a name and two numbers is the output of a layer."""
    if isinstance(value, list):
        is_tensor = len(value) >= 3 and isinstance(value[0], str) and all(type(one) is int for one in value[1:3])
        return _tensor(value) if is_tensor else [_argument(one) for one in value]
    return value


def _compile_config(written: Mapping[str, Any]) -> dict[str, Any]:
    """Return what `compile` was given, in the new form."""
    optimizer = written.get("optimizer_config") or written.get("optimizer")
    if isinstance(optimizer, Mapping):
        config = {key: one for key, one in optimizer["config"].items() if key not in _FORMER_OF_OPTIMIZERS}
        name = optimizer["class_name"].removeprefix("Custom>")
        optimizer = {"module": "keras.optimizers", **optimizer, "class_name": name, "config": config}
    metrics = {key: _metrics(written.get(key)) for key in ("metrics", "weighted_metrics")}
    return {**written, **metrics, "optimizer": optimizer, "loss": _of_room(written.get("loss"), "losses")}


_FORMER_OF_OPTIMIZERS = {"jit_compile", "is_legacy_optimizer", "decay"}


def _metrics(written: Any) -> Any:
    """Return metrics in the new form; Keras 2 wraps a function, and lists the metrics of each output."""
    if isinstance(written, list):
        if len(written) == 1 and isinstance(written[0], list):
            return _metrics(written[0])
        return [_metrics(one) for one in written]
    if isinstance(written, Mapping) and written.get("class_name") == "MeanMetricWrapper":
        config = written["config"]
        return "accuracy" if config.get("name") in ("accuracy", "acc") else config["fn"]
    return _of_room(written, "metrics")


def _of_room(written: Any, room: str) -> Any:
    """Return objects with the module that they are in."""
    if isinstance(written, Mapping) and "class_name" in written:
        return {"module": f"keras.{room}", **written}
    if isinstance(written, Mapping):
        return {key: _of_room(one, room) for key, one in written.items()}
    return [_of_room(one, room) for one in written] if isinstance(written, list) else written
