"""Dice and Tversky: losses on the overlap of targets with outputs, for segmentation."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from torch import Tensor

from kerastorch.core.errors import check_float, mismatch
from kerastorch.losses.alignment import align_values, check_probabilities, check_unit, class_number_forms
from kerastorch.losses.base import Loss
from kerastorch.losses.regression import EPSILON


class OverlapLoss(Loss):
    """Base of the losses that are a quotient of sums over several axes.

    Args:
        reduction: As in `Loss`.
        name: As in `Loss`.
        axis: Axes of the sums; `None` for all of them, the batch included.
    """

    knows_shapes = True
    takes_probabilities = True

    def __init__(self, reduction: str | None, name: str | None, axis: int | Iterable[int] | None) -> None:
        super().__init__(reduction, name)
        self.axis = _axes(axis)

    def align(self, y_true: Tensor, y_pred: Tensor) -> Tensor:
        is_same = y_true.shape == y_pred.shape
        if not is_same and not y_true.is_floating_point() and class_number_forms(y_true, y_pred):
            raise ValueError(
                f"{self.name} compares each output with a target: y has shape {tuple(y_true.shape)}, the model outputs "
                f"{tuple(y_pred.shape)}. For class numbers, make y one-hot: kt.utils.to_categorical(y), with its last "
                "axis moved to that of the channels."
            )
        return align_values(self.name, y_true, y_pred)

    def check(self, y_true: Tensor, y_pred: Tensor) -> None:
        self.align(y_true[: len(y_pred)], y_pred)
        check_unit(self.name, y_true)
        check_probabilities(self.name, y_pred, "End the model in a sigmoid or softmax.")

    def is_mean_over_rows(self) -> bool:
        # an axis from the end may be the batch axis
        return self.axis is not None and min(self.axis) > 0 and super().is_mean_over_rows()

    def reduce(self, values: Tensor, sample_weight: Tensor | None) -> Tensor:
        if sample_weight is not None and self.axis is not None and 0 in self.axis:
            raise ValueError(
                f"{self.name} with axis={self.axis} has no value for each sample, which sample weights need; leave "
                "out axis 0."
            )
        if sample_weight is None or values.ndim:
            return super().reduce(values, sample_weight)
        while sample_weight.ndim > 1 and sample_weight.shape[-1] == 1:
            sample_weight = sample_weight.squeeze(-1)
        if sample_weight.ndim > 1:
            raise ValueError(
                f"{self.name} with axis={self.axis} is one value for the whole batch: it takes one weight for each "
                f"sample and no mask, got weights of shape {tuple(sample_weight.shape)}. Multiply y and the outputs by "
                "the mask in a loss of your own."
            )
        return super().reduce(values.expand(sample_weight.shape), sample_weight)


class Dice(OverlapLoss):
    """`1 - 2 sum(y p) / (sum(y) + sum(p))` (Milletari et al. 2016, arXiv:1606.04797, without their squares).

    The sums are over all elements of the batch. The loss of a batch is then no mean over its samples: `evaluate`
    returns the mean over batches, weighted by their rows, which depends on the batch size. With `axis=(1, 2, 3)` each
    image has its own value, and `evaluate` returns their mean, whatever the batch size. 1e-7 is added to the
    denominator.

    Sample weights multiply the values. With `axis=None` there is one value, which is multiplied by their mean.

    Args:
        reduction: As in `Loss`.
        name: As in `Loss`.
        axis: Axes of the sums: an integer or several. Default: all axes.

    Shape: `y_true` has the shape of `y_pred`, `(batch, ...)`; both are in 0..1.

    >>> Dice()([[1.0, 1.0, 0.0, 0.0]], [[1.0, 0.0, 0.0, 1.0]])
    np.float32(0.5)
    """

    def __init__(
        self,
        reduction: str | None = "sum_over_batch_size",
        name: str | None = None,
        axis: int | Iterable[int] | None = None,
    ) -> None:
        super().__init__(reduction, name, axis)

    def call(self, y_true: Tensor, y_pred: Tensor) -> Tensor:
        total = y_true.sum(self.axis) + y_pred.sum(self.axis)
        return 1 - 2 * (y_true * y_pred).sum(self.axis) / (total + EPSILON)


class Tversky(OverlapLoss):
    """`1 - o / (o + alpha * missed + beta * extra)` (Salehi et al. 2017, arXiv:1706.05721).

    `o = sum(y p)` is the overlap, `missed = sum(y (1 - p))` and `extra = sum(p (1 - y))`. With `alpha = beta = 0.5` it
    is `Dice`, whose remarks about batches and sample weights hold here, too. 1e-7 is added to the denominator.

    Args:
        alpha: Weight of the missed part, the false negatives, >= 0. Keras' page calls them false positives; the formula
            of Keras is this one.
        beta: Weight of the extra part, the false positives, >= 0.
        reduction: As in `Loss`.
        name: As in `Loss`.
        axis: Axes of the sums: an integer or several. Default: all axes.

    Shape: `y_true` has the shape of `y_pred`, `(batch, ...)`; both are in 0..1.

    >>> Tversky(alpha=1.0, beta=0.0)([[1.0, 1.0, 1.0, 0.0]], [[1.0, 0.0, 0.0, 1.0]]).round(4)
    np.float32(0.6667)
    """

    def __init__(
        self,
        alpha: float = 0.5,
        beta: float = 0.5,
        reduction: str | None = "sum_over_batch_size",
        name: str | None = None,
        axis: int | Iterable[int] | None = None,
    ) -> None:
        super().__init__(reduction, name, axis)
        self.alpha = check_float("alpha", alpha, least=0)
        self.beta = check_float("beta", beta, least=0)

    def call(self, y_true: Tensor, y_pred: Tensor) -> Tensor:
        overlap = (y_true * y_pred).sum(self.axis)
        missed = (y_true * (1 - y_pred)).sum(self.axis)
        extra = (y_pred * (1 - y_true)).sum(self.axis)
        return 1 - overlap / (overlap + self.alpha * missed + self.beta * extra + EPSILON)


def _axes(axis: Any) -> list[int] | None:
    """Return the argument `axis` as a list, or `None`."""
    if axis is None:
        return None
    axes = [axis] if isinstance(axis, int) else list(axis) if isinstance(axis, Iterable) else [axis]
    if not axes or any(isinstance(one, bool) or not isinstance(one, int) for one in axes):
        raise mismatch("axis", axis, "an integer, a tuple of integers or None")
    return axes


def table() -> dict[str, Any]:
    """Return the losses of this file by name."""
    return {"dice": Dice, "tversky": Tversky}
