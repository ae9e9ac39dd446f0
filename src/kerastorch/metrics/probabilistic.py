"""Metrics that are the mean of a loss of probabilities or of margins."""

from __future__ import annotations

from typing import Any

import torch

from kerastorch import losses
from kerastorch.core.errors import check_float
from kerastorch.metrics.reduction import MeanMetricWrapper


class KLDivergence(MeanMetricWrapper):
    """The mean of `sum(y_true * log(y_true / y_pred))` over the classes, after both are clipped to 1e-7..1.

    Args:
        name: As in `Metric`.
        dtype: As in `Metric`.
    """

    higher_is_better = False
    output_format = "values"

    def __init__(self, name: str | None = "kl_divergence", dtype: str | torch.dtype | None = None) -> None:
        super().__init__(losses.kl_divergence, name, dtype)


class Poisson(MeanMetricWrapper):
    """The mean of `y_pred - y_true * log(y_pred + 1e-7)`.

    Args:
        name: As in `Metric`.
        dtype: As in `Metric`.
    """

    higher_is_better = False
    output_format = "values"
    is_elementwise = True

    def __init__(self, name: str | None = "poisson", dtype: str | torch.dtype | None = None) -> None:
        super().__init__(losses.poisson, name, dtype)


class BinaryCrossentropy(MeanMetricWrapper):
    """The mean of `-(y log p + (1 - y) log(1 - p))`.

    Args:
        name: As in `Metric`.
        dtype: As in `Metric`.
        from_logits: Whether outputs are logits.
        label_smoothing: `s` turns the targets 0 and 1 into `s / 2` and `1 - s / 2`.

    >>> metric = BinaryCrossentropy()
    >>> metric.update_state([[0, 1], [0, 0]], [[0.6, 0.4], [0.4, 0.6]])
    >>> metric.result()
    tensor(0.8149)
    """

    higher_is_better = False
    output_format = "probabilities"
    is_elementwise = True

    def __init__(
        self,
        name: str | None = "binary_crossentropy",
        dtype: str | torch.dtype | None = None,
        from_logits: bool = False,
        label_smoothing: float = 0.0,
    ) -> None:
        self.from_logits = from_logits
        self.label_smoothing = check_float("label_smoothing", label_smoothing, least=0, most=1)
        super().__init__(
            losses.binary_crossentropy, name, dtype, from_logits=from_logits, label_smoothing=self.label_smoothing
        )


class CategoricalCrossentropy(MeanMetricWrapper):
    """The mean of `-sum(y log p)` over the classes, for targets that are one-hot or probabilities.

    Args:
        name: As in `Metric`.
        dtype: As in `Metric`.
        from_logits: Whether outputs are logits.
        label_smoothing: `s` turns targets `y` into `y * (1 - s) + s / classes`.
        axis: Axis of the classes.
    """

    higher_is_better = False
    output_format = "probabilities"

    def __init__(
        self,
        name: str | None = "categorical_crossentropy",
        dtype: str | torch.dtype | None = None,
        from_logits: bool = False,
        label_smoothing: float = 0.0,
        axis: int = -1,
    ) -> None:
        self.from_logits, self.axis = from_logits, axis
        self.label_smoothing = check_float("label_smoothing", label_smoothing, least=0, most=1)
        super().__init__(
            losses.categorical_crossentropy,
            name,
            dtype,
            from_logits=from_logits,
            label_smoothing=self.label_smoothing,
            axis=axis,
        )


class SparseCategoricalCrossentropy(MeanMetricWrapper):
    """The mean of `-log p[y]` for class numbers `y`.

    Args:
        name: As in `Metric`.
        dtype: As in `Metric`.
        from_logits: Whether outputs are logits.
        ignore_class: Class number whose samples are left out of the mean. Default: none.
        axis: Axis of the classes.
    """

    higher_is_better = False
    output_format = "probabilities"

    def __init__(
        self,
        name: str | None = "sparse_categorical_crossentropy",
        dtype: str | torch.dtype | None = None,
        from_logits: bool = False,
        ignore_class: int | None = None,
        axis: int = -1,
    ) -> None:
        self.from_logits, self.ignore_class, self.axis = from_logits, ignore_class, axis
        super().__init__(
            losses.sparse_categorical_crossentropy,
            name,
            dtype,
            from_logits=from_logits,
            ignore_class=ignore_class,
            axis=axis,
        )

    def update_state(self, y_true: Any, y_pred: Any, sample_weight: Any = None) -> None:  # type: ignore[override]
        """Add one batch.

        Args:
            y_true: Class numbers, `(batch, ...)`.
            y_pred: Outputs, with the classes on one more axis.
            sample_weight: Weights of the samples, in the shape of the class numbers or `(batch,)`. Default: 1 each.
        """
        if self.ignore_class is not None:
            y_true, y_pred, weight = self.convert(y_true, y_pred, sample_weight)
            if y_true.ndim == y_pred.ndim and y_true.shape[self.axis] == 1:
                y_true = y_true.squeeze(self.axis)
            is_counted = (y_true != self.ignore_class).to(y_pred.dtype)
            if weight is not None:
                is_counted = is_counted * weight.reshape(weight.shape + (1,) * (y_true.ndim - weight.ndim))
            sample_weight = is_counted
        super().update_state(y_true, y_pred, sample_weight)


class Hinge(MeanMetricWrapper):
    """The mean of `max(1 - y_true * y_pred, 0)`, for labels -1 and 1, or 0 and 1.

    Args:
        name: As in `Metric`.
        dtype: As in `Metric`.
    """

    higher_is_better = False
    output_format = "margins"
    is_elementwise = True

    def __init__(self, name: str | None = "hinge", dtype: str | torch.dtype | None = None) -> None:
        super().__init__(losses.hinge, name, dtype)


class SquaredHinge(MeanMetricWrapper):
    """The mean of `max(1 - y_true * y_pred, 0)^2`, for labels -1 and 1, or 0 and 1.

    Args:
        name: As in `Metric`.
        dtype: As in `Metric`.
    """

    higher_is_better = False
    output_format = "margins"
    is_elementwise = True

    def __init__(self, name: str | None = "squared_hinge", dtype: str | torch.dtype | None = None) -> None:
        super().__init__(losses.squared_hinge, name, dtype)


class CategoricalHinge(MeanMetricWrapper):
    """The mean of `max(0, neg - pos + 1)`, for one-hot targets.

    `pos` is the output of the true class, `neg` the largest output of the other classes.

    Args:
        name: As in `Metric`.
        dtype: As in `Metric`.
    """

    higher_is_better = False
    output_format = "margins"

    def __init__(self, name: str | None = "categorical_hinge", dtype: str | torch.dtype | None = None) -> None:
        super().__init__(losses.categorical_hinge, name, dtype)
