"""`kerastorch.saving` under Keras' path, and its methods of models as functions."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

from kerastorch import saving
from kerastorch.keras.models import deserialize_keras_object, load_model, save_model
from kerastorch.model import Model

_CALLED_AS_KERAS = ("deserialize_keras_object", "load_model")  # in place of those of `kerastorch.saving`

__all__ = [
    "deserialize_keras_object", "load_model", "load_weights", "save_model", "save_weights",
    *(name for name in saving.__all__ if name not in _CALLED_AS_KERAS),
]  # fmt: skip


def save_weights(model: Model, filepath: str | os.PathLike[str], overwrite: bool = True) -> None:
    """Write the weights of a model to a file: `model.save_weights(filepath, overwrite)`.

    Args:
        model: The model.
        filepath: Path of the file.
        overwrite: Whether an existing file is replaced. Default `True`.
    """
    model.save_weights(filepath, overwrite)


def load_weights(model: Model, filepath: str | os.PathLike[str], skip_mismatch: bool = False) -> None:
    """Read the weights of a model from a file: `model.load_weights(filepath, skip_mismatch)`.

    Args:
        model: The model.
        filepath: Path of the file.
        skip_mismatch: Whether weights of other shapes are left as they are. Default `False`.
    """
    model.load_weights(filepath, skip_mismatch)


def __dir__() -> list[str]:
    return sorted(__all__)


if not TYPE_CHECKING:

    def __getattr__(name: str) -> Any:
        return getattr(saving, name)
