"""Keras' layers under Keras' path: instances of `kerastorch.layers`, with images whose channels are the last axis."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from kerastorch import layers
from kerastorch.keras.door import keras_class
from kerastorch.keras.serialize import functions_of
from kerastorch.keras.torch_module_wrapper import TorchModuleWrapper as _Wrapper
from kerastorch.layers.input_spec import InputSpec
from kerastorch.symbolic.input import Input

_OTHER_NAMES = {
    "Convolution1D": "Conv1D",
    "Convolution2D": "Conv2D",
    "Convolution3D": "Conv3D",
    "Convolution1DTranspose": "Conv1DTranspose",
    "Convolution2DTranspose": "Conv2DTranspose",
    "Convolution3DTranspose": "Conv3DTranspose",
    "SeparableConvolution1D": "SeparableConv1D",
    "SeparableConvolution2D": "SeparableConv2D",
}

serialize, deserialize = functions_of(layers).values()
TorchModuleWrapper = keras_class(_Wrapper)

__all__ = [
    "Input", "InputSpec", "TorchModuleWrapper", *(name for name in layers.__all__ if name != "Input"), *_OTHER_NAMES,
    "deserialize", "serialize",
]  # fmt: skip


def __dir__() -> list[str]:
    return sorted(__all__)


if not TYPE_CHECKING:

    def __getattr__(name: str) -> Any:
        found = getattr(
            layers, _OTHER_NAMES.get(name, name)
        )  # which says what there is instead of a name that does not exist
        is_layer = isinstance(found, type) and issubclass(found, layers.Layer)
        return keras_class(found) if is_layer else found
