"""WeightsMixin: weights as lists of tensors and NumPy arrays, as in Keras, and the number of parameters."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, NoReturn

import numpy as np
import torch
from torch import Tensor, nn

from kerastorch.core.distributed_tensors import distribute_state, full_tensor, is_distributed_tensor
from kerastorch.core.joint_calls import called_by_all
from kerastorch.core.keras_variable import KerasVariable, array_of, shape_of
from kerastorch.core.module_tree import is_unbuilt, modules
from kerastorch.core.overridable_property import overridable_property
from kerastorch.core.sharded_modules import reshard
from kerastorch.module.base_module import BaseModule
from kerastorch.module.unregistered_modules import check_registered
from kerastorch.module.weight_arrays import number_of_parameters, tensors_for, weight_arrays
from kerastorch.module.weight_owners import note_owner


class WeightsMixin(BaseModule):
    """A module with Keras' access to its weights, and checks for weights that torch does not register."""

    @overridable_property
    def weights(self) -> list[Tensor]:
        """The parameters and buffers, in the order of `state_dict()`."""
        return list(_named_weights(self).values())

    @overridable_property
    def trainable_weights(self) -> list[Tensor]:
        """The parameters that require a gradient, each once."""
        return [weight for weight in self.parameters() if weight.requires_grad]

    @overridable_property
    def variables(self) -> list[Tensor]:
        """The parameters and buffers: another name of `weights`, as in Keras."""
        return self.weights

    @overridable_property
    def trainable_variables(self) -> list[Tensor]:
        """The parameters that require a gradient: another name of `trainable_weights`, as in Keras."""
        return self.trainable_weights

    @overridable_property
    def non_trainable_variables(self) -> list[Tensor]:
        """The frozen parameters and the buffers: another name of `non_trainable_weights`, as in Keras."""
        return self.non_trainable_weights

    @overridable_property
    def non_trainable_weights(self) -> list[Tensor]:
        """The frozen parameters and the buffers, each once, in the order of `state_dict()`."""
        return list(
            {id(weight): weight for weight in _named_weights(self).values() if not weight.requires_grad}.values()
        )

    def count_params(self) -> int:
        """Return the number of elements in all parameters, trainable or not; a shared parameter counts once.

        The number equals `sum(p.numel() for p in module.parameters())`. Buffers are not counted, such as the running
        mean and variance of batch normalization; `sum(b.numel() for b in module.buffers())` counts them. In layers that
        were made by `kerastorch.keras` or read from a file of Keras they count, as in Keras.

        Raises:
            ValueError: The module is not built yet.
        """
        check_built(self)
        return number_of_parameters(self, _named_weights(self))

    def get_weights(self) -> list[np.ndarray[Any, Any]]:
        """Return copies of the parameters and buffers as NumPy arrays, in the order of `state_dict()`.

        Layers that were made by `kerastorch.keras`, or read from a file of Keras, return Keras' arrays: kernels as
        `(in, out)`, and one bias for the two of a recurrent layer. Those of a functional model are then in the order of
        `model.layers`, as in Keras.

        Weights in bfloat16, which NumPy does not have, are returned as float32. Weights that several processes hold
        together are gathered, so all of them must call it.

        Raises:
            ValueError: The module is not built yet.
        """
        check_built(self)
        held = _named_weights(self)
        with called_by_all("get_weights()", [*held.values()]):
            whole = {name: full_tensor(value.detach()).cpu() for name, value in held.items()}
        return [_to_array(array_of(one, whole)) for one in weight_arrays(self, held)]

    def set_weights(self, weights: Sequence[Any]) -> None:
        """Set the parameters and buffers from arrays in the order of `get_weights`.

        Arrays from a model of Keras, `set_weights(keras_model.get_weights())`, are taken, too: their shapes tell. A
        square kernel is read as `get_weights` of the layer returns it.

        Args:
            weights: An array or tensor for each array that `get_weights` returns, of the same shape.

        Raises:
            ValueError: The module is not built yet, or the number of arrays or a shape (the message names the weight)
                differs; then no weight is changed.
        """
        check_built(self)
        held = _named_weights(self)
        values = [torch.as_tensor(value) for value in weights]
        expected = weight_arrays(self, held)
        for arrays in (
            expected,
            weight_arrays(self, held, keras_layout=True),
            weight_arrays(self, held, keras_layout=False),
        ):
            given = tensors_for(arrays, values, held)
            if given is not None:
                self.load_state_dict(self.state_dict() | given)
                return
        self._raise_misfit(expected, values, held)

    def _raise_misfit(
        self, arrays: Sequence[KerasVariable], values: Sequence[Tensor], held: Mapping[str, Tensor]
    ) -> NoReturn:
        """Raise `ValueError` for values of another number, or of another shape, than the arrays have."""
        if len(arrays) != len(values):
            what = "model" if hasattr(self, "fit") else "layer"
            raise ValueError(f"The {what} has {len(arrays)} parameters and buffers, got {len(values)} arrays.")
        shapes = {name: value.shape for name, value in held.items()}
        wanted = [tuple(shape_of(one, shapes)) for one in arrays]
        index = next(i for i, (shape, value) in enumerate(zip(wanted, values, strict=True)) if shape != value.shape)
        name = (*arrays[index].tensors, arrays[index].place)[0]
        raise ValueError(f"{name!r} (weight {index}) has shape {wanted[index]}, got {tuple(values[index].shape)}.")

    # torch ignores layers in plain lists without a message; these methods raise an error instead

    def named_parameters(
        self, prefix: str = "", recurse: bool = True, remove_duplicate: bool = True
    ) -> Iterator[tuple[str, nn.Parameter]]:
        """Yield names and parameters, as torch does; layers in a plain list raise a `ValueError`."""
        if recurse:
            check_registered(self)
        return super().named_parameters(prefix, recurse, remove_duplicate)

    def state_dict(self, *args: Any, **kwargs: Any) -> Any:
        """Return the state dict, as torch does; layers in a plain list raise a `ValueError`."""
        if (
            not args and kwargs.get("destination") is None
        ):  # with a destination, this is a part of another module's state dict
            check_registered(self)
            reshard(modules(self))
        return super().state_dict(*args, **kwargs)

    def load_state_dict(self, state_dict: Mapping[str, Any], strict: bool = True, assign: bool = False) -> Any:
        """Load a state dict, as torch does; layers in a plain list raise a `ValueError`.

        Whole values for a parameter that several processes hold together are divided among them; each has all values.
        """
        check_registered(self)
        held = _named_weights(self)
        if any(map(is_distributed_tensor, held.values())):
            state_dict = distribute_state(state_dict, held)
        return super().load_state_dict(state_dict, strict, assign)

    # torch raises an error if an attribute of the name exists; a property that may be overridden gives way

    def register_parameter(self, name: str, param: nn.Parameter | None) -> None:
        """Register a parameter, as torch does; it may have the name of an overridable property."""
        with _name_freed(self, name, self._parameters):
            super().register_parameter(name, param)
        if param is not None:
            note_owner(param, self, name)

    def __setstate__(self, state: dict[str, Any]) -> None:
        super().__setstate__(state)  # type: ignore[no-untyped-call]
        for name, weight in self._parameters.items():
            if weight is not None:
                note_owner(weight, self, name)

    def register_buffer(self, name: str, tensor: Tensor | None, persistent: bool = True) -> None:
        """Register a buffer, as torch does; it may have the name of an overridable property."""
        with _name_freed(self, name, self._buffers):
            super().register_buffer(name, tensor, persistent)

    def add_module(self, name: str, module: nn.Module | None) -> None:
        """Add a child, as torch does; it may have the name of an overridable property."""
        with _name_freed(self, name, self._modules):
            super().add_module(name, module)


@contextmanager
def _name_freed(module: nn.Module, name: str, held: dict[str, Any]) -> Iterator[None]:
    """Let torch register `name` in the dict `held` though the class has an overridable property of this name.

    torch accepts a name that is in the dict already, so `None` is put there, and removed after an error.
    """
    if name in held or not isinstance(getattr(type(module), name, None), overridable_property):
        yield
        return
    held[name] = None
    try:
        yield
    except BaseException:
        del held[name]
        raise


def _named_weights(module: nn.Module) -> dict[str, Tensor]:
    """Return the tensors of `state_dict()` themselves, not copies, without extra state."""
    reshard(modules(module))
    found = module.state_dict(keep_vars=True)
    return {name: value for name, value in found.items() if isinstance(value, Tensor)}


def _to_array(value: Tensor) -> np.ndarray[Any, Any]:
    return (value.float() if value.dtype == torch.bfloat16 else value).numpy().copy()


def check_built(module: nn.Module) -> None:
    """Raise if a module in `module` has no parameters yet; the message says how to build it.

    Raises:
        ValueError: A module is not built.
    """
    for part in modules(module):
        if is_unbuilt(part):
            where = "It" if part is module else type(part).__name__
            raise ValueError(
                f"{where} has no parameters yet. Build the model first: model.build(input_shape), an Input in front, "
                "or one call on data."
            )
