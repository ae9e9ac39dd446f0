"""`Model`, `Sequential`, and the functions that copy, save and load models, under Keras' path."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from typing import Any

from kerastorch.keras.cloning import clone_model
from kerastorch.model import Model
from kerastorch.saving.keras_objects import deserialize_keras_object
from kerastorch.saving.load import load_model
from kerastorch.sequential import Sequential

__all__ = ["Model", "Sequential", "clone_model", "load_model", "model_from_json", "save_model"]


def model_from_json(json_string: str, custom_objects: Mapping[str, Any] | None = None) -> Model:
    """Return the model that `model.to_json()` described, with new weights.

    Args:
        json_string: The text.
        custom_objects: Classes and functions of your own by name. Default none.

    Raises:
        ValueError: The text does not describe a model; a name is not known.
    """
    made = deserialize_keras_object(json.loads(json_string), custom_objects)
    if not isinstance(made, Model):
        raise ValueError(f"The text describes {made!r}, which is no model.")
    return made


def save_model(model: Model, filepath: str | os.PathLike[str], overwrite: bool = True) -> None:
    """Write a model to a file: `model.save(filepath, overwrite)`.

    Args:
        model: The model.
        filepath: Path of the file.
        overwrite: Whether an existing file is replaced. Default `True`.
    """
    model.save(filepath, overwrite)
