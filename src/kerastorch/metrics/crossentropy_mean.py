"""CrossentropyMean: the crossentropy that fits the task of an output, as a metric."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from kerastorch import losses
from kerastorch.metrics.accumulators import KerasMetric
from kerastorch.metrics.reduction import Mean
from kerastorch.metrics.task import TaskSpec


class CrossentropyMean(KerasMetric):
    """The mean crossentropy: of yes-or-no questions the binary one, else that over the classes.

    Args:
        name: The name that the user gave, for messages.
        spec: The task of the output.
        kind: `'binary'` or `'multiclass'`, if the name says it; else `None`.

    Raises:
        ValueError: The crossentropy is over classes, and outputs are yes-or-no questions.
    """

    def __init__(self, name: str, spec: TaskSpec, kind: str | None) -> None:
        super().__init__(Mean(), name)
        self._spec = spec
        if kind == "multiclass" and spec.kind != "multiclass":
            raise ValueError(
                f"metric {name!r} is over classes, and the outputs are yes-or-no questions. Use 'binary_crossentropy'."
            )
        self._is_binary = spec.kind != "multiclass" or kind == "binary"

    def update(self, y_pred: Tensor, y_true: Tensor, *weight: Tensor) -> None:
        from_logits = self._spec.link is not None
        with torch.no_grad():
            if self._is_binary:
                values = self._binary(y_pred, y_true, from_logits)
            elif y_true.shape == y_pred.shape:
                values = losses.categorical_crossentropy(y_true, y_pred, from_logits)
            else:
                values = losses.sparse_categorical_crossentropy(y_true, y_pred, from_logits)
            self.metric.update_state(values, *weight)

    def _binary(self, y_pred: Tensor, y_true: Tensor, from_logits: bool) -> Any:
        """Return the binary crossentropy of each row; of classes, that of each probability with a target of 0 or 1."""
        if self._spec.kind == "multiclass":
            y_pred, from_logits = (y_pred.softmax(-1) if from_logits else y_pred), False
            if y_true.shape != y_pred.shape:
                y_true = torch.nn.functional.one_hot(y_true, y_pred.shape[-1])
        if y_pred.ndim == 1:
            y_pred = y_pred.unsqueeze(-1)
        return losses.binary_crossentropy(y_true, y_pred, from_logits)
