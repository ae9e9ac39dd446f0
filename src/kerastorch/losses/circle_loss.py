"""Circle: a loss on the distances between embeddings, for metric learning."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from kerastorch.core.errors import check_float
from kerastorch.losses.alignment import to_class_numbers
from kerastorch.losses.base import Loss, expand_sample_weight

_UNIT_TOLERANCE = 0.02  # of the norm of an embedding; that of bfloat16 is about 0.01


class Circle(Loss):
    """Distances within a class that are small, and between classes large (Sun et al. 2020, arXiv:2002.10857).

    For a sample with cosine distances `d` to the samples of its class and `e` to all others, its value is

    `softplus(logsumexp(gamma (m + d) (d - m)) + logsumexp(gamma max(1 + m - e, 0) (1 - m - e)))`

    where `m` is the margin. The value is 0 if the batch has no other sample of its class, or none of another class. The
    loss is the mean of the values that are not 0, as in Keras. It depends on which samples are in a batch: take large
    batches with several samples of each class. `evaluate` returns the mean over batches, weighted by their rows.

    Args:
        gamma: Scale of the similarities, > 0.
        margin: Relaxation of the distances, `m`.
        remove_diagonal: Whether to leave out the distance of a sample to itself.
        reduction: As in `Loss`.
        name: As in `Loss`.

    Shape: `y_true` is `(batch,)` or `(batch, 1)`, class numbers. `y_pred` is `(batch, features)`, embeddings of length
    1: end the model in `UnitNormalization`.

    >>> Circle()([0, 0, 1], [[1.0, 0.0], [1.0, 0.0], [0.0, 1.0]]).round(4)  # softplus(-80 * 0.4^2 - 80 * 0.4^2)
    np.float32(0.0)
    """

    knows_shapes = True
    matches_targets = False

    def __init__(
        self,
        gamma: float = 80.0,
        margin: float = 0.4,
        remove_diagonal: bool = True,
        reduction: str | None = "sum_over_batch_size",
        name: str | None = None,
    ) -> None:
        super().__init__(reduction, name)
        self.gamma = check_float("gamma", gamma, above=0)
        self.margin = check_float("margin", margin)
        self.remove_diagonal = remove_diagonal

    def align(self, y_true: Tensor, y_pred: Tensor) -> Tensor:
        if y_pred.ndim != 2:
            raise ValueError(
                f"{self.name} compares embeddings of shape (batch, features), got outputs of {tuple(y_pred.shape)}."
            )
        if y_true.shape not in ((len(y_pred),), (len(y_pred), 1)):
            raise ValueError(
                f"{self.name}: y has shape {tuple(y_true.shape)} but the model outputs {tuple(y_pred.shape)}; y must "
                f"hold one class number for each sample, shape {(len(y_pred),)}."
            )
        return to_class_numbers(y_true).flatten()

    def call(self, y_true: Tensor, y_pred: Tensor) -> Tensor:
        return circle_values(y_true, y_pred, y_true, y_pred, self.remove_diagonal, self.gamma, self.margin)

    def mean(self, y_true: Tensor, y_pred: Tensor) -> Tensor:
        values = self.call(y_true, y_pred)
        return values.sum() / (values > 0).sum().clamp(min=1)

    def reduce(self, values: Tensor, sample_weight: Tensor | None) -> Tensor:
        if sample_weight is None or self.reduction in ("none", None, "sum"):
            return super().reduce(values, sample_weight)
        counted = (values > 0).to(values.dtype)
        if self.reduction == "mean_with_sample_weight":
            return super().reduce(values, expand_sample_weight(sample_weight, values) * counted)
        return super().reduce(values, sample_weight) * (values.numel() / counted.sum().clamp(min=1))

    def is_mean_over_rows(self) -> bool:
        return False

    def check(self, y_true: Tensor, y_pred: Tensor) -> None:
        self.align(y_true[: len(y_pred)], y_pred)
        to_class_numbers(y_true)
        norms = y_pred.norm(dim=1)
        wrong = norms[((norms - 1).abs() > _UNIT_TOLERANCE) & (norms > _UNIT_TOLERANCE)]
        if len(wrong):
            raise ValueError(
                f"{self.name} compares directions: embeddings must have length 1, one has {float(wrong[0]):.3g}. End "
                "the model in UnitNormalization()."
            )


def circle_values(
    y_true: Tensor,
    y_pred: Tensor,
    ref_labels: Tensor,
    ref_embeddings: Tensor,
    remove_diagonal: bool,
    gamma: float,
    margin: float,
) -> Tensor:
    """Return the value of each sample.

    Args:
        y_true: Class numbers, `(batch,)`.
        y_pred: Embeddings, `(batch, features)`.
        ref_labels: Class numbers of the embeddings to compare with, `(references,)`.
        ref_embeddings: Embeddings to compare with, `(references, features)`.
        remove_diagonal: Whether to leave out the pairs of the same number.
        gamma: As in `Circle`.
        margin: As in `Circle`.
    """
    distance = (1 - y_pred @ ref_embeddings.T).clamp(min=0)  # (batch, references)
    is_same = y_true[:, None] == ref_labels[None, :]
    is_other = ~is_same
    if remove_diagonal:
        is_same = is_same & ~torch.eye(len(y_true), len(ref_labels), dtype=torch.bool, device=is_same.device)
    positive = gamma * (margin + distance).clamp(min=0) * (distance - margin)
    negative = gamma * (1 + margin - distance).clamp(min=0) * (1 - margin - distance)
    return F.softplus(_logsumexp(positive, is_same) + _logsumexp(negative, is_other))


def _logsumexp(values: Tensor, mask: Tensor) -> Tensor:
    """Return `log(sum(exp(values)))` of the unmasked values in each row; of none, a very large negative number."""
    # finite, because infinity minus infinity is NaN
    return values.masked_fill(~mask, torch.finfo(values.dtype).min / 4).logsumexp(1)


def table() -> dict[str, Any]:
    """Return the loss of this file by name."""
    return {"circle": Circle}
