"""ClassInputs: the outputs, targets and weights that a metric of a built-in class is updated with in a pass."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from kerastorch.losses.alignment import align_values
from kerastorch.metrics.base import OutputFormat
from kerastorch.metrics.built_in_metric import BuiltInMetric, spread_weight
from kerastorch.metrics.task import TaskSpec

Prepared = tuple[Tensor, Tensor] | tuple[Tensor, Tensor, Tensor]


@dataclass(frozen=True)
class ClassInputs:
    """How a pass over data prepares what a metric of a built-in class is updated with.

    Attributes:
        name: Name of the metric, for messages.
        output_format: As in `BuiltInMetric`.
        takes_logits: Whether logits are passed as they are, because the metric has `from_logits=True` or a threshold
            of 0.
        has_axis: Whether the metric was given the axis of the classes; then no axis is moved.
        one_hot: Whether class numbers are converted to one-hot targets.
    """

    name: str
    output_format: OutputFormat
    takes_logits: bool
    has_axis: bool
    one_hot: bool = False

    @staticmethod
    def of(metric: BuiltInMetric) -> ClassInputs:
        """Return the description of a metric."""
        has_axis = getattr(metric, "axis", -1) != -1
        return ClassInputs(metric.name, metric.output_format, metric.takes_logits, has_axis)

    def prepare(self, spec: TaskSpec, y_pred: Tensor, y_true: Tensor, weight: Tensor | None) -> Prepared:
        """Return outputs and targets, and weights if there are any.

        Args:
            spec: The task of the output.
            y_pred: Outputs of any number of rows.
            y_true: Targets of these rows.
            weight: Sample weights of these rows, `(rows,)` or more of the axes of the targets.

        Raises:
            ValueError: The metric needs probabilities, and the outputs cannot be probabilities.
        """
        if self.output_format == "margins":
            y_true = align_values(self.name, y_true, y_pred) if y_true.is_floating_point() else y_true
        elif self.output_format in ("values", "probabilities") and not self.takes_logits:
            y_pred = self._converted(spec, y_pred)
        if self.output_format == "probabilities" and spec.signed:
            y_true = (y_true > 0).to(y_true.dtype)
        if self.output_format != "raw" and spec.kind == "multiclass" and not self.has_axis and y_pred.ndim > 1:
            y_pred, y_true = _classes_last(spec, y_pred, y_true)
            if spec.ignored is not None and y_true.ndim < y_pred.ndim:
                y_pred, y_true, weight = self._without_ignored(spec.ignored, y_pred, y_true, weight)
            if self.one_hot and y_true.ndim < y_pred.ndim:
                y_true = torch.nn.functional.one_hot(y_true, y_pred.shape[-1])
        return (y_pred, y_true) if weight is None else (y_pred, y_true, weight)

    def _converted(self, spec: TaskSpec, y_pred: Tensor) -> Tensor:
        """Return the outputs as probabilities or values."""
        if spec.link == "exp" or (spec.link in ("sigmoid", "softmax") and not (spec.margins and not self._is_share())):
            return spec.probabilities(y_pred)
        if spec.link == "unknown" and self._is_share() and y_pred.numel():
            low, high = (float(one) for one in y_pred.aminmax())
            if low < 0 or high > 1:
                raise ValueError(
                    f"metric {self.name!r} needs probabilities, and the outputs have values from {low:g} to {high:g}. "
                    "Nothing tells whether they are logits. End the model in a sigmoid layer or a softmax layer; or "
                    "make the loss a subclass of kerastorch.losses.Loss with from_logits = True; or give the metric "
                    "from_logits=True or a threshold of 0, if it has these arguments."
                )
        return y_pred

    def _is_share(self) -> bool:
        """Return whether the metric needs probabilities."""
        return self.output_format == "probabilities"

    def _without_ignored(
        self, ignored: int, y_pred: Tensor, y_true: Tensor, weight: Tensor | None
    ) -> tuple[Tensor, Tensor, Tensor | None]:
        """Return scores `(places, classes)`, class numbers `(places,)` and their weights, without the ignored class."""
        is_counted = y_true != ignored
        if weight is not None:
            weight = spread_weight(self.name, weight, y_true.shape)[is_counted]
        return y_pred[is_counted], y_true[is_counted], weight


def _classes_last(spec: TaskSpec, y_pred: Tensor, y_true: Tensor) -> tuple[Tensor, Tensor]:
    """Return outputs, and targets that are one-hot, with the classes on the last axis; class numbers without it."""
    axis = spec.class_axis % y_pred.ndim
    if y_true.shape == y_pred.shape:
        y_true = y_true.movedim(axis, -1)
    elif y_true.ndim == y_pred.ndim and y_true.shape[axis] == 1:
        y_true = y_true.squeeze(axis)
    if y_true.dtype != torch.bool and y_true.ndim < y_pred.ndim:
        y_true = y_true.to(torch.int64)
    return y_pred.movedim(axis, -1), y_true
