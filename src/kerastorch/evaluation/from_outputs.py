"""Conversion of a model's outputs and their targets to predictions, as the loss defines what the outputs are."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from kerastorch.evaluation.predictions import (
    Array,
    ClassPredictions,
    LabelPredictions,
    Predictions,
    ValuePredictions,
)
from kerastorch.evaluation.score_reader import OutputFacts, ScoreReader
from kerastorch.losses.alignment import align_values
from kerastorch.losses.class_axis import is_one_hot
from kerastorch.metrics.built_in_metric import spread_weight
from kerastorch.metrics.task import TaskSpec


class Outputs(NamedTuple):
    """Outputs and targets of consecutive batches of one shape, on the CPU.

    Attributes:
        y_pred: Outputs, `(rows, ...)`.
        y_true: Targets, `(rows, ...)`.
        weight: Sample weights, `(rows, ...)`, if there are any.
    """

    y_pred: Tensor
    y_true: Tensor
    weight: Tensor | None


def to_predictions(groups: Sequence[Outputs], facts: OutputFacts) -> tuple[Predictions, list[str]]:
    """Return the predictions of all rows, and notes on how the outputs were read.

    Args:
        groups: Outputs and targets, at least one group with rows.
        facts: What is known about the output.

    Raises:
        ValueError: Outputs contain NaN; the task is unknown, or another one than the user says; outputs are neither
            probabilities nor known to be logits; targets are no classes of the output.
    """
    check_finite_outputs(groups)
    first = groups[0]
    spec = _find_spec(first, facts)
    if spec.kind == "regression":
        return _values(groups, spec, facts), []
    reader = ScoreReader(spec, facts)
    if spec.kind == "multiclass":
        return _classes(groups, reader), reader.notes
    return (_labels if spec.kind == "multilabel" else _answers)(groups, reader), reader.notes


def check_finite_outputs(groups: Sequence[Outputs]) -> None:
    """Raise an error if outputs contain NaN or infinity.

    Raises:
        ValueError: The message says how many rows, and which is the first.
    """
    wrong = torch.cat([~torch.isfinite(one.y_pred).reshape(len(one.y_pred), -1).all(1) for one in groups])
    if bool(wrong.any()):
        raise ValueError(
            f"the model returns NaN or infinity for {int(wrong.sum())} of {len(wrong)} rows, first for row "
            f"{int(wrong.int().argmax())}. Look for NaN in the inputs of these rows and in the weights."
        )


def _find_spec(first: Outputs, facts: OutputFacts) -> TaskSpec:
    """Return the task of an output from its loss, else from its targets.

    Raises:
        ValueError: The user names another task than the loss and the shapes allow.
    """
    loss, y_pred, y_true = facts.loss, first.y_pred, first.y_true
    if loss is not None and not loss.matches_targets:
        raise ValueError(
            f"a report compares each output with its target, and the outputs of loss {loss.name!r} do not predict "
            "targets. Compute predictions from them, and pass these to kt.evaluation.report_from_predictions."
        )
    if facts.task == "regression":
        return TaskSpec("regression", y_pred.shape[-1] if y_pred.ndim > 1 else 1, None, -1)
    is_known = loss is not None and loss.task is not None
    classifies = facts.task is not None or (not is_known and _look_like_classes(y_pred, y_true))
    spec = TaskSpec.of(loss, y_pred, y_true, classifies, facts.ends_in, facts.channel_axis)
    has_two_classes = spec.kind == "multiclass" and spec.classes == 2
    if facts.task not in (None, spec.kind) and not (facts.task == "binary" and has_two_classes):
        given = "without a loss" if loss is None else f"with loss {loss.name!r}"
        raise ValueError(
            f"task={facts.task!r} does not fit outputs of shape {tuple(y_pred.shape)} and y of shape "
            f"{tuple(y_true.shape)} {given}: they are a {spec.kind} task."
        )
    return spec


def _look_like_classes(y_pred: Tensor, y_true: Tensor) -> bool:
    """Return whether targets are class numbers, one-hot, or the answers 0 and 1 or -1 and 1 to yes-or-no questions."""
    if y_true.shape == y_pred.shape and any(y_pred.shape[axis] > 1 and is_one_hot(y_true, axis) for axis in (1, -1)):
        return True
    if not y_true.is_floating_point() and y_true.numel() < y_pred.numel():
        return True
    return any(bool(((y_true == low) | (y_true == 1)).all()) for low in (0, -1))


def _classes(groups: Sequence[Outputs], reader: ScoreReader) -> ClassPredictions:
    """Return the classes of all places whose class is not the ignored one."""
    spec = reader.spec
    scores, classes, rows, weights, at = [], [], [], [], 0
    has_places = any(one.y_pred.ndim > 2 for one in groups)
    for y_pred, y_true, weight in groups:
        axis = spec.class_axis % y_pred.ndim
        shape = y_pred.select(axis, 0).shape
        if y_true.shape == y_pred.shape:
            reader.note_soft_targets(y_true)
            y_true = y_true.float().argmax(axis)
        numbers = y_true.reshape(shape).flatten().round().long()
        is_counted = torch.ones_like(numbers, dtype=torch.bool) if spec.ignored is None else numbers != spec.ignored
        per_row = shape[1:].numel()
        scores.append(_numpy(y_pred.movedim(axis, -1).reshape(-1, spec.classes)[is_counted]))
        classes.append(numbers[is_counted].numpy())
        rows.append(np.repeat(np.arange(at, at + len(y_pred)), per_row)[is_counted.numpy()])
        if weight is not None:
            weights.append(_numpy(spread_weight("report", weight, shape).flatten()[is_counted]))
        at += len(y_pred)
    y, found = np.concatenate(classes), np.concatenate(scores)
    has_places = has_places or len(y) != at
    _check_numbers(y, spec.classes)
    values = reader.classes(found)
    names = given_names(reader.facts.names, spec.classes, "classes")
    is_second = len(names) == 2 and reader.are_probabilities
    predicted = (values[:, 1] > reader.facts.threshold).astype(np.int64) if is_second else values.argmax(1)
    return ClassPredictions(
        names=names, n_rows=at, rows=np.concatenate(rows) if has_places else None,
        weight=np.concatenate(weights) if weights else None, y=y, predicted=predicted, scores=values,
        are_probabilities=reader.are_probabilities,
    )  # fmt: skip


def _check_numbers(y: Array, n_classes: int) -> None:
    wrong = (y < 0) | (y >= n_classes)
    if not len(y):
        raise ValueError("no place has a class that counts: all targets are of the ignored class.")
    if wrong.any():
        raise ValueError(f"y has the class {y[wrong][0]}, and the output has {n_classes} classes, from 0.")


def _answers(groups: Sequence[Outputs], reader: ScoreReader) -> ClassPredictions:
    """Return the answers to one yes-or-no question, of each place, as two classes."""
    outputs, labels, rows, weights, has_places = _flat(groups)
    reader.note_soft_targets(labels)
    y = _zero_or_one(labels, reader.spec)
    values = reader.answers(outputs)
    names = given_names(reader.facts.names, 2, "classes")
    middle = reader.facts.threshold if reader.are_probabilities else 0.0
    return ClassPredictions(
        names=names, n_rows=sum(len(one.y_pred) for one in groups), rows=rows if has_places else None, weight=weights,
        y=y, predicted=(values[:, 1] > middle).astype(np.int64), scores=values,
        are_probabilities=reader.are_probabilities,
    )  # fmt: skip


def _labels(groups: Sequence[Outputs], reader: ScoreReader) -> LabelPredictions:
    """Return the answers to several yes-or-no questions of each row."""
    outputs = np.concatenate([_numpy(one.y_pred) for one in groups])
    labels = np.concatenate([_numpy(align_values("report", one.y_true, one.y_pred)) for one in groups])
    weights = [_numpy(one.weight.reshape(len(one.weight), -1).mean(1)) for one in groups if one.weight is not None]
    reader.note_soft_targets(labels)
    values = reader.answers(outputs)[..., 1]
    middle = reader.facts.threshold if reader.are_probabilities else 0.0
    return LabelPredictions(
        names=given_names(reader.facts.names, outputs.shape[1], "labels"), n_rows=len(outputs),
        weight=np.concatenate(weights) if weights else None, y=_zero_or_one(labels, reader.spec) > 0,
        predicted=values > middle, scores=values, are_probabilities=reader.are_probabilities,
    )  # fmt: skip


def _values(groups: Sequence[Outputs], spec: TaskSpec, facts: OutputFacts) -> ValuePredictions:
    """Return predicted values: a column for each output of a row, or one column for the places of images and steps."""
    is_log = spec.link == "exp"
    if all(one.y_pred.ndim == 2 for one in groups):
        predicted = np.concatenate([_numpy(one.y_pred) for one in groups])
        y = np.concatenate([_numpy(align_values("report", one.y_true.double(), one.y_pred.double())) for one in groups])
        weights = [_numpy(one.weight.reshape(len(one.weight), -1).mean(1)) for one in groups if one.weight is not None]
        weight, rows = np.concatenate(weights) if weights else None, None
    else:
        flat, labels, all_rows, weight, has_places = _flat(groups)
        predicted, y, rows = flat[:, None], labels[:, None], all_rows if has_places else None
    return ValuePredictions(
        names=given_names(facts.names, predicted.shape[1], "columns", [""] if predicted.shape[1] == 1 else None),
        n_rows=sum(len(one.y_pred) for one in groups), rows=rows, weight=weight, y=y,
        predicted=np.exp(predicted) if is_log else predicted,
    )  # fmt: skip


def _flat(groups: Sequence[Outputs]) -> tuple[Array, Array, Array, Array | None, bool]:
    """Return outputs, targets, rows and weights of all places, and whether rows have several places."""
    outputs, labels, rows, weights, at = [], [], [], [], 0
    for y_pred, y_true, weight in groups:
        outputs.append(_numpy(y_pred.flatten()))
        labels.append(_numpy(align_values("report", y_true.double(), y_pred.double()).flatten()))
        rows.append(np.repeat(np.arange(at, at + len(y_pred)), y_pred[0].numel()))
        if weight is not None:
            weights.append(_numpy(spread_weight("report", weight, y_pred.shape).flatten()))
        at += len(y_pred)
    found = np.concatenate(outputs)
    return (
        found,
        np.concatenate(labels),
        np.concatenate(rows),
        np.concatenate(weights) if weights else None,
        (len(found) != at),
    )


def _zero_or_one(labels: Array, spec: TaskSpec) -> Array:
    """Return labels 0 and 1, or -1 and 1, as 0 and 1; soft labels are rounded.

    Raises:
        ValueError: There are other labels.
    """
    low, high = float(labels.min()), float(labels.max())
    if high > 1 or low < -1 or (low < 0 and not spec.signed):
        raise ValueError(
            f"a yes-or-no question needs labels 0 and 1, or -1 and 1; y has values {low:g} to {high:g}. If they are "
            "values, pass task='regression'."
        )
    found: Array = (np.round(labels) > 0).astype(np.int64)
    return found


def given_names(
    names: tuple[str, ...] | None, count: int, what: str, default: list[str] | None = None
) -> tuple[str, ...]:
    """Return the names that the user gives; by default the numbers from 0.

    Args:
        names: `class_names`.
        count: Number of classes, labels or columns.
        what: What they are, for the message.
        default: Names to use by default instead.

    Raises:
        ValueError: There is another number of names.
    """
    if names is None:
        return tuple(map(str, range(count)) if default is None else default)
    if len(names) != count:
        raise ValueError(f"class_names has {len(names)} names, and there are {count} {what}.")
    return names


def _numpy(values: Tensor) -> Array:
    found: Array = values.double().numpy()
    return found
