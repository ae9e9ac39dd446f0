"""Tracing of training steps: `train_step` and optimizer step, as one torch.fx graph.

`make_fx` runs the model's own `train_step`, in which the backward pass and the step of the user's optimizer are
recorded with weights, buffers and optimizer state as inputs. A compiled step is therefore the eager one: there is no
second training loop and no second implementation of an optimizer.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.fx import GraphModule
from torch.fx.experimental.proxy_tensor import make_fx

from kerastorch.constraints import apply_constraints
from kerastorch.core.nested import leaves
from kerastorch.core.torch_private import compiling_flag
from kerastorch.data.batches import Batch
from kerastorch.training.jit.errors import UntraceableError
from kerastorch.training.jit.functional_optimizer import functional_optimizer_step
from kerastorch.training.jit.functional_step import (
    StepModule,
    functional_step,
    stateful_objects,
    trainable_leaves,
    with_tensors,
)
from kerastorch.training.jit.graph_output import GraphOutput, OutputBuilder, join_graph_outputs, plan_output
from kerastorch.training.jit.graph_passes import materialize_scalars, replace_inplace_bernoulli
from kerastorch.training.jit.own_step_checks import (
    check_constants,
    forbid_optimizer_steps,
)
from kerastorch.training.jit.parameter_buckets import BucketState, ParameterBucket
from kerastorch.training.jit.side_effects import forbid_side_effects
from kerastorch.training.jit.trainer_protocol import TrainerProtocol
from kerastorch.training.optimizer_step import OptimizerStep

MAX_OPERATIONS = 4000  # compiling a larger graph takes many minutes


class TracedSteps(NamedTuple):
    """Training steps, recorded as a graph.

    Attributes:
        graph: Takes `inputs` and the tensors of a batch, writes new values into `inputs`, returns a list of tensors.
        inputs: Weights, buffers, optimizer state and learning rates: the tensors of the model and the optimizer.
        n_model_tensors: Number of weights and buffers, which come first in `inputs`.
        learning_rates: Learning rate of each parameter group, as a tensor among `inputs`.
        build_output: Takes the tensors that the graph returned and those of the batch; returns the result of the steps.
    """

    graph: GraphModule
    inputs: list[Tensor]
    n_model_tensors: int
    learning_rates: list[Tensor]
    build_output: OutputBuilder


def trace_steps(
    trainer: TrainerProtocol,
    optimizer_step: OptimizerStep,
    buckets: Sequence[ParameterBucket],
    batches: Sequence[Batch],
) -> TracedSteps:
    """Record one training step for each batch as a graph, on fake tensors.

    Args:
        trainer: Holds the model and the losses.
        optimizer_step: Step of the optimizer, which has made its state.
        buckets: Parameters that have gradients.
        batches: Example batches.

    Raises:
        UntraceableError: A step has side effects, or does what Inductor cannot compile in reasonable time.
    """
    steps = _StepFunction(trainer, optimizer_step, buckets, batches)
    inputs = steps.state.tensors()
    with (
        forbid_side_effects(stateful_objects(trainer, steps.module)),
        forbid_optimizer_steps(trainer.model),
        compiling_flag(),
    ):
        graph = make_fx(steps, tracing_mode="fake", _allow_non_fake_inputs=True)(*inputs, *steps.batch_tensors)
    assert steps.build_output is not None
    _check_captured_constants(graph, inputs)
    check_constants(graph, trainer.model)
    replace_inplace_bernoulli(graph)
    materialize_scalars(graph)
    _check_operations(graph)
    n_model_tensors = len(steps.state.weights) + len(steps.state.buffers)
    return TracedSteps(graph, inputs, n_model_tensors, steps.state.learning_rates, steps.build_output)


class _State(NamedTuple):
    """Tensors that a training step reads and updates.

    Attributes:
        weights: Parameters of the model and the losses, by name.
        buffers: Their buffers, by name.
        buckets: Optimizer state of each parameter bucket.
        learning_rates: Learning rate of each parameter group.
    """

    weights: dict[str, Tensor]
    buffers: dict[str, Tensor]
    buckets: list[BucketState]
    learning_rates: list[Tensor]

    def tensors(self) -> list[Tensor]:
        """Return all tensors, in a fixed order: weights and buffers first."""
        optimizer_state = [tensor for bucket in self.buckets for tensor in bucket.tensors()]
        return [*self.weights.values(), *self.buffers.values(), *optimizer_state, *self.learning_rates]

    def with_tensors(self, tensors: Iterator[Tensor]) -> _State:
        """Return the same structure with other tensors, in the order of `tensors`."""
        return _State(
            {name: next(tensors) for name in self.weights},
            {name: next(tensors) for name in self.buffers},
            [
                BucketState(
                    {key: next(tensors) for key in bucket.elementwise},
                    {key: next(tensors) for key in bucket.per_weight},
                )
                for bucket in self.buckets
            ],
            [next(tensors) for _ in self.learning_rates],
        )


class _StepFunction:
    """Training steps as a function of tensors: first those of the state, then the batches.

    Args:
        trainer: Holds the model and the losses.
        optimizer_step: Step of the optimizer, which has made its state.
        buckets: Parameters that have gradients.
        batches: Example batches.

    Attributes:
        module: Module of the model and the losses.
        state: The tensors of the model and the optimizer.
        batch_tensors: The tensors of the batches.
        build_output: Builds the result of the steps; `None` before the function was traced.
    """

    def __init__(
        self,
        trainer: TrainerProtocol,
        optimizer_step: OptimizerStep,
        buckets: Sequence[ParameterBucket],
        batches: Sequence[Batch],
    ) -> None:
        self._trainer, self._optimizer_step, self._buckets, self._batches = trainer, optimizer_step, buckets, batches
        self.module = StepModule(trainer)
        self._parameters = dict(self.module.named_parameters())
        self.state = _State(
            {**self._parameters},
            dict(self.module.named_buffers()),
            [bucket.state for bucket in buckets],
            [_learning_rate_tensor(group) for group in optimizer_step.optimizer.param_groups],
        )
        self.batch_tensors: list[Tensor] = [leaf for _, leaf in leaves([tuple(batch) for batch in batches])]
        self.build_output: OutputBuilder | None = None

    def __call__(self, *tensors: Tensor) -> list[Tensor]:
        """Make a step on each batch, in place; return the tensors for `build_output`."""
        remaining = iter(tensors)
        state = self.state.with_tensors(remaining)
        outputs = [self._step(state, with_tensors(batch, remaining)) for batch in self._batches]
        output = outputs[0] if len(outputs) == 1 else join_graph_outputs(outputs)
        returned, self.build_output = plan_output(output, tensors, len(self.batch_tensors))
        return [tensor.detach() for tensor in returned]

    def _step(self, state: _State, batch: Batch) -> GraphOutput:
        """Run `train_step` on a batch; write the new weights and optimizer state into `state`."""
        weights = trainable_leaves(state.weights, self._parameters)
        traced = {id(parameter): weights[name] for name, parameter in self._parameters.items()}

        def backward_and_step(loss: Tensor, optimizer: str | None = None) -> None:
            assert optimizer is None  # several optimizers are not compiled
            by_bucket = [[traced[id(weight)] for weight in bucket.weights] for bucket in self._buckets]
            functional_optimizer_step(
                self._optimizer_step, self._buckets, by_bucket, state.buckets, state.learning_rates, loss
            )
            apply_constraints(
                (traced[id(weight)], constraint) for weight, constraint in self._optimizer_step.constraints
            )

        return functional_step(self._trainer, self.module, weights, state.buffers, batch, backward_and_step)


def _learning_rate_tensor(group: dict[str, Any]) -> Tensor:
    """Return the learning rate of a parameter group as a scalar tensor beside its weights."""
    rate = group["lr"]
    if isinstance(rate, Tensor):
        return rate
    like = next(iter(group["params"]), torch.empty(0))
    return torch.tensor(rate, dtype=like.dtype, device=like.device)


def _check_captured_constants(graph: GraphModule, inputs: Sequence[Tensor]) -> None:
    """Raise an error if the graph holds a weight as a constant instead of an input.

    Raises:
        UntraceableError: A step has found a weight or buffer elsewhere than in an attribute of its module.
    """
    storages = {tensor.untyped_storage().data_ptr() for tensor in inputs if tensor.numel()}
    for node in graph.graph.nodes:
        value = getattr(graph, str(node.target), None) if node.op == "get_attr" else None
        if isinstance(value, Tensor) and (value.requires_grad or value.untyped_storage().data_ptr() in storages):
            raise UntraceableError(
                "a weight is used that is held in a list or elsewhere, not as its module's attribute"
            )


def _check_operations(graph: GraphModule) -> None:
    """Raise an error if a graph has operations that Inductor cannot compile, or too many.

    Raises:
        UntraceableError: With the reason.
    """
    if any("mkldnn_rnn" in str(node.target) for node in graph.graph.nodes):
        raise UntraceableError("torch's LSTM on the CPU has a kernel of its own, which compiled graphs cannot call")
    size = len(graph.graph.nodes)
    if size > MAX_OPERATIONS:
        raise UntraceableError(f"the graph has {size} operations, which would take many minutes to compile")
