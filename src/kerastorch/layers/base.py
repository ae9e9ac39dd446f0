"""What every layer is: a torch module that makes its parameters when it first sees a shape."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import torch
from torch import Tensor, nn

from kerastorch import activations, initializers, regularizers
from kerastorch.regularizers import Regularizer
from kerastorch.tree import modules


class Layer(nn.Module):
    """Base of the layers. Write `build(input_shape)` for the parameters and `forward` for the rest.

    Until the first call there are no parameters; the call makes them, on the device and in the dtype that the
    layer was moved to, and after it the layer is a plain torch module.

    Args:
        name: a name of its own, for messages.
        activity_regularizer: a penalty on the output, over the batch size, added to the training loss.

    >>> class Scale(Layer):
    ...     def build(self, input_shape):
    ...         self.factor = self.add_weight(input_shape[-1:], "ones")
    ...     def forward(self, x):
    ...         return x * self.factor
    >>> Scale()(torch.zeros(2, 3)).shape
    torch.Size([2, 3])
    """

    weight_regularizers: dict[str, Regularizer]
    _place: Tensor

    def __init__(self, *, name: str | None = None, activity_regularizer: Any = None) -> None:
        super().__init__()
        self.name = name
        self.built = False
        self.activity_regularizer = regularizers.get(activity_regularizer)
        self.weight_regularizers = {}
        # an empty buffer follows .to(), .double() and .cuda(), so that the parameters are made in the right place
        self.register_buffer("_place", torch.empty(0), persistent=False)
        self._build_first = self.register_forward_pre_hook(_build_first, with_kwargs=True)

    def build(self, input_shape: torch.Size) -> None:
        """Make the parameters for inputs of this shape, the batch axis included."""

    def ensure_built(self, input_shape: Any) -> None:
        """Build once; later calls do nothing."""
        if self.built:
            return
        self.build(torch.Size(-1 if size is None else size for size in input_shape))
        self.built = True
        self._build_first.remove()
        del self._buffers["_place"], self._build_first
        self._non_persistent_buffers_set.discard("_place")

    def add_weight(
        self,
        shape: Any,
        initializer: Any = "glorot_uniform",
        *,
        regularizer: Any = None,
        trainable: bool = True,
        name: str | None = None,
    ) -> nn.Parameter:
        """A new parameter in torch's layout, `(out, in, ...)`; assign it to an attribute, as any parameter.

        Args:
            shape: its size on each axis.
            initializer: name or callable that fills it.
            regularizer: a penalty on it; needs `name`.
            trainable: whether it learns.
            name: the attribute it will be assigned to.
        """
        weight = torch.empty(tuple(shape), dtype=self._place.dtype, device=self._place.device)
        with torch.no_grad():
            initializers.get(initializer)(weight)
        if regularizer is not None:
            if name is None:
                raise ValueError("add_weight: a regularizer needs the name of the attribute, name=...")
            penalty = regularizers.get(regularizer)
            assert penalty is not None
            self.weight_regularizers[name] = penalty
        return nn.Parameter(weight, requires_grad=trainable)

    def _load_from_state_dict(self, state_dict: dict[str, Any], prefix: str, *args: Any) -> None:
        if not self.built and any(key.startswith(prefix) for key in state_dict):
            raise RuntimeError(
                f"{type(self).__name__} at {prefix.rstrip('.') or 'the top'!r} has no parameters yet. Build the model "
                "before loading: model.build(input_shape), an Input in front, or one call on data."
            )
        super()._load_from_state_dict(state_dict, prefix, *args)

    def extra_repr(self) -> str:
        return "" if self.built else "unbuilt"


def _build_first(layer: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
    assert isinstance(layer, Layer)
    first = next(iter((*args, *kwargs.values())), None)
    if not isinstance(first, Tensor):
        if isinstance(first, (tuple, list)) and first and isinstance(first[0], Tensor):
            first = first[0]
        else:
            raise TypeError(f"{type(layer).__name__} takes a tensor, got {type(first).__name__}.")
    layer.ensure_built(first.shape)


def is_built(module: nn.Module, parts: Iterable[nn.Module] | None = None) -> bool:
    """Whether every parameter of `module` exists: kerastorch's layers and torch's `Lazy*` alike.

    Args:
        module: any.
        parts: its modules, where they are at hand.
    """
    for child in modules(module) if parts is None else parts:
        if isinstance(child, Layer) and not child.built:
            return False
        if child._parameters and any(p is not None and nn.parameter.is_lazy(p) for p in child._parameters.values()):
            return False
    return True


def activation_name(activation: Any) -> str:
    """For `repr`."""
    return "" if activation is activations.linear else f", activation={getattr(activation, '__name__', activation)}"
