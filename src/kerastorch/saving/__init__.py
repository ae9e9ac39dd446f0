"""Saving and loading models: `load_model`, and the registry of your own classes and functions."""

from typing import TYPE_CHECKING, NoReturn

from kerastorch.core.absent_names import absent_name
from kerastorch.core.keras_names import SAVING
from kerastorch.saving.keras_objects import deserialize_keras_object, serialize_keras_object
from kerastorch.saving.load import load_model
from kerastorch.saving.registry import (
    CustomObjectScope,
    custom_object_scope,
    get_custom_objects,
    get_registered_name,
    get_registered_object,
    register_keras_serializable,
)

__all__ = [
    "CustomObjectScope",
    "custom_object_scope",
    "deserialize_keras_object",
    "get_custom_objects",
    "get_registered_name",
    "get_registered_object",
    "load_model",
    "register_keras_serializable",
    "serialize_keras_object",
]


def __dir__() -> list[str]:
    return __all__


if not TYPE_CHECKING:  # type checkers refuse the names themselves

    def __getattr__(name: str) -> NoReturn:
        raise absent_name(__name__, name, __all__, SAVING)
