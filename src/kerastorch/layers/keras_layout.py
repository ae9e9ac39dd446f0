"""KerasLayoutMixin: the weights of a layer as the arrays that Keras' layer has."""

from __future__ import annotations

from kerastorch.core.keras_variable import KerasVariable
from kerastorch.layers.keras_variables import keras_variables
from kerastorch.module.weights_mixin import WeightsMixin


class KerasLayoutMixin(WeightsMixin):
    """Base of a layer, whose weights `get_weights` may return as Keras has them.

    Attributes:
        keras_layout: Whether it does, as for layers of `kerastorch.keras`.
    """

    keras_layout = False

    def use_keras_layout(self) -> None:
        """Let `get_weights` return the arrays of Keras, also those of layers within this one."""
        self.keras_layout = True

    def keras_variables(self) -> list[KerasVariable]:
        """Return the arrays that Keras' layer has, without those of layers within it unless they belong to it."""
        return keras_variables(self)
