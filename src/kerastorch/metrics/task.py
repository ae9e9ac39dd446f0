"""TaskSpec: the task of one output, and the conversion of outputs and targets to what metrics take.

Whether outputs are probabilities or logits follows from the loss, else from the last activation of the model, else
from the first batch. If it stays unknown and a metric depends on it, an error is raised.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal

import torch
from torch import Tensor

from kerastorch.losses.alignment import align_values
from kerastorch.losses.base import Loss
from kerastorch.losses.class_axis import find_class_axis, is_one_hot
from kerastorch.losses.torch_losses import TorchLoss
from kerastorch.metrics.built_in_metric import spread_weight

Kind = Literal["binary", "multiclass", "multilabel", "regression"]
Link = Literal["sigmoid", "softmax", "exp", "half", "unknown"]
InputFormat = Literal["task", "order", "classes", "elements", "values", "margins", "raw"]


@dataclass(frozen=True)
class TaskSpec:
    """The task of one output: its kind, its classes, and how outputs become probabilities.

    Checkpoints hold these attributes under their names.

    Attributes:
        kind: The task.
        classes: Number of columns of the outputs.
        link: Function that makes probabilities of the outputs: an activation; `'exp'` if they are logarithms of the
            predicted values; `'half'` if they are values that are compared with 0.5; `'unknown'` if they are
            probabilities or logits and it is unknown which; `None` if they are probabilities.
        class_axis: Axis of the classes.
        ignored: Class number whose rows are left out. Default: none.
        signed: Whether the labels of yes-or-no questions are -1 and 1 instead of 0 and 1.
        margins: Whether outputs are margins, which no activation converts to probabilities.
        looks_one_hot: Whether the task is known to be a classification only because targets are one-hot.
        left_out: Label of yes-or-no questions whose rows the metric itself leaves out. Default: none.
    """

    kind: Kind
    classes: int
    link: Link | None
    class_axis: int
    ignored: int | None = None
    signed: bool = False
    margins: bool = False
    looks_one_hot: bool = False
    left_out: int | None = None

    @staticmethod
    def of(
        loss: Loss | None,
        y_pred: Tensor,
        y_true: Tensor,
        classifies: bool = False,
        ends_in: str | None = None,
        channel_axis: int | None = None,
    ) -> TaskSpec:
        """Return the task of an output, given its loss, the end of the model and the first batch.

        If the task of the loss is unknown (it is a function, or there is none), shapes decide: for classification
        metrics, outputs of several columns are scores of classes and one column is a yes-or-no question; for other
        metrics the task is regression.

        Args:
            loss: Loss of the output, if it has one.
            y_pred: Outputs of the first batch, `(batch, ...)`.
            y_true: Targets of the first batch, `(batch, ...)`.
            classifies: Whether the metric is a classification metric.
            ends_in: Name of the last activation of the model, if it is known.
            channel_axis: Axis of the channels, if the layers that the output comes from have one.

        Raises:
            ValueError: Classes are compared, but the outputs do not predict the targets, such as embeddings.
        """
        if classifies:
            _check_comparable(loss)
        width = y_pred.shape[-1] if y_pred.ndim > 1 else 1
        task = None if loss is None else loss.task
        if loss is not None and task == "binary":
            is_before_sigmoid = loss.from_logits or (loss.margins and ends_in != "sigmoid")
            return _binary_spec(y_pred, y_true, "sigmoid" if is_before_sigmoid else None, loss.margins)
        if loss is not None and task == "multiclass":
            axis = _class_axis(loss, y_pred, y_true, channel_axis)
            if loss.link:
                link: Link | None = loss.link if loss.from_logits else None
            else:  # the loss takes log-probabilities, of which a softmax makes p, or margins, whose order it preserves
                link = None if _are_probabilities(y_pred, axis, ends_in) else "softmax"
            return TaskSpec("multiclass", y_pred.shape[axis], link, axis, loss.ignored)
        are_integers = not y_true.is_floating_point() or bool((y_true == y_true.round()).all())
        if not classifies or not are_integers:
            link = "exp" if loss is not None and loss.log_outputs else None
            has_class_axis = loss is not None and loss.has_class_axis
            axis = _class_axis(loss, y_pred, y_true, channel_axis) if has_class_axis else -1
            return TaskSpec("regression", width, link, axis)
        has_one_value = y_pred[0].numel() == 1
        if has_one_value or (y_true.numel() == y_pred.numel() and not _may_be_one_hot(y_pred, y_true)):
            return _binary_spec(y_pred, y_true, _link_of_values(loss, ends_in))
        axis = _class_axis(loss, y_pred, y_true, channel_axis)
        if y_true.shape == y_pred.shape and not is_one_hot(y_true, axis):
            return _binary_spec(y_pred, y_true, _link_of_values(loss, ends_in))
        link = None if _are_probabilities(y_pred, axis, ends_in) else "softmax"
        return TaskSpec("multiclass", y_pred.shape[axis], link, axis, looks_one_hot=y_true.shape == y_pred.shape)

    def for_labels(self, y_true: Tensor) -> TaskSpec:
        """Return the task for more rows: with `signed` set if their labels are -1 and 1.

        Args:
            y_true: Targets of these rows.

        Raises:
            ValueError: There are labels other than 0 and 1 or -1 and 1; or targets are not one-hot, but those of the
                first batch were.
        """
        if self.looks_one_hot and not is_one_hot(y_true, self.class_axis):
            raise ValueError(
                "the first targets were one-hot, so the outputs were taken for scores of classes; now a row has "
                "no 1 or several. Use a loss that says what they are, such as 'binary_crossentropy', or no metric of "
                "classes."
            )
        if self.kind not in ("binary", "multilabel") or not y_true.numel():
            return self
        labels = y_true.round() if y_true.is_floating_point() else y_true.to(torch.int64)
        if self.left_out is not None:
            labels = labels[labels != self.left_out]
            if not labels.numel():
                return self
        low, high = (float(one) for one in labels.aminmax())
        if low < -1 or high > 1 or (low == -1 and bool((labels == 0).any())):
            raise ValueError(
                "classification metrics of a single output, or of outputs that are yes-or-no questions, need labels 0 "
                f"and 1, or -1 and 1; y has values from {low:g} to {high:g}."
            )
        return replace(self, signed=True) if low == -1 and not self.signed else self

    def prepare(self, y_pred: Tensor, y_true: Tensor, input_format: InputFormat = "task") -> tuple[Tensor, Tensor]:
        """Return outputs and targets in the format that a metric takes.

        Args:
            y_pred: Outputs of any number of rows.
            y_true: Targets of these rows.
            input_format: What is returned.
                `'task'`: probabilities and class numbers in torchmetrics' shapes; of two classes, the probability of
                the second.
                `'order'`: like `'task'`, or instead of probabilities other numbers in 0..1 in their order.
                `'classes'`: like `'task'`, with the probabilities of all classes.
                `'elements'`: every probability, flattened, with a target of 0 or 1.
                `'values'`: probabilities or values, with targets of the same shape; class numbers become one-hot.
                `'margins'`: outputs unchanged, with targets of the same shape.
                `'raw'`: both unchanged.
        """
        if input_format == "raw":
            return y_pred, y_true
        if input_format == "margins":
            return y_pred, align_values("metrics", y_true, y_pred)
        if input_format == "values" or self.kind == "regression":
            return self._values(y_pred, y_true, flat=input_format != "values")
        if input_format == "order" and self.link is not None and (self.kind != "multiclass" or self.classes == 2):
            y_pred = self._ranks(y_pred)
        else:
            y_pred = self.probabilities(y_pred)
        if self.kind == "multiclass":
            if input_format == "elements":
                return self._elements(y_pred, y_true)
            return self._classes(y_pred, y_true, input_format)
        labels = _zero_or_one(align_values("metrics", y_true, y_pred), self.left_out)
        return (y_pred.flatten(), labels.flatten()) if self.kind == "binary" else (y_pred, labels)

    def prepare_weight(self, y_pred: Tensor, y_true: Tensor, weight: Tensor, input_format: InputFormat) -> Tensor:
        """Return sample weights in the shape of the targets that `prepare` returns.

        Args:
            y_pred: Outputs, as `prepare` is given them.
            y_true: Their targets.
            weight: Sample weights, `(rows,)` or more of the axes of the targets.
            input_format: As in `prepare`.
        """
        has_class_numbers = self.kind == "multiclass" and y_true.shape != y_pred.shape
        if input_format in ("raw", "margins") or (input_format == "values" and not has_class_numbers):
            return weight
        if self.kind == "regression":
            return weight
        if self.kind != "multiclass":
            spread = spread_weight("metrics", weight, y_pred.shape)
            return spread.flatten() if self.kind == "binary" else spread
        axis = self.class_axis % y_pred.ndim
        places = y_pred.select(axis, 0).shape
        spread = spread_weight("metrics", weight, places).flatten()
        if self.ignored is not None and y_true.shape != y_pred.shape:
            spread = spread[(y_true.reshape(places) != self.ignored).flatten()]
        return spread.repeat_interleave(self.classes) if input_format == "elements" else spread

    def probabilities(self, y_pred: Tensor) -> Tensor:
        """Return the outputs after `link`."""
        if self.link == "softmax":
            return torch.softmax(y_pred, self.class_axis)
        if self.link == "sigmoid" or (self.link == "half" and self.signed):
            return torch.sigmoid(y_pred)
        if self.link == "exp":
            return y_pred.exp()
        if self.link == "half":
            # above 0.5 exactly if the value is, in the same order; torchmetrics would take values outside of 0..1 for
            # logits, and decide this for each piece of rows anew
            return torch.sigmoid(y_pred - 0.5)
        return y_pred

    def _ranks(self, y_pred: Tensor) -> Tensor:
        """Return numbers in 0..1 in the order of the outputs; for two classes, of their odds."""
        if self.kind != "multiclass":
            return _to_unit_interval(y_pred)
        first, second = _to_float64(y_pred).unbind(self.class_axis)
        ranks = _to_unit_interval(second - first)
        return torch.stack((1 - ranks, ranks), self.class_axis)

    def _values(self, y_pred: Tensor, y_true: Tensor, flat: bool) -> tuple[Tensor, Tensor]:
        """Return outputs as values, and targets in their shape.

        If `flat`, a single column is returned as a vector.
        """
        if self.link == "exp" or (self.link in ("sigmoid", "softmax") and not self.margins):
            y_pred = self.probabilities(y_pred)
        if self.kind == "multiclass" and y_true.shape != y_pred.shape:
            y_pred, numbers = self._class_numbers(y_pred, y_true)
            return y_pred, torch.nn.functional.one_hot(numbers, self.classes).to(y_pred.dtype)
        y_true = align_values("metrics", y_true, y_pred)
        if flat and y_pred.ndim == 2 and y_pred.shape[1] == 1:
            return y_pred.squeeze(1), y_true.squeeze(1)
        return y_pred, y_true

    def _class_numbers(self, y_pred: Tensor, y_true: Tensor) -> tuple[Tensor, Tensor]:
        """Return scores `(places, classes)` and class numbers `(places,)`, without ignored ones."""
        axis = self.class_axis % y_pred.ndim
        if y_true.shape == y_pred.shape:  # one-hot or probabilities
            y_true = (y_true.to(torch.uint8) if y_true.dtype == torch.bool else y_true).argmax(axis)
        elif y_true.ndim == y_pred.ndim:
            y_true = y_true.squeeze(axis)
        y_true = y_true.long()
        if y_pred.ndim > 2:  # (batch, ..., classes) -> (places, classes)
            y_pred = y_pred.movedim(axis, -1).flatten(0, -2)
            y_true = y_true.flatten()
        if self.ignored is not None:
            is_counted = y_true != self.ignored
            y_pred, y_true = y_pred[is_counted], y_true[is_counted]
        return y_pred, y_true

    def _classes(self, y_pred: Tensor, y_true: Tensor, input_format: InputFormat) -> tuple[Tensor, Tensor]:
        y_pred, y_true = self._class_numbers(y_pred, y_true)
        if self.classes == 2 and input_format in ("task", "order"):
            return y_pred[:, 1], y_true
        return y_pred, y_true

    def _elements(self, y_pred: Tensor, y_true: Tensor) -> tuple[Tensor, Tensor]:
        y_pred, y_true = self._class_numbers(y_pred, y_true)
        return y_pred.flatten(), torch.nn.functional.one_hot(y_true, self.classes).flatten()


def _binary_spec(y_pred: Tensor, y_true: Tensor, link: Link | None, margins: bool = False) -> TaskSpec:
    """Return the task of outputs that are yes-or-no questions, one for each column."""
    has_columns = y_pred.ndim == 2 and y_pred.shape[1] > 1
    kind: Kind = "multilabel" if has_columns else "binary"
    n_questions = y_pred.shape[1] if has_columns else 1
    return TaskSpec(kind, n_questions, link, -1, signed=_has_negative_labels(y_true), margins=margins)


def _may_be_one_hot(y_pred: Tensor, y_true: Tensor) -> bool:
    """Return whether targets, in the shape of the outputs, are one-hot along axis 1 or -1."""
    return y_true.shape == y_pred.shape and any(y_pred.shape[axis] > 1 and is_one_hot(y_true, axis) for axis in (1, -1))


def _class_axis(loss: Loss | None, y_pred: Tensor, y_true: Tensor, channel_axis: int | None) -> int:
    if loss is not None and loss.class_axis is not None:
        return loss.class_axis if y_pred.ndim > 1 else 0
    name = "metrics" if loss is None else f"metrics beside loss {loss.name!r}"
    # if the targets fit several axes, a function in torch's order has the class axis of torch
    default = 1 if isinstance(loss, TorchLoss) else None
    return find_class_axis(name, y_true, y_pred, known=channel_axis, default=default)


def _link_of_values(loss: Loss | None, ends_in: str | None) -> Link | None:
    """Return the link of outputs whose loss has none: `'half'` if it is a regression loss."""
    if ends_in == "sigmoid" or (loss is not None and loss.takes_probabilities):
        return None
    return "half" if loss is not None and loss.task == "regression" else "unknown"


def _check_comparable(loss: Loss | None) -> None:
    """Raise an error for classification metrics beside a loss whose outputs do not predict the targets."""
    if loss is not None and not loss.matches_targets:
        raise ValueError(
            f"classification metrics do not fit loss {loss.name!r}: its outputs are not scores of the targets. Give a "
            "metric of your own, metrics=[function], or none."
        )


def _has_negative_labels(y_true: Tensor) -> bool:
    return y_true.dtype != torch.bool and bool((y_true == -1).any())


def _zero_or_one(y_true: Tensor, left_out: int | None) -> Tensor:
    """Return labels of yes-or-no questions as 0 and 1.

    Smoothed labels are rounded, and -1 becomes 0. Labels equal to `left_out` are unchanged.
    """
    labels = (y_true.round() > 0).long()
    return labels if left_out is None else labels.where(y_true != left_out, left_out)


def _to_unit_interval(y_pred: Tensor) -> Tensor:
    """Return numbers in 0..1 in the order of `y_pred`."""
    # a softsign, because a sigmoid makes large logits equal, even in float64
    precise = _to_float64(y_pred)  # in float32 the softsign makes logits beyond 1000 equal, too
    return (torch.nn.functional.softsign(precise) + 1) / 2


def _to_float64(y_pred: Tensor) -> Tensor:
    """Return the outputs in float64, or unchanged on devices without it."""
    return y_pred if y_pred.device.type == "mps" else y_pred.double()


def _are_probabilities(y_pred: Tensor, axis: int, ends_in: str | None) -> bool:
    """Return whether outputs along an axis come from a softmax, or are >= 0 with a sum of 1."""
    if ends_in == "softmax":
        return True
    sums = y_pred.float().sum(axis)
    return bool((y_pred >= 0).all()) and bool(((sums - 1).abs() < 1e-3).all())
