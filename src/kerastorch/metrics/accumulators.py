"""What accumulates rows where torchmetrics alone does not do it."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor

from kerastorch.core.torch_private import pytree
from kerastorch.losses.alignment import align_targets
from kerastorch.losses.argument_order import Order
from kerastorch.losses.base import Loss
from kerastorch.losses.broadcasting import without_broadcasting


class TransformedMetric:
    """A torchmetrics metric whose value goes through a function."""

    def __init__(self, metric: Any, function: Callable[[Tensor], Tensor]) -> None:
        self.metric, self._function = metric, function
        self.update, self.reset = metric.update, metric.reset

    def to(self, device: torch.device) -> None:
        self.metric.to(device)

    def compute(self) -> Tensor:
        return self._function(self.metric.compute())


class Accuracy:
    """The share that is right, bit for bit as torchmetrics has it, whose import takes longer than many a training.

    Args:
        classes: outputs are scores of classes, the largest counts, as for `MulticlassAccuracy(average="micro")`; else
            probabilities, as for `BinaryAccuracy` and `MultilabelAccuracy(average="micro")`.
    """

    def __init__(self, classes: bool) -> None:
        self._classes = classes
        self._right = self._counted = torch.tensor(0)

    def to(self, device: torch.device) -> None:
        self._right, self._counted = self._right.to(device), self._counted.to(device)

    def update(self, y_pred: Tensor, y_true: Tensor) -> None:
        if self._classes:
            chosen = y_pred.argmax(1) if y_pred.ndim == y_true.ndim + 1 else y_pred
            counted = torch.tensor(y_true.numel(), device=y_true.device)
        else:
            chosen = _yes(y_pred) if y_pred.is_floating_point() else y_pred
            counted = ((y_true == 0) | (y_true == 1)).sum()
        self._right = self._right + (chosen == y_true).sum()
        self._counted = self._counted + counted

    def compute(self) -> Tensor:
        share = self._right.float() / self._counted.float()
        return torch.where(self._counted > 0, share, 0.0)

    def reset(self) -> None:
        self._right, self._counted = torch.zeros_like(self._right), torch.zeros_like(self._counted)


def _yes(y_pred: Tensor) -> Tensor:
    """Where a probability is above 0.5; numbers that are none are taken for logits."""
    within = ((y_pred >= 0) & (y_pred <= 1)).all()
    if y_pred.device.type == "cpu":
        return (y_pred if bool(within) else torch.sigmoid(y_pred)) > 0.5
    return torch.where(within, y_pred, torch.sigmoid(y_pred)) > 0.5  # without waiting for the device


class LossMean:
    """The mean of a loss over all rows, so that a metric and the loss of its name are one formula.

    Args:
        loss: `call` gives one value a sample.
    """

    def __init__(self, loss: Loss) -> None:
        self.loss = loss
        self._sum: Tensor | float = 0.0
        self._count = 0

    def to(self, device: torch.device) -> None:
        pass

    def update(self, y_pred: Tensor, y_true: Tensor) -> None:
        found = self.loss.call(self.loss.align(y_true, y_pred), y_pred)
        precise = torch.float32 if found.device.type == "mps" else torch.float64
        self._sum = self._sum + found.sum(dtype=precise)
        self._count += found.numel()

    def compute(self) -> Tensor:
        return torch.as_tensor(self._sum / self._count if self._count else float("nan"))

    def reset(self) -> None:
        self._sum, self._count = 0.0, 0


class LargestClass(Accuracy):
    """The share of rows whose largest output and largest target are in the same column."""

    def __init__(self) -> None:
        super().__init__(classes=True)

    def update(self, y_pred: Tensor, y_true: Tensor) -> None:
        super().update(y_pred.argmax(-1), y_true.argmax(-1))


class FunctionMetric:
    """A function of all rows as a metric: it keeps them and is called when the value is asked for.

    Args:
        function: takes targets and outputs.
        order: in which it takes them.
        name: for messages.
    """

    def __init__(self, function: Callable[..., Any], order: Order, name: str) -> None:
        self.function, self._order, self._name = function, order, name
        self.rows: list[tuple[Tensor, Tensor]] = []

    def to(self, device: torch.device) -> None:
        pass

    def update(self, y_pred: Tensor, y_true: Tensor) -> None:
        self.rows.append((y_pred, y_true))

    def compute(self) -> Any:
        y_pred = torch.cat([row[0] for row in self.rows])
        y_true = torch.cat([row[1] for row in self.rows])
        aligned = align_targets(self._name, y_true, y_pred)
        found = without_broadcasting(self._name, self._call, y_true, aligned, y_pred)
        value = _means(found.value)
        if found.used_numpy and not found.as_given and y_true.shape != aligned.shape:
            self._check_same(value, y_true, aligned, y_pred)
        return value

    def _check_same(self, value: Any, y_true: Tensor, aligned: Tensor, y_pred: Tensor) -> None:
        """Raise an error if a function that computes with NumPy gives another value for targets as they were given."""
        try:
            other = _means(self._call(y_true, y_pred))
        except Exception:  # it needs aligned targets
            return
        pairs = zip(pytree.tree_leaves(value), pytree.tree_leaves(other), strict=True)
        for one, two in pairs:
            if not torch.allclose(one, two, rtol=1e-4, atol=1e-6, equal_nan=True):
                raise ValueError(
                    f"{self._name} gives {one:g} for y of shape {tuple(aligned.shape)} and {two:g} for y of shape "
                    f"{tuple(y_true.shape)}, beside outputs {tuple(y_pred.shape)}: NumPy broadcasts. Bring both to one "
                    "shape in the function: y_true.reshape(y_pred.shape)."
                )

    def _call(self, y_true: Tensor, y_pred: Tensor) -> Any:
        return self.function(y_true, y_pred) if self._order == "keras" else self.function(y_pred, y_true)

    def reset(self) -> None:
        self.rows = []


class UpdateProtocol:
    """An object with `update`, `compute` and `reset` that is not of torchmetrics.

    Args:
        metric: the object.
        order: in which its `update` takes targets and outputs.
    """

    def __init__(self, metric: Any, order: Order) -> None:
        self.metric, self._order = metric, order
        self.compute, self.reset = metric.compute, metric.reset

    def to(self, device: torch.device) -> None:
        if hasattr(self.metric, "to"):
            self.metric.to(device)

    def update(self, y_pred: Tensor, y_true: Tensor) -> None:
        self.metric.update(*((y_true, y_pred) if self._order == "keras" else (y_pred, y_true)))


class KerasProtocol:
    """An object with Keras' methods `update_state(y_true, y_pred)`, `result()` and `reset_state()` as a metric.

    Args:
        metric: the object itself, so that it can be looked at after a pass.
        name: for messages.
    """

    def __init__(self, metric: Any, name: str) -> None:
        self.metric, self._name = metric, name
        self.reset()

    def to(self, device: torch.device) -> None:
        pass

    def update(self, y_pred: Tensor, y_true: Tensor) -> None:
        self.metric.update_state(align_targets(self._name, y_true, y_pred), y_pred)

    def compute(self) -> Any:
        return self.metric.result()

    @contextmanager
    def protected(self) -> Iterator[None]:
        """Put the object's state back afterwards, whatever another pass counts with it."""
        before = copy.deepcopy(vars(self.metric))
        try:
            yield
        finally:
            vars(self.metric).update(before)

    def reset(self) -> None:
        (getattr(self.metric, "reset_state", None) or self.metric.reset_states)()


def _means(value: Any) -> Any:
    """Return what a function gave as a number, or its numbers by name."""
    if isinstance(value, Mapping):
        return {str(key): _means(one) for key, one in value.items()}
    return torch.as_tensor(value).float().mean()


def values(name: str, value: Any) -> Mapping[str, Any]:
    """Return the value of one `compute` as scalars by name: dicts and vectors are spread over `name_part`."""
    if isinstance(value, Mapping):
        return {f"{name}_{key}": part for key, part in value.items()}
    if isinstance(value, Tensor) and value.numel() > 1:
        return {f"{name}_{index}": part for index, part in enumerate(value.flatten())}
    return {name: value}


def torchmetrics_in(accumulator: Any) -> Iterator[tuple[str, Any]]:
    """Find all metrics of torchmetrics in an accumulator, by name."""
    inner = inner_metric(accumulator)
    if isinstance(inner, torch.nn.Module):
        for name, metric in inner.named_modules():
            if hasattr(metric, "_defaults") and hasattr(metric, "_update_count"):
                yield name, metric


def inner_metric(accumulator: Any) -> Any:
    """Return the metric object that an accumulator wraps, or the accumulator itself."""
    return (
        accumulator.metric
        if isinstance(accumulator, (TransformedMetric, KerasProtocol, UpdateProtocol))
        else accumulator
    )
