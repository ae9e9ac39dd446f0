"""What every loss is: a callable `(y_true, y_pred, sample_weight=None)` that knows what it expects."""

from __future__ import annotations

import copy
from collections.abc import Callable
from functools import partial
from typing import Any, Literal, Self

import torch
from torch import Tensor

from kerastorch.core.name_lookup import snake_case
from kerastorch.core.representation import represent
from kerastorch.core.serialization import Configurable
from kerastorch.losses.alignment import align_targets, align_values
from kerastorch.losses.argument_order import argument_order
from kerastorch.losses.broadcasting import without_broadcasting
from kerastorch.losses.class_axis import find_class_axis

Task = Literal["regression", "binary", "multiclass"]
_SHORT = (torch.bfloat16, torch.float16)
REDUCTIONS = ("sum_over_batch_size", "mean", "mean_with_sample_weight", "sum", "none", None)


class Loss(Configurable):
    """Base of the losses; subclass it and write `call(y_true, y_pred)` for one of your own.

    Args:
        reduction: `'sum_over_batch_size'` (`'mean'`): the mean over samples, weighted ones too;
            `'mean_with_sample_weight'`: divided by the sum of the weights; `'sum'`; `'none'`.
        name: what it is called in messages.

    Attributes:
        task: what the targets are: `'regression'`, `'binary'` (one output a yes-or-no question), `'multiclass'`, or
            `None` if that is not known. Metrics given by name depend on it; set it in a subclass.
        link: the activation whose output the loss expects (`'sigmoid'`, `'softmax'`), `None` for any values.
        from_logits: the loss applies `link` itself. Metrics given by name apply it to the outputs, too.
        margins: the outputs are margins: positive ones stand for the second class, as in `Hinge`.
        log_outputs: the outputs are logarithms of what the targets are. Metrics given by name apply `exp` to them.
        class_axis: where the classes lie in `y_pred`, of losses that have one; `None` if outputs and targets tell it.
        ignored: the class number whose samples count nothing, if there is one.
    """

    task: Task | None = None
    link: Literal["sigmoid", "softmax"] | None = None
    from_logits = False
    class_axis: int | None = None
    ignored: int | None = None
    margins = False
    log_outputs = False
    reduction: str | None
    knows_shapes = (
        False  # `align` alone decides; else functions may bring targets and outputs together in their own way
    )
    _as_given: dict[Any, bool] = {}  # shapes and dtypes of y and outputs -> whether only the y that was given works

    def __init__(self, reduction: str | None = "sum_over_batch_size", name: str | None = None) -> None:
        if reduction not in REDUCTIONS:
            raise ValueError(f"reduction must be one of {', '.join(map(repr, REDUCTIONS))}, got {reduction!r}.")
        self.reduction = reduction
        self.name = name or snake_case(type(self).__name__)

    def __init_subclass__(cls) -> None:
        super().__init_subclass__()
        if "call" in vars(cls) and argument_order(partial(cls.call, None)) == "torch":  # type: ignore[arg-type]
            raise TypeError(
                f"{cls.__name__}.call names the outputs before the targets, but is called with (y_true, y_pred). Write "
                "call(self, y_true, y_pred), or pass a function (input, target), whose order is read from its names."
            )
        if "call" in vars(cls) and "mean" not in vars(cls):
            cls.mean = Loss.mean  # type: ignore[method-assign]  # the mean of this call, not of an inherited one

    def __repr__(self) -> str:
        return represent(self, name=snake_case(type(self).__name__))

    def call(self, y_true: Tensor, y_pred: Tensor) -> Tensor:
        """One value for each sample: `(batch, ...)`, without the last axis for most losses."""
        raise TypeError(f"{type(self).__name__} must define call(self, y_true, y_pred).")

    def mean(self, y_true: Tensor, y_pred: Tensor) -> Tensor:
        """The mean of `call`; a loss for which torch has one kernel takes that."""
        return self.call(y_true, y_pred).mean()

    def __call__(self, y_true: Tensor, y_pred: Tensor, sample_weight: Tensor | None = None) -> Tensor:
        """The reduced loss.

        Args:
            y_true: targets, in the shape that `y_pred` has (or, for sparse losses, without the class axis).
            y_pred: model outputs, `(batch, ...)`.
            sample_weight: one weight for each sample, `(batch,)`, or a shape that the values of `call` have.
        """
        y_true = torch.as_tensor(y_true)
        if sample_weight is None and self.reduction in ("sum_over_batch_size", "mean", "mean_with_sample_weight"):
            return self._aligned_call(self.mean, y_true, y_pred)
        return self.reduce(self._aligned_call(self.call, y_true, y_pred), sample_weight)

    def _aligned_call(self, compute: Callable[[Tensor, Tensor], Tensor], y_true: Tensor, y_pred: Tensor) -> Tensor:
        """Call `compute` on aligned targets; on those that were given, if at the first batch only they work.

        Outputs of 16 bits become float32 beside targets that are more precise: else these would be rounded.
        """
        if y_pred.dtype in _SHORT and y_true.is_floating_point() and y_true.dtype not in _SHORT:
            y_pred = y_pred.float()
        if self.knows_shapes:
            return compute(self.align(y_true, y_pred), y_pred)
        key = y_true.shape[1:], y_true.ndim, y_true.dtype, y_pred.shape[1:], y_pred.ndim
        as_given = self._as_given.get(key)
        if as_given is None and y_pred.numel() > 1:  # a single number may be broadcast
            found = without_broadcasting(self.name, compute, y_true, self.align(y_true, y_pred), y_pred)
            self._as_given = {**self._as_given, key: found.as_given}
            return found.value  # type: ignore[no-any-return]
        return compute(y_true if as_given else self.align(y_true, y_pred), y_pred)

    def reduce(self, values: Tensor, sample_weight: Tensor | None) -> Tensor:
        """Weigh the values and reduce them."""
        if sample_weight is not None:
            weight = spread(sample_weight, values)
            values = values * weight
            if self.reduction == "mean_with_sample_weight":
                total = weight.sum()
                return values.sum() / total.where(total != 0, 1)
        if self.reduction in ("none", None):
            return values
        return values.sum() if self.reduction == "sum" else values.mean()

    def count(self, y_true: Tensor, sample_weight: Tensor | None) -> int | Tensor:
        """How much this batch counts in the mean over an epoch, so that the mean is that of all samples."""
        if self.reduction == "mean_with_sample_weight" and sample_weight is not None:
            return sample_weight.sum()
        return y_true.shape[0]

    def counts_rows(self, targets: Tensor | None) -> bool:
        """Whether `count` is the number of rows for each batch of `targets` (all of them; `None` if not at hand)."""
        return self.reduction != "mean_with_sample_weight"

    def averages(self) -> bool:
        """Whether a batch's loss is known to be a mean over its rows, so that batches of any size give the same."""
        ours = type(self).__module__.rpartition(".")[0] == __package__
        return ours and self.reduction in ("sum_over_batch_size", "mean", "mean_with_sample_weight", "batchmean")

    def align(self, y_true: Tensor, y_pred: Tensor) -> Tensor:
        """Return targets in the dtype and shape that `call` needs; see `align_targets` for what is done by default."""
        return align_targets(self.name, y_true, y_pred)

    def check(self, y_true: Tensor, y_pred: Tensor) -> None:
        """Raise an error for targets and outputs that cannot be meant; called once a pass.

        Args:
            y_true: all targets if they are in memory, else those of the first batch.
            y_pred: the outputs of the first batch.
        """

    @property
    def has_class_axis(self) -> bool:
        """Return whether the loss works along the axis of the classes."""
        return self.task == "multiclass"

    def class_axis_of(self, y_true: Tensor, y_pred: Tensor) -> int:
        """Return the axis of the classes: `class_axis`, or as outputs and targets tell it."""
        return find_class_axis(self.name, y_true, y_pred) if self.class_axis is None else self.class_axis

    def on_axis(self, axis: int) -> Self:
        """Return the same loss with its classes on this axis."""
        twin = copy.copy(self)
        twin.class_axis = axis
        return twin

    def on_logits(self) -> Self | None:
        """The same loss on what comes before its activation, where that is the more stable way; else `None`."""
        if self.link is None or self.from_logits:
            return None
        twin = copy.copy(self)
        twin.from_logits = True
        return twin


class ValueLoss(Loss):
    """Base of the losses that compare each output with a target of its own: `y_true` has the shape of `y_pred`."""

    task: Task | None = "regression"
    knows_shapes = True

    def align(self, y_true: Tensor, y_pred: Tensor) -> Tensor:
        return align_values(self.name, y_true, y_pred)

    def check(self, y_true: Tensor, y_pred: Tensor) -> None:
        align_values(self.name, y_true[: len(y_pred)], y_pred)


class FunctionLoss(Loss):
    """Call a plain function in Keras' order, `(y_true, y_pred)`; it returns a scalar or one value a sample."""

    def __init__(self, function: Callable[[Tensor, Tensor], Tensor], name: str) -> None:
        super().__init__(name=name)
        self.function = function

    def averages(self) -> bool:
        return False  # of some functions, such as a root of a mean, it is not

    def call(self, y_true: Tensor, y_pred: Tensor) -> Tensor:
        values = self.function(y_true, y_pred)
        if not isinstance(values, Tensor):
            raise TypeError(f"{self.name} must return a tensor, got {type(values).__name__}.")
        return values

    def reduce(self, values: Tensor, sample_weight: Tensor | None) -> Tensor:
        if sample_weight is not None and values.ndim == 0:
            raise ValueError(f"{self.name} returns a scalar; with sample_weight it must return one value a sample.")
        return super().reduce(values, sample_weight)


def spread(sample_weight: Tensor, values: Tensor) -> Tensor:
    """`(batch,)` weights in a shape that multiplies `values` of shape `(batch, ...)` sample by sample."""
    weight = sample_weight.to(values.dtype)
    while weight.ndim > 1 and weight.shape[-1] == 1:  # one weight a sample, in a column
        weight = weight.squeeze(-1)
    if weight.shape != values.shape[: weight.ndim]:
        raise ValueError(
            f"sample_weight has shape {tuple(sample_weight.shape)}, the loss has values of shape "
            f"{tuple(values.shape)}; give one weight for each sample, shape ({values.shape[0]},)."
        )
    weight = weight.reshape(weight.shape + (1,) * (values.ndim - weight.ndim))
    return weight.expand_as(values)
