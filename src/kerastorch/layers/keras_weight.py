"""The weights of layers under Keras' names and in Keras' layout, such as `layer.kernel`."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from kerastorch.core.overridable_property import overridable_property
from kerastorch.core.torch_private import disable_torch_function


class KerasWeight(Tensor):
    """A view of a weight in Keras' layout, which is set by `assign`; operations on it return plain tensors.

    Gradients of what is computed from it reach the weight.
    """

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

    @property
    def value(self) -> Tensor:
        """The view itself."""
        return self

    def assign(self, value: Any) -> KerasWeight:
        """Set the values of the weight, in place.

        Args:
            value: A tensor, array or number of the same shape.

        Raises:
            ValueError: The shape is different.
        """
        given = torch.as_tensor(value, device=self.device)
        if given.shape != self.shape:
            raise ValueError(f"A weight of shape {tuple(self.shape)} was assigned a value of {tuple(given.shape)}.")
        with torch.no_grad():
            self.detach().copy_(given)
        return self

    def assign_add(self, value: Any) -> KerasWeight:
        """Add a tensor, array or number to the weight, in place."""
        return self.assign(self.detach() + torch.as_tensor(value, device=self.device))

    def assign_sub(self, value: Any) -> KerasWeight:
        """Subtract a tensor, array or number from the weight, in place."""
        return self.assign(self.detach() - torch.as_tensor(value, device=self.device))

    def numpy(self, *, force: bool = False) -> Any:
        """Return a copy of the values as a NumPy array; bfloat16 becomes float32.

        Args:
            force: No effect: a copy is made in any case.
        """
        held = self.detach().cpu()
        return Tensor.numpy(held.float() if held.dtype is torch.bfloat16 else held).copy()


def outputs_last(weight: Tensor) -> Tensor:
    """Return a weight `(out, in, ...)` with the axes `(..., in, out)`, as Keras has them."""
    return weight.movedim((1, 0), (-2, -1))


def keras_weight(
    attribute: str, layout: Callable[[Tensor], Tensor] = lambda weight: weight
) -> overridable_property[Any]:
    """Return a property for the weight of a layer under another name; a parameter in the same layout is itself.

    Args:
        attribute: The name in torch.
        layout: Returns a view in Keras' layout. Default: the same layout.
    """

    def get(layer: nn.Module) -> Any:
        """Return the weight in the layout of Keras; `None` if the layer has none."""
        held = getattr(layer, attribute)
        if held is None:
            return None
        view = layout(held)
        return held if view is held and isinstance(held, nn.Parameter) else view.as_subclass(KerasWeight)

    return overridable_property(get)
