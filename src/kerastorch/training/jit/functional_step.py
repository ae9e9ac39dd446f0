"""The training step of a model as a function of its weights, buffers and a batch."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import torch
from torch import Tensor, nn
from torch.func import functional_call

from kerastorch.core.module_tree import modules
from kerastorch.core.nested import map_structure
from kerastorch.data.batches import Batch
from kerastorch.training.jit.errors import UntraceableError
from kerastorch.training.jit.graph_output import GraphOutput
from kerastorch.training.jit.own_step_checks import forbid_metric_updates, held_objects, readable_parts
from kerastorch.training.jit.trainer_protocol import TrainerProtocol
from kerastorch.training.own_steps import Step, step_of
from kerastorch.training.step_output import BackwardAndStep, StepOutput


class StepModule(nn.Module):
    """Model and losses as one module whose `forward` is `train_step`.

    Args:
        trainer: Holds the model and the losses.
    """

    def __init__(self, trainer: TrainerProtocol) -> None:
        super().__init__()
        self.model = trainer.model
        self.losses = nn.ModuleList(trainer.compiled_loss.outputs.modules())

    def forward(self, step: Step, batch: Batch) -> Mapping[str, Any] | StepOutput:
        return step(batch)


def stateful_objects(trainer: TrainerProtocol, module: StepModule) -> list[object]:
    """Return the modules and losses whose attributes a step could change."""
    losses = [part for loss in module.losses for part in loss.modules()]
    parts = modules(trainer.model)
    return [*parts, *losses, *trainer.compiled_loss.losses.values(), *held_objects(parts)]


def trainable_leaves(weights: Mapping[str, Tensor], parameters: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Return tensors as leaves of autograd, which need gradients where the parameters of the same names do."""
    return {name: tensor.detach().requires_grad_(parameters[name].requires_grad) for name, tensor in weights.items()}


def functional_step(
    trainer: TrainerProtocol,
    module: StepModule,
    weights: Mapping[str, Tensor],
    buffers: Mapping[str, Tensor],
    batch: Batch,
    backward_and_step: BackwardAndStep,
) -> GraphOutput:
    """Run `train_step` on a batch with other weights and buffers; metrics are not updated.

    Args:
        trainer: Holds the model and the losses.
        module: Module of the model and the losses.
        weights: Values of its parameters, by name.
        buffers: Values of its buffers, by name.
        batch: The batch.
        backward_and_step: Called with the loss.

    Raises:
        UntraceableError: The step updates or reads metrics itself.
    """
    values = {id(parameter): weights[name] for name, parameter in module.named_parameters()}
    compiled_loss, recorder = trainer.compiled_loss, _MetricsRecorder()
    penalties = [
        penalty._replace(weight=values.get(id(penalty.weight), penalty.weight))  # type: ignore[arg-type]
        for penalty in compiled_loss.penalties
    ]
    compiled_loss.begin_step()
    try:
        with (
            trainer.using(recorder, backward_and_step) as context,
            compiled_loss.with_penalties(penalties),
            torch.enable_grad(),
        ):
            step = step_of(trainer, "train_step")
            with readable_parts(trainer.model), forbid_metric_updates(trainer):
                logs = functional_call(module, {**weights, **buffers}, (step, batch))
            output = logs if isinstance(logs, StepOutput) else context.take_output(logs)
    finally:
        compiled_loss.begin_step()
    return GraphOutput(output._replace(logs=dict(output.logs), weights=dict(output.weights)), recorder.inputs)


def with_tensors(batch: Batch, tensors: Iterator[Tensor]) -> Batch:
    """Return a batch of the same structure with other tensors."""
    return Batch(*map_structure(lambda _: next(tensors), tuple(batch)))


class _MetricsRecorder:
    """Stores what a step passes to the metrics, which are updated outside the graph."""

    is_updated = False

    def __init__(self) -> None:
        self.inputs: list[dict[str, tuple[Any, Any, Any]]] = []

    def set_results(self, results: Mapping[str, Any]) -> None:
        """Raise an error, as metric objects are updated outside of graphs."""
        raise UntraceableError(f"train_step returns the result of a metric object, {next(iter(results))!r}")

    def mean(self, name: str) -> float | None:
        """Raise an error, as a graph cannot read means."""
        raise UntraceableError(f"train_step reads the mean of {name!r}")

    def metric(self, name: str) -> float | None:
        """Raise an error, as a graph cannot read metrics."""
        raise UntraceableError(f"train_step reads the value of metric {name!r}")

    def update(
        self, y_pred: Mapping[str, Any], y_true: Mapping[str, Any], sample_weight: Mapping[str, Any] = {}
    ) -> None:
        self.inputs.append({name: (y_pred[name], y_true.get(name), sample_weight.get(name)) for name in y_pred})
