"""Lookup of losses by name, and conversion of classes, functions and torch modules to a `Loss`."""

from __future__ import annotations

import functools
from types import FunctionType
from typing import Any

from torch import nn

from kerastorch.core.name_lookup import look_up
from kerastorch.losses import classification, functions, regression
from kerastorch.losses.base import Loss
from kerastorch.losses.torch_losses import FUNCTIONS, MODULES, TorchLoss, wrap

_NAMES: dict[str, Any] = MODULES | FUNCTIONS | regression.table() | classification.table()


def get(identifier: Any) -> Loss:
    """Return the loss for a name, class, instance, partial or callable.

    Keras' names mean what Keras means (`'sparse_categorical_crossentropy'` expects probabilities), torch's names mean
    what torch means (`'cross_entropy'` expects logits).

    Raises:
        ValueError: The name is unknown.
        TypeError: The class requires arguments, or the identifier is none of these.

    >>> get("mse").name
    'mean_squared_error'
    >>> get("crossentropi")
    Traceback (most recent call last):
    ValueError: Unknown loss 'crossentropi'. Did you mean 'cross_entropy'? Known: ...
    """
    given = identifier = _class_of(identifier)
    name = None
    if isinstance(identifier, str):
        name, identifier = identifier, look_up("loss", identifier, _NAMES)
    if isinstance(identifier, type) or (
        isinstance(identifier, functools.partial) and isinstance(identifier.func, type)
    ):
        try:
            identifier = identifier()
        except TypeError as error:
            raise TypeError(f"loss: {given!r} needs arguments; pass an instance. {error}") from error
    if isinstance(identifier, Loss):
        return identifier
    if isinstance(identifier, nn.Module) and name is not None:
        return TorchLoss(identifier, name, ignores=False)
    if not callable(identifier):
        raise TypeError(f"A loss is a name, a class, an instance or a callable, got {given!r}.")
    return wrap(identifier)


def _class_of(identifier: Any) -> Any:
    """Return the class for a function of `kerastorch.losses`, with the arguments of a partial; else the identifier."""
    is_partial = isinstance(identifier, functools.partial) and not identifier.args
    function = identifier.func if is_partial else identifier
    found = functions.CLASSES.get(function) if isinstance(function, FunctionType) else None
    if found is None:
        return identifier
    return functools.partial(found, **identifier.keywords) if is_partial else found
