"""MemberGraph: the losses and gradients of one batch of one model, recorded as a graph."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor
from torch.fx import GraphModule

from kerastorch.core.nested import leaves
from kerastorch.core.rng_state import preserved_rng_states
from kerastorch.data.batches import Batch
from kerastorch.training.jit.errors import UntraceableError
from kerastorch.training.jit.functional_step import (
    StepModule,
    functional_step,
    stateful_objects,
    trainable_leaves,
    with_tensors,
)
from kerastorch.training.jit.graph_output import OutputBuilder, plan_output
from kerastorch.training.jit.own_step_checks import forbid_optimizer_steps
from kerastorch.training.jit.side_effects import forbid_side_effects
from kerastorch.training.jit.trainer_protocol import TrainerProtocol
from kerastorch.training_together.operation_recorder import ForbidReads, OperationRecorder

MAX_OPERATIONS = 4000


class MemberGraph(NamedTuple):
    """A training step of one model without the step of the optimizer.

    Attributes:
        graph: Takes the weights, the buffers and the tensors of a batch, in this order; changes the buffers; returns
            numbers for `build_output`, then the gradients.
        trained: Names of the weights that have gradients, in the order of these.
        build_output: Takes the numbers and the tensors of the batch; returns the logs and what metrics need.
        n_numbers: Number of results that are not gradients.
    """

    graph: GraphModule
    trained: tuple[str, ...]
    build_output: OutputBuilder
    n_numbers: int


def record_member(trainer: TrainerProtocol, module: StepModule, batch: Batch) -> MemberGraph:
    """Compute the loss and gradients of a batch, with nothing changed, and record the operations.

    Args:
        trainer: Holds the model and the losses.
        module: Module of the model and the losses.
        batch: The batch.

    Raises:
        UntraceableError: The step has side effects, or depends on the values of tensors.
    """
    parameters = dict(module.named_parameters())
    weights = {name: weight.detach().clone() for name, weight in parameters.items()}
    buffers = {name: buffer.detach().clone() for name, buffer in module.named_buffers()}
    batch_tensors = [leaf.clone() for _, leaf in leaves(tuple(batch))]
    inputs = [*weights.values(), *buffers.values(), *batch_tensors]
    recorder = OperationRecorder(inputs)
    gradients: dict[str, Tensor] = {}
    with (
        preserved_rng_states(),
        forbid_side_effects(stateful_objects(trainer, module)),
        forbid_optimizer_steps(trainer.model),
        ForbidReads(),
        recorder,
    ):
        leaf_weights = trainable_leaves(weights, parameters)

        def compute_gradients(loss: Tensor, optimizer: str | None = None) -> None:  # noqa: ARG001
            gradients.update(_gradients(loss, leaf_weights))

        given = with_tensors(batch, iter(batch_tensors))
        try:
            output = functional_step(trainer, module, leaf_weights, buffers, given, compute_gradients)
        except (RuntimeError, TypeError, ValueError, NotImplementedError) as error:
            raise UntraceableError(f"a step cannot be recorded: {str(error).splitlines()[0]}") from error
        numbers, build_output = plan_output(output, [*leaf_weights.values(), *inputs], len(batch_tensors))
        numbers = [tensor.detach() for tensor in numbers]
    _check_constants(recorder.constants(), [*parameters.values(), *module.buffers()])
    graph = recorder.finish([*numbers, *gradients.values()])
    if len(graph.graph.nodes) > MAX_OPERATIONS:
        raise UntraceableError(f"a step has {len(graph.graph.nodes)} operations")
    return MemberGraph(graph, tuple(gradients), build_output, len(numbers))


def _gradients(loss: Tensor, weights: dict[str, Tensor]) -> dict[str, Tensor]:
    """Return the gradients of a loss by name of the weight, without weights that it does not depend on."""
    wanted = {name: weight for name, weight in weights.items() if weight.requires_grad}
    found = torch.autograd.grad(loss, list(wanted.values()), allow_unused=True)
    gradients = {name: gradient for name, gradient in zip(wanted, found, strict=True) if gradient is not None}
    if any(gradient.layout != torch.strided for gradient in gradients.values()):
        raise UntraceableError("gradients are sparse")
    return gradients


def _check_constants(constants: Sequence[Tensor], own: Sequence[Tensor]) -> None:
    """Raise an error if a graph holds a weight or buffer of the model itself.

    Raises:
        UntraceableError: A step has found it elsewhere than in an attribute of its module.
    """
    storages = {tensor.untyped_storage().data_ptr() for tensor in own if tensor.numel()}
    if any(one.requires_grad or one.untyped_storage().data_ptr() in storages for one in constants if one.numel()):
        raise UntraceableError("a weight is used that is held in a list or elsewhere, not as its module's attribute")
