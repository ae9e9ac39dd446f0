"""Weights as Keras hands them out: lists of tensors, NumPy arrays in and out, and how many numbers there are."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from kerastorch.core.module_tree import is_unbuilt, modules
from kerastorch.core.overridable_property import overridable_property
from kerastorch.module.base_module import BaseModule
from kerastorch.module.unregistered_modules import check_registered


class WeightsMixin(BaseModule):
    """A module whose weights are seen as Keras shows them."""

    @overridable_property
    def weights(self) -> list[Tensor]:
        """Parameters and buffers in the order of `state_dict()`: what `get_weights` copies."""
        return list(_held(self).values())

    @overridable_property
    def trainable_weights(self) -> list[Tensor]:
        """The parameters that learn, each once."""
        return [weight for weight in self.parameters() if weight.requires_grad]

    @overridable_property
    def non_trainable_weights(self) -> list[Tensor]:
        """Frozen parameters and buffers, each once."""
        return list({id(weight): weight for weight in _held(self).values() if not weight.requires_grad}.values())

    def count_params(self) -> int:
        """Count the numbers in all parameters, trainable or not, each shared one once; buffers are not counted.

        It equals `sum(p.numel() for p in module.parameters())`. Keras counts more for layers with states that no
        gradient reaches, such as the running mean and variance of batch normalization: to torch they are buffers, and
        `sum(b.numel() for b in module.buffers())` counts them.

        Raises:
            ValueError: not built yet.
        """
        check_built(self)
        return sum(weight.numel() for weight in self.parameters())

    def get_weights(self) -> list[np.ndarray[Any, Any]]:
        """Copies of parameters and buffers in the order of `state_dict()`; bfloat16, unknown to NumPy, as float32.

        Raises:
            ValueError: not built yet.
        """
        check_built(self)
        return [_array(value) for value in _held(self).values()]

    def set_weights(self, weights: Sequence[Any]) -> None:
        """Put back what `get_weights` gave.

        Raises:
            ValueError: another number of arrays, or another shape, with the name of the weight; then nothing is set.
        """
        check_built(self)
        held = _held(self)
        if len(held) != len(weights):
            what = "model" if hasattr(self, "fit") else "layer"
            raise ValueError(f"The {what} has {len(held)} parameters and buffers, got {len(weights)} arrays.")
        given = {name: torch.as_tensor(value) for name, value in zip(held, weights, strict=True)}
        for index, (name, value) in enumerate(given.items()):
            if value.shape != held[name].shape:
                expected = tuple(held[name].shape)
                raise ValueError(f"{name!r} (weight {index}) has shape {expected}, got {tuple(value.shape)}.")
        self.load_state_dict(self.state_dict() | given)

    # what lies in a plain list is not left out without a word

    def named_parameters(
        self, prefix: str = "", recurse: bool = True, remove_duplicate: bool = True
    ) -> Iterator[tuple[str, nn.Parameter]]:
        """As torch's; layers in a plain list raise an error."""
        if recurse:
            check_registered(self)
        return super().named_parameters(prefix, recurse, remove_duplicate)

    def state_dict(self, *args: Any, **kwargs: Any) -> Any:
        """As torch's; layers in a plain list raise an error."""
        if not args and kwargs.get("destination") is None:  # else it is a part of a state dict
            check_registered(self)
        return super().state_dict(*args, **kwargs)

    def load_state_dict(self, state_dict: Mapping[str, Any], strict: bool = True, assign: bool = False) -> Any:
        """As torch's; layers in a plain list raise an error."""
        check_registered(self)
        return super().load_state_dict(state_dict, strict, assign)

    # torch refuses a name that an attribute has; one that is only worked out gives way

    def register_parameter(self, name: str, param: nn.Parameter | None) -> None:
        """As torch's."""
        with _freed(self, name, self._parameters):
            super().register_parameter(name, param)

    def register_buffer(self, name: str, tensor: Tensor | None, persistent: bool = True) -> None:
        """As torch's."""
        with _freed(self, name, self._buffers):
            super().register_buffer(name, tensor, persistent)

    def add_module(self, name: str, module: nn.Module | None) -> None:
        """As torch's."""
        with _freed(self, name, self._modules):
            super().add_module(name, module)


@contextmanager
def _freed(module: nn.Module, name: str, held: dict[str, Any]) -> Iterator[None]:
    if name in held or not isinstance(getattr(type(module), name, None), overridable_property):
        yield
        return
    held[name] = None
    try:
        yield
    except BaseException:
        del held[name]
        raise


def _held(module: nn.Module) -> dict[str, Tensor]:
    found = module.state_dict(keep_vars=True)
    return {name: value for name, value in found.items() if isinstance(value, Tensor)}  # no extra state


def _array(value: Tensor) -> np.ndarray[Any, Any]:
    value = value.detach().cpu()
    return (value.float() if value.dtype == torch.bfloat16 else value).numpy().copy()


def check_built(module: nn.Module) -> None:
    """Say what builds a module that has yet to make parameters."""
    for part in modules(module):
        if is_unbuilt(part):
            where = "It" if part is module else type(part).__name__
            raise ValueError(
                f"{where} has no parameters yet. Build the model first: model.build(input_shape), an Input in front, "
                "or one call on data."
            )
