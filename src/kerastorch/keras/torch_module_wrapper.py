"""`TorchModuleWrapper`: a module of torch as a layer of Keras."""

from __future__ import annotations

from typing import Any

from torch import nn

from kerastorch.core.serialization import encode
from kerastorch.layers.wrapper import Wrapper


class TorchModuleWrapper(Wrapper):
    """A layer that runs a module of torch; layers and models take such modules as they are, too.

    Args:
        module: The module, which gets all arguments of a call.
        name: Name of the layer. Default: that of the class, numbered.
        output_shape: What `compute_output_shape` returns. Default: it is found from the module.
        activity_regularizer: Penalty on the output, divided by the batch size.
        trainable: Whether the weights are trained.

    Raises:
        TypeError: `module` is no module.

    >>> import torch
    >>> TorchModuleWrapper(nn.Linear(3, 2))(torch.zeros(4, 3)).shape
    torch.Size([4, 2])
    """

    excluded_args = frozenset({"output_shape"})  # the attribute of this name is that of a model's layer

    def __init__(
        self,
        module: nn.Module,
        name: str | None = None,
        output_shape: Any = None,
        *,
        activity_regularizer: Any = None,
        trainable: bool = True,
    ) -> None:
        super().__init__(module, name=name, trainable=trainable, activity_regularizer=activity_regularizer)
        self._declared_output = output_shape

    @property
    def module(self) -> nn.Module:
        """The module."""
        return self.layer

    def forward(self, *args: Any, training: bool | None = None, **kwargs: Any) -> Any:
        """Return what the module returns."""
        return self.layer(*args, **kwargs)

    def get_config(self) -> dict[str, Any]:
        """Return the arguments."""
        return {**super().get_config(), "output_shape": encode(self._declared_output)}

    def compute_output_shape(self, input_shape: Any, *more: Any) -> Any:
        """Return the shape of the output for inputs of a shape.

        Args:
            input_shape: Shape of the input with the batch axis, `None` for sizes that vary.
            *more: Shapes of further inputs.
        """
        return self._declared_output or super().compute_output_shape(input_shape, *more)
