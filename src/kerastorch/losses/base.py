"""Loss: base of the losses, callables `(y_true, y_pred, sample_weight=None)` that check and align their targets."""

from __future__ import annotations

import copy
from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, Any, Literal, Self

import torch
from torch import Tensor

from kerastorch.core.name_lookup import snake_case
from kerastorch.core.ownership import is_own
from kerastorch.core.representation import represent
from kerastorch.core.serialization import Configurable
from kerastorch.losses.alignment import align_targets, align_values, class_number_forms, to_class_numbers
from kerastorch.losses.argument_order import argument_order
from kerastorch.losses.array_calls import Array, call_on_arrays
from kerastorch.losses.broadcasting import Form, without_broadcasting
from kerastorch.losses.class_axis import find_class_axis

if TYPE_CHECKING:
    from numpy.typing import ArrayLike

Task = Literal["regression", "binary", "multiclass"]
_SHORT = (torch.bfloat16, torch.float16)
REDUCTIONS = ("sum_over_batch_size", "mean", "mean_with_sample_weight", "sum", "none", None)


class Loss(Configurable):
    """Base of the losses. For a loss of your own, subclass it and write `call(y_true, y_pred)`.

    `call` gets targets in the shape and dtype of the outputs if they have as many values, else as they are. If it fails
    on these, it is called on the targets as class numbers: int64, without the axis of the classes or with size 1 there.
    So `F.cross_entropy` and `y_pred.gather` work for class numbers of shape `(batch,)` and `(batch, 1)`, for integers
    and whole floats. The form that works is chosen at the first batch of each shape. A call that broadcasts targets
    with outputs is an error.

    Args:
        reduction: How the values of `call` become the loss. `'sum_over_batch_size'` (or `'mean'`): their
            weighted sum divided by their number. `'mean_with_sample_weight'`: their weighted sum divided by the sum of
            the weights. `'sum'`: their sum. `'none'` (or `None`): the values themselves.
        name: Name for error messages. Default: that of the class in snake case.

    Attributes:
        task: Kind of the targets: `'regression'`, `'binary'` (each output is a yes-or-no question), `'multiclass'`, or
            `None` if unknown. Metrics given by name depend on it; set it in a subclass.
        link: Activation whose output the loss expects, `'sigmoid'` or `'softmax'`; `None` for any values.
        from_logits: Whether the loss applies `link` itself. Metrics given by name then apply it to the outputs, too.
        margins: Whether outputs are margins, which are positive for the second class, as in `Hinge`.
        log_outputs: Whether outputs are logarithms of predicted values. Metrics given by name apply `exp` to them.
        takes_probabilities: Whether outputs are probabilities, if `task` does not say it.
        matches_targets: Whether each output predicts a target, so that metrics given by name can compare them.
        class_axis: Axis of the classes in `y_pred`, for losses that have one; `None` if it is read from the shapes and
            values of outputs and targets.
        ignored: Class number whose samples are left out; `None` if there is none.
        knows_shapes: Whether `align` returns targets in exactly the shape that `call` needs. If not, `call` is a
            user's function that may reshape targets itself, and is checked for broadcasting at the first batch.

    >>> class Quantile(Loss):
    ...     task = "regression"
    ...     def call(self, y_true, y_pred):
    ...         error = y_true - y_pred
    ...         return torch.maximum(0.9 * error, -0.1 * error).mean(-1)
    >>> Quantile()(torch.tensor([[1.0]]), torch.tensor([[0.0]]))
    tensor(0.9000)
    """

    task: Task | None = None
    link: Literal["sigmoid", "softmax"] | None = None
    from_logits = False
    class_axis: int | None = None
    ignored: int | None = None
    margins = False
    log_outputs = False
    takes_probabilities = False
    matches_targets = True
    reduction: str | None
    knows_shapes = False
    _forms: dict[Any, Form] = {}  # shapes and dtypes of targets and outputs -> form of the targets that `call` takes

    def __init__(self, reduction: str | None = "sum_over_batch_size", name: str | None = None) -> None:
        if reduction not in REDUCTIONS:
            advice = f" Is it a name? Write name={reduction!r}." if isinstance(reduction, str) and name is None else ""
            raise ValueError(f"reduction must be one of {', '.join(map(repr, REDUCTIONS))}, got {reduction!r}.{advice}")
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
            cls.mean = Loss.mean  # type: ignore[method-assign]  # an inherited `mean` is that of another `call`

    def __repr__(self) -> str:
        return represent(self, name=snake_case(type(self).__name__))

    def call(self, y_true: Tensor, y_pred: Tensor) -> Tensor:
        """Return one value per sample, `(batch, ...)`.

        Most losses average over the last axis of `y_pred`.

        Args:
            y_true: Targets as `align` returns them.
            y_pred: Outputs of the model, `(batch, ...)`.
        """
        raise TypeError(f"{type(self).__name__} must define call(self, y_true, y_pred).")

    def mean(self, y_true: Tensor, y_pred: Tensor) -> Tensor:
        """Return the mean of `call`, a scalar; subclasses may use a single kernel of torch."""
        return self.call(y_true, y_pred).mean()

    def __call__(self, y_true: Array, y_pred: Array, sample_weight: Tensor | ArrayLike | None = None) -> Array:
        """Return the loss of a batch, reduced according to `reduction`.

        Each argument may be a tensor, a NumPy array or a list. If none is a tensor, the result is a NumPy number or
        array, else a tensor. Outputs that are no tensor get torch's default dtype, float32.

        Args:
            y_true: Targets in the shape of `y_pred` (for sparse losses, without the class axis).
            y_pred: Outputs of the model, `(batch, ...)`.
            sample_weight: One weight per sample, `(batch,)`, or per value of `call`. Default: all 1.

        Raises:
            ValueError: The shapes do not fit.
            TypeError: Something is given that is no array of numbers.
        """
        if (
            isinstance(y_true, Tensor)
            and isinstance(y_pred, Tensor)
            and (sample_weight is None or isinstance(sample_weight, Tensor))
        ):  # as in a training step
            return self._compute(y_true, y_pred, sample_weight)
        return call_on_arrays(self._compute, y_true, y_pred, sample_weight)  # type: ignore[no-any-return]

    def _compute(self, y_true: Tensor, y_pred: Tensor, sample_weight: Tensor | None) -> Tensor:
        """Return the loss of a batch of tensors, reduced according to `reduction`."""
        if sample_weight is None and self.reduction in ("sum_over_batch_size", "mean", "mean_with_sample_weight"):
            return self._aligned_call(self.mean, y_true, y_pred)
        return self.reduce(self._aligned_call(self.call, y_true, y_pred), sample_weight)

    def _aligned_call(self, compute: Callable[[Tensor, Tensor], Tensor], y_true: Tensor, y_pred: Tensor) -> Tensor:
        """Call a function on the form of the targets that it takes.

        The function takes `(y_true, y_pred)`. Which form it takes is found out at the first batch of each shape.
        Outputs of 16 bits are converted to float32 if targets are more precise, because aligning would round the
        targets.
        """
        if y_pred.dtype in _SHORT and _needs_float32(y_true, y_pred):
            y_pred = y_pred.float()
        if self.knows_shapes:
            return compute(self.align(y_true, y_pred), y_pred)
        key = y_true.shape[1:], y_true.ndim, y_true.dtype, y_pred.shape[1:], y_pred.ndim
        form = self._forms.get(key)
        if form is None and y_pred.numel() > 1:  # a single number may be broadcast
            aligned, classes = self.align(y_true, y_pred), class_number_forms(y_true, y_pred)
            outcome = without_broadcasting(self.name, compute, y_true, aligned, y_pred, classes)
            self._forms = {**self._forms, key: outcome.form}
            return outcome.value  # type: ignore[no-any-return]
        if form in ("classes", "class column"):
            return _call_on_classes(compute, y_true, y_pred, form)
        return compute(y_true if form == "given" else self.align(y_true, y_pred), y_pred)

    def reduce(self, values: Tensor, sample_weight: Tensor | None) -> Tensor:
        """Return the values of `call`, weighted and reduced according to `reduction`.

        Args:
            values: `(batch, ...)`.
            sample_weight: As for `__call__`.
        """
        if sample_weight is not None:
            weight = expand_sample_weight(sample_weight, values)
            values = values * weight
            if self.reduction == "mean_with_sample_weight":
                total = weight.sum()
                return values.sum() / total.where(total != 0, 1)
        if self.reduction in ("none", None):
            return values
        return values.sum() if self.reduction == "sum" else values.mean()

    def count(self, y_true: Tensor, sample_weight: Tensor | None) -> int | Tensor:
        """Return the weight of a batch in the mean over an epoch, which is the mean over samples."""
        if self.reduction == "mean_with_sample_weight" and sample_weight is not None:
            return sample_weight.sum()
        return y_true.shape[0]

    def counts_rows(self, targets: Tensor | None) -> bool:
        """Return whether `count` is the number of rows for every batch.

        Args:
            targets: The targets of all batches; `None` if they are not in memory.
        """
        return self.reduction != "mean_with_sample_weight"

    def is_mean_over_rows(self) -> bool:
        """Return whether the loss of a batch is a mean over its rows, whatever the batch size."""
        is_kerastorch_loss = is_own(self, "losses")  # a user-defined `call` may mix rows
        return is_kerastorch_loss and self.reduction in (
            "sum_over_batch_size",
            "mean",
            "mean_with_sample_weight",
            "batchmean",
        )

    def align(self, y_true: Tensor, y_pred: Tensor) -> Tensor:
        """Return targets in the dtype and shape that `call` needs; by default `align_targets`."""
        return align_targets(self.name, y_true, y_pred)

    def check(self, y_true: Tensor, y_pred: Tensor) -> None:
        """Raise an error for targets or outputs that the loss is not defined for.

        It is called once per pass over the data.

        Args:
            y_true: All targets if they are in memory, else those of the first batch.
            y_pred: Outputs of the first batch.

        Raises:
            ValueError: Values or shapes do not fit the loss.
        """

    @property
    def has_class_axis(self) -> bool:
        """Return whether the loss is computed along an axis of classes."""
        return self.task == "multiclass"

    def class_axis_of(self, y_true: Tensor, y_pred: Tensor) -> int:
        """Return `class_axis` if it is set, else the axis that `find_class_axis` returns."""
        return find_class_axis(self.name, y_true, y_pred) if self.class_axis is None else self.class_axis

    def on_axis(self, axis: int) -> Self:
        """Return a copy of the loss with its classes on this axis."""
        loss = copy.copy(self)
        loss.class_axis = axis
        return loss

    def on_logits(self) -> Self | None:
        """Return a copy of the loss that takes logits, which is numerically more stable.

        `None` if the loss takes logits already or expects no activation.
        """
        if self.link is None or self.from_logits:
            return None
        loss = copy.copy(self)
        loss.from_logits = True
        return loss


class ValueLoss(Loss):
    """Base of the losses that compare each output with one target.

    `y_true` has the shape of `y_pred`.
    """

    task: Task | None = "regression"
    knows_shapes = True

    def align(self, y_true: Tensor, y_pred: Tensor) -> Tensor:
        return align_values(self.name, y_true, y_pred)

    def check(self, y_true: Tensor, y_pred: Tensor) -> None:
        align_values(self.name, y_true[: len(y_pred)], y_pred)


class FunctionLoss(Loss):
    """A function in Keras' order, `(y_true, y_pred)`, as a loss.

    Args:
        function: Returns a scalar, or one value per sample.
        name: Name for error messages.
    """

    def __init__(self, function: Callable[[Tensor, Tensor], Tensor], name: str) -> None:
        super().__init__(name=name)
        self.function = function

    def is_mean_over_rows(self) -> bool:
        return False  # a function may be, for example, the root of a mean

    def call(self, y_true: Tensor, y_pred: Tensor) -> Tensor:
        values = self.function(y_true, y_pred)
        if not isinstance(values, Tensor):
            raise TypeError(f"{self.name} must return a tensor, got {type(values).__name__}.")
        return values

    def reduce(self, values: Tensor, sample_weight: Tensor | None) -> Tensor:
        if sample_weight is not None and values.ndim == 0:
            raise ValueError(f"{self.name} returns a scalar; with sample_weight it must return one value a sample.")
        return super().reduce(values, sample_weight)


def _call_on_classes(compute: Callable[[Tensor, Tensor], Tensor], y_true: Tensor, y_pred: Tensor, form: Form) -> Tensor:
    """Call a function on class numbers.

    Floats that are not whole raise an error. On accelerators and in compiled steps, where reading a value would wait
    for the device, they make the result NaN.
    """
    is_readable = y_true.device.type == "cpu" and not hasattr(y_true, "fake_mode")
    numbers = to_class_numbers(y_true) if is_readable else y_true.to(torch.int64)
    values = compute(class_number_forms(numbers, y_pred)[form], y_pred)
    if is_readable or not y_true.is_floating_point():
        return values
    return values + torch.where((y_true == numbers).all(), 0.0, torch.nan).to(values.dtype)


def _needs_float32(y_true: Tensor, y_pred: Tensor) -> bool:
    """Return whether outputs of 16 bits lose digits in a loss: within autocast, or beside targets with more digits."""
    is_more_precise = y_true.is_floating_point() and y_true.dtype not in _SHORT
    return is_more_precise or torch.is_autocast_enabled(y_pred.device.type)


def expand_sample_weight(sample_weight: Tensor, values: Tensor) -> Tensor:
    """Return sample weights in the shape of the values that they multiply.

    Args:
        sample_weight: `(batch,)`, `(batch, 1)`, or more of the axes of `values`.
        values: `(batch, ...)`.

    Raises:
        ValueError: The shapes do not fit.
    """
    weight = sample_weight.to(values.dtype)
    while weight.ndim > 1 and weight.shape[-1] == 1:  # (batch, 1): one weight per sample
        weight = weight.squeeze(-1)
    if weight.shape != values.shape[: weight.ndim]:
        hint = " A mask of the outputs weighs time steps, of which the loss must return a value each."
        raise ValueError(
            f"sample_weight has shape {tuple(sample_weight.shape)}, the loss has values of shape "
            f"{tuple(values.shape)}; give one weight for each sample, shape ({values.shape[0]},)."
            f"{hint if weight.ndim > values.ndim else ''}"
        )
    weight = weight.reshape(weight.shape + (1,) * (values.ndim - weight.ndim))
    return weight.expand_as(values)
