"""Lambda: a function as a layer."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from typing import Any

from kerastorch.core.errors import mismatch
from kerastorch.layers.base import Layer


class Lambda(Layer):
    """`function(x, **arguments)`. It has no weights: a function that needs some belongs into a `Layer`.

    Args:
        function: takes the input first. If it has a parameter `mask` it is given that of the input, if it has one
            `training`, whether the layer is in training mode.
        output_shape: not needed, since shapes are found by calling the function; here because Keras has it.
        mask: that of the output, or `mask(x, mask_of_x)` that makes it; `None`: there is none.
        arguments: more arguments of `function`, by name.
        name: see `Layer`; so is `trainable`.

    >>> import torch
    >>> Lambda(lambda x: x**2)(torch.tensor([3.0]))
    tensor([9.])
    """

    def __init__(
        self,
        function: Callable[..., Any],
        output_shape: Any = None,
        mask: Any = None,
        arguments: Mapping[str, Any] | None = None,
        *,
        name: str | None = None,
        trainable: bool = True,
    ) -> None:
        super().__init__(name=name, trainable=trainable)
        if not callable(function):
            raise mismatch("function", function, "a function of the input")
        self.function = function
        self.output_shape = output_shape
        self.mask = mask
        self.arguments = dict(arguments or {})
        takes = _parameters(function)
        self._takes_mask, self._takes_training = "mask" in takes, "training" in takes

    def forward(self, x: Any, mask: Any = None) -> Any:
        more = dict(self.arguments)
        if self._takes_mask:
            more["mask"] = mask
        if self._takes_training:
            more["training"] = self.training
        return self.function(x, **more)

    def compute_mask(self, x: Any, mask: Any = None) -> Any:
        return self.mask(x, mask) if callable(self.mask) else self.mask

    def get_config(self) -> dict[str, Any]:
        """As of any layer, where the function is one of kerastorch's own.

        Raises:
            TypeError: a function of your own: there is nothing to find it by later.
        """
        try:
            return super().get_config()
        except TypeError as error:
            raise TypeError(
                f"{error} A Lambda of your own function has no config; write a subclass of Layer for it."
            ) from None

    def extra_repr(self) -> str:
        return getattr(self.function, "__name__", repr(self.function))


def _parameters(function: Callable[..., Any]) -> Mapping[str, Any]:
    try:
        return inspect.signature(function).parameters
    except (TypeError, ValueError):  # some functions of torch have no signature
        return {}
