"""The argument `class_weight`: a weight for each sample, depending on its class."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from kerastorch.core.errors import check_float, check_int
from kerastorch.losses.alignment import to_class_numbers


def class_weights(class_weight: Any, sample_weight: Any) -> ClassWeights | None:
    """Return the weights for the argument `class_weight` of `fit`, or `None` if it was not given.

    Raises:
        ValueError: `sample_weight` was given, too.
        TypeError: `class_weight` is no dict of class number -> weight.
    """
    if class_weight is None:
        return None
    if sample_weight is not None:
        raise ValueError("pass one of sample_weight and class_weight.")
    return ClassWeights(class_weight)


class ClassWeights:
    """A table of weights by class, which turns targets into sample weights.

    Args:
        class_weight: Class number -> weight. Targets have shape `(batch,)`, `(batch, 1)`, or are one-hot.

    >>> ClassWeights({0: 1.0, 1: 5.0})(torch.tensor([1, 0]))
    tensor([5., 1.])
    """

    def __init__(self, class_weight: Mapping[Any, float]) -> None:
        if not isinstance(class_weight, Mapping) or not class_weight:
            raise TypeError(f"class_weight must be a dict of class number -> weight, got {class_weight!r}.")
        for label in class_weight:
            check_int("class_weight: a class", label, 0)
        entries = {int(label): check_float(f"class_weight[{label}]", w, least=0) for label, w in class_weight.items()}
        self._targets_checked = False
        self._table = torch.full((max(entries) + 1,), float("nan"))
        for label, weight in entries.items():
            self._table[label] = weight

    def validate_targets(self, targets: Any) -> None:
        """Check all targets at once if they are in memory.

        Batches then need no check, which would synchronise the device.
        """
        if isinstance(targets, Tensor):
            self(targets)
            self._targets_checked = True

    def __call__(self, y: Any) -> Tensor:
        if not isinstance(y, Tensor):
            raise ValueError("class_weight needs one target with class numbers; the model has several outputs.")
        labels = _labels(y, self._targets_checked)
        labels = labels.to(torch.int64) if self._targets_checked else to_class_numbers(labels)
        if self._table.device != labels.device:
            self._table = self._table.to(labels.device)
        if self._targets_checked:
            return self._table[labels]
        outside = (labels < 0) | (labels >= len(self._table))
        weights = self._table[labels.where(~outside, 0)]
        unknown = outside | weights.isnan()
        if bool(unknown.any()):
            present = ", ".join(str(label) for label in labels.unique().tolist()[:20])
            raise ValueError(
                f"class_weight has no entry for class {int(labels[unknown][0])} (classes in y: {present})."
            )
        return weights


def _labels(y: Tensor, is_checked: bool) -> Tensor:
    """Return one class number for each row of class numbers or one-hot rows.

    Args:
        y: Targets, `(batch,)`, `(batch, 1)` or `(batch, classes)`.
        is_checked: Whether `y` is known to be valid.
    """
    if y.ndim == 1 or y.shape[1:].numel() == 1:
        return y.flatten()
    if y.ndim == 2 and (is_checked or bool((((y == 0) | (y == 1)).all(1) & (y.sum(1) == 1)).all())):
        return y.to(torch.uint8).argmax(1)
    raise ValueError(f"class_weight needs one class for each row, y has shape {tuple(y.shape)}; use sample_weight.")
