"""class_weight: a weight for each sample from its class."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from kerastorch.errors import number
from kerastorch.losses.base import whole_classes


def class_weights(class_weight: Any, sample_weight: Any) -> ClassWeights | None:
    """`class_weight` as given to `fit`, which takes one kind of weights."""
    if class_weight is None:
        return None
    if sample_weight is not None:
        raise ValueError("pass one of sample_weight and class_weight.")
    return ClassWeights(class_weight)


class ClassWeights:
    """Class number -> weight, applied to targets of any source: `(batch,)`, `(batch, 1)` or one-hot.

    >>> ClassWeights({0: 1.0, 1: 5.0})(torch.tensor([1, 0]))
    tensor([5., 1.])
    """

    def __init__(self, class_weight: Mapping[Any, float]) -> None:
        if not isinstance(class_weight, Mapping) or not class_weight:
            raise TypeError(f"class_weight must be a dict of class number -> weight, got {class_weight!r}.")
        entries = {int(label): number(f"class_weight[{label}]", w, least=0) for label, w in class_weight.items()}
        self._known = set(entries)
        self._table = torch.zeros(max(entries) + 1)
        for label, weight in entries.items():
            self._table[label] = weight
        self._missing = [label for label in range(max(entries) + 1) if label not in entries]

    def __call__(self, y: Any) -> Tensor:
        if not isinstance(y, Tensor):
            raise ValueError("class_weight needs one target with class numbers; the model has several outputs.")
        labels = y.argmax(-1) if y.ndim == 2 and y.shape[1] > 1 else y.flatten()
        labels = whole_classes(labels)
        self._check(labels)
        if self._table.device != labels.device:
            self._table = self._table.to(labels.device)
        return self._table[labels]

    def _check(self, labels: Tensor) -> None:
        present = labels.unique().tolist()
        unknown = [label for label in present if label not in self._known]
        if unknown:
            raise ValueError(
                f"class_weight has no entry for class {unknown[0]} (classes in y: {', '.join(map(str, present[:20]))})."
            )
