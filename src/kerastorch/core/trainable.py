"""`trainable`: parts of a model that do not learn."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from typing import Any

from torch import nn

from kerastorch.core.module_tree import modules
from kerastorch.core.torch_private import BatchNormBase


class Freezable(nn.Module):
    """A module with `trainable`, which sets that of everything inside it too."""

    _trainable: bool = True
    weights_never_trained: frozenset[str] = frozenset()

    @property
    def trainable(self) -> bool:
        """Whether the weights learn. `False` freezes all parts, and puts batch normalization in inference mode."""
        return self._trainable

    @trainable.setter
    def trainable(self, value: bool) -> None:
        if not isinstance(value, bool):
            raise TypeError(f"trainable must be True or False, got {value!r}.")
        for part in modules(self):
            set_trainable(part, value)


def set_trainable(part: nn.Module, value: bool) -> None:
    """Of one module alone, without its children; a module of torch's own remembers it too."""
    never: Any = getattr(part, "weights_never_trained", ())
    for name, weight in part._parameters.items():
        if weight is not None and name not in never:
            weight.requires_grad = value  # as an attribute also one of torch's lazy ones has it
            if not value:
                weight.grad = None  # or an optimizer would go on with it
    known = vars(part)
    known["_trainable"] = value
    if "trainable" in known:
        known["trainable"] = value


def sync_trainable(parts: Iterable[nn.Module]) -> None:
    """Freeze or thaw modules of torch on which somebody has set `trainable`, an attribute that torch ignores.

    Only when it was set anew: what `requires_grad_` did since then stays.
    """
    for part in parts:
        value = vars(part).get("trainable")
        if isinstance(value, bool) and value != vars(part).get("_trainable", True):
            for child in modules(part):
                set_trainable(child, value)


def set_frozen_batchnorm_eval(parts: Iterable[nn.Module], in_eval: Collection[nn.Module] = ()) -> None:
    """Put torch's batch normalization, if it is frozen, into inference mode while the model trains.

    Args:
        parts: modules of the model.
        in_eval: those that the user has put into eval mode, which stay there whether they are frozen or not.
    """
    for part in parts:
        known = vars(part).get("_trainable")
        if known is not None and isinstance(part, BatchNormBase) and part not in in_eval:
            part.training = known or any(w.requires_grad for w in part._parameters.values() if w is not None)
