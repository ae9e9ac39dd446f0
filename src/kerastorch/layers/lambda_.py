"""Lambda: a function as a layer."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from typing import Any

from kerastorch.core.errors import mismatch
from kerastorch.layers.base import Layer


class Lambda(Layer):
    """Layer that calls a function: `function(x, **arguments)`.

    The layer has no weights; a function that needs weights belongs in a subclass of `Layer`.

    Args:
        function: Function of the input. If it has a parameter `mask`, it gets the mask of the input; if it has a
            parameter `training`, it gets whether the layer is in training mode.
        output_shape: Unused, accepted for compatibility with Keras: calling the function gives the shape.
        mask: Mask of the output, or a function `mask(x, mask_of_x)` that returns it. Default `None` for no mask.
        arguments: Further arguments of `function`, by name. Default none.
        name: Name of the layer. Default none.
        trainable: No effect: the layer has no weights.

    >>> import torch
    >>> Lambda(lambda x: x**2)(torch.tensor([3.0]))
    tensor([9.])
    """

    _sets_device = True

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
        parameters = _parameters(function)
        self._takes_mask, self._takes_training = "mask" in parameters, "training" in parameters

    def forward(self, x: Any, mask: Any = None) -> Any:
        arguments = dict(self.arguments)
        if self._takes_mask:
            arguments["mask"] = mask
        if self._takes_training:
            arguments["training"] = self.training
        return self.function(x, **arguments)

    def compute_mask(self, x: Any, mask: Any = None) -> Any:
        return self.mask(x, mask) if callable(self.mask) else self.mask

    def get_config(self) -> dict[str, Any]:
        """Return the constructor arguments, if the function is one of kerastorch.

        Raises:
            TypeError: A function of the user: a config cannot name it.
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
    """Return the parameters of a function; none if it has no signature, as some functions of torch."""
    try:
        return inspect.signature(function).parameters
    except (TypeError, ValueError):
        return {}
