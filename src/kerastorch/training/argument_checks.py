"""Checks of what `compile` was given: optimizer and loss in their places, regularizers by name."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch

from kerastorch.core.ownership import is_from
from kerastorch.losses import registry as losses
from kerastorch.losses.base import Loss
from kerastorch.optimizers import registry as optimizers
from kerastorch.optimizers.minimizers import Minimizer
from kerastorch.optimizers.step_options import StepOptions

_OPTIMIZERS = (StepOptions, Minimizer, torch.optim.Optimizer)


def check_order(optimizer: Any, loss: Any) -> None:
    """Raise an error if the optimizer is a loss, or the loss an optimizer.

    Args:
        optimizer: `optimizer` as given to `compile`.
        loss: `loss` as given to `compile`.

    Raises:
        ValueError: One stands in the place of the other.
    """
    if _is_loss(optimizer):
        right = f"{_shown(loss)}, loss={_shown(optimizer)}" if _is_optimizer(loss) else f"..., loss={_shown(optimizer)}"
        raise ValueError(f"{_shown(optimizer)} is a loss, not an optimizer. Write compile(optimizer={right}).")
    if _is_optimizer(loss):
        raise ValueError(
            f"{_shown(loss)} is an optimizer, not a loss. Write compile(optimizer={_shown(loss)}, loss=...)."
        )


def check_regularizers(regularizers: Any) -> None:
    """Raise an error if `regularizers` is not a dict by names of parameters.

    Raises:
        TypeError: It is something else.
    """
    if regularizers is not None and not isinstance(regularizers, Mapping):
        raise TypeError(
            "regularizers must be a dict from names of parameters to penalties, as "
            f"{{'*.weight': kerastorch.regularizers.L2(0.01)}}, got {regularizers!r}."
        )


def _is_optimizer(thing: Any) -> bool:
    if isinstance(thing, str):
        return optimizers.is_name(thing)
    return isinstance(thing, _OPTIMIZERS) or (isinstance(thing, type) and issubclass(thing, _OPTIMIZERS))


def _is_loss(thing: Any) -> bool:
    if isinstance(thing, str):
        return losses.is_name(thing)
    is_class = isinstance(thing, type) and issubclass(thing, Loss)
    return is_class or isinstance(thing, Loss) or is_from(thing, "torch.nn.modules.loss")


def _shown(thing: Any) -> str:
    return thing.__name__ if isinstance(thing, type) else repr(thing)
