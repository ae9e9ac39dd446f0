"""Steps of learning, recorded as a torch.fx graph: what `train_step` does with tensors, and nothing else."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.func import functional_call
from torch.fx import GraphModule
from torch.fx.experimental.proxy_tensor import make_fx

from kerastorch.constraints import apply_constraints
from kerastorch.core.module_tree import modules
from kerastorch.core.nested import leaves, map_structure
from kerastorch.core.torch_private import compiling_flag
from kerastorch.data.batches import Batch
from kerastorch.training.jit.errors import UntraceableError
from kerastorch.training.jit.functional_optimizer import State, functional_optimizer_step
from kerastorch.training.jit.graph_passes import compute_once, draw_apart
from kerastorch.training.jit.parameter_buckets import ParameterBucket
from kerastorch.training.jit.side_effects import forbid_side_effects
from kerastorch.training.jit.step_outputs import StepOutputs, output_builder, output_tensors, stack_outputs
from kerastorch.training.optimizer_step import OptimizerStep

LARGEST = 4000  # operations: beyond, compiling takes many minutes


class Trace(NamedTuple):
    """A recorded step.

    Attributes:
        graph: takes `inputs` and the tensors of a batch, writes new values into `inputs`, returns tensors.
        inputs: weights, buffers, optimizer state and learning rates, as they live in the model and the optimizer.
        owned: how many of `inputs` are weights and buffers: they come first.
        rates: of each parameter group, the learning rate as a tensor among `inputs`.
        assemble: makes of the tensors returned, and those of the batch, what the step found.
    """

    graph: GraphModule
    inputs: list[Tensor]
    owned: int
    rates: list[Tensor]
    assemble: Callable[[list[Tensor], list[Tensor]], StepOutputs]


class _Step(nn.Module):
    """All modules that a step computes with, as one."""

    def __init__(self, model: nn.Module, losses: list[nn.Module], step: Callable[[Batch], Any]) -> None:
        super().__init__()
        self.model = model
        self.losses = nn.ModuleList(losses)
        self._step = step

    def forward(self, batch: Batch) -> Any:
        return self._step(batch)


class _Recorder:
    """In the place of the meter: keeps what the metrics would be given."""

    def __init__(self) -> None:
        self.scores: list[dict[str, tuple[Any, Any]]] = []

    def update(self, y_pred: Mapping[str, Any], y_true: Mapping[str, Any]) -> None:
        self.scores.append({name: (y_pred[name], y_true.get(name)) for name in y_pred})


def trace(trainer: Any, update: OptimizerStep, cells: list[ParameterBucket], batches: Sequence[Batch]) -> Trace:
    """Record what `model.train_step` computes on batches, one after the other, on tensors without values.

    Args:
        trainer: knows the model, the objective and the metrics.
        update: of the optimizer, whose state has been made.
        cells: what the optimizer works on.
        batches: of the shape meant.

    Raises:
        UntraceableError: with the cause.
    """
    optimizer, compiled_loss, model = update.optimizer, trainer.compiled_loss, trainer.model
    losses = [
        f for loss in compiled_loss.losses.values() if isinstance(f := getattr(loss, "function", loss), nn.Module)
    ]
    step = _Step(model, losses, model.train_step)
    weights, buffers = dict(step.named_parameters()), dict(step.named_buffers())
    rates = [_rate(group) for group in optimizer.param_groups]
    state = [tensor for cell in cells for tensor in cell.tensors()]
    inputs = [*weights.values(), *buffers.values(), *state, *rates]
    parts = [leaf for _, leaf in leaves([tuple(batch) for batch in batches])]
    found: list[StepOutputs] = []
    seen: list[Tensor] = []

    def steps(*tensors: Tensor) -> list[Tensor]:
        given = iter(tensors)
        values = {name: next(given) for name in weights}
        kept = {name: next(given) for name in buffers}
        states = [({key: next(given) for key in c.rows}, {key: next(given) for key in c.scalars}) for c in cells]
        lr = [next(given) for _ in rates]
        found[:] = [one_step(values, kept, states, lr, _refilled(batch, given)) for batch in batches]
        found[:] = [found[0] if len(found) == 1 else stack_outputs(found)]
        seen[:] = tensors
        return [tensor.detach() for tensor in output_tensors(found[0], tensors)]

    def one_step(
        values: dict[str, Tensor],
        kept: dict[str, Tensor],
        states: list[State],
        lr: list[Tensor],
        batch: Batch,
    ) -> StepOutputs:
        leaf = {name: value.detach().requires_grad_(weights[name].requires_grad) for name, value in values.items()}
        leaf_of = {id(weight): leaf[name] for name, weight in weights.items()}
        recorder = _Recorder()

        def backward_and_step(loss: Tensor) -> None:
            functional_optimizer_step(
                update, cells, [[leaf_of[id(w)] for w in cell.weights] for cell in cells], states, lr, loss
            )
            apply_constraints((leaf_of[id(weight)], constraint) for weight, constraint in update.constraints)

        penalties = [p._replace(weight=leaf_of.get(id(p.weight), p.weight)) for p in compiled_loss.penalties]
        compiled_loss.begin_step()
        try:
            with (
                trainer.using(recorder, backward_and_step) as context,
                compiled_loss.with_penalties(penalties),
                torch.enable_grad(),
            ):
                output = context.take_output(functional_call(step, {**leaf, **kept}, (batch,)))
                return StepOutputs(dict(output.logs), output.weight, dict(output.weights), recorder.scores)
        finally:
            compiled_loss.begin_step()

    with (
        forbid_side_effects(
            [*modules(model), *(m for loss in losses for m in loss.modules()), *compiled_loss.losses.values()]
        ),
        compiling_flag(),
    ):
        graph = make_fx(steps, tracing_mode="fake", _allow_non_fake_inputs=True)(*inputs, *parts)
    _check_constants(graph, inputs)
    draw_apart(graph)
    compute_once(graph)
    if any("mkldnn_rnn" in str(node.target) for node in graph.graph.nodes):
        raise UntraceableError("torch's LSTM on the CPU has a kernel of its own, which compiled graphs cannot call")
    size = len(graph.graph.nodes)
    if size > LARGEST:
        raise UntraceableError(f"the graph has {size} operations, which would take many minutes to compile")
    return Trace(graph, inputs, len(weights) + len(buffers), rates, output_builder(found[0], seen, len(parts)))


def _check_constants(graph: GraphModule, inputs: list[Tensor]) -> None:
    """No weight or buffer may be in the graph as it is now: reached by another way than its module's attribute."""
    known = {tensor.untyped_storage().data_ptr() for tensor in inputs if tensor.numel()}
    for node in graph.graph.nodes:
        value = getattr(graph, str(node.target), None) if node.op == "get_attr" else None
        if isinstance(value, Tensor) and (value.requires_grad or value.untyped_storage().data_ptr() in known):
            raise UntraceableError(
                "a weight is used that is held in a list or elsewhere, not as its module's attribute"
            )


def _refilled(batch: Batch, tensors: Iterator[Tensor]) -> Batch:
    """A batch of the same structure with other tensors."""
    return Batch(*map_structure(lambda t: None if t is None else next(tensors), tuple(batch)))


def _rate(group: dict[str, Any]) -> Tensor:
    rate = group["lr"]
    if isinstance(rate, Tensor):
        return rate
    like = next(iter(group["params"]), torch.empty(0))
    return torch.tensor(rate, dtype=like.dtype, device=like.device)
