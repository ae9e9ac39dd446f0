"""MetricSpec: one metric of one output, as the passes over data use it."""

from __future__ import annotations

import copy
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any, Literal

import torch
from torch import Tensor

from kerastorch.core.representation import represent
from kerastorch.losses.base import Loss
from kerastorch.metrics.accumulators import KerasMetric, torchmetrics_in
from kerastorch.metrics.class_inputs import ClassInputs, Prepared
from kerastorch.metrics.task import InputFormat, TaskSpec


@dataclass(frozen=True, repr=False)
class MetricSpec:
    """One metric of one output: its name in the logs, and how to make its accumulator.

    Attributes:
        name: Name in the logs, without that of the output.
        make: `TaskSpec -> accumulator`, called at the first batch.
        input_format: Format of the outputs and targets that the accumulator takes: see `TaskSpec.prepare`.
        higher_is_better: Whether larger values are better; `None` if unknown.
        is_classification: Whether the metric compares classes, not values.
        by_batch: Whether the accumulator gets every batch on its own. Default: many rows at once.
        if_unknown: What to do if outputs are either probabilities or logits and nothing tells which: `'ask'` raises
            an error; `'sigmoid'` treats them as logits, which preserves their order; `'raw'` passes them unchanged;
            `'check'` does too, and `class_inputs` examines their values.
        ignore_index: Label whose rows the accumulator leaves out, as a torchmetrics object made with
            `ignore_index` does. Default: none.
        class_inputs: How inputs of a metric of a built-in class are prepared, in place of `input_format`.
        is_weighted: Whether the accumulator gets the sample weights.
        user_object: The user's metric object that the accumulator updates, if any.
    """

    name: str
    make: Callable[[TaskSpec], Any]
    input_format: InputFormat = "task"
    higher_is_better: bool | None = None
    is_classification: bool = False
    by_batch: bool = False
    if_unknown: Literal["ask", "sigmoid", "raw", "check"] = "raw"
    ignore_index: int | None = None
    class_inputs: ClassInputs | None = None
    is_weighted: bool = False
    user_object: Any = None

    def __repr__(self) -> str:
        return represent(self, never=("make", "user_object"))

    def detached(self) -> MetricSpec:
        """Return the same metric, which updates a copy of the user's object, if there is one, in its place."""
        if self.user_object is None:
            return self
        copied = copy.deepcopy(self.user_object)
        return replace(self, make=lambda spec: KerasMetric(copied, self.name), user_object=copied)

    def resolve_spec(self, spec: TaskSpec, loss: Loss | None) -> TaskSpec:
        """Return the task of an output with a known `link` and the `ignore_index` of this metric.

        Args:
            spec: The task, as read from the loss and the first batch.
            loss: The loss of the output, for the error message.

        Raises:
            ValueError: Nothing tells whether the outputs are probabilities or logits, and the metric depends on it.
        """
        if self.ignore_index is not None:
            spec = replace(spec, left_out=self.ignore_index)
        if spec.link != "unknown":
            return spec
        if self.if_unknown == "check":
            return spec
        if self.if_unknown == "ask":
            raise ValueError(unknown_outputs(self.name, loss))
        return replace(spec, link="sigmoid" if self.if_unknown == "sigmoid" else None)

    def inputs_key(self, spec: TaskSpec) -> Any:
        """Return a key that is equal for metrics whose inputs are prepared in the same way."""
        return spec, self.class_inputs or self.input_format, self.is_weighted

    def prepare(self, spec: TaskSpec, y_pred: Tensor, y_true: Tensor, weight: Tensor | None) -> Prepared:
        """Return what the accumulator is updated with: outputs, targets, and weights if there are any.

        Args:
            spec: The task of the output.
            y_pred: Outputs of any number of rows.
            y_true: Targets of these rows.
            weight: Sample weights of these rows, or `None`.
        """
        weight = weight if self.is_weighted else None
        if self.class_inputs is not None:
            return self.class_inputs.prepare(spec, y_pred, y_true, weight)
        prepared = spec.prepare(y_pred, y_true, self.input_format)
        if weight is None:
            return prepared
        return (*prepared, spec.prepare_weight(y_pred, y_true, weight, self.input_format))

    def build(self, spec: TaskSpec, device: torch.device) -> Any:
        """Return a new accumulator, with methods `update(y_pred, y_true)`, `compute` and `reset`."""
        accumulator = self.make(spec)
        accumulator.to(device)
        for _, metric in torchmetrics_in(accumulator):
            # In a process group torchmetrics would wait for the other processes and return the value of all their rows,
            # while the loss in the same logs is that of the rows of this process. Therefore it does not synchronise.
            metric.sync_on_compute = metric._to_sync = False
        return accumulator


def unknown_outputs(metric: str, loss: Loss | None) -> str:
    """Return the error message that asks whether outputs are probabilities or logits."""
    given = "there is no loss that says it" if loss is None else f"the loss {loss.name!r} does not say"
    return (
        f"metric {metric!r} needs to know whether the outputs are probabilities or logits, and {given}. End the model "
        "in a sigmoid layer; or make the loss a subclass of kerastorch.losses.Loss with task = 'binary' and "
        "from_logits = True (or False); or pass an object such as torchmetrics.classification.BinaryAccuracy()."
    )
