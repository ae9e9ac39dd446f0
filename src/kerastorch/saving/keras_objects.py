"""`serialize_keras_object` and `deserialize_keras_object`: one object as a dict, and back."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from kerastorch.core.serialization import decode, encode, use_codec
from kerastorch.saving.deserializer import Reader
from kerastorch.saving.registry import custom_object_scope, known_objects
from kerastorch.saving.serializer import Writer


def serialize_keras_object(obj: Any) -> Any:
    """Return a layer, loss, initializer or other object as a dict with the name of its class and its config.

    Weights are not in it. A class or function of your own is written by its name.

    Args:
        obj: The object, a function of kerastorch, or a structure of them; numbers and texts stay as they are.

    Raises:
        TypeError: The object, or an argument of its constructor, cannot be written.

    >>> from kerastorch.regularizers import L2
    >>> serialize_keras_object(L2(0.5))
    {'class_name': 'regularizers.L2', 'config': {'l2': 0.5}}
    """
    with use_codec(Writer()):  # one of its own, so that what is written stands alone within the config of a model
        return encode(obj)


def deserialize_keras_object(config: Any, custom_objects: Mapping[str, Any] | None = None) -> Any:
    """Return the object that `serialize_keras_object` described; a layer has new weights.

    Args:
        config: What `serialize_keras_object` returned; another object is returned as it is.
        custom_objects: Classes and functions of your own by name. Registered ones, and those of a
            `custom_object_scope`, are found without it.

    Raises:
        ValueError: A name is not known.

    >>> from kerastorch.layers import Dense
    >>> deserialize_keras_object(serialize_keras_object(Dense(3))).units
    3
    """
    with custom_object_scope(custom_objects or {}), use_codec(Reader(known_objects())):
        return decode(config)
