"""Losses of torch, by name or as objects, with their meaning in torch: `(input, target)`, logits for cross-entropy."""

from __future__ import annotations

import copy
import functools
import inspect
from collections.abc import Callable, Hashable
from typing import Any, Literal

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from kerastorch.core.name_lookup import public_name, snake_case
from kerastorch.core.ownership import is_from
from kerastorch.losses.alignment import (
    align_classes,
    align_targets,
    align_values,
    check_classes,
    check_signs,
    check_unit,
)
from kerastorch.losses.argument_order import resolve_order
from kerastorch.losses.base import FunctionLoss, Loss, Task, expand_sample_weight
from kerastorch.losses.criterion_signature import CriterionSignature

MODULES: dict[str, type[nn.Module]] = {
    snake_case(name): getattr(nn, name)
    for name in (
        "L1Loss", "MSELoss", "SmoothL1Loss", "HuberLoss", "CrossEntropyLoss", "NLLLoss", "BCELoss",
        "BCEWithLogitsLoss", "KLDivLoss", "PoissonNLLLoss", "SoftMarginLoss", "HingeEmbeddingLoss",
        "MultiLabelSoftMarginLoss", "MultiLabelMarginLoss", "MultiMarginLoss",
    )
}  # fmt: skip

# names of torch.nn.functional, and abbreviations, that differ from the names of the classes
FUNCTIONS: dict[str, type[nn.Module]] = {
    "cross_entropy": nn.CrossEntropyLoss,
    "binary_cross_entropy": nn.BCELoss,
    "binary_cross_entropy_with_logits": nn.BCEWithLogitsLoss,
    "bce": nn.BCELoss,
    "bce_with_logits": nn.BCEWithLogitsLoss,
    "kl_div": nn.KLDivLoss,
    "l1": nn.L1Loss,
    "l2": nn.MSELoss,
    "l2_loss": nn.MSELoss,
    "smooth_l1": nn.SmoothL1Loss,
    "multilabel_margin_loss": nn.MultiLabelMarginLoss,
    "multilabel_soft_margin_loss": nn.MultiLabelSoftMarginLoss,
}

_CLASS_LOSSES = (nn.CrossEntropyLoss, nn.NLLLoss)
_BINARY_LOSSES = (nn.BCELoss, nn.BCEWithLogitsLoss, nn.MultiLabelSoftMarginLoss)
_VALUE_LOSSES = (
    nn.L1Loss,
    nn.MSELoss,
    nn.SmoothL1Loss,
    nn.HuberLoss,
    nn.PoissonNLLLoss,
    nn.KLDivLoss,
    nn.SoftMarginLoss,
    nn.HingeEmbeddingLoss,
)
_SIGNED_LOSSES = (nn.SoftMarginLoss, nn.HingeEmbeddingLoss)


class TorchLoss(Loss):
    """A loss in torch's order, `(input, target)`: a module of `torch.nn` or another callable.

    Args:
        function: The module or callable. A module without parameters is copied, so that two models do not share it.
        name: Name for error messages.
        ignores: Whether class numbers equal to the module's `ignore_index` are left out, as in torch. If not, they
            raise an error: a loss given by name has an `ignore_index` that the user did not choose.
    """

    function: Callable[..., Any]

    def __init__(self, function: Callable[..., Any], name: str, ignores: bool = True) -> None:
        super().__init__(name=name)
        self.ignores = ignores
        if isinstance(function, nn.Module) and not any(True for _ in function.parameters()):
            function = copy.deepcopy(function)
        self.function = function
        self.knows_shapes = isinstance(function, tuple(MODULES.values()))
        self.task = _task(function)
        self.link = _link(function)
        self.from_logits = isinstance(
            function, (nn.CrossEntropyLoss, nn.BCEWithLogitsLoss, nn.MultiLabelSoftMarginLoss)
        )
        self.class_axis = 1
        self.margins = isinstance(function, nn.SoftMarginLoss)
        self.log_outputs = _takes_logarithms(function)
        self.ignored = function.ignore_index if ignores and isinstance(function, _CLASS_LOSSES) else None
        self._unreduced: Any = None  # the module with reduction="none", made when sample weights are given
        self.reduction = getattr(function, "reduction", "mean")
        self._device: torch.device | None = None  # where the module was moved to

    @functools.cached_property
    def criterion(self) -> CriterionSignature | None:
        """The parameters of a criterion that may take all outputs of a model; `None` for a loss of one output.

        It is `None` for the losses of torch that compare one output with targets, and if parameters are unknown.
        """
        found = CriterionSignature.of(self.function)
        if found is None or (len(found.names) == 2 and is_from(self.function, "torch")):
            return None
        return found

    def _compute(self, y_true: Tensor, y_pred: Tensor, sample_weight: Tensor | None) -> Tensor:
        if self._device != y_pred.device and isinstance(self.function, nn.Module):
            self.function.to(y_pred.device)  # class weights
            self._device = y_pred.device
        if isinstance(self.function, _CLASS_LOSSES) and y_pred.ndim > 2:
            y_pred = y_pred.contiguous()  # nll_loss has no gradient for channels-last memory
        if sample_weight is not None:
            return self._weighted_loss(y_true, y_pred, sample_weight)
        loss = self._aligned_call(lambda y, outputs: self.function(outputs, y), y_true, y_pred)
        if not isinstance(loss, Tensor):
            raise TypeError(f"{self.name} must return a tensor, got {type(loss).__name__}.")
        if loss.ndim and loss.numel() > 1:
            raise ValueError(
                f"{self.name} must return a scalar tensor, got shape {tuple(loss.shape)}. Use reduction='mean'."
            )
        return loss.reshape(()) if loss.ndim else loss

    def _weighted_loss(self, y_true: Tensor, y_pred: Tensor, sample_weight: Tensor) -> Tensor:
        """Return the values of all samples times their weights, reduced as the module reduces.

        Raises:
            ValueError: The loss returns a scalar, or the shape of the weights does not fit.
        """
        if isinstance(self.function, nn.Module) and hasattr(self.function, "reduction"):
            if self._unreduced is None:
                self._unreduced = copy.copy(self.function)  # a shallow copy shares the parameters of the loss
                self._unreduced.reduction = "none"
            function = self._unreduced
        else:
            function = self.function
        values = self._aligned_call(lambda y, outputs: function(outputs, y), y_true, y_pred)
        if values.ndim == 0:
            raise ValueError(f"{self.name} returns a scalar; sample weights need one value for each sample.")
        values = values * expand_sample_weight(sample_weight, values)
        if self.reduction == "sum":
            return values.sum()
        if self.reduction == "batchmean":
            return values.sum() / values.shape[0]
        divisor = self._divisor(self.align(y_true, y_pred))
        return values.mean() if divisor is None else values.sum() / divisor

    def _divisor(self, y_true: Tensor) -> Tensor | None:
        """Return the divisor of torch's mean over classes that are weighted or ignored.

        `None` if it is the number of values.
        """
        function = self.function
        if not isinstance(function, _CLASS_LOSSES) or y_true.is_floating_point():
            return None
        is_counted = y_true != function.ignore_index
        if function.weight is None:
            return is_counted.sum()
        return function.weight[y_true.where(is_counted, 0)].where(is_counted, 0).sum()

    def counts_rows(self, targets: Tensor | None) -> bool:
        function = self.function
        if not isinstance(function, _CLASS_LOSSES) or self.reduction != "mean":
            return True
        if function.weight is not None:
            return False
        return not self.ignores or (targets is not None and not bool((targets == function.ignore_index).any()))

    def count(self, y_true: Tensor, sample_weight: Tensor | None) -> int | Tensor:
        if self.counts_rows(None) or y_true.is_floating_point():
            return y_true.shape[0]
        divisor = self._divisor(y_true.to(torch.int64))
        return y_true.shape[0] if divisor is None else divisor

    def is_mean_over_rows(self) -> bool:
        return type(self.function) in MODULES.values() and super().is_mean_over_rows()

    def align(self, y_true: Tensor, y_pred: Tensor) -> Tensor:
        if isinstance(self.function, _CLASS_LOSSES):
            takes_probabilities = isinstance(self.function, nn.CrossEntropyLoss) and y_pred.ndim > 1
            if takes_probabilities and y_true.is_floating_point() and y_true.shape == y_pred.shape:
                if self.function.ignore_index >= 0:
                    raise ValueError(
                        f"{self.name} has ignore_index={self.function.ignore_index}, which is for class numbers; y is "
                        f"one-hot, of shape {tuple(y_true.shape)}. Use y.argmax(1)."
                    )
                return y_true.to(y_pred.dtype)  # class probabilities
            return align_classes(self.name, y_true, y_pred, 1 if y_pred.ndim > 1 else 0)
        if isinstance(self.function, nn.MultiMarginLoss):
            return align_classes(self.name, y_true, y_pred, 1 if y_pred.ndim > 1 else 0)
        if isinstance(self.function, _BINARY_LOSSES + _VALUE_LOSSES):
            return align_values(self.name, y_true, y_pred)
        if isinstance(self.function, nn.MultiLabelMarginLoss):
            return (
                y_true if y_true.is_floating_point() else y_true.to(torch.int64)
            )  # class numbers; -1 ends the list of a row
        return align_targets(self.name, y_true, y_pred)

    def check(self, y_true: Tensor, y_pred: Tensor) -> None:
        aligned = self.align(y_true[: len(y_pred)], y_pred)
        if isinstance(self.function, _CLASS_LOSSES):
            if not aligned.is_floating_point():
                ignore = self.function.ignore_index if self.ignores else None
                check_classes(y_true, y_pred.shape[1 if y_pred.ndim > 1 else 0], ignore)
        elif isinstance(self.function, _BINARY_LOSSES):
            check_unit(self.name, y_true)
        elif isinstance(self.function, _SIGNED_LOSSES):
            check_signs(self.name, y_true)

    def on_logits(self) -> None:
        return None  # torch has a different class for it


def _task(function: Callable[..., Any]) -> Task | None:
    """Return the task that a module of torch is a loss for; `None` for other callables."""
    if isinstance(function, (*_CLASS_LOSSES, nn.MultiMarginLoss)):
        return "multiclass"
    if isinstance(function, (*_BINARY_LOSSES, nn.SoftMarginLoss)):
        return "binary"
    return "regression" if isinstance(function, _VALUE_LOSSES) else None


def _link(function: Callable[..., Any]) -> Literal["sigmoid", "softmax"] | None:
    """Return the activation whose output a module of torch compares; `None` if there is none."""
    if isinstance(function, nn.CrossEntropyLoss):
        return "softmax"
    return "sigmoid" if isinstance(function, _BINARY_LOSSES) else None


def _takes_logarithms(function: Callable[..., Any]) -> bool:
    """Return whether a module of torch takes logarithms as outputs but not as targets."""
    if isinstance(function, nn.PoissonNLLLoss):
        return function.log_input
    return isinstance(function, nn.KLDivLoss) and not function.log_target


def wrap(function: Callable[..., Any]) -> Loss:
    """Return a callable as a `Loss`.

    A function of `torch.nn.functional`, or a partial of one, becomes the module of the same formula. The order of the
    arguments of other callables is read from the names of their parameters.
    """
    if isinstance(function, Hashable) and function in _BY_FUNCTION:
        return TorchLoss(_BY_FUNCTION[function](), function.__name__)
    if isinstance(function, functools.partial) and function.func in _BY_FUNCTION and not function.args:
        module = _BY_FUNCTION[function.func]
        if set(function.keywords) <= set(inspect.signature(module).parameters):
            return TorchLoss(module(**function.keywords), function.func.__name__)
    name = public_name(function)
    signature = CriterionSignature.of(function)
    if signature is not None and not signature.has_order:
        return TorchLoss(function, name)
    if resolve_order(function, name, "loss") == "keras":
        return FunctionLoss(function, name)
    return TorchLoss(function, name)


# function of torch.nn.functional -> module of the same formula
_BY_FUNCTION: dict[Any, type[nn.Module]] = {
    F.cross_entropy: nn.CrossEntropyLoss, F.nll_loss: nn.NLLLoss, F.binary_cross_entropy: nn.BCELoss,
    F.binary_cross_entropy_with_logits: nn.BCEWithLogitsLoss, F.mse_loss: nn.MSELoss, F.l1_loss: nn.L1Loss,
    F.smooth_l1_loss: nn.SmoothL1Loss, F.huber_loss: nn.HuberLoss, F.kl_div: nn.KLDivLoss,
    F.poisson_nll_loss: nn.PoissonNLLLoss,
}  # fmt: skip
