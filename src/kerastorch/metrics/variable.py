"""MetricVariable: a tensor of a metric's state, with Keras' `assign`."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Self

import torch
from torch import Tensor

from kerastorch.core.torch_private import disable_torch_function


class MetricVariable(Tensor):
    """A tensor that a metric accumulates in; operations on it return plain tensors.

    Args:
        data: The initial value; the variable has a copy of it.
        aggregation: As in `Metric.add_variable`.

    Attributes:
        aggregation: How the values of several metrics are merged; `None` if it is unknown.

    >>> total = MetricVariable(torch.zeros(()))
    >>> total.assign_add(2)
    >>> total / 4
    tensor(0.5000)
    """

    aggregation: str | None

    @staticmethod
    def __new__(cls, data: Tensor, aggregation: str | None = None) -> Self:
        """Create a variable with a copy of the tensor."""
        with disable_torch_function():
            created = data.detach().clone().as_subclass(cls)
        created.aggregation = aggregation
        return created

    @classmethod
    def __torch_function__(
        cls,
        func: Callable[..., Any],
        types: Sequence[type],
        args: Sequence[Any] = (),
        kwargs: Mapping[str, Any] | None = None,
    ) -> Any:
        """Run an operation of torch as for a plain tensor."""
        with disable_torch_function():
            return func(*args, **(kwargs or {}))

    def __deepcopy__(self, memo: dict[int, Any]) -> Self:
        """Return a variable of its own with the same value."""
        copied = type(self)(self, self.aggregation)
        memo[id(self)] = copied
        return copied

    def __repr__(self, *, tensor_contents: Any = None) -> str:  # type: ignore[override]
        return f"MetricVariable({self.tolist()}, dtype={str(self.dtype).removeprefix('torch.')})"

    @property
    def value(self) -> Tensor:
        """The value as a plain tensor of its own."""
        return self.detach().clone()

    def assign(self, value: Any) -> None:
        """Set the value.

        The variable keeps its shape and dtype, and moves to the device of a tensor.

        Args:
            value: A tensor, array or number of the same shape.

        Raises:
            ValueError: The shape is different.
        """
        given = value.detach() if isinstance(value, Tensor) else torch.as_tensor(value, device=self.device)
        if given.shape != self.shape:
            raise ValueError(f"a state of shape {tuple(self.shape)} was assigned a value of {tuple(given.shape)}.")
        self.data = given.to(self._dtype_on(given.device)).clone()

    def assign_add(self, value: Any) -> None:
        """Add a tensor, array or number."""
        self.assign(self._here(value) + value)

    def assign_sub(self, value: Any) -> None:
        """Subtract a tensor, array or number."""
        self.assign(self._here(value) - value)

    def move(self, device: torch.device) -> None:
        """Move the value to a device."""
        if self.device != device:
            self.data = self.detach().to(device, self._dtype_on(device))

    def _here(self, value: Any) -> Tensor:
        """Return the value on the device of a tensor that is combined with it."""
        return self.detach().to(value.device) if isinstance(value, Tensor) else self.detach()

    def _dtype_on(self, device: torch.device) -> torch.dtype:
        """Return the dtype, or float32 in place of float64 on a device without it."""
        return torch.float32 if device.type == "mps" and self.dtype == torch.float64 else self.dtype
