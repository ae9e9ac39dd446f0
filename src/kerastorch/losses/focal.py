"""Focal crossentropies and the generalized crossentropy, which weigh samples by the probability of the right answer."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from kerastorch.core.errors import check_float, mismatch
from kerastorch.losses.alignment import align_classes, check_classes
from kerastorch.losses.classification import (
    BinaryCrossentropy,
    CategoricalCrossentropy,
    ProbabilityLoss,
    binary_cross_entropy,
    log_probabilities,
)


class BinaryFocalCrossentropy(BinaryCrossentropy):
    """`-(1 - p_t)^gamma log(p_t)` for yes-or-no questions, mean over `axis` (Lin et al. 2017, arXiv:1708.02002).

    `p_t` is the probability of the right answer: `p` if the target is 1, `1 - p` if it is 0. A sample that is already
    right counts little, so that training concentrates on the hard ones. With `gamma=0` it is `BinaryCrossentropy`.

    Args:
        apply_class_balancing: Whether to multiply the loss by `alpha` for targets 1 and by `1 - alpha` for targets 0.
        alpha: Weight of the class 1, 0 to 1.
        gamma: Focusing exponent, >= 0.
        from_logits: Whether `y_pred` has not been through a sigmoid.
        label_smoothing: `s` turns the targets 0 and 1 into `s / 2` and `1 - s / 2`.
        axis: Axis that one sample's value is the mean of.
        reduction: As in `Loss`.
        name: As in `Loss`.

    Shape: `y_true` and `y_pred` are `(batch, ...)`, targets in 0..1.

    >>> BinaryFocalCrossentropy()([[1.0]], [[0.5]]).round(4)  # 0.5^2 * log(2)
    np.float32(0.1733)
    """

    def __init__(
        self,
        apply_class_balancing: bool = False,
        alpha: float = 0.25,
        gamma: float = 2.0,
        from_logits: bool = False,
        label_smoothing: float = 0.0,
        axis: int = -1,
        reduction: str | None = "sum_over_batch_size",
        name: str | None = None,
    ) -> None:
        super().__init__(from_logits, label_smoothing, axis, reduction, name)
        self.apply_class_balancing = apply_class_balancing
        self.alpha = check_float("alpha", alpha, least=0, most=1)
        self.gamma = check_float("gamma", gamma, least=0)

    def _elementwise(self, y_true: Tensor, y_pred: Tensor, reduction: str) -> Tensor:
        y_true = self._smooth(y_true, 2)
        if self.from_logits:
            values = F.binary_cross_entropy_with_logits(y_pred, y_true, reduction="none")
            yes, no = torch.sigmoid(y_pred), torch.sigmoid(-y_pred)  # 1 - sigmoid would round to 0
        else:
            values = binary_cross_entropy(y_pred, y_true, "none")
            yes, no = y_pred, 1 - y_pred
        values = _focal_factor(y_true * no + (1 - y_true) * yes, self.gamma) * values
        if self.apply_class_balancing:
            values = (y_true * self.alpha + (1 - y_true) * (1 - self.alpha)) * values
        return values.mean() if reduction == "mean" else values


class CategoricalFocalCrossentropy(CategoricalCrossentropy):
    """`-sum(alpha * (1 - p)^gamma * y log(p))` over the classes (Lin et al. 2017, arXiv:1708.02002).

    A sample whose class already has a high probability counts little. With `alpha=1` and `gamma=0` it is
    `CategoricalCrossentropy`.

    Args:
        alpha: Factor of all classes, or a list with a factor for each class, >= 0.
        gamma: Focusing exponent, >= 0.
        from_logits: Whether `y_pred` has not been through a softmax.
        label_smoothing: `s` turns targets `y` into `y * (1 - s) + s / classes`.
        axis: Axis of the classes. Default: the last axis, or axis 1 of channels-first images.
        reduction: As in `Loss`.
        name: As in `Loss`.

    Shape: `y_true` has the shape of `y_pred`, such as `(batch, classes)`.

    >>> CategoricalFocalCrossentropy()([[0, 1]], [[0.5, 0.5]]).round(4)  # 0.25 * 0.5^2 * log(2)
    np.float32(0.0433)
    """

    def __init__(
        self,
        alpha: float | Iterable[float] = 0.25,
        gamma: float = 2.0,
        from_logits: bool = False,
        label_smoothing: float = 0.0,
        axis: int | None = None,
        reduction: str | None = "sum_over_batch_size",
        name: str | None = None,
    ) -> None:
        super().__init__(from_logits, label_smoothing, axis, reduction, name)
        self.alpha = _factors(alpha)
        self.gamma = check_float("gamma", gamma, least=0)
        self._alpha_tensor: Tensor | None = None  # beside the outputs: a copy to the device for each batch would wait

    def call(self, y_true: Tensor, y_pred: Tensor) -> Tensor:
        axis = self.class_axis_of(y_true, y_pred)
        y_true = self._smooth(y_true, y_true.shape[axis])
        log_p = log_probabilities(y_pred, axis, self.from_logits)
        values = -_focal_factor(-torch.expm1(log_p), self.gamma) * y_true * log_p
        return (self._alpha(values, axis) * values).sum(axis)

    def _alpha(self, values: Tensor, axis: int) -> float | Tensor:
        """Return `alpha`, as a factor of values that have the classes on this axis."""
        if isinstance(self.alpha, float):
            return self.alpha
        found = self._alpha_tensor
        if found is None or found.device != values.device or found.dtype != values.dtype:
            found = values.new_tensor(self.alpha)
            if not hasattr(found, "fake_mode"):  # not while a step is traced
                self._alpha_tensor = found
        return found.reshape(-1, *[1] * (values.ndim - 1 - axis % values.ndim))

    def _check_targets(self, y_true: Tensor, aligned: Tensor, y_pred: Tensor) -> None:
        super()._check_targets(y_true, aligned, y_pred)
        n_classes = y_pred.shape[self.class_axis_of(aligned, y_pred)]
        if not isinstance(self.alpha, float) and len(self.alpha) != n_classes:
            raise ValueError(
                f"{self.name}: alpha has {len(self.alpha)} factors, but the model outputs {n_classes} classes."
            )


class CategoricalGeneralizedCrossEntropy(ProbabilityLoss):
    """`(1 - p[y]^q) / q` for class numbers `y` (Zhang and Sabuncu 2018, arXiv:1805.07836).

    It grows less than the crossentropy for samples that are far wrong, so that wrong labels do less harm. Its limit for
    `q` -> 0 is the crossentropy, for `q` -> 1 it is `1 - p[y]`.

    Args:
        q: Exponent, between 0 and 1.
        reduction: As in `Loss`.
        name: As in `Loss`.
        axis: Axis of the classes. Default: the last axis, or axis 1 of channels-first images.

    Shape: `y_true` is `(batch,)` or `(batch, 1)` for outputs `(batch, classes)`; in general it has the shape of
    `y_pred` without the class axis.

    >>> CategoricalGeneralizedCrossEntropy()([1], [[0.75, 0.25]]).round(4)
    np.float32(1.0)
    """

    task = "multiclass"
    link = "softmax"
    probability_advice = "End the model in a softmax."

    def __init__(
        self,
        q: float = 0.5,
        reduction: str | None = "sum_over_batch_size",
        name: str | None = None,
        axis: int | None = None,
    ) -> None:
        super().__init__(False, reduction, name)
        self.q = check_float("q", q, above=0, below=1)
        self.axis = self.class_axis = axis

    def align(self, y_true: Tensor, y_pred: Tensor) -> Tensor:
        return align_classes(self.name, y_true, y_pred, self.class_axis_of(y_true, y_pred))

    def call(self, y_true: Tensor, y_pred: Tensor) -> Tensor:
        axis = self.class_axis_of(y_true, y_pred) if y_pred.ndim > 1 else 0
        scores = torch.log_softmax(y_pred, axis) if self.from_logits else y_pred
        of_class = scores.gather(axis, y_true.unsqueeze(axis)).squeeze(axis)
        log_p = of_class if self.from_logits else _positive(of_class).log()
        return -torch.expm1(self.q * log_p) / self.q

    def _check_targets(self, y_true: Tensor, aligned: Tensor, y_pred: Tensor) -> None:
        check_classes(y_true, y_pred.shape[self.class_axis_of(y_true[: len(y_pred)], y_pred)], None)


def _focal_factor(missing: Tensor, gamma: float) -> Tensor:
    """Return `missing^gamma`, where `missing` is 1 minus the probability of the right answer."""
    return _positive(missing) ** gamma


def _positive(values: Tensor) -> Tensor:
    """Return values of at least the smallest normal number, whose powers and logarithms have finite derivatives."""
    return values.clamp(min=torch.finfo(values.dtype).tiny)


def _factors(alpha: Any) -> float | list[float]:
    """Return `alpha` as a float, or as a list of floats."""
    if not isinstance(alpha, Iterable) or isinstance(alpha, str) or getattr(alpha, "ndim", 1) == 0:
        return check_float("alpha", alpha.item() if hasattr(alpha, "item") else alpha, least=0)
    factors = alpha.tolist() if hasattr(alpha, "tolist") else list(alpha)
    if not factors:
        raise mismatch("alpha", alpha, "a number or a list with a number for each class")
    return [check_float("a factor of alpha", one, least=0) for one in factors]


def table() -> dict[str, Any]:
    """Return the losses of this file by name."""
    return {
        "binary_focal_crossentropy": BinaryFocalCrossentropy,
        "categorical_focal_crossentropy": CategoricalFocalCrossentropy,
        "categorical_generalized_cross_entropy": CategoricalGeneralizedCrossEntropy,
    }
