"""Crossentropy: the crossentropy over classes for either form of targets, chosen by their shape."""

from __future__ import annotations

import functools

from torch import Tensor

from kerastorch.losses.base import Loss
from kerastorch.losses.classification import CategoricalCrossentropy, SparseCategoricalCrossentropy

NAMES = ("ce", "crossentropy")  # which mean the crossentropy that fits what a model ends in


class Crossentropy(Loss):
    """Crossentropy over classes: categorical for targets in the shape of the outputs, sparse for class numbers.

    Args:
        from_logits: Whether the outputs have not been through a softmax.
        name: Name for error messages.
    """

    task = "multiclass"
    link = "softmax"
    knows_shapes = True

    def __init__(self, from_logits: bool = False, name: str | None = None) -> None:
        super().__init__(name=name)
        self.from_logits = from_logits

    def _compute(self, y_true: Tensor, y_pred: Tensor, sample_weight: Tensor | None) -> Tensor:
        return self._for(y_true, y_pred)(y_true, y_pred, sample_weight)

    def call(self, y_true: Tensor, y_pred: Tensor) -> Tensor:
        return self._for(y_true, y_pred).call(y_true, y_pred)

    def align(self, y_true: Tensor, y_pred: Tensor) -> Tensor:
        return self._for(y_true, y_pred).align(y_true, y_pred)

    def check(self, y_true: Tensor, y_pred: Tensor) -> None:
        loss = self._for(y_true, y_pred)
        loss.check(y_true, y_pred)
        if isinstance(loss, CategoricalCrossentropy):
            sums = y_true.float().sum(loss.class_axis_of(y_true[: len(y_pred)], y_pred))
            wrong = sums[(sums - 1).abs() > 1e-3]
            if len(wrong):
                raise ValueError(
                    f"{self.name}: the columns of y are classes, so each row must sum to 1; one sums to "
                    f"{float(wrong[0]):g}. For columns that are yes-or-no questions, end the model in a sigmoid and "
                    "use 'binary_crossentropy'."
                )

    def _for(self, y_true: Tensor, y_pred: Tensor) -> Loss:
        """Return the loss for the form of these targets."""
        is_categorical = y_true.ndim == y_pred.ndim and y_true.shape[1:] == y_pred.shape[1:]
        return _make(is_categorical, self.from_logits, self.class_axis, self.name)


@functools.lru_cache(32)  # made once, not at each batch
def _make(is_categorical: bool, from_logits: bool, axis: int | None, name: str) -> Loss:
    if is_categorical:
        return CategoricalCrossentropy(from_logits, axis=axis, name=name)
    return SparseCategoricalCrossentropy(from_logits, axis=axis, name=name)
