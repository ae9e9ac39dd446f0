"""Compiling the network of an estimator: the loss for the task, and the optimizer."""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Mapping
from typing import Any

import numpy as np
import torch

from kerastorch import losses, optimizers
from kerastorch.core.errors import check_float
from kerastorch.losses.base import Loss
from kerastorch.losses.classification import BinaryCrossentropy
from kerastorch.losses.crossentropy import Crossentropy
from kerastorch.model import Model
from kerastorch.optimizers.base import TorchOptimizer
from kerastorch.optimizers.step_options import StepOptions
from kerastorch.training.fused_activation import final_activations
from kerastorch.wrappers.outputs import output_list
from kerastorch.wrappers.targets import Array, Targets


def choose_optimizer(optimizer: object, learning_rate: float | None, options: Mapping[str, Any]) -> Any:
    """Return the optimizer for `compile`.

    Args:
        optimizer: A name, class, partial or settings, of `kerastorch.optimizers` or `torch.optim`.
        learning_rate: Its learning rate; `None` for its own default.
        options: Further arguments, from `optimizer__` parameters.

    Raises:
        ValueError: The name or an argument is unknown or out of range; an optimizer that exists already is given.
    """
    if learning_rate is not None:
        check_float("learning_rate", learning_rate, above=0)
    found = optimizers.get(optimizer)
    if isinstance(found, TorchOptimizer):
        raise ValueError(
            "optimizer must be a name, a class or settings: the parameters that an optimizer of torch holds are not "
            "those of the network, which each fit makes anew. Pass the class, such as torch.optim.SGD."
        )
    if learning_rate is None and not options:
        return found
    try:
        if isinstance(found, StepOptions):
            rate: dict[str, Any] = {} if learning_rate is None else {"learning_rate": learning_rate}
            return dataclasses.replace(found, **rate, **options)
        rate = {} if learning_rate is None else {"lr": learning_rate}
        return functools.partial(found, **rate, **options)
    except TypeError as error:
        raise ValueError(f"optimizer={optimizer!r} does not take its arguments: {error}") from error


def choose_loss(model: Model, outputs: Any, targets: Targets) -> Any:
    """Return the loss of a network that is not compiled: crossentropies for classes, else the mean squared error.

    Args:
        model: The network, built.
        outputs: What it returns for some rows.
        targets: Encoding of the targets.

    Returns:
        A loss, or a list of losses for several outputs.
    """
    found = output_list(outputs)
    ends = list(final_activations(model).values())
    each = ends if len(ends) == len(found) else [None] * len(found)
    chosen = [_loss(one, end, targets) for one, end in zip(found, each, strict=True)]
    if isinstance(outputs, np.ndarray):
        return chosen[0]
    return dict(zip(outputs, chosen, strict=True)) if isinstance(outputs, Mapping) else chosen


def _loss(outputs: Array, ends_in: str | None, targets: Targets) -> Loss:
    if targets.kind == "values":
        return losses.get("mse")
    if targets.kind == "labels" or outputs.shape[-1] == 1:
        return BinaryCrossentropy(from_logits=ends_in != "sigmoid")
    if ends_in == "log_softmax":
        return losses.get("nll_loss")
    is_softmax = ends_in == "softmax" or _are_shares(outputs)
    return Crossentropy(not is_softmax, name="crossentropy")


def _are_shares(outputs: Array) -> bool:
    """Return whether each row is of probabilities, so that a softmax computed it within `forward`."""
    sums = torch.from_numpy(outputs).double().sum(-1)
    return bool((outputs >= 0).all()) and bool(((sums - 1).abs() < 1e-4).all())
