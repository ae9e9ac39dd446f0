"""Target: what metrics must know of an output, and what it does to outputs and targets for them."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal

import torch
from torch import Tensor

from kerastorch.losses.alignment import align_values
from kerastorch.losses.base import Loss
from kerastorch.losses.class_axis import find_class_axis, is_one_hot
from kerastorch.losses.torch_losses import TorchLoss

Kind = Literal["binary", "multiclass", "multilabel", "regression"]
Link = Literal["sigmoid", "softmax", "exp", "half", "unknown"]
InputFormat = Literal["task", "order", "classes", "elements", "values", "margins", "raw"]


@dataclass(frozen=True)
class TaskSpec:
    """What metrics must know of one output: the task, how many classes, and how to make probabilities of it.

    Attributes:
        kind: the task.
        classes: columns of the outputs.
        link: what makes probabilities of the outputs: an activation; `'exp'`, if they are logarithms of what the
            targets are; `'half'`, if they are values compared with 0.5;
            `'unknown'`, if they are probabilities or logits and nothing says which; `None`, if they are probabilities.
        class_axis: the axis of the classes.
        ignored: a class number whose rows are not counted.
        signed: the labels of yes-or-no questions are -1 and 1.
        margins: the outputs are margins, which no activation makes probabilities of.
        looks_one_hot: only the targets tell that there are classes: they are one-hot.
        left_out: a label of yes-or-no questions whose rows the metric itself leaves out.
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
        """Return what the loss, the end of the model and the first batch say of an output.

        A loss whose task is not known (there is none, or it is a function) leaves values to metrics of values. Metrics
        that classify then depend on shapes: an argmax over several columns, a yes-or-no question for one column.

        Args:
            loss: of the output.
            y_pred: outputs of the first batch.
            y_true: targets of the first batch.
            classifies: the metric is about classes.
            ends_in: the activation that the model ends in, if that is known.
            channel_axis: the axis of the channels, if the output is known to come from layers that have one.
        """
        width = y_pred.shape[-1] if y_pred.ndim > 1 else 1
        task = None if loss is None else loss.task
        if loss is not None and task == "binary":
            return _yes_or_no(loss, y_pred, y_true, ends_in)
        if loss is not None and task == "multiclass":
            axis = _class_axis(loss, y_pred, y_true, channel_axis)
            if loss.link:
                link: Link | None = loss.link if loss.from_logits else None
            else:  # it takes log-probabilities or margins: softmax(log p) is p, and the order stays
                link = None if _are_probabilities(y_pred, axis, ends_in) else "softmax"
            return TaskSpec("multiclass", y_pred.shape[axis], link, axis, loss.ignored)
        whole = not y_true.is_floating_point() or bool((y_true == y_true.round()).all())
        if not classifies or not whole:
            link = "exp" if loss is not None and loss.log_outputs else None
            along_classes = loss is not None and loss.has_class_axis
            axis = _class_axis(loss, y_pred, y_true, channel_axis) if along_classes else -1
            return TaskSpec("regression", width, link, axis)
        if y_pred[0].numel() == 1:
            return TaskSpec("binary", 1, _link_of_values(task, ends_in), -1, signed=_signed(y_true))
        if not _may_be_one_hot(y_pred, y_true) and y_true.numel() == y_pred.numel():
            return _questions(y_pred, y_true, _link_of_values(task, ends_in))
        axis = _class_axis(loss, y_pred, y_true, channel_axis)
        if y_true.shape == y_pred.shape and not is_one_hot(y_true, axis):
            return _questions(y_pred, y_true, _link_of_values(task, ends_in))
        link = None if _are_probabilities(y_pred, axis, ends_in) else "softmax"
        return TaskSpec("multiclass", y_pred.shape[axis], link, axis, looks_one_hot=y_true.shape == y_pred.shape)

    def for_labels(self, y_true: Tensor) -> TaskSpec:
        """Return the target for labels of these rows, coded 0 and 1 or -1 and 1.

        Raises:
            ValueError: other labels; targets that are not one-hot, if those of the rows before were.
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

    def prepare(self, y_pred: Tensor, y_true: Tensor, sees: InputFormat = "task") -> tuple[Tensor, Tensor]:
        """Return outputs as probabilities and targets as class numbers, in the shapes that torchmetrics takes.

        Args:
            y_pred: outputs of any number of rows.
            y_true: their targets.
            sees: `'task'`: of two classes the second's probabilities; `'order'`: the same, or other numbers in their
                order; `'classes'`: of all; `'elements'`: each probability with 0 or 1; `'values'`: probabilities or
                values, and targets of the same shape; `'margins'`: outputs as they are, and targets of the same
                shape; `'raw'`: both as they are.
        """
        if sees == "raw":
            return y_pred, y_true
        if sees == "margins":
            return y_pred, align_values("metrics", y_true, y_pred)
        if sees == "values" or self.kind == "regression":
            return self._values(y_pred, y_true, flat=sees != "values")
        if sees == "order" and self.link is not None and (self.kind != "multiclass" or self.classes == 2):
            y_pred = self._ranks(y_pred)
        else:
            y_pred = self._probabilities(y_pred)
        if self.kind == "multiclass":
            return self._elements(y_pred, y_true) if sees == "elements" else self._classes(y_pred, y_true, sees)
        labels = _zero_or_one(align_values("metrics", y_true, y_pred), self.left_out)
        return (y_pred.flatten(), labels.flatten()) if self.kind == "binary" else (y_pred, labels)

    def _probabilities(self, y_pred: Tensor) -> Tensor:
        if self.link == "softmax":
            return torch.softmax(y_pred, self.class_axis)
        if self.link == "sigmoid" or (self.link == "half" and self.signed):
            return torch.sigmoid(y_pred)
        if self.link == "exp":
            return y_pred.exp()
        if self.link == "half":
            return torch.sigmoid(y_pred - 0.5)  # keeps the order, and what lies above 0.5
        return y_pred

    def _ranks(self, y_pred: Tensor) -> Tensor:
        """Return numbers in 0..1 in the order of the outputs; of two classes, the second's in the order of its odds."""
        if self.kind != "multiclass":
            return _in_order(y_pred)
        first, second = _precise(y_pred).unbind(self.class_axis)
        ranks = _in_order(second - first)
        return torch.stack((1 - ranks, ranks), self.class_axis)

    def _values(self, y_pred: Tensor, y_true: Tensor, flat: bool) -> tuple[Tensor, Tensor]:
        if self.link == "exp" or (self.link in ("sigmoid", "softmax") and not self.margins):
            y_pred = self._probabilities(y_pred)
        y_true = align_values("metrics", y_true, y_pred)
        if flat and y_pred.ndim == 2 and y_pred.shape[1] == 1:
            return y_pred.squeeze(1), y_true.squeeze(1)
        return y_pred, y_true

    def _class_numbers(self, y_pred: Tensor, y_true: Tensor) -> tuple[Tensor, Tensor]:
        """Return one row of scores `(places, classes)` and one class number for each place."""
        axis = self.class_axis % y_pred.ndim
        if y_true.shape == y_pred.shape:  # one-hot or probabilities
            y_true = (y_true.to(torch.uint8) if y_true.dtype == torch.bool else y_true).argmax(axis)
        elif y_true.ndim == y_pred.ndim:
            y_true = y_true.squeeze(axis)
        y_true = y_true.long()
        if y_pred.ndim > 2:  # (batch, ..., classes) -> one row for each place
            y_pred = y_pred.movedim(axis, -1).flatten(0, -2)
            y_true = y_true.flatten()
        if self.ignored is not None:
            counted = y_true != self.ignored
            y_pred, y_true = y_pred[counted], y_true[counted]
        return y_pred, y_true

    def _classes(self, y_pred: Tensor, y_true: Tensor, sees: InputFormat) -> tuple[Tensor, Tensor]:
        y_pred, y_true = self._class_numbers(y_pred, y_true)
        if self.classes == 2 and sees in ("task", "order"):
            return y_pred[:, 1], y_true
        return y_pred, y_true

    def _elements(self, y_pred: Tensor, y_true: Tensor) -> tuple[Tensor, Tensor]:
        y_pred, y_true = self._class_numbers(y_pred, y_true)
        return y_pred.flatten(), torch.nn.functional.one_hot(y_true, self.classes).flatten()


def _yes_or_no(loss: Loss, y_pred: Tensor, y_true: Tensor, ends_in: str | None) -> TaskSpec:
    several = y_pred.ndim == 2 and y_pred.shape[1] > 1
    link: Link | None = "sigmoid" if loss.from_logits or (loss.margins and ends_in != "sigmoid") else None
    kind: Kind = "multilabel" if several else "binary"
    return TaskSpec(kind, y_pred.shape[1] if several else 1, link, -1, signed=_signed(y_true), margins=loss.margins)


def _questions(y_pred: Tensor, y_true: Tensor, link: Link | None) -> TaskSpec:
    """Return the target of outputs that are each a yes-or-no question, where no loss says so."""
    several = y_pred.ndim == 2
    return TaskSpec(
        "multilabel" if several else "binary", y_pred.shape[1] if several else 1, link, -1, signed=_signed(y_true)
    )


def _may_be_one_hot(y_pred: Tensor, y_true: Tensor) -> bool:
    """Return whether targets may have their classes on axis 1 or the last, of the outputs' shape."""
    return y_true.shape == y_pred.shape and any(y_pred.shape[axis] > 1 and is_one_hot(y_true, axis) for axis in (1, -1))


def _class_axis(loss: Loss | None, y_pred: Tensor, y_true: Tensor, channel_axis: int | None) -> int:
    if loss is not None and loss.class_axis is not None:
        return loss.class_axis if y_pred.ndim > 1 else 0
    name = "metrics" if loss is None else f"metrics beside loss {loss.name!r}"
    # a function in torch's order has torch's class axis, if the targets do not tell
    default = 1 if isinstance(loss, TorchLoss) else None
    return find_class_axis(name, y_true, y_pred, known=channel_axis, default=default)


def _link_of_values(task: str | None, ends_in: str | None) -> Link | None:
    """Return what makes probabilities of single outputs: a loss of values compares them with 0.5 itself."""
    if ends_in == "sigmoid":
        return None
    return "half" if task == "regression" else "unknown"


def _signed(y_true: Tensor) -> bool:
    return y_true.dtype != torch.bool and bool((y_true == -1).any())


def _zero_or_one(y_true: Tensor, left_out: int | None) -> Tensor:
    """Return labels of yes-or-no questions as 0 and 1; smoothed ones are rounded, -1 becomes 0."""
    labels = (y_true.round() > 0).long()
    return labels if left_out is None else labels.where(y_true != left_out, left_out)


def _in_order(y_pred: Tensor) -> Tensor:
    """Return numbers in 0..1 in the order of `y_pred`; a sigmoid makes large logits equal, also in float64."""
    precise = _precise(y_pred)  # in float32 logits beyond 1000 would be ties
    return (torch.nn.functional.softsign(precise) + 1) / 2


def _precise(y_pred: Tensor) -> Tensor:
    return y_pred if y_pred.device.type == "mps" else y_pred.double()


def _are_probabilities(y_pred: Tensor, axis: int, ends_in: str | None) -> bool:
    """Return whether outputs are probabilities of classes along an axis."""
    if ends_in == "softmax":
        return True
    sums = y_pred.float().sum(axis)
    return bool((y_pred >= 0).all()) and bool(((sums - 1).abs() < 1e-3).all())
