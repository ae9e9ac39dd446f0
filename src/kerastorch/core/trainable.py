"""The attribute `trainable`, which freezes parts of a model."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from typing import Any

from torch import nn

from kerastorch.core.module_tree import modules
from kerastorch.core.torch_private import BatchNormBase


class Freezable(nn.Module):
    """A module with a property `trainable`, whose setter also sets that of all modules within it."""

    _trainable: bool = True
    weights_never_trained: frozenset[str] = frozenset()

    @property
    def trainable(self) -> bool:
        """Return whether the weights are trained; `False` also puts batch normalization into inference mode."""
        return self._trainable

    @trainable.setter
    def trainable(self, value: bool) -> None:
        if not isinstance(value, bool):
            raise TypeError(f"trainable must be True or False, got {value!r}.")
        for part in modules(self):
            set_trainable(part, value)


def set_trainable(part: nn.Module, value: bool) -> None:
    """Set `trainable` of one module, without its children; it is recorded on modules of torch, too."""
    never: Any = getattr(part, "weights_never_trained", ())
    for name, weight in part._parameters.items():
        if weight is not None and name not in never:
            weight.requires_grad = value  # unlike `requires_grad_()`, the attribute exists on lazy parameters
            if not value:
                weight.grad = None  # an optimizer would otherwise step with the last gradient
    known = vars(part)
    known["_trainable"] = value
    if "trainable" in known:
        known["trainable"] = value


def sync_trainable(parts: Iterable[nn.Module]) -> None:
    """Freeze or unfreeze the modules of torch whose attribute `trainable` the user has set.

    torch itself ignores this attribute. Only a value that differs from the last one is applied, so that later calls of
    `requires_grad_` stay in effect.
    """
    for part in parts:
        value = vars(part).get("trainable")
        if isinstance(value, bool) and value != vars(part).get("_trainable", True):
            for child in modules(part):
                set_trainable(child, value)


def set_frozen_batchnorm_eval(parts: Iterable[nn.Module], in_eval: Collection[nn.Module] = ()) -> None:
    """Put frozen batch normalization of torch into inference mode while the model trains.

    Args:
        parts: Modules of the model.
        in_eval: Modules that the user has put into eval mode, which stay there in any case.
    """
    for part in parts:
        known = vars(part).get("_trainable")
        if known is not None and isinstance(part, BatchNormBase) and part not in in_eval:
            part.training = known or any(w.requires_grad for w in part._parameters.values() if w is not None)
