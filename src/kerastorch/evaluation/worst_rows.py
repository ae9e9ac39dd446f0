"""The rows with the largest losses."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from kerastorch.evaluation.class_metrics import log_losses
from kerastorch.evaluation.predictions import Array, ClassPredictions, LabelPredictions, Predictions


@dataclass(frozen=True, eq=False)
class WorstRow:
    """A row with a large loss.

    The loss is that of the task, whatever the model was compiled with: rows of all models can be compared by it.
    `sample_weight` does not change it.

    Attributes:
        index: Number of the row in the data, from 0.
        target: Name of the true class, names of the true labels, or the true value or values; `None` if the row has
            several places, such as pixels.
        prediction: The same of the prediction.
        loss: Loss of the row: minus the logarithm of the probability of the truth; the squared error for values; the
            mean over the places of the row.
        confidence: Probability of the predicted class; `None` if it is unknown.
        input: The inputs of the row, if they are an array in memory.
    """

    index: int
    target: Any
    prediction: Any
    loss: float
    confidence: float | None = None
    input: Array | None = None


def place_losses(found: Predictions) -> Array:
    """Return the loss of each place, `(places,)`.

    Without probabilities, the loss of a class is how far the largest score of another class exceeds its own, and 0 or 1
    if there are no scores.
    """
    if isinstance(found, (ClassPredictions, LabelPredictions)):
        if found.probabilities is not None:
            return log_losses(found)
        if isinstance(found, LabelPredictions):
            return np.asarray(np.where(found.y, -found.scores, found.scores).mean(1))
        if found.scores is None:
            return np.asarray(found.predicted != found.y, np.float64)
        own = np.take_along_axis(found.scores, found.y[:, None], 1)[:, 0]
        others = found.scores.copy()
        np.put_along_axis(others, found.y[:, None], -np.inf, 1)
        return np.asarray(others.max(1) - own)
    return np.asarray(((found.predicted - found.y) ** 2).mean(1))


def find_worst(found: Predictions, count: int, inputs: Any = None) -> tuple[WorstRow, ...]:
    """Return the rows with the largest losses, in descending order; rows of weight 0 do not count.

    Args:
        found: The predictions.
        count: The largest number of rows.
        inputs: Function that returns the inputs of a row by its number, or `None`.
    """
    losses = np.where(found.row_means(found.weights) > 0, found.row_means(place_losses(found)), np.nan)
    order = np.argsort(-np.nan_to_num(losses, nan=-np.inf), kind="stable")[:count]
    return tuple(
        _row(found, int(index), float(losses[index]), None if inputs is None else inputs(int(index)))
        for index in order
        if not np.isnan(losses[index])
    )


def _row(found: Predictions, index: int, loss: float, given: Array | None) -> WorstRow:
    if found.rows is not None:
        return WorstRow(index, None, None, loss, input=given)
    if isinstance(found, ClassPredictions):
        true, predicted = int(found.y[index]), int(found.predicted[index])
        probabilities = found.probabilities
        confidence = None if probabilities is None else float(probabilities[index, predicted])
        return WorstRow(index, found.names[true], found.names[predicted], loss, confidence, given)
    if isinstance(found, LabelPredictions):
        target, prediction = (
            [name for name, is_set in zip(found.names, one[index], strict=True) if is_set]
            for one in (found.y, found.predicted)
        )
        return WorstRow(index, target, prediction, loss, input=given)
    values = [one[index].tolist() for one in (found.y, found.predicted)]
    target, prediction = (one[0] if len(one) == 1 else one for one in values)
    return WorstRow(index, target, prediction, loss, input=given)
