"""Translate the config of Keras, from a `.keras` file, into the encoding of `.kt` files, from which models are made."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import torch
from torch import nn

from kerastorch.core.errors import CheckpointError
from kerastorch.core.name_lookup import snake_case
from kerastorch.core.serialization import argument_names, find_class, find_function
from kerastorch.saving.keras_format.adapted_layers import with_learned_state
from kerastorch.saving.keras_format.functional_reader import FunctionalReader, input_config, is_functional, mapping
from kerastorch.saving.keras_format.keras_archive import KerasArchive
from kerastorch.saving.keras_format.weight_groups import KERAS_CLASSES, UniqueNames, join
from kerastorch.saving.registry import find

_PAGE = "See the guide 'Keras scripts and files'."
_ROOMS = ("layers", "initializers", "regularizers", "constraints", "losses", "metrics", "optimizers", "activations")
# arguments of Keras that say nothing in this case, and those that kerastorch has in another way
_WITHOUT_EFFECT = {
    "name", "trainable", "dtype", "input_axes", "output_axes", "renorm_momentum", "implementation", "time_major",
    "autocast", "vocabulary_size", "vocabulary_dtype", "has_static_table",
}  # fmt: skip
_OF_BASE_CLASS = ("dtype", "autocast", "activity_regularizer")
_IN_CONFIG_ONLY = ("learned", "oov_method")  # what layers of kerastorch have in their config, beside the arguments


class ConfigReader:
    """Translates configs of models, layers, losses, metrics, optimizers and what else they hold.

    Args:
        custom: The user's classes and functions by name.
        archive: The other parts of the file, for the vocabularies of lookup layers. Default: none.

    Attributes:
        policies: Names of the dtype policies of the layers, such as `"mixed_bfloat16"`.
        groups: The group of the weights of each model and of the layers in its list, by the number of the module.
    """

    def __init__(self, custom: Mapping[str, Any], archive: KerasArchive | None = None) -> None:
        self.policies: set[str] = set()
        self.groups: dict[int, str] = {}
        self._custom, self._archive, self._n_modules = custom, archive, 0

    def module(self, written: Mapping[str, Any], group: str | None = None) -> dict[str, Any]:
        """Return the encoding of a layer or model.

        Args:
            written: Its class, module and config in the file.
            group: The group of its weights; `None` for a layer that another layer has.

        Raises:
            CheckpointError: It is not known, or kerastorch has no such argument.
        """
        name, config = written["class_name"], dict(written["config"] or {})
        number = self._n_modules
        self._n_modules += 1
        if group is not None:
            self.groups[number] = group
        self._note_policy(config.get("dtype"))
        made: dict[str, Any] = {"module": number}
        custom = self._custom_name(written)
        if custom is not None and not is_functional(written):
            return made | {"class_name": custom, "config": self._own_config(find(custom, self._custom), config)}
        if name == "Sequential":
            return made | {"class_name": "kerastorch.Sequential", "config": self._sequential(config, written, group)}
        if is_functional(written) and (custom is not None or _is_of_keras(written)):
            groups = _groups_of_layers(config["layers"], group)
            graph = FunctionalReader(self, groups).read(config)
            return made | {"class_name": custom or "kerastorch.Model", "config": graph}
        if not _is_of_keras(written):
            raise CheckpointError(unknown_class(written))
        return made | {"class_name": f"layers.{name}", "config": self._layer(name, config, group)}

    def value(self, written: Any) -> Any:
        """Return the encoding of an argument: a number, a text, a list, or an object.

        Raises:
            CheckpointError: It is code, or an object that is not known.
        """
        if isinstance(written, list):
            return [self.value(one) for one in written]
        if not isinstance(written, Mapping):
            return written
        if "class_name" not in written or "config" not in written:
            return mapping({key: self.value(one) for key, one in written.items()})
        special = _SPECIAL.get(written["class_name"])
        return self._object(written) if special is None else special(self, written["config"])

    def _own_config(self, kind: Any, config: Mapping[str, Any]) -> Any:
        """Return the config of a user's own class, without what only Keras' base class takes."""
        known = argument_names(kind) if isinstance(kind, type) else []
        kept = {key: one for key, one in config.items() if key in known or key not in _OF_BASE_CLASS}
        return mapping({key: self._own_value(one) for key, one in kept.items()})

    def _own_value(self, written: Any) -> Any:
        """Return a value in the config of a user's own class, which may be an object that Keras serialized."""
        if isinstance(written, list):
            return [self._own_value(one) for one in written]
        if not isinstance(written, Mapping):
            return written
        is_object = {"module", "class_name", "config", "registered_name"} <= set(written)
        if is_object or written.get("class_name") in _SPECIAL:
            return self.value(written)
        return mapping({key: self._own_value(one) for key, one in written.items()})

    def _object(self, written: Mapping[str, Any]) -> Any:
        """Return the encoding of an object that a class and a config describe."""
        name, config = written["class_name"], written["config"]
        if name == "function":
            return self._function(written)
        if name == "DTypePolicy":
            return config["name"]
        custom = self._custom_name(written)
        room = _room(written)
        if room == "layers" or _is_model(written) or (custom is not None and _is_module(find(custom, self._custom))):
            return self.module(written)
        if custom is not None:
            return {"class_name": custom, "config": self._own_config(find(custom, self._custom), config)}
        if room is None or not _is_of_keras(written):
            raise CheckpointError(unknown_class(written))
        return {"class_name": f"{room}.{name}", "config": self._arguments(f"{room}.{name}", config)}

    def _function(self, written: Mapping[str, Any]) -> Any:
        name = written["config"]
        if find(name, self._custom) is not None:
            return {"custom": name}
        if not isinstance(name, str) or find_function(name) is None:
            raise CheckpointError(
                f"it names the function {name!r}, which is not known. Give custom_objects={{{name!r}: {name}}}."
            )
        return name  # arguments take the names of functions

    def _custom_name(self, written: Mapping[str, Any]) -> str | None:
        """Return the name under which the user has given a class, or `None`."""
        names = [written.get("registered_name"), written["class_name"]]
        return next((name for name in names if isinstance(name, str) and find(name, self._custom) is not None), None)

    def _sequential(self, config: Mapping[str, Any], written: Mapping[str, Any], group: str | None) -> dict[str, Any]:
        layers = list(config["layers"])
        given = None
        if layers and layers[0]["class_name"] == "InputLayer":
            given = input_config(layers.pop(0)["config"])
            given = None if given["dtype"] == "string" else given  # texts are no tensors; the chain is called on arrays
        elif shape := (config.get("build_input_shape") or (written.get("build_config") or {}).get("input_shape")):
            given = {"shape": list(shape[1:]), "dtype": "float32", "name": None}
        groups = _groups_of_layers(layers, group).values() if group is not None else [None] * len(layers)
        return {"name": config.get("name"), "input": given, "layers": [*map(self.module, layers, groups)]}

    def _layer(self, name: str, config: Mapping[str, Any], group: str | None) -> dict[str, Any]:
        adapted = _ADAPTED[name](dict(config)) if name in _ADAPTED else dict(config)
        if self._archive is not None and group is not None:
            adapted = with_learned_state(name, adapted, self._archive, group)
        return self._arguments(f"layers.{name}", adapted)

    def _arguments(self, name: str, config: Mapping[str, Any]) -> dict[str, Any]:
        """Return the encoded arguments of a class of kerastorch.

        Raises:
            CheckpointError: There is no such class, or it does not have an argument that is not at its default.
        """
        try:
            known = argument_names(find_class(name))
        except ValueError:
            raise CheckpointError(f"kerastorch has no {name}. {_PAGE}") from None
        for key, value in config.items():
            is_default = key in _WITHOUT_EFFECT or value in (None, False, [], {})
            if key not in (*known, *_IN_CONFIG_ONLY) and not is_default:
                raise CheckpointError(f"{name} of kerastorch has no argument {key}={value!r}. {_PAGE}")
        return {key: self.value(value) for key, value in config.items() if key in (*known, *_IN_CONFIG_ONLY)}

    def _note_policy(self, written: Any) -> None:
        name = written["config"].get("name") if isinstance(written, Mapping) else written
        if isinstance(name, str):
            self.policies.add(name)


def unknown_class(written: Mapping[str, Any]) -> str:
    """Return the message for a class that neither kerastorch nor the user has."""
    name = written["class_name"]
    if _is_of_keras(written):
        return f"it names {name}, which kerastorch does not have. {_PAGE}"
    return (
        f"it names the class {name!r}, which is not known. Give custom_objects={{{name!r}: {name}}}, or put "
        "@keras.saving.register_keras_serializable() before the definition."
    )


def _groups_of_layers(layers: Sequence[Mapping[str, Any]], group: str | None) -> dict[Any, str | None]:
    """Return the group of the weights of each layer of a model, by its name or else its position."""
    names = UniqueNames()
    keys = [one.get("name", position) for position, one in enumerate(layers)]
    groups = [names.add(snake_case(KERAS_CLASSES.get(one["class_name"], one["class_name"]))) for one in layers]
    return {
        key: None if group is None else join(group, f"layers/{name}") for key, name in zip(keys, groups, strict=True)
    }


def _is_model(written: Mapping[str, Any]) -> bool:
    """Return whether a chain or a functional model is described, of Keras or of the user."""
    config = written["config"]
    is_graph = isinstance(config, Mapping) and "layers" in config
    return is_graph and (written["class_name"] in ("Sequential", "Functional", "Model"))


def _is_module(thing: Any) -> bool:
    return isinstance(thing, type) and issubclass(thing, nn.Module)


def _is_of_keras(written: Mapping[str, Any]) -> bool:
    module = written.get("module")
    return module is not None and (module == "builtins" or module.split(".")[0] in ("keras", "tf_keras"))


def _room(written: Mapping[str, Any]) -> str | None:
    """Return the room of kerastorch that has the classes of a module of Keras, or `None`."""
    parts = str(written.get("module")).split(".")
    return next((part for part in parts if part in _ROOMS), None)


def _refuse_code(_reader: ConfigReader, _config: Any) -> Any:
    raise CheckpointError(
        "it holds the code of a lambda, which is never run. Write the function with def, give it to Lambda() in Keras, "
        "and pass it as custom_objects."
    )


def _array(_reader: ConfigReader, config: Mapping[str, Any]) -> Any:
    return {"array": np.asarray(config["value"], dtype=config["dtype"])}


def _tensor(_reader: ConfigReader, config: Mapping[str, Any]) -> Any:
    return {"tensor": torch.from_numpy(np.asarray(config["value"], dtype=config["dtype"]))}


def _slice(reader: ConfigReader, config: Mapping[str, Any]) -> Any:
    return {"slice": [reader.value(config[name]) for name in ("start", "stop", "step")]}


def _ellipsis(_reader: ConfigReader, _config: Any) -> Any:
    return {"ellipsis": True}


_SPECIAL = {
    "__lambda__": _refuse_code,
    "__numpy__": _array,
    "__tensor__": _tensor,
    "__slice__": _slice,
    "__ellipsis__": _ellipsis,
}


# --- layers whose arguments are others -------------------------------------------------------------------------


def _without_own_axes(config: dict[str, Any]) -> dict[str, Any]:
    """Leave out the attention over the only axis between batch and features, which is the default."""
    if config.get("attention_axes") in ([1], (1,), 1):
        config["attention_axes"] = None
    return config


def _without_rms(config: dict[str, Any]) -> dict[str, Any]:
    if config.get("rms_scaling"):
        raise CheckpointError("LayerNormalization(rms_scaling=True) is RMSNormalization, which has no mean.")
    return config


def _without_bins(config: dict[str, Any]) -> dict[str, Any]:
    """Leave out the number of bins that `adapt` has found, since the file has their boundaries."""
    if config.get("bin_boundaries"):
        config["num_bins"] = None
    return config


def _with_hash(config: dict[str, Any]) -> dict[str, Any]:
    """Name the hash of unknown texts, which is the same in versions of Keras that do not name it."""
    return {"oov_method": "farmhash", **config}


def _without_spectral_norm(_config: dict[str, Any]) -> dict[str, Any]:
    raise CheckpointError(
        "it has a SpectralNormalization, for which Keras divides the kernel itself in training, and kerastorch what "
        "the layer computes with it. Save the model with the wrapped layer in its place."
    )


_ADAPTED: dict[str, Callable[[dict[str, Any]], dict[str, Any]]] = {
    "Discretization": _without_bins,
    "LayerNormalization": _without_rms,
    "MultiHeadAttention": _without_own_axes,
    "StringLookup": _with_hash,
    "SpectralNormalization": _without_spectral_norm,
}
