"""What every loss is: a callable `(y_true, y_pred, sample_weight=None)` that knows what it expects."""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Literal, Self

import torch
from torch import Tensor

from kerastorch.config import Configurable
from kerastorch.names import snake_case

Task = Literal["regression", "binary", "multiclass"]
REDUCTIONS = ("sum_over_batch_size", "mean", "mean_with_sample_weight", "sum", "none", None)


class Loss(Configurable):
    """Base of the losses; subclass it and write `call(y_true, y_pred)` for one of your own.

    Args:
        reduction: `'sum_over_batch_size'` (`'mean'`): the mean over samples, weighted ones too;
            `'mean_with_sample_weight'`: divided by the sum of the weights; `'sum'`; `'none'`.
        name: what it is called in messages.

    Attributes:
        task: what the targets are; metrics given as strings go by it.
        link: the activation whose output the loss expects (`'sigmoid'`, `'softmax'`), `None` for any values.
        from_logits: the loss applies `link` itself.
        class_axis: where the classes lie in `y_pred` (multiclass only).
        ignored: the class number whose samples count nothing, if there is one.
    """

    task: Task = "regression"
    link: Literal["sigmoid", "softmax"] | None = None
    from_logits = False
    class_axis = -1
    ignored: int | None = None
    reduction: str | None

    def __init__(self, reduction: str | None = "sum_over_batch_size", name: str | None = None) -> None:
        if reduction not in REDUCTIONS:
            raise ValueError(f"reduction must be one of {', '.join(map(repr, REDUCTIONS))}, got {reduction!r}.")
        self.reduction = reduction
        self.name = name or snake_case(type(self).__name__)

    def __init_subclass__(cls) -> None:
        super().__init_subclass__()
        if "call" in vars(cls) and "mean" not in vars(cls):
            cls.mean = Loss.mean  # type: ignore[method-assign]  # the mean of this call, not of an inherited one

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
        y_true = self.align(torch.as_tensor(y_true), y_pred)
        if sample_weight is None and self.reduction in ("sum_over_batch_size", "mean", "mean_with_sample_weight"):
            return self.mean(y_true, y_pred)
        return self.reduce(self.call(y_true, y_pred), sample_weight)

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
        """`y_true` in the dtype and shape that `call` needs, where nothing is lost by it; else an error."""
        return align_values(self.name, y_true, y_pred)

    def check(self, y_true: Tensor, y_pred: Tensor) -> None:
        """Refuse targets and outputs that cannot be meant; called once, with as many targets as are at hand."""
        align_values(self.name, y_true[: len(y_pred)], y_pred)

    def on_logits(self) -> Self | None:
        """The same loss on what comes before its activation, where that is the more stable way; else `None`."""
        if self.link is None or self.from_logits:
            return None
        twin = copy.copy(self)
        twin.from_logits = True
        return twin


class FunctionLoss(Loss):
    """A plain function `(y_true, y_pred)`, in Keras' order, that returns a scalar or one value a sample."""

    def __init__(self, function: Callable[[Tensor, Tensor], Tensor], name: str) -> None:
        super().__init__(name=name)
        self.function = function

    def averages(self) -> bool:
        return False  # of some functions, such as a root of a mean, it is not

    def align(self, y_true: Tensor, y_pred: Tensor) -> Tensor:
        return y_true

    def check(self, y_true: Tensor, y_pred: Tensor) -> None:
        return

    def call(self, y_true: Tensor, y_pred: Tensor) -> Tensor:
        return self.function(y_true, y_pred)

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


def align_values(name: str, y_true: Tensor, y_pred: Tensor) -> Tensor:
    """Targets in the outputs' dtype and shape; a trailing 1 may come or go, nothing is ever broadcast."""
    if y_true.dtype != y_pred.dtype:
        y_true = y_true.to(y_pred.dtype)
    if y_true.shape == y_pred.shape:
        return y_true
    longer, shorter = sorted((y_true.shape, y_pred.shape), key=len, reverse=True)
    if len(longer) == len(shorter) + 1 and longer[-1] == 1 and longer[:-1] == shorter:
        return y_true.reshape(y_pred.shape)
    raise ValueError(
        f"{name}: y has shape {tuple(y_true.shape)} but the model outputs {tuple(y_pred.shape)}. "
        "Shapes must match; kerastorch never broadcasts a loss."
    )


def align_classes(name: str, y_true: Tensor, y_pred: Tensor, axis: int) -> Tensor:
    """Class numbers as int64 without the class axis of `y_pred`; `(N, 1)` is squeezed, one-hot is refused."""
    expected = list(y_pred.shape)
    classes = expected.pop(axis if y_pred.ndim > 1 else 0)
    if y_true.ndim == y_pred.ndim and y_true.shape[axis] == 1:
        y_true = y_true.squeeze(axis)
    if list(y_true.shape) != expected:
        if y_true.shape == y_pred.shape:
            raise ValueError(
                f"{name}: y looks one-hot (shape {tuple(y_true.shape)}, one column a class). "
                f"Use y.argmax({axis}) or loss='categorical_crossentropy'."
            )
        raise ValueError(
            f"{name}: y has shape {tuple(y_true.shape)} but the model outputs {tuple(y_pred.shape)}, "
            f"{classes} classes on axis {axis}; y must have shape {tuple(expected)}."
            f"{_other_axis(y_true, y_pred)}"
        )
    return whole_classes(y_true)


def _other_axis(y_true: Tensor, y_pred: Tensor) -> str:
    """What to do where `y` fits outputs with classes in the place of an image's channels."""
    sizes = list(y_pred.shape)
    if y_pred.ndim < 3 or list(y_true.shape) not in ([sizes[0], *sizes[2:]], [sizes[0], 1, *sizes[2:]]):
        return ""
    return " If the classes are the channels, use loss=SparseCategoricalCrossentropy(axis=1)."


def whole_classes(y_true: Tensor) -> Tensor:
    """Class numbers as int64; floats pass where they are whole."""
    if y_true.dtype == torch.int64:
        return y_true
    if y_true.is_floating_point():
        broken = (y_true != y_true.round()).flatten()
        if bool(broken.any()):
            at = int(broken.to(torch.uint8).argmax())
            raise ValueError(f"y must hold whole class numbers; y[{at}] = {float(y_true.flatten()[at]):g}.")
    return y_true.to(torch.int64)


def check_classes(y_true: Tensor, classes: int, ignore: int | None) -> None:
    """Refuse class numbers outside `0..classes - 1`, other than `ignore`."""
    labels = whole_classes(y_true).flatten()
    wrong = (labels < 0) | (labels >= classes)
    if ignore is not None:
        wrong &= labels != ignore
    if bool(wrong.any()):
        at = int(wrong.to(torch.uint8).argmax())
        hint = " Labels starting at 1? Use y - 1." if int(labels.max()) == classes and int(labels.min()) > 0 else ""
        raise ValueError(
            f"y[{at}] = {int(labels[at])}, but the model has {classes} outputs (valid: 0..{classes - 1}).{hint}"
        )


def check_unit(name: str, y_true: Tensor) -> None:
    """Refuse targets outside 0..1."""
    values = y_true.flatten()
    wrong = (values < 0) | (values > 1)
    if bool(wrong.any()):
        at = int(wrong.to(torch.uint8).argmax())
        raise ValueError(f"{name} needs targets in [0, 1]; found {float(values[at]):g} at y[{at}].")


def check_probabilities(name: str, y_pred: Tensor) -> None:
    """Refuse outputs that cannot be probabilities."""
    low, high = float(y_pred.min()), float(y_pred.max())
    if low < 0 or high > 1.0001:
        raise ValueError(
            f"{name} expects probabilities, the model output ranges {low:.3g}..{high:.3g}. "
            "End the model in a softmax or sigmoid, or pass from_logits=True."
        )
