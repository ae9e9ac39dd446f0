"""Checks before training starts."""

from __future__ import annotations

import functools
from collections.abc import Collection, Iterable, Mapping
from typing import Any

import torch
from torch import nn

from kerastorch.checkpoint.optimizer_state import find_optimizers
from kerastorch.core.errors import check_int, warn
from kerastorch.core.module_tree import modules
from kerastorch.core.nested import is_sequence_of_arrays
from kerastorch.data.batches import Batches
from kerastorch.layers.batch_normalization import BatchNormalization
from kerastorch.layers.convolution import Convolutional
from kerastorch.layers.core import Dense
from kerastorch.losses.base import Loss
from kerastorch.metrics.metric_spec import MetricSpec, unknown_outputs
from kerastorch.optimizers.base import TorchOptimizer
from kerastorch.optimizers.step_hooks import optimizer_parameters
from kerastorch.training.fused_activation import find_final_activation, last_module


def find_device(found: Iterable[torch.device], wanted: Any) -> torch.device:
    """Return the device to compute on.

    Args:
        found: Devices of the model's weights.
        wanted: A `torch.device`, or `'auto'`: the first of `found` that is not the CPU, else the accelerator, else the
            CPU.

    Raises:
        ValueError: Weights have no values.
    """
    found = list(found)
    if any(device.type == "meta" for device in found):
        raise ValueError(
            "the model has weights on the device 'meta', which have no values. Write module.to_empty(device='cpu'), "
            "and load or initialize the weights."
        )
    if isinstance(wanted, torch.device):
        return wanted
    for device in found:
        if device.type != "cpu":
            return device
    return _accelerator() or torch.device("cpu")


@functools.cache  # constant while a process runs, and slow to find
def _accelerator() -> torch.device | None:
    return torch.accelerator.current_accelerator() if torch.accelerator.is_available() else None


def check_parameters(module: nn.Module, optimizers: list[TorchOptimizer], learned_by_loss: list[nn.Parameter]) -> None:
    """Check that there are trainable parameters, and that an optimizer of the model holds each of them.

    Args:
        module: The model; the optimizers that its modules have as attributes count, too.
        optimizers: The optimizers of `compile`.
        learned_by_loss: Parameters of losses.

    Raises:
        ValueError: Nothing is trainable, or no optimizer holds a trainable parameter of the model or of a loss.
    """
    named = dict(module.named_parameters())
    learning = {name: p for name, p in named.items() if p.requires_grad}
    if named and not learning:
        raise ValueError(f"the model has no trainable parameters (all {len(named)} have requires_grad=False).")
    for optimizer in optimizers:
        check_owner(module, optimizer, learned_by_loss)
    own = find_optimizers(module, optimizers).values()
    held = {id(p) for optimizer in (*optimizers, *own) for p in optimizer_parameters(optimizer)}
    missing = [name for name, p in learning.items() if id(p) not in held]
    if missing:
        raise ValueError(
            f"trainable parameters missing from the optimizer: {', '.join(missing[:8])}"
            f"{', ...' if len(missing) > 8 else ''}. {_remedy(optimizers)}"
        )
    lacking = sum(p.requires_grad and id(p) not in held for p in learned_by_loss)
    if lacking:
        raise ValueError(
            f"the loss has {lacking} trainable parameters that the optimizer does not hold, so they would not be "
            "trained. Make the optimizer of [*model.parameters(), *loss.parameters()], give its name to compile(), or "
            "freeze them (requires_grad_(False))."
        )


def _remedy(optimizers: list[TorchOptimizer]) -> str:
    if len(optimizers) == 1:
        return (
            "Call compile() again; in a dict of optimizers, give it one for them, as {'*': 'adam'}; or freeze them "
            "(requires_grad_(False))."
        )
    return "Give compile() an optimizer for them, as {'*': 'adam'}, or freeze them (requires_grad_(False))."


def check_owner(module: nn.Module, optimizer: TorchOptimizer, learned_by_loss: list[nn.Parameter]) -> None:
    """Check that the optimizer holds parameters of this model or its losses."""
    held = {id(p) for p in optimizer_parameters(optimizer) if p.numel()}
    if held and not held & {id(p) for p in (*module.parameters(), *learned_by_loss)}:
        raise ValueError(f"the optimizer holds {len(held)} parameters that are not in this model.")


def check_last_batch(module: nn.Module, batches: Batches) -> None:
    """Check that no batch has a single row if batch normalization would normalize it."""
    samples, steps, batch_size = batches.samples, batches.steps(), batches.batch_size
    norm = next(filter(_by_rows, modules(module)), None)
    if norm is None or samples is None or steps is None or not batch_size:
        return
    sequences = any(map(_over_sequences, modules(module)))  # one row has many values there
    name = type(norm).__name__
    if not sequences and (batch_size == 1 or (samples % batch_size == 1 and steps * batch_size > samples)):
        raise ValueError(
            f"{samples} samples with batch_size={batch_size} leaves a batch of 1, which {name} cannot train on. "
            "Change batch_size, or leave one sample out."
        )


def check_targets_are_given(verb: str, x: Any, y: Any) -> None:
    """Raise an error if inputs and targets were given as one tuple of arrays.

    Args:
        verb: Name of the method of a model whose loss needs targets.
        x: Its inputs.
        y: Its targets, `None` if they were not given.

    Raises:
        ValueError: `x` has two or three arrays, and there are no targets.
    """
    # neither a list of pairs nor one of dicts
    is_flat = isinstance(x, (tuple, list)) and not any(isinstance(one, (tuple, list, Mapping)) for one in x)
    if y is None and is_flat and len(x) in (2, 3) and is_sequence_of_arrays(x):
        raise ValueError(
            f"{verb}() was given {len(x)} arrays as x and no y, which the loss needs. Write {verb}(x, y), not "
            f"{verb}((x, y)); two inputs and a target are {verb}((a, b), y)."
        )


def warn_of_minimized_batches(optimizer: TorchOptimizer, batches: Batches) -> None:
    """Warn if an optimizer would bring the loss of each of several batches near its own minimum.

    Warns:
        UserWarning: An epoch has several batches.
    """
    steps = batches.steps()
    if steps is not None and steps > 1 and getattr(optimizer, "minimizes_each_batch", False):
        name, samples = type(optimizer).__name__, batches.samples
        warn(
            f"{name} brings the loss of each batch near its own minimum, and an epoch has {steps} batches. Train on "
            f"all rows at once: fit(x, y, batch_size={'len(x)' if samples is None else samples})."
        )


def _over_sequences(part: nn.Module) -> bool:
    return isinstance(part, nn.Conv1d) or (isinstance(part, Convolutional) and part.rank == 1)


def _by_rows(part: nn.Module) -> bool:
    if isinstance(part, BatchNormalization):
        return part.single_rows and part.trainable
    return isinstance(part, nn.BatchNorm1d) and part.track_running_stats


def check_columns(expected: list[Any] | None, given: list[Any] | None) -> None:
    """Check that the columns of a DataFrame are those of training, in the same order."""
    if expected is not None and given is not None and expected != given:
        raise ValueError(f"columns differ from training: expected {expected}, got {given}.")


def epoch_numbers(first: Any, last: Any) -> range:
    """Return the numbers of the epochs for `initial_epoch` and `epochs`; there are none for `epochs=0`."""
    first, last = check_int("initial_epoch", first, 0), check_int("epochs", last, 0, advice=advice_for_data(last))
    if first >= last > 0:
        raise ValueError(f"nothing to train: initial_epoch={first}, epochs={last}.")
    return range(first, last)


def advice_for_data(given: Any) -> str:
    """Return a sentence about validation data, if an argument that is a number was given data."""
    is_data = isinstance(given, (tuple, list, dict)) or getattr(given, "ndim", 0) > 0
    return "Validation data go to validation_data=(x, y)." if is_data else ""


def check_frequency(frequency: Any) -> None:
    """Check that `validation_freq` is a number of epochs or a list of epochs."""
    for one in frequency if isinstance(frequency, Collection) else [frequency]:
        check_int("validation_freq", one)


def validates_at(epoch: int, frequency: Any) -> bool:
    """Return whether to validate after an epoch.

    Args:
        epoch: Its number, from 0.
        frequency: Validate every n epochs, or after the listed epochs, counted from 1.
    """
    if isinstance(frequency, Collection):
        return epoch + 1 in frequency
    return bool((epoch + 1) % frequency == 0)


def with_prefix(logs: Mapping[str, Any]) -> dict[str, Any]:
    """Return logs with the prefix `val_`."""
    return {f"val_{name}": value for name, value in logs.items()}


def check_outputs_are_known(model: nn.Module, metrics: Iterable[MetricSpec], loss: Loss | None) -> None:
    """Raise an error if a metric must know whether a single output is a probability or a logit, and it is unknown."""
    if loss is None or loss.task is not None:
        return
    last, activation = last_module(model), find_final_activation(model)
    single = (isinstance(last, nn.Linear) and last.out_features == 1) or (isinstance(last, Dense) and last.units == 1)
    if single and (activation is None or activation.kind != "sigmoid"):
        for metric in metrics:
            if metric.if_unknown == "ask":
                raise ValueError(unknown_outputs(metric.name, loss))
