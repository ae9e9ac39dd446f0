"""The parameters of a module's `forward`."""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from types import MappingProxyType

from torch import nn

from kerastorch.core.signatures import parameters_of

_NONE: Mapping[str, inspect.Parameter] = MappingProxyType({})


def forward_parameters(module: nn.Module) -> Mapping[str, inspect.Parameter]:
    """Return the parameters of `forward` by name, in order; none for a `forward` that is not written in Python."""
    try:
        return parameters_of(module.forward)
    except (TypeError, ValueError):
        return _NONE
