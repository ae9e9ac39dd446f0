"""The classes that a model predicts for points: a network by its outputs, other objects by their `predict`."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor, nn

from kerastorch import activations
from kerastorch.core.errors import check_float
from kerastorch.core.lazy_build import copy_module
from kerastorch.core.module_tree import is_built, modules, tensors
from kerastorch.core.rng_state import preserved_rng_states
from kerastorch.core.train_mode import evaluation_mode
from kerastorch.layers.core import Dense
from kerastorch.losses.base import Loss
from kerastorch.metrics.task import TaskSpec
from kerastorch.plots.arrays import Array, to_array
from kerastorch.runtime.batch_transfer import BatchTransfer
from kerastorch.runtime.call_module import call_module
from kerastorch.runtime.error_context import raise_with_context
from kerastorch.training.fused_activation import final_activations, last_module
from kerastorch.training.on_batch_mixin import OnBatchMixin

BATCH = 4096  # points that a module is called with at a time


class ClassScores(NamedTuple):
    """The classes that a model predicts for some points.

    Attributes:
        classes: Values that stand for the classes in the data, in ascending order: numbers or names.
        numbers: Index in `classes` of the predicted class of each point, shape `(n,)`.
        margins: For each class, how far its score is above those of the others, shape `(k, n)`: positive where it is
            predicted.
    """

    classes: Array
    numbers: Array
    margins: Array


def predict_classes(model: Any, points: Any, labels: Array, threshold: float | None) -> ClassScores:
    """Return the classes that a model predicts.

    Args:
        model: A model of kerastorch, an `nn.Module`, or an object with `predict`.
        points: An array or a DataFrame, shape `(n, 2)`.
        labels: Classes in the data, shape `(rows,)`.
        threshold: Output above which a single output means the second class; `None` to infer it.

    Raises:
        TypeError: The model is neither a module nor has `predict`.
        ValueError: The outputs do not predict classes, or there are more classes in the data.
    """
    if threshold is not None:
        check_float("threshold", threshold)
    if isinstance(model, nn.Module):
        loss, ends_in = _loss_and_end(model)
        return _from_outputs(_outputs(model, points), labels, threshold, loss, ends_in)
    if not callable(getattr(model, "predict", None)) or isinstance(model, type):
        raise TypeError(f"model must be an nn.Module or an object with predict, got {model!r}.")
    with preserved_rng_states():
        predicted = to_array("the result of model.predict", model.predict(points))
    if _are_labels(predicted, labels):
        return _from_labels(predicted.reshape(len(points)), labels)
    if threshold is None and predicted.size == len(predicted) and not (predicted.min() >= 0 and predicted.max() <= 1):
        raise ValueError(
            f"model.predict returns values from {predicted.min():g} to {predicted.max():g}, which are neither classes "
            "nor probabilities; pass the threshold above which they mean the second class, such as threshold=0.5."
        )
    return _from_outputs(predicted, labels, threshold, None, None)


def _loss_and_end(model: nn.Module) -> tuple[Loss | None, str | None]:
    """Return the loss that a model was compiled with, and the name of its last activation, if they are known."""
    ends: list[str] = list(final_activations(model).values())
    last = last_module(model)
    if isinstance(last, nn.Linear) or (isinstance(last, Dense) and last.activation is activations.linear):
        ends = ["linear"]
    trainer = vars(model).get("_trainer")
    losses = [] if trainer is None else list(trainer.compiled_loss.losses.values())
    return (losses[0] if len(losses) == 1 else None), (ends[0] if len(ends) == 1 else None)


def _outputs(model: nn.Module, points: Any) -> Array:
    """Return the outputs of a module in evaluation mode, which stays as it is; a lazy one is copied."""
    with preserved_rng_states():
        model = model if is_built(model) else copy_module(model)
        if isinstance(model, OnBatchMixin):  # a model of kerastorch, whose steps the user may have overridden
            predict: Any = model.predict
            found = predict(points, batch_size=BATCH, verbose=0)
        else:
            found = _call(model, to_array("x", points))
    if not isinstance(found, (Tensor, np.ndarray)):
        raise ValueError(
            f"plot_decision_boundary needs a model with one output tensor; this one returns a {type(found).__name__}."
        )
    return to_array("the output of the model", found)


def _call(module: nn.Module, points: Array) -> Any:
    parts = modules(module)
    device = next((one.device for one in tensors(parts)), torch.device("cpu"))
    transfer = BatchTransfer(parts, device)
    found: list[Any] = []
    with evaluation_mode(module, parts), torch.no_grad():
        for start in range(0, len(points), BATCH):
            x = transfer.inputs(torch.tensor(points[start : start + BATCH]))
            try:
                found.append(call_module(module, x))
            except Exception as error:
                raise_with_context(error, module, x)
    return torch.cat(found) if isinstance(found[0], Tensor) else found[0]


def _are_labels(predicted: Array, labels: Array) -> bool:
    """Return whether `predict` returned classes, one for each point, and not probabilities."""
    if predicted.size != len(predicted):
        return False
    return predicted.dtype.kind in "biuU" or bool(np.isin(predicted, labels).all())


def _from_labels(predicted: Array, labels: Array) -> ClassScores:
    if (predicted.dtype.kind == "U") != (labels.dtype.kind == "U"):
        raise TypeError(
            f"y holds classes such as {labels[0].item()!r}, but the model predicts {predicted[0].item()!r}."
        )
    classes = np.unique(np.concatenate([np.unique(labels), np.unique(predicted)]))
    numbers = np.searchsorted(classes, predicted)
    return ClassScores(classes, numbers, np.where(numbers == np.arange(len(classes))[:, None], 0.5, -0.5))


def _from_outputs(
    outputs: Array, labels: Array, threshold: float | None, loss: Loss | None, ends_in: str | None
) -> ClassScores:
    """Return the classes that the outputs of a network predict."""
    if labels.dtype.kind == "U":
        raise TypeError(
            f"y must hold class numbers, from 0, for the outputs of a network; got the name {labels[0].item()!r}."
        )
    outputs = (outputs[:, None] if outputs.ndim == 1 else outputs).astype(np.float64)  # (n, k)
    if outputs.ndim != 2:
        raise ValueError(f"the output must have the shape (n, classes), got {outputs.shape}.")
    if np.isnan(outputs).any():
        raise ValueError("the model returns NaN.")
    outputs = np.nan_to_num(outputs)  # the logarithm of a probability may be -infinity
    if outputs.shape[1] == 1:
        if threshold is None:
            threshold = _threshold(outputs, labels, loss, ends_in)
        above = outputs[:, 0] - threshold
        margins = np.stack([-above, above])
        lowest = -1 if -1 in labels else 0
        classes = np.array([lowest, 1])
    else:
        if loss is not None and loss.task == "binary":
            raise ValueError(
                f"the model has {outputs.shape[1]} outputs and the loss {loss.name!r}: each is a question of its own, "
                "and a point may be in several classes. Plot a model that has one output, or one for each class."
            )
        margins, classes = _margins(outputs), np.arange(outputs.shape[1])
    if not np.isin(labels, classes).all():
        wrong = labels[~np.isin(labels, classes)][0]
        raise ValueError(
            f"y has the class {wrong}, but the outputs stand for the classes {', '.join(map(str, classes))}."
        )
    return ClassScores(classes, margins.argmax(0), margins)


def _margins(outputs: Array) -> Array:
    """Return, for each class, its output minus the largest of the others, shape `(k, n)`."""
    columns = range(outputs.shape[1])
    return np.stack([outputs[:, one] - np.delete(outputs, one, axis=1).max(1) for one in columns])


def _threshold(outputs: Array, labels: Array, loss: Loss | None, ends_in: str | None) -> float:
    """Return the value above which a single output means the second class."""
    y_true = torch.from_numpy(labels)[:, None]
    task = TaskSpec.of(loss, torch.from_numpy(outputs), y_true, True, ends_in)
    if task.link is None:
        return 0.5
    if task.link == "half":  # values that were fitted to the labels
        return 0.0 if task.signed else 0.5
    if task.link == "unknown" and ends_in != "linear":
        return 0.5 if outputs.min() >= 0 and outputs.max() <= 1 else 0.0
    return 0.0
