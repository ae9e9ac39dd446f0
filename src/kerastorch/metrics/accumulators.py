"""Accumulators: objects that add up the rows of a pass and compute one metric.

They have the methods `update`, `compute` and `reset`, and `merge`, which adds the states of accumulators of the same
kind that have seen other rows.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor

from kerastorch.losses.alignment import align_targets
from kerastorch.losses.argument_order import Order
from kerastorch.losses.base import Loss
from kerastorch.metrics.base import Metric
from kerastorch.metrics.built_in_metric import BuiltInMetric, spread_weight, to_widest_float, widest_float

# The attributes of accumulators that are not callable are their state, under these names in checkpoints.


class Accuracy:
    """The fraction of correct predictions, bit for bit that of torchmetrics.

    It replaces torchmetrics for the most used metric, because importing torchmetrics takes longer than a short
    training.

    Args:
        classes: Whether outputs are scores of classes, of which the largest is predicted, as in
            `MulticlassAccuracy(average="micro")`. If not, they are probabilities, as in `BinaryAccuracy` and
            `MultilabelAccuracy(average="micro")`.
    """

    def __init__(self, classes: bool) -> None:
        self._classes = classes
        self._right = self._counted = torch.tensor(0)

    def to(self, device: torch.device) -> None:
        self._right, self._counted = self._right.to(device), self._counted.to(device)

    def update(self, y_pred: Tensor, y_true: Tensor, weight: Tensor | None = None) -> None:
        if self._classes:
            predicted = y_pred.argmax(1) if y_pred.ndim == y_true.ndim + 1 else y_pred
            counted = torch.tensor(y_true.numel(), device=y_true.device) if weight is None else weight.sum()
        else:
            predicted = _is_positive(y_pred) if y_pred.is_floating_point() else y_pred
            is_counted = (y_true == 0) | (y_true == 1)
            counted = (is_counted if weight is None else is_counted * weight).sum()
        is_right = predicted == y_true
        self._right = self._right + (is_right if weight is None else is_right * weight).sum()
        self._counted = self._counted + counted

    def compute(self) -> Tensor:
        fraction = self._right.float() / self._counted.float()
        return torch.where(self._counted > 0, fraction, 0.0)

    def merge(self, others: Sequence[Any]) -> None:
        self._right = self._right + sum(one._right.to(self._right.device) for one in others)
        self._counted = self._counted + sum(one._counted.to(self._counted.device) for one in others)

    def reset(self) -> None:
        self._right, self._counted = torch.zeros_like(self._right), torch.zeros_like(self._counted)


def _is_positive(y_pred: Tensor) -> Tensor:
    """Return a mask of the probabilities above 0.5; if any value is outside 0..1, all are treated as logits."""
    are_probabilities = ((y_pred >= 0) & (y_pred <= 1)).all()
    if y_pred.device.type == "cpu":
        return (y_pred if bool(are_probabilities) else torch.sigmoid(y_pred)) > 0.5
    return torch.where(are_probabilities, y_pred, torch.sigmoid(y_pred)) > 0.5  # no device synchronisation


class LargestColumnAccuracy(Accuracy):
    """The fraction of rows whose largest output and largest target are in the same column."""

    def __init__(self) -> None:
        super().__init__(classes=True)

    def update(self, y_pred: Tensor, y_true: Tensor, weight: Tensor | None = None) -> None:
        super().update(y_pred.argmax(-1), y_true.argmax(-1), None if weight is None else weight[..., 0])


class LossMean:
    """The mean of a loss over all of its values: the metric with the name of that loss.

    Args:
        loss: Loss whose `call` returns one value per sample.
    """

    def __init__(self, loss: Loss) -> None:
        self.loss = loss
        self._sum: Tensor | float = 0.0
        self._count: Tensor | float = 0

    def to(self, device: torch.device) -> None:
        """Do nothing: the sum is made on the device of the first rows."""

    def update(self, y_pred: Tensor, y_true: Tensor, weight: Tensor | None = None) -> None:
        per_sample = self.loss.call(self.loss.align(y_true, y_pred), y_pred)
        if weight is None:
            self._sum = self._sum + per_sample.sum(dtype=widest_float(per_sample.device))
            self._count += per_sample.numel()
        else:
            weight = spread_weight(self.loss.name, weight, per_sample.shape)
            self._sum = self._sum + (per_sample * weight).sum()
            self._count = self._count + weight.sum()

    def compute(self) -> Tensor:
        return torch.as_tensor(self._sum / self._count if self._count else float("nan"))

    def merge(self, others: Sequence[Any]) -> None:
        self._sum = self._sum + sum(one._sum for one in others)
        self._count = self._count + sum(one._count for one in others)

    def reset(self) -> None:
        self._sum, self._count = 0.0, 0


class WrappedMetric:
    """An accumulator that delegates to another metric object.

    Args:
        metric: Object with `update(y_pred, y_true)`, `compute()` and `reset()`.
    """

    def __init__(self, metric: Any) -> None:
        self.metric = metric

    def to(self, device: torch.device) -> None:
        if hasattr(self.metric, "to"):
            self.metric.to(device)

    def update(self, y_pred: Tensor, y_true: Tensor, *weight: Tensor) -> None:
        self.metric.update(y_pred, y_true, *weight)

    def compute(self) -> Any:
        return self.metric.compute()

    def merge(self, others: Sequence[Any]) -> None:
        """Merge the objects; `merging.can_merge` says whether their class can."""
        merge = getattr(self.metric, "merge", None) or self.metric.merge_state
        merge([one.metric for one in others])

    def reset(self) -> None:
        self.metric.reset()


class WideMetric(WrappedMetric):
    """A metric of torchmetrics that adds up in float64, so that its value does not depend on how rows are split.

    Args:
        metric: The metric.
    """

    def to(self, device: torch.device) -> None:
        super().to(device)
        self.metric.set_dtype(widest_float(device))

    def update(self, y_pred: Tensor, y_true: Tensor, *weight: Tensor) -> None:
        super().update(to_widest_float(y_pred), to_widest_float(y_true), *weight)


class TransformedMetric(WrappedMetric):
    """A metric whose value goes through a function, such as the root of a mean.

    Args:
        metric: As in `WrappedMetric`.
        function: Applied to the value of `compute`.
    """

    def __init__(self, metric: Any, function: Callable[[Tensor], Tensor]) -> None:
        super().__init__(metric)
        self._function = function

    def compute(self) -> Tensor:
        return self._function(super().compute())


class UserMetric(WrappedMetric):
    """A metric object of the user's own class with `update`, `compute` and `reset`.

    Args:
        metric: As in `WrappedMetric`.
        order: The order in which its `update` takes targets and outputs.
    """

    def __init__(self, metric: Any, order: Order) -> None:
        super().__init__(metric)
        self._order = order

    def update(self, y_pred: Tensor, y_true: Tensor, *weight: Tensor) -> None:
        self.metric.update(*((y_true, y_pred) if self._order == "keras" else (y_pred, y_true)), *weight)


class KerasMetric(WrappedMetric):
    """A metric object with Keras' methods.

    They are `update_state(y_true, y_pred, sample_weight)`, `result()` and `reset_state()`.

    Args:
        metric: The user's object itself, not a copy, so that the user can read it after a pass.
        name: Name for error messages.
    """

    def __init__(self, metric: Any, name: str) -> None:
        super().__init__(metric)
        self._name = name
        self.reset()

    def to(self, device: torch.device) -> None:
        """Move the state of a `kerastorch.metrics.Metric`; the user chooses the device of other objects."""
        if isinstance(self.metric, Metric):
            self.metric.to(device)

    def update(self, y_pred: Tensor, y_true: Tensor, *weight: Tensor) -> None:
        if not isinstance(self.metric, BuiltInMetric):
            y_true = align_targets(self._name, y_true, y_pred)
        with torch.no_grad():
            self.metric.update_state(y_true, y_pred, *weight)

    def compute(self) -> Any:
        return self.metric.result()

    def reset(self) -> None:
        (getattr(self.metric, "reset_state", None) or self.metric.reset_states)()

    @contextmanager
    def protected(self) -> Iterator[None]:
        """Restore the state of the object on exit, so that another pass can use it in between."""
        before = copy.deepcopy(vars(self.metric))
        try:
            yield
        finally:
            vars(self.metric).clear()
            vars(self.metric).update(before)


def named_scalars(name: str, value: Any) -> Mapping[str, Any]:
    """Return the result of `compute` as scalars by log name.

    Entries of dicts are named `name_key`, those of vectors `name_index`.
    """
    if isinstance(value, Mapping):
        return {f"{name}_{key}": part for key, part in value.items()}
    if isinstance(value, Tensor) and value.numel() > 1:
        return {f"{name}_{index}": part for index, part in enumerate(value.flatten())}
    return {name: value}


def torchmetrics_in(accumulator: Any) -> Iterator[tuple[str, Any]]:
    """Yield the name and the object of every torchmetrics metric within an accumulator."""
    inner = inner_metric(accumulator)
    if isinstance(inner, torch.nn.Module):
        for name, metric in inner.named_modules():
            if hasattr(metric, "_defaults") and hasattr(metric, "_update_count"):
                yield name, metric


def inner_metric(accumulator: Any) -> Any:
    """Return the metric object that an accumulator wraps, else the accumulator itself."""
    return accumulator.metric if isinstance(accumulator, WrappedMetric) else accumulator
