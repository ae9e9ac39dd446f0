"""`Model`, `Sequential`, and the functions that copy, save and load models, under Keras' path."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from typing import Any

from torch import nn

from kerastorch.keras.cloning import clone_model
from kerastorch.keras.door import as_in_keras, keras_class, with_keras_calls
from kerastorch.model import Model as BaseModel
from kerastorch.saving import keras_objects, load
from kerastorch.sequential import Sequential as BaseSequential

Model, Sequential = keras_class(BaseModel), keras_class(BaseSequential)

__all__ = ["Model", "Sequential", "clone_model", "load_model", "model_from_json", "save_model"]


def load_model(
    filepath: str | os.PathLike[str],
    custom_objects: Mapping[str, Any] | None = None,
    compile: bool = True,  # noqa: A002  # the name of Keras' argument
    safe_mode: bool = True,  # noqa: ARG001  # files are read safely in any case
    *,
    module: nn.Module | None = None,
) -> BaseModel:
    """Return the model of a file, as `kerastorch.load_model` does, with calls as in Keras.

    Args:
        filepath: Path of a `.keras`, `.kt` or `.h5` file.
        custom_objects: Your own classes and functions, by the names that they were saved under. Default none.
        compile: Whether to compile the model as it was. Default `True`.
        safe_mode: Has no effect: nothing in a file is ever executed. Default `True`.
        module: A model made by your own code, which takes the weights and the state in the file. Default none.

    Raises:
        CheckpointError: The file is not that of a model; it names classes or functions that are not known.
        FileNotFoundError: The file does not exist.
    """
    return with_keras_calls(load.load_model(filepath, custom_objects, compile, module=module))


def deserialize_keras_object(config: Any, custom_objects: Mapping[str, Any] | None = None) -> Any:
    """Return the object of a config, as `kerastorch.saving` does, with calls as in Keras if it is a layer or model.

    Args:
        config: What `serialize_keras_object` returned.
        custom_objects: Your own classes and functions by name. Default none.
    """
    made = keras_objects.deserialize_keras_object(config, custom_objects)
    return as_in_keras(made) if isinstance(made, nn.Module) else made


def model_from_json(json_string: str, custom_objects: Mapping[str, Any] | None = None) -> BaseModel:
    """Return the model that `model.to_json()` described, with new weights.

    Args:
        json_string: The text.
        custom_objects: Classes and functions of your own by name. Default none.

    Raises:
        ValueError: The text does not describe a model; a name is not known.
    """
    made = deserialize_keras_object(json.loads(json_string), custom_objects)
    if not isinstance(made, BaseModel):
        raise ValueError(f"The text describes {made!r}, which is no model.")
    return made


def save_model(model: BaseModel, filepath: str | os.PathLike[str], overwrite: bool = True) -> None:
    """Write a model to a file: `model.save(filepath, overwrite)`.

    Args:
        model: The model.
        filepath: Path of the file.
        overwrite: Whether an existing file is replaced. Default `True`.
    """
    model.save(filepath, overwrite)
