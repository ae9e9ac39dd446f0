"""Outputs of a network: what they mean, by the loss that it was compiled with, and the targets that the loss takes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from kerastorch.core.errors import shown
from kerastorch.losses.base import Loss
from kerastorch.losses.classification import SparseCategoricalCrossentropy
from kerastorch.losses.crossentropy import Crossentropy
from kerastorch.losses.torch_losses import TorchLoss
from kerastorch.metrics.task import TaskSpec
from kerastorch.model import Model
from kerastorch.training.fused_activation import final_activations
from kerastorch.wrappers.compiled_copy import trainer_of
from kerastorch.wrappers.targets import Array, Targets

_CLASS_NUMBERS = (SparseCategoricalCrossentropy, Crossentropy, TorchLoss)  # losses that take class numbers


def output_list(outputs: Any) -> list[Array]:
    """Return the outputs of `predict` as a list of arrays `(rows, columns)`; images and sequences keep their axes.

    Raises:
        ValueError: Outputs are no arrays of numbers.
    """
    if isinstance(outputs, Mapping):
        outputs = list(outputs.values())
    found = list(outputs) if isinstance(outputs, (tuple, list)) else [outputs]
    for one in found:
        if not isinstance(one, np.ndarray) or one.ndim == 0:
            raise ValueError(f"an estimator needs a network that returns a row for each input, got {shown(one)}.")
    return [one[:, None] if one.ndim == 1 else one for one in found]


@dataclass(frozen=True)
class Output:
    """One output of a classifier.

    Attributes:
        width: Number of its columns.
        loss: Loss that it was trained with; `None` if the model computes its loss.
        spec: How it becomes probabilities.
        takes_class_numbers: Whether the loss takes class numbers, and not one-hot rows.
    """

    width: int
    loss: Loss | None
    spec: TaskSpec
    takes_class_numbers: bool

    @classmethod
    def of(cls, outputs: Array, loss: Loss | None, ends_in: str | None, n_classes: int) -> Output:
        """Return what the output of a model for some rows means.

        Args:
            outputs: The outputs for some rows, `(rows, columns)`.
            loss: Loss of the output.
            ends_in: Activation that the model ends in, if it is known.
            n_classes: Number of classes that it scores.
        """
        width = outputs.shape[-1]
        takes_numbers = isinstance(loss, _CLASS_NUMBERS) and loss.task == "multiclass" and width > 1
        numbers = np.arange(len(outputs)) % n_classes
        y_true = numbers if takes_numbers or width == 1 else np.eye(n_classes)[numbers]
        y_true = y_true if takes_numbers else y_true.reshape(len(outputs), -1).astype(outputs.dtype)
        spec = TaskSpec.of(loss, torch.from_numpy(outputs), torch.from_numpy(y_true), True, ends_in)
        return cls(width, loss, spec, takes_numbers)

    def probabilities(self, outputs: Array) -> Array:
        """Return the outputs as probabilities, `(rows, columns)`."""
        found: Array = self.spec.probabilities(torch.from_numpy(outputs)).numpy()
        return found

    def scores(self, outputs: Array) -> Array:
        """Return the outputs as logits: numbers whose differences are logarithms of ratios of probabilities."""
        if self.spec.link in ("softmax", "sigmoid"):
            return outputs
        if self.spec.link == "half":
            return outputs - 0.5
        tiny = np.finfo(outputs.dtype).tiny
        logarithms: Array = np.log(np.maximum(outputs, tiny))
        if self.spec.kind == "multiclass":
            return logarithms
        against: Array = np.log(np.maximum(1 - outputs, tiny))
        return logarithms - against


@dataclass(frozen=True)
class OutputPlan:
    """The outputs of a fitted network, and which targets belong to which.

    Attributes:
        targets: Encoding of the targets.
        outputs: The outputs of a classifier; empty if the targets are numbers.
        structure: Names of the outputs if the model returns a dict, a list or tuple of their numbers if it returns
            several; `None` for one output alone.
        shape: Shape of a row of targets that are numbers, for one output.
    """

    targets: Targets
    outputs: tuple[Output, ...]
    structure: Any
    shape: tuple[int, ...] = ()

    @classmethod
    def of(cls, model: Model, outputs: Any, targets: Targets) -> OutputPlan:
        """Return the plan of a compiled model.

        Args:
            model: The model, compiled and built.
            outputs: What `predict` returns for some rows.
            targets: Encoding of the targets.

        Raises:
            ValueError: The outputs cannot be scores of the targets.
        """
        found = output_list(outputs)
        structure = list(outputs) if isinstance(outputs, Mapping) else type(outputs)(range(len(found)))
        structure = None if isinstance(outputs, np.ndarray) else structure
        if targets.kind == "values":
            return cls(targets, (), structure, found[0].shape[1:])
        n_columns = [1] * len(found) if targets.kind != "labels" else [one.shape[-1] for one in found]
        fits = len(found) == targets.n_columns if targets.kind != "labels" else sum(n_columns) == targets.n_columns
        if not fits:
            raise ValueError(_wrong_number(found, targets))
        losses, ends = _losses(model, len(found)), list(final_activations(model).values())
        ends_in = ends if len(ends) == len(found) else [None] * len(found)
        rows = zip(found, losses, ends_in, strict=True)
        n_classes = list(targets.widths) if targets.kind != "labels" else [2] * len(found)
        if targets.kind != "labels":
            _check_widths(found, n_classes)
        made = [
            Output.of(one, loss, end, count) if targets.kind != "labels" else _label_output(one, loss, end)
            for (one, loss, end), count in zip(rows, n_classes, strict=True)
        ]
        return cls(targets, tuple(made), structure)

    def encode(self, numbers: Array, dtype: Any) -> Any:
        """Return encoded targets in the structure of the outputs, as the losses take them.

        Args:
            numbers: What `Targets.encode` returned.
            dtype: Dtype of floats.
        """
        if self.targets.kind == "values":
            values = numbers.astype(dtype, copy=False)
            if self.structure is not None and len(self.structure) == numbers.shape[1]:
                return self._in_structure([values[:, [column]] for column in range(numbers.shape[1])])
            single = values.reshape(len(values), *self.shape) if np.prod(self.shape) == numbers.shape[1] else values
            return self._in_structure([single]) if self.structure is not None and len(self.structure) == 1 else single
        if self.targets.kind == "labels":
            ends = np.cumsum([one.width for one in self.outputs])[:-1]
            return self._in_structure([part.astype(dtype) for part in np.split(numbers, ends, axis=1)])
        return self._in_structure(
            [_as_loss_takes(one, column, dtype) for one, column in zip(self.outputs, numbers.T, strict=True)]
        )

    def probabilities(self, outputs: Any) -> list[Array]:
        """Return the probabilities of the classes for each column of classes, `(rows, classes)`; or those of labels."""
        found = [one.probabilities(array) for one, array in zip(self.outputs, output_list(outputs), strict=True)]
        if self.targets.kind == "labels":
            return [np.concatenate(found, axis=1)]
        return [_of_two(one) if one.shape[1] == 1 else one / one.sum(1, keepdims=True) for one in found]

    def scores(self, outputs: Any) -> list[Array]:
        """Return the logits of each column of classes: `(rows,)` for two classes, else `(rows, classes)`."""
        found = [one.scores(array) for one, array in zip(self.outputs, output_list(outputs), strict=True)]
        if self.targets.kind == "labels":
            return [np.concatenate(found, axis=1)]
        return [_margin(one) for one in found]

    def numbers(self, outputs: Any) -> Array:
        """Return the predicted class numbers, answers or values, `(rows, columns)`."""
        if self.targets.kind == "values":
            found = output_list(outputs)
            return np.concatenate([one.reshape(len(one), -1) for one in found], axis=1)
        scores = self.scores(outputs)
        if self.targets.kind == "labels":
            return (scores[0] > 0).astype(np.int64)
        return np.stack([(one > 0).astype(np.int64) if one.ndim == 1 else one.argmax(1) for one in scores], axis=1)

    def _in_structure(self, arrays: Sequence[Any]) -> Any:
        if self.structure is None:
            return arrays[0]
        if isinstance(self.structure, list) and self.structure and isinstance(self.structure[0], str):
            return dict(zip(self.structure, arrays, strict=True))
        return type(self.structure)(arrays)


def _label_output(outputs: Array, loss: Loss | None, ends_in: str | None) -> Output:
    """Return an output whose columns are yes-or-no questions."""
    answers = torch.zeros(outputs.shape)
    answers[::2] = 1  # rows of ones and of zeros are not one-hot
    spec = TaskSpec.of(loss, torch.from_numpy(outputs), answers, True, ends_in)
    return Output(outputs.shape[-1], loss, spec, takes_class_numbers=False)


def _as_loss_takes(output: Output, numbers: Array, dtype: Any) -> Array:
    if output.takes_class_numbers:
        return numbers
    return numbers[:, None].astype(dtype) if output.width == 1 else np.eye(output.width, dtype=dtype)[numbers]


def _losses(model: Model, n_outputs: int) -> list[Loss | None]:
    """Return the loss of each output of a compiled model."""
    trainer = trainer_of(model)
    found = [] if trainer is None else list(trainer.compiled_loss.losses.values())
    return found if len(found) == n_outputs else (found or [None])[:1] * n_outputs


def _of_two(second: Array) -> Array:
    """Return the probabilities of two classes, given those of the second one, `(rows, 1)`."""
    return np.concatenate([1 - second, second], axis=1)


def _margin(scores: Array) -> Array:
    """Return logits `(rows, classes)`; of two classes, that of the second class against the first, `(rows,)`."""
    if scores.shape[1] == 1:
        return scores[:, 0]
    return scores[:, 1] - scores[:, 0] if scores.shape[1] == 2 else scores


def _check_widths(outputs: Sequence[Array], n_classes: Sequence[int]) -> None:
    for one, count in zip(outputs, n_classes, strict=True):
        if one.ndim != 2 or (one.shape[1] != count and (one.shape[1], count) != (1, 2)):
            needed = f"{count} columns" + (", or 1," if count == 2 else "")
            raise ValueError(
                f"y has {count} classes, so the network must return {needed} for each row; it returns the shape "
                f"{one.shape[1:]}. A module may take the number as an argument n_classes, which is filled in; or pass "
                "it as module__... or in model_kwargs."
            )


def _wrong_number(outputs: Sequence[Array], targets: Targets) -> str:
    given = ", ".join(str(one.shape[1:]) for one in outputs)
    if targets.kind == "labels":
        return (
            f"y has {targets.n_columns} labels for each row, so the network must return {targets.n_columns} numbers "
            f"for each; it returns the shapes {given}."
        )
    return (
        f"y has {targets.n_columns} columns of classes, so the network must return {targets.n_columns} outputs; it "
        f"returns the shapes {given}."
    )
