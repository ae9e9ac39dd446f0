"""Checks of the targets: balance of the classes, missing classes, constant targets, and the range of the outputs."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from kerastorch import activations
from kerastorch.layers.activation import ReLU
from kerastorch.losses.base import Loss
from kerastorch.model_check.report import Finding
from kerastorch.training.fused_activation import find_final_activation

_IMBALANCE = 10.0  # rows of the most frequent class for one of the rarest
_MOST_NAMED = 8
_MOST_GUESSED = 20  # different integers that are taken for classes if the loss is unknown
_LARGE_TARGETS = 100.0
_NONNEGATIVE = (activations.relu, activations.relu6, activations.softplus, torch.relu, F.relu, F.relu6, F.softplus)
_NONNEGATIVE_MODULES = (nn.ReLU, nn.ReLU6, nn.Softplus, ReLU)
_TANH = (activations.tanh, torch.tanh, F.tanh)


class Target(NamedTuple):
    """The targets of an output, with what is known of the output.

    Attributes:
        name: Name of the targets in messages, such as `"y"`.
        rows: The targets, `(rows, ...)`.
        is_whole: Whether these are all targets of the training data.
        loss: The loss of the output; `None` if it is unknown.
        last: The last module before the output; `None` if it is unknown.
        output: The output for a batch; `None` if it is unknown.
        has_weights: Whether the training has class weights or sample weights.
    """

    name: str
    rows: Tensor
    is_whole: bool
    loss: Loss | None
    last: nn.Module | None
    output: Tensor | None
    has_weights: bool

    @property
    def n_classes(self) -> int | None:
        """The number of classes that the output has; `None` if it is unknown."""
        if self.loss is None or self.output is None or self.output.ndim != 2:
            return None
        return {"multiclass": self.output.shape[1], "binary": 2}.get(self.loss.task or "")

    @property
    def is_one_for_each_row(self) -> bool:
        """Whether a row has one class, and not one for each step or pixel."""
        return self.rows.ndim == 1 or (self.rows.ndim == 2 and self.rows.shape[1] in (1, self.n_classes))

    def class_numbers(self) -> Tensor | None:
        """Return the targets as class numbers, `(n,)`; `None` if they are no classes."""
        rows = self.rows
        if self.loss is None:
            is_class = not rows.is_floating_point() and rows.ndim == 1 and len(rows.unique()) <= _MOST_GUESSED
        elif self.loss.task == "binary":
            is_class = rows.ndim == 1 or rows.shape[1:].numel() == 1
        else:
            is_class = self.loss.task == "multiclass"
        if not is_class:
            return None
        classes = self.n_classes
        if rows.ndim == 2 and rows.shape[1] > 1 and rows.shape[1] == classes:  # one-hot
            return rows.float().argmax(1)
        numbers = rows.flatten()
        if bool((numbers.float() != numbers.float().round()).any()):
            return None
        numbers = numbers.to(torch.int64)
        return numbers[numbers >= 0]  # negative ones are left out by `ignore_index`


def target_findings(target: Target) -> Iterator[Finding]:
    """Yield findings about the targets of one output."""
    numbers = target.class_numbers()
    if numbers is not None and len(numbers):
        yield from _class_findings(target, numbers)
    elif target.rows.is_floating_point() or target.loss is not None:
        yield from _value_findings(target)
    if target.last is not None and target.loss is not None:
        yield from _activation_findings(target, target.last, target.loss)


def _class_findings(target: Target, numbers: Tensor) -> Iterator[Finding]:
    found, counts = numbers.unique(return_counts=True)  # (classes,)
    if len(found) == 1:
        yield Finding("warning", "targets", f"All targets of {target.name} are {int(found[0])}.", "Look at the data.")
        return
    if not target.is_one_for_each_row:
        return
    most, least = int(counts.argmax()), int(counts.argmin())
    if counts[most] >= _IMBALANCE * counts[least] and not target.has_weights:
        share = counts / counts.sum()
        yield Finding(
            "warning",
            "balance",
            f"The classes of {target.name} are not balanced: class {int(found[most])} has {float(share[most]):.1%} of "
            f"the rows, class {int(found[least])} has {float(share[least]):.1%}.",
            "Accuracy alone says little then. Look at the metrics 'f1' or 'auc', and try class_weight='balanced'.",
        )
    classes = target.n_classes
    if classes is None or not (target.is_whole or len(numbers) >= 20 * classes):
        return
    missing = sorted(set(range(classes)) - set(found.tolist()))
    if not missing or int(found[-1]) >= classes:  # a class that is too large is an error of the loss
        return
    if missing[0] > int(found[-1]):
        message = f"The model has {classes} outputs, and {target.name} has the classes 0..{int(found[-1])} alone."
    else:
        shown = ", ".join(map(str, missing[:_MOST_NAMED])) + (", ..." if len(missing) > _MOST_NAMED else "")
        word = "class" if len(missing) == 1 else "classes"
        message = f"{target.name} has no row of the {word} {shown}, for which the model has an output."
    yield Finding("warning", "missing classes", message, "Check the numbers of the classes and the size of the output.")


def _value_findings(target: Target) -> Iterator[Finding]:
    rows = target.rows.double()
    if len(rows) > 1 and bool((rows == rows[:1]).all()):
        yield Finding("warning", "targets", f"All rows of {target.name} are the same.", "Look at the data.")
    elif float(rows.square().mean().sqrt()) > _LARGE_TARGETS:
        yield Finding(
            "note",
            "targets",
            f"{target.name} has large values, {float(rows.min()):.4g} to {float(rows.max()):.4g}.",
            "Training is often faster on standardized targets: (y - mean) / standard deviation.",
        )


def _activation_findings(target: Target, last: nn.Module, loss: Loss) -> Iterator[Finding]:
    """Yield findings about an activation after which the outputs cannot become what the loss needs."""
    final = find_final_activation(last)
    kind = None if final is None else final.kind
    low, high, name = _range_of(last, kind)
    if name is None:
        return
    if loss.task == "multiclass" and loss.link == "softmax" and kind == "sigmoid":
        yield Finding(
            "warning",
            "last activation",
            f"The model ends in a sigmoid, and the loss '{loss.name}' expects one probability for each class, with a "
            "sum of 1.",
            "End it in a softmax. If several classes may be true at once, take 'binary_crossentropy'.",
        )
    elif loss.task in ("multiclass", "binary") and kind is None:
        yield Finding(
            "warning",
            "last activation",
            f"The model ends in {name}, which limits its outputs to {_interval(low, high)}, and the loss '{loss.name}' "
            "needs outputs of any size.",
            "Leave out the activation of the last layer.",
        )
    elif loss.task == "regression" and loss.matches_targets and target.rows.numel():
        least, most = float(target.rows.min()), float(target.rows.max())
        if least < low or most > high:
            yield Finding(
                "warning",
                "last activation",
                f"The model ends in {name}, which limits its outputs to {_interval(low, high)}, and {target.name} goes "
                f"from {least:.4g} to {most:.4g}.",
                "Leave out the activation of the last layer, or scale the targets.",
            )


def _range_of(last: nn.Module, kind: str | None) -> tuple[float, float, str | None]:
    """Return the range of the outputs of a module that ends in an activation, and the name of the activation."""
    if kind in ("softmax", "sigmoid"):
        return 0.0, 1.0, f"a {kind}"
    activation = vars(last).get("activation") or last._modules.get("activation")
    if isinstance(last, nn.Tanh) or isinstance(activation, nn.Tanh) or activation in _TANH:
        return -1.0, 1.0, "tanh"
    if isinstance(last, _NONNEGATIVE_MODULES) or isinstance(activation, _NONNEGATIVE_MODULES):
        return 0.0, torch.inf, "relu"
    if activation in _NONNEGATIVE:
        return 0.0, torch.inf, getattr(activation, "__name__", "relu")
    return -torch.inf, torch.inf, None


def _interval(low: float, high: float) -> str:
    return f"{low:g} to {high:g}" if high < torch.inf else f"{low:g} and more"
