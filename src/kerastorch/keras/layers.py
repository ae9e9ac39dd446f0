"""Keras' layers under Keras' path: instances of `kerastorch.layers`, with images whose channels are the last axis."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from kerastorch import layers
from kerastorch.keras.door import keras_class
from kerastorch.symbolic.input import Input

__all__ = ["Input", *(name for name in layers.__all__ if name != "Input")]


def __dir__() -> list[str]:
    return sorted(__all__)


if not TYPE_CHECKING:

    def __getattr__(name: str) -> Any:
        found = getattr(layers, name)  # which says what there is instead of a name that does not exist
        is_layer = isinstance(found, type) and issubclass(found, layers.Layer)
        return keras_class(found) if is_layer else found
