"""Target: what metrics must know of an output, and what it does to outputs and targets for them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

from kerastorch.losses.base import Loss

Kind = Literal["binary", "multiclass", "multilabel", "regression"]
Sees = Literal["task", "classes", "raw"]


@dataclass(frozen=True)
class Target:
    """What metrics must know of one output: the task, how many classes, and how to make probabilities of it."""

    kind: Kind
    classes: int
    link: Literal["sigmoid", "softmax"] | None  # what still has to be applied to the outputs
    class_axis: int
    ignored: int | None = None  # a class number whose rows count nothing

    @staticmethod
    def of(loss: Loss | None, y_pred: Tensor, y_true: Tensor, classifies: bool = False) -> Target:
        """Read from the loss.

        Where the loss does not tell (there is none, it is a function, or one of values), it is a matter of values,
        or of classes for a metric that `classifies`: then, as in Keras, the shapes tell, and outputs are taken for
        probabilities.
        """
        width = y_pred.shape[-1] if y_pred.ndim > 1 else 1
        if loss is None or loss.task == "regression":
            whole = not y_true.is_floating_point() or bool((y_true == y_true.round()).all())
            if not classifies or not whole:
                return Target("regression", width, None, -1)
            return Target("binary" if width == 1 else "multiclass", width, None, -1)
        link = loss.link if loss.from_logits else None
        if loss.task == "binary":
            several = y_pred.ndim == 2 and width > 1
            return Target("multilabel" if several else "binary", width if several else 1, link, -1)
        axis = loss.class_axis if y_pred.ndim > 1 else 0
        # without a link of its own the loss takes log-probabilities or margins: softmax(log p) is p, the order stays
        return Target("multiclass", y_pred.shape[axis], link if loss.link else "softmax", axis, loss.ignored)

    def prepare(self, y_pred: Tensor, y_true: Tensor, sees: Sees = "task") -> tuple[Tensor, Tensor]:
        """Outputs as probabilities and targets as class numbers, in the shapes that torchmetrics takes.

        Args:
            y_pred: outputs of any number of rows.
            y_true: their targets.
            sees: `'task'`: of two classes the second's probabilities; `'classes'`: of all; `'raw'`: as they are.
        """
        if sees == "raw":
            return y_pred, y_true
        if self.link == "sigmoid":
            y_pred = torch.sigmoid(y_pred)
        elif self.link == "softmax":
            y_pred = torch.softmax(y_pred, self.class_axis)
        if self.kind == "binary":
            return y_pred.flatten(), _labels(y_true.flatten())
        if self.kind == "multilabel":
            return y_pred, _labels(y_true)
        if self.kind == "multiclass":
            return self._classes(y_pred, y_true, sees)
        if y_true.shape != y_pred.shape:
            y_true = y_true.reshape(y_pred.shape)
        y_true = y_true.to(y_pred.dtype)
        if y_pred.ndim == 2 and y_pred.shape[1] == 1:
            return y_pred.squeeze(1), y_true.squeeze(1)
        return y_pred, y_true

    def _classes(self, y_pred: Tensor, y_true: Tensor, sees: Sees) -> tuple[Tensor, Tensor]:
        axis = self.class_axis % y_pred.ndim
        if y_true.shape == y_pred.shape:  # one-hot or probabilities
            y_true = y_true.argmax(axis)
        elif y_true.ndim == y_pred.ndim:
            y_true = y_true.squeeze(axis)
        y_true = y_true.long()
        if y_pred.ndim > 2:  # (batch, ..., classes) -> one row for each place
            y_pred = y_pred.movedim(axis, -1).flatten(0, -2)
            y_true = y_true.flatten()
        if self.ignored is not None:
            counted = y_true != self.ignored
            y_pred, y_true = y_pred[counted], y_true[counted]
        if self.classes == 2 and sees == "task":
            return y_pred[:, 1], y_true
        return y_pred, y_true


def _labels(y_true: Tensor) -> Tensor:
    """Targets of yes-or-no questions as 0 and 1, smoothed ones rounded."""
    return (y_true.round() if y_true.is_floating_point() else y_true).long()
