"""Saving and loading models: `load_model`, and the registry of your own classes and functions."""

from kerastorch.saving.load import load_model
from kerastorch.saving.registry import (
    CustomObjectScope,
    custom_object_scope,
    get_registered_name,
    register_keras_serializable,
)

__all__ = [
    "CustomObjectScope",
    "custom_object_scope",
    "get_registered_name",
    "load_model",
    "register_keras_serializable",
]


def __dir__() -> list[str]:
    return __all__
