"""DtypesMixin: the dtypes of a module under Keras' names."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn.parameter import is_lazy

from kerastorch.core.overridable_property import overridable_property


class DtypesMixin(nn.Module):
    """A module that knows the dtype of its weights, and the one it computes in; attributes of a subclass go first.

    Other packages for PyTorch read `dtype` and `compute_dtype` as dtypes of torch. What `kerastorch.keras` has made has
    the names of Keras instead.
    """

    @overridable_property
    def variable_dtype(self) -> torch.dtype | str:
        """The dtype of the weights, of the first ones if there are several."""
        return self._as_named(_dtype_of(self))

    @overridable_property
    def dtype(self) -> torch.dtype | str:
        """The dtype of the weights: another name of `variable_dtype`, as in Keras."""
        return self.variable_dtype

    @overridable_property
    def compute_dtype(self) -> torch.dtype | str:
        """The dtype of outputs: that of mixed precision within it, else that of the weights."""
        tensor = _first_tensor(self)
        kind = "cpu" if tensor is None else tensor.device.type
        return self._as_named(torch.get_autocast_dtype(kind) if torch.is_autocast_enabled(kind) else _dtype_of(self))

    def _as_named(self, dtype: torch.dtype) -> torch.dtype | str:
        return str(dtype).removeprefix("torch.") if getattr(self, "_called_as_keras", False) else dtype


def _dtype_of(module: nn.Module) -> torch.dtype:
    tensor = _first_tensor(module)
    return torch.get_default_dtype() if tensor is None else tensor.dtype


def _first_tensor(module: nn.Module) -> Tensor | None:
    """Return the first floating-point parameter, else buffer, of a module."""
    for held in (module.parameters(), module.buffers()):
        for one in held:
            if one.is_floating_point() and not is_lazy(one):
                return one
    return None
