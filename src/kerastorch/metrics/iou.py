"""Intersection over union of classes, for segmentation."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from kerastorch.core.errors import check_float, check_int
from kerastorch.losses.regression import EPSILON
from kerastorch.metrics.built_in_metric import BuiltInMetric, divide_or_zero, spread_weight, widest_float


class IoU(BuiltInMetric):
    """`tp / (tp + fp + fn)`, intersection over union, as the mean over some classes.

    Classes that neither targets nor outputs have are left out of the mean.

    Args:
        num_classes: Number of classes.
        target_class_ids: The classes that count.
        name: As in `Metric`.
        dtype: As in `Metric`.
        ignore_class: Class number whose elements are left out. Default: none.
        sparse_y_true: Whether targets are class numbers; if not, they are one-hot.
        sparse_y_pred: Whether outputs are class numbers; if not, they are scores of the classes.
        axis: Axis of the classes of one-hot targets and of scores.

    >>> metric = IoU(num_classes=2, target_class_ids=[0])
    >>> metric.update_state([0, 0, 1, 1], [0, 1, 0, 1])
    >>> metric.result()
    tensor(0.3333)
    """

    higher_is_better = True

    def __init__(
        self,
        num_classes: int,
        target_class_ids: Sequence[int],
        name: str | None = None,
        dtype: str | torch.dtype | None = None,
        ignore_class: int | None = None,
        sparse_y_true: bool = True,
        sparse_y_pred: bool = True,
        axis: int = -1,
    ) -> None:
        super().__init__(None if dtype in ("int", "int32", "int64") else dtype, name)
        self.num_classes = check_int("num_classes", num_classes)
        self.target_class_ids = [check_int("target_class_ids", one, 0) for one in target_class_ids]
        if not self.target_class_ids or max(self.target_class_ids) >= num_classes:
            raise ValueError(
                f"target_class_ids must be class numbers below num_classes={num_classes}, got {list(target_class_ids)}."
            )
        self.ignore_class, self.axis = ignore_class, axis
        self.sparse_y_true, self.sparse_y_pred = sparse_y_true, sparse_y_pred
        self.output_format = self.output_format if sparse_y_pred else "scores"
        self.total_cm = self.add_sum("total_confusion_matrix", (num_classes, num_classes))

    def update_state(self, y_true: Any, y_pred: Any, sample_weight: Any = None) -> None:
        """Add one batch. Elements with a class number outside of `0..num_classes - 1` are left out.

        Args:
            y_true: Class numbers, `(batch, ...)`, or one-hot targets.
            y_pred: Class numbers, `(batch, ...)`, or scores of the classes.
            sample_weight: `(batch,)` or more of the axes of the class numbers. Default: 1 each.

        Raises:
            ValueError: There are different numbers of class numbers in targets and outputs.
        """
        y_true, y_pred, weight = self.convert(y_true, y_pred, sample_weight)
        labels = (y_true if self.sparse_y_true else y_true.argmax(self.axis)).to(torch.int64)
        answers = (y_pred if self.sparse_y_pred else y_pred.argmax(self.axis)).to(torch.int64)
        if labels.numel() != answers.numel():
            raise ValueError(
                f"{self.name}: y_true of shape {tuple(y_true.shape)} has {labels.numel()} class numbers, y_pred of "
                f"shape {tuple(y_pred.shape)} has {answers.numel()}. sparse_y_pred=False takes scores of classes."
            )
        dtype = widest_float(answers.device)
        weight = (
            torch.ones(labels.shape, dtype=dtype, device=labels.device)
            if weight is None
            else spread_weight(self.name, weight, labels.shape)
        )
        self._add(labels.flatten(), answers.flatten(), weight.flatten())

    def _add(self, labels: Tensor, answers: Tensor, weight: Tensor) -> None:
        """Add weights to the confusion matrix, `(labels, answers)`; those of elements that do not count are 0."""
        n = self.num_classes
        is_counted = (labels >= 0) & (labels < n) & (answers >= 0) & (answers < n)
        if self.ignore_class is not None:
            is_counted &= labels != self.ignore_class
        cells = (labels * n + answers).where(is_counted, 0)
        sums = torch.zeros(n * n, dtype=weight.dtype, device=weight.device)
        self.total_cm.assign_add(sums.scatter_add_(0, cells, weight.where(is_counted, 0)).reshape(n, n))

    def result(self) -> Tensor:
        """Return the mean over the classes; 0 if none of them occurs."""
        matrix, chosen = self.total_cm.detach(), torch.tensor(self.target_class_ids, device=self.total_cm.device)
        intersection = matrix.diagonal()[chosen]
        union = (matrix.sum(0) + matrix.sum(1) - matrix.diagonal())[chosen]
        occurs = union > 1e-9
        value = divide_or_zero(intersection, union + EPSILON).where(occurs, 0.0)
        return self.finish(value.sum() / (occurs.sum() + EPSILON))


class BinaryIoU(IoU):
    """`tp / (tp + fp + fn)`, intersection over union, of yes-or-no questions.

    Args:
        target_class_ids: `[1]` for the answers yes, `[0]` for the answers no, or both for the mean.
        threshold: An output of at least this value means yes.
        name: As in `Metric`.
        dtype: As in `Metric`.

    >>> metric = BinaryIoU(target_class_ids=[0, 1], threshold=0.3)
    >>> metric.update_state([0, 1, 0, 1], [0.1, 0.2, 0.4, 0.7])
    >>> metric.result()
    tensor(0.3333)
    """

    output_format = "probabilities"

    def __init__(
        self,
        target_class_ids: Sequence[int] = (0, 1),
        threshold: float = 0.5,
        name: str | None = None,
        dtype: str | torch.dtype | None = None,
    ) -> None:
        super().__init__(2, target_class_ids, name, dtype)
        self.threshold = check_float("threshold", threshold)

    def update_state(self, y_true: Any, y_pred: Any, sample_weight: Any = None) -> None:
        """Add one batch.

        Args:
            y_true: Labels 0 and 1, `(batch, ...)`.
            y_pred: Outputs, as many as labels.
            sample_weight: `(batch,)` or more of the axes of the labels. Default: 1 each.
        """
        y_true, y_pred, weight = self.convert(y_true, y_pred, sample_weight)
        super().update_state(y_true, y_pred >= self.threshold, weight)


class MeanIoU(IoU):
    """`tp / (tp + fp + fn)`, intersection over union, as the mean over all classes.

    Args:
        num_classes: As in `IoU`.
        name: As in `Metric`.
        dtype: As in `Metric`.
        ignore_class: As in `IoU`.
        sparse_y_true: As in `IoU`.
        sparse_y_pred: As in `IoU`.
        axis: As in `IoU`.
    """

    def __init__(
        self,
        num_classes: int,
        name: str | None = None,
        dtype: str | torch.dtype | None = None,
        ignore_class: int | None = None,
        sparse_y_true: bool = True,
        sparse_y_pred: bool = True,
        axis: int = -1,
    ) -> None:
        every = range(check_int("num_classes", num_classes))
        super().__init__(num_classes, every, name, dtype, ignore_class, sparse_y_true, sparse_y_pred, axis)


class OneHotIoU(IoU):
    """`IoU` of one-hot targets.

    Args:
        num_classes: As in `IoU`.
        target_class_ids: As in `IoU`.
        name: As in `Metric`.
        dtype: As in `Metric`.
        ignore_class: As in `IoU`.
        sparse_y_pred: As in `IoU`.
        axis: As in `IoU`.
    """

    def __init__(
        self,
        num_classes: int,
        target_class_ids: Sequence[int],
        name: str | None = None,
        dtype: str | torch.dtype | None = None,
        ignore_class: int | None = None,
        sparse_y_pred: bool = False,
        axis: int = -1,
    ) -> None:
        super().__init__(num_classes, target_class_ids, name, dtype, ignore_class, False, sparse_y_pred, axis)


class OneHotMeanIoU(MeanIoU):
    """`MeanIoU` of one-hot targets.

    Args:
        num_classes: As in `IoU`.
        name: As in `Metric`.
        dtype: As in `Metric`.
        ignore_class: As in `IoU`.
        sparse_y_pred: As in `IoU`.
        axis: As in `IoU`.
    """

    def __init__(
        self,
        num_classes: int,
        name: str | None = None,
        dtype: str | torch.dtype | None = None,
        ignore_class: int | None = None,
        sparse_y_pred: bool = False,
        axis: int = -1,
    ) -> None:
        super().__init__(num_classes, name, dtype, ignore_class, False, sparse_y_pred, axis)
