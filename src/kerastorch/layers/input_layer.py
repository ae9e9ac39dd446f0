"""InputLayer: the input of a model as one of its layers."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from torch import Tensor

from kerastorch.layers.base import Layer
from kerastorch.symbolic.input import Input
from kerastorch.symbolic.symbolic_tensor import Symbol


class InputLayer(Layer):
    """The input of a model as a layer: `layer.output` is the `Input`. It has no weights, and returns its input.

    As in Keras, it is among the `layers` of a functional model. It is no child of the model in torch: `children()` and
    `state_dict()` are without it. In front of a `Sequential`, it is the same as an `Input`.

    Args:
        shape: The shape of one sample, without the batch axis; `None` for a size that varies.
        batch_size: The size of the batch axis; it is checked, and the axis varies nevertheless. Default none.
        dtype: The dtype of the data. Default: `torch.get_default_dtype()`.
        batch_shape: The shape with the batch axis, in place of `shape`. Default none.
        optional: Whether the model may be called with `None` for it. Default `False`.
        input_tensor: A symbol that is the input, in place of a shape. Default none.
        name: Name of the input. Default none.

    Shape: any, which is also that of the output.

    Raises:
        ValueError: There is no shape, or more than one; a size is not a positive integer or `None`.

    >>> InputLayer(shape=(3,)).output.shape
    (None, 3)
    """

    supports_masking = True
    keeps_axes = True
    excluded_args = frozenset({"shape", "batch_size", "input_tensor"})

    def __init__(
        self,
        shape: Sequence[int | None] | None = None,
        batch_size: int | None = None,
        dtype: Any = None,
        *,
        batch_shape: Sequence[int | None] | None = None,
        optional: bool = False,
        input_tensor: Symbol | None = None,
        name: str | None = None,
    ) -> None:
        super().__init__(name=name)
        symbol: Symbol = (
            Input(shape, dtype, name, batch_size=batch_size, batch_shape=batch_shape, optional=optional)
            if input_tensor is None
            else input_tensor
        )
        self._symbol = symbol
        sizes = [size if isinstance(size, int) else None for size in symbol.shape[1:]]
        self.batch_shape = (batch_size, *sizes)
        self.dtype = symbol.dtype
        self.optional = bool(getattr(symbol, "optional", False))
        self.ensure_built(self.batch_shape)

    def forward(self, x: Tensor) -> Tensor:
        return x

    def _only_call(self) -> tuple[Any, Any]:
        return self._symbol, self._symbol
