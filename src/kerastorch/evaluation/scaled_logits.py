"""Log loss and calibration of logits that are divided by a temperature, and the temperature of the smallest loss."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

import numpy as np

from kerastorch.evaluation.calibration import Calibration, Calibrator
from kerastorch.evaluation.from_outputs import Outputs
from kerastorch.evaluation.predictions import Array, ClassPredictions, LabelPredictions
from kerastorch.evaluation.score_reader import sigmoid, softmax
from kerastorch.losses.alignment import align_values
from kerastorch.metrics.built_in_metric import spread_weight
from kerastorch.metrics.task import TaskSpec

_WHO = "temperature_scaling"


class ScaledLogits(Protocol):
    """Logits and targets of all places, in float64, as functions of the factor that multiplies the logits."""

    def log_loss(self, factor: float) -> float:
        """Return the mean negative log-likelihood of the targets."""

    def slope(self, factor: float) -> float:
        """Return its derivative, which grows with the factor."""

    def largest_slope(self) -> float:
        """Return the limit of the slope for large factors: 0 if all targets are predicted, else above 0."""

    def accuracy(self, factor: float) -> float:
        """Return the fraction of targets that are predicted."""

    def calibration(self, factor: float, n_bins: int) -> Calibration:
        """Return the calibration of the probabilities."""

    @property
    def n_places(self) -> int:
        """Return the number of places."""


class SoftmaxLogits:
    """Logits of several classes, one of which is true.

    Args:
        logits: `(places, classes)`.
        of_targets: The logit of the true class, or the mean over the probabilities of the classes, `(places,)`.
        labels: True class, or the most probable one, `(places,)`.
        weights: `(places,)`, with a sum above 0.
    """

    def __init__(self, logits: Array, of_targets: Array, labels: Array, weights: Array) -> None:
        self._logits, self._of_targets, self._labels, self._weights = logits, of_targets, labels, weights

    @property
    def n_places(self) -> int:
        return len(self._logits)

    def log_loss(self, factor: float) -> float:
        scaled = factor * self._logits
        largest = scaled.max(1)
        log_sum = largest + np.log(np.exp(scaled - largest[:, None]).sum(1))
        return self._mean(log_sum - factor * self._of_targets)

    def slope(self, factor: float) -> float:
        return self._mean((softmax(factor * self._logits) * self._logits).sum(1) - self._of_targets)

    def largest_slope(self) -> float:
        return self._mean(self._logits.max(1) - self._of_targets)

    def accuracy(self, factor: float) -> float:
        return self._mean(softmax(factor * self._logits).argmax(1) == self._labels)

    def calibration(self, factor: float, n_bins: int) -> Calibration:
        probabilities = softmax(factor * self._logits)
        found = ClassPredictions(
            names=tuple(map(str, range(probabilities.shape[1]))), n_rows=self.n_places, y=self._labels,
            predicted=probabilities.argmax(1), scores=probabilities, are_probabilities=True,
        )  # fmt: skip
        return Calibrator(found, n_bins)(self._weights)

    def _mean(self, values: Array) -> float:
        return float(np.average(values, weights=self._weights))


class SigmoidLogits:
    """Logits of yes-or-no questions.

    Args:
        logits: `(places,)`.
        targets: Probabilities of yes, such as ones and zeros, `(places,)`.
        weights: `(places,)`, with a sum above 0.
    """

    def __init__(self, logits: Array, targets: Array, weights: Array) -> None:
        self._logits, self._targets, self._weights = logits, targets, weights

    @property
    def n_places(self) -> int:
        return len(self._logits)

    def log_loss(self, factor: float) -> float:
        scaled = factor * self._logits
        return self._mean(np.logaddexp(0, scaled) - self._targets * scaled)

    def slope(self, factor: float) -> float:
        return self._mean((sigmoid(factor * self._logits) - self._targets) * self._logits)

    def largest_slope(self) -> float:
        return self._mean(np.maximum(self._logits, 0) - self._targets * self._logits)

    def accuracy(self, factor: float) -> float:
        return self._mean((sigmoid(factor * self._logits) > 0.5) == (self._targets > 0.5))

    def calibration(self, factor: float, n_bins: int) -> Calibration:
        probabilities = sigmoid(factor * self._logits)[:, None]
        found = LabelPredictions(
            names=("yes",), n_rows=self.n_places, y=self._targets[:, None] > 0.5, predicted=probabilities > 0.5,
            scores=probabilities, are_probabilities=True,
        )  # fmt: skip
        return Calibrator(found, n_bins)(self._weights)

    def _mean(self, values: Array) -> float:
        return float(np.average(values, weights=self._weights))


def scaled_logits(groups: Sequence[Outputs], spec: TaskSpec) -> ScaledLogits:
    """Return the logits and targets of all places that count.

    Args:
        groups: Logits and targets.
        spec: The task; of several classes, or of yes-or-no questions.

    Raises:
        ValueError: Targets are no classes or probabilities; no place counts.
    """
    read = _read_classes if spec.kind == "multiclass" else _read_answers
    parts = [read(one, spec) for one in groups]
    joined = [np.concatenate(some) for some in zip(*parts, strict=True)]
    if not joined[-1].sum() > 0:
        raise ValueError("temperature_scaling: no target counts: all have weight 0 or the ignored class.")
    return SoftmaxLogits(*joined) if spec.kind == "multiclass" else SigmoidLogits(*joined)


def best_factor(found: ScaledLogits) -> float:
    """Return the factor for the logits with the smallest log loss, which is convex in the factor.

    Raises:
        ValueError: There is none above 0, or no finite one.
    """
    from scipy.optimize import brentq

    if found.slope(0.0) >= 0:
        raise ValueError(
            "temperature_scaling: the logits say nothing about these targets, whose log loss is smallest if all "
            "classes are equally probable. Do the targets belong to these rows, and is the model trained?"
        )
    if found.largest_slope() <= 0:
        raise ValueError(
            f"temperature_scaling: all {found.n_places} targets are predicted, so that every smaller temperature has a "
            "smaller log loss. Use more rows, which the model was not trained on."
        )
    high = 1.0
    while found.slope(high) < 0:
        high *= 2
    return float(brentq(found.slope, 0.0, high, xtol=1e-14, rtol=1e-13))


def _read_classes(one: Outputs, spec: TaskSpec) -> tuple[Array, ...]:
    """Return the arguments of `SoftmaxLogits` for a batch."""
    axis = spec.class_axis % one.y_pred.ndim
    shape = one.y_pred.select(axis, 0).shape
    logits = one.y_pred.movedim(axis, -1).reshape(-1, spec.classes).double().numpy()
    weights = _weights(one, shape)
    if one.y_true.shape == one.y_pred.shape:
        targets = one.y_true.movedim(axis, -1).reshape(-1, spec.classes).double().numpy()
        if targets.min() < 0 or np.abs(targets.sum(1) - 1).max() > 1e-3:
            raise ValueError("temperature_scaling: rows of y must be one-hot, or probabilities with a sum of 1.")
        return logits, (targets * logits).sum(1), targets.argmax(1), weights
    numbers = one.y_true.reshape(shape).flatten().round().long().numpy()
    counts = np.ones(len(numbers), bool) if spec.ignored is None else numbers != spec.ignored
    logits, numbers, weights = logits[counts], numbers[counts], weights[counts]
    wrong = (numbers < 0) | (numbers >= spec.classes)
    if wrong.any():
        raise ValueError(f"temperature_scaling: y has the class {numbers[wrong][0]}, of {spec.classes} from 0.")
    return logits, logits[np.arange(len(numbers)), numbers], numbers, weights


def _read_answers(one: Outputs, spec: TaskSpec) -> tuple[Array, ...]:
    """Return the arguments of `SigmoidLogits` for a batch."""
    targets = align_values(_WHO, one.y_true.double(), one.y_pred.double()).flatten().numpy()
    if spec.signed:
        targets = (targets + 1) / 2
    if targets.min(initial=0) < 0 or targets.max(initial=0) > 1:
        low, high = targets.min(), targets.max()
        raise ValueError(f"temperature_scaling: y must be 0 or 1 for yes-or-no questions, got {low:g} to {high:g}.")
    return one.y_pred.double().flatten().numpy(), targets, _weights(one, one.y_pred.shape)


def _weights(one: Outputs, shape: tuple[int, ...]) -> Array:
    """Return the weight of each place, `(places,)`."""
    if one.weight is None:
        return np.ones(int(np.prod(shape)))
    found: Array = spread_weight(_WHO, one.weight, shape).flatten().double().numpy()  # type: ignore[arg-type]
    return found
