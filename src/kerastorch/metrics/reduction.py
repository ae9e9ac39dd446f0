"""Sum, Mean and MeanMetricWrapper: metrics that reduce values to one number."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, ClassVar

import torch
from torch import Tensor

from kerastorch.core.array_conversion import to_float_tensor
from kerastorch.core.name_lookup import public_name
from kerastorch.core.serialization import encode
from kerastorch.losses.alignment import align_targets
from kerastorch.metrics.built_in_metric import BuiltInMetric, divide_or_zero, widest_float


class _Reduction(BuiltInMetric):
    """Base of `Sum` and `Mean`."""

    def _convert_values(self, values: Any, sample_weight: Any) -> tuple[Tensor, Tensor | None]:
        """Return values and weights in the widest float dtype, with as many axes as the weights reach."""
        values = to_float_tensor(values, "values").detach()
        dtype = widest_float(values.device)
        self.to(values.device)
        values = values.to(dtype)
        if sample_weight is None:
            return values, None
        weight = to_float_tensor(sample_weight, "sample_weight").detach().to(values.device, dtype)
        return _same_rank(values, weight)

    def _spread(self, weight: Tensor, values: Tensor) -> Tensor:
        """Return weights in the shape of values of as many axes.

        Raises:
            ValueError: The shapes do not fit.
        """
        if weight.ndim and any(one not in (1, other) for one, other in zip(weight.shape, values.shape, strict=True)):
            raise ValueError(
                f"{self.name}: sample_weight has shape {tuple(weight.shape)}, which does not fit values of shape "
                f"{tuple(values.shape)}; give one weight for each sample."
            )
        return weight.expand(values.shape)


class Sum(_Reduction):
    """The sum of values, weighted if there are sample weights.

    Args:
        name: As in `Metric`.
        dtype: As in `Metric`.

    >>> metric = Sum()
    >>> metric.update_state([1.0, 3.0, 5.0, 7.0])
    >>> metric.result()
    tensor(16.)
    """

    def __init__(self, name: str | None = "sum", dtype: str | torch.dtype | None = None) -> None:
        super().__init__(dtype, name)
        self.total = self.add_sum("total")

    def update_state(self, values: Any, sample_weight: Any = None) -> None:
        """Add values.

        Args:
            values: A number, tensor, array or list.
            sample_weight: Factors of the values, `(batch,)` or more of their axes. Default: 1 each.
        """
        values, weight = self._convert_values(values, sample_weight)
        if weight is not None:
            values = values.sum(tuple(range(weight.ndim, values.ndim))) if values.ndim > weight.ndim else values
            values = values * self._spread(weight, values)
        self.total.assign_add(values.sum())

    def result(self) -> Tensor:
        """Return the sum."""
        return self.finish(self.total)


class Mean(_Reduction):
    """The mean of values, weighted if there are sample weights; 0 before the first value.

    Of values of shape `(batch, ...)`, the means of the rows count. In a `train_step` of your own, a `Mean` collects a
    number over the batches of an epoch.

    Args:
        name: As in `Metric`.
        dtype: As in `Metric`.

    >>> metric = Mean()
    >>> metric.update_state([1.0, 3.0, 5.0, 7.0], sample_weight=[1, 1, 0, 0])
    >>> metric.result()
    tensor(2.)
    """

    def __init__(self, name: str | None = "mean", dtype: str | torch.dtype | None = None) -> None:
        super().__init__(dtype, name)
        self.total = self.add_sum("total")
        self.count = self.add_sum("count")

    def update_state(self, values: Any, sample_weight: Any = None) -> None:
        """Add values.

        Args:
            values: A number, tensor, array or list.
            sample_weight: Weights of the values, `(batch,)` or more of their axes. Default: 1 each.
        """
        values, weight = self._convert_values(values, sample_weight)
        if weight is None:
            size = values.shape[0] if values.ndim else 1
            self.total.assign_add(values.sum() / max(values.numel() // max(size, 1), 1))
            self.count.assign_add(size)
            return
        if values.ndim > weight.ndim:
            values = values.mean(tuple(range(weight.ndim, values.ndim)))
        weight = self._spread(weight, values)
        per_row = max(values[0].numel(), 1) if values.ndim and len(values) else 1
        self.total.assign_add((values * weight).sum() / per_row)
        self.count.assign_add(weight.sum() / per_row)

    def result(self) -> Tensor:
        """Return the mean."""
        return self.finish(divide_or_zero(self.total, self.count))


class MeanMetricWrapper(Mean):
    """The mean of a function of targets and outputs.

    Args:
        fn: Function `(y_true, y_pred, **kwargs)` that returns a value for each sample, `(batch, ...)`.
        name: Name in the logs. Default: that of the function.
        dtype: As in `Metric`.
        **kwargs: Further arguments of the function.

    >>> metric = MeanMetricWrapper(lambda y_true, y_pred: (y_true - y_pred).abs(), name="error")
    >>> metric.update_state([1.0, 2.0], [1.0, 5.0])
    >>> metric.result()
    tensor(1.5000)
    """

    # whether the function averages over columns that are alike, so that a vector is a column of samples
    is_elementwise: ClassVar[bool] = False

    def __init__(
        self,
        fn: Callable[..., Any],
        name: str | None = None,
        dtype: str | torch.dtype | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(name or public_name(fn), dtype)
        self.fn, self.kwargs = fn, kwargs

    def update_state(self, y_true: Any, y_pred: Any, sample_weight: Any = None) -> None:  # type: ignore[override]
        """Add one batch.

        Args:
            y_true: Targets: a tensor, array or list of shape `(batch, ...)`.
            y_pred: Outputs, `(batch, ...)`.
            sample_weight: Weights of the values of the function, `(batch,)` or more of their axes. Default: 1 each.
        """
        y_true, y_pred, weight = self.convert(y_true, y_pred, sample_weight)
        if self.is_elementwise and y_pred.ndim == 1:
            y_pred = y_pred.unsqueeze(-1)
        y_true = align_targets(self.name, y_true, y_pred)
        super().update_state(self.fn(y_true, y_pred, **self.kwargs), weight)

    def get_config(self) -> dict[str, Any]:
        """Return the arguments of `__init__` that create an equal metric, in JSON types."""
        config = super().get_config()
        return config | {name: encode(value) for name, value in self.kwargs.items()} if "fn" in config else config


def _same_rank(values: Tensor, weight: Tensor) -> tuple[Tensor, Tensor]:
    """Return values and weights with a last axis of size 1 added to or removed from one of them, as in Keras."""
    if values.ndim == weight.ndim + 1 and values.shape[-1] == 1:
        return (values, weight.unsqueeze(-1)) if weight.ndim == 1 else (values.squeeze(-1), weight)
    if weight.ndim == values.ndim + 1 and weight.shape[-1] == 1:
        return (values.unsqueeze(-1), weight) if values.ndim == 1 else (values, weight.squeeze(-1))
    if weight.ndim > values.ndim and values.ndim == 0:
        return values.expand(weight.shape), weight
    return values, weight
