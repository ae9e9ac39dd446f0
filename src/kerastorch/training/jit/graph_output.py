"""Results of compiled graphs, and how they are built from the tensors that a graph returns."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor

from kerastorch.training.jit.errors import UntraceableError
from kerastorch.training.step_output import StepOutput


class GraphOutput(NamedTuple):
    """Result of the steps in one compiled graph, besides the new weights.

    Attributes:
        step: Logs and their weights; vectors if the graph holds several steps.
        metric_inputs: `(y_pred, y_true, sample_weight)` by output name, for each step.
    """

    step: StepOutput
    metric_inputs: list[dict[str, tuple[Any, ...]]]


OutputBuilder = Callable[[list[Tensor], list[Tensor]], GraphOutput]


def join_graph_outputs(outputs: Sequence[GraphOutput]) -> GraphOutput:
    """Join the results of several steps into one."""
    metric_inputs = [pairs for output in outputs for pairs in output.metric_inputs]
    return GraphOutput(join_step_outputs([output.step for output in outputs]), metric_inputs)


def join_step_outputs(outputs: Sequence[StepOutput]) -> StepOutput:
    """Join the outputs of steps on batches of one shape: numbers become vectors `(steps,)`."""
    first = outputs[0]
    return StepOutput(
        {name: _stack([output.logs[name] for output in outputs]) for name in first.logs},
        # a number of rows or elements depends on the shape alone and is equal for all steps
        _stack([output.weight for output in outputs]) if isinstance(first.weight, Tensor) else first.weight,
        {name: _stack([output.weights[name] for output in outputs]) for name in first.weights},
        all(output.has_compiled_loss for output in outputs),
    )


def _stack(numbers: Sequence[Any]) -> Tensor:
    return torch.stack([torch.as_tensor(number).detach().reshape(()) for number in numbers])


def plan_output(
    output: GraphOutput, arguments: Sequence[Tensor], n_batch_tensors: int
) -> tuple[list[Tensor], OutputBuilder]:
    """Decide which tensors a graph must return to build `output` after each call.

    Args:
        output: Result of the traced function.
        arguments: Arguments of the traced function; the last `n_batch_tensors` of them belong to the batches.
        n_batch_tensors: Number of tensors in the batches.

    Returns:
        The tensors of `output` that are no arguments, and a function that takes their values and the batch tensors of
        a call and returns the result of that call.

    Raises:
        UntraceableError: `output` contains a weight itself.
    """
    argument_ids = {id(tensor) for tensor in arguments}
    batch = arguments[len(arguments) - n_batch_tensors :]
    batch_ids = {id(tensor) for tensor in batch}
    values = list(_values(output))
    computed = [value for value in values if isinstance(value, Tensor) and id(value) not in argument_ids]
    constants = [value for value in values if not isinstance(value, Tensor)]
    if any(isinstance(value, Tensor) and id(value) in argument_ids - batch_ids for value in values):
        raise UntraceableError("train_step returns a weight itself; return a copy")
    index = {id(value): position for position, value in enumerate([*computed, *batch, *constants])}

    logs = [(name, index[id(value)]) for name, value in output.step.logs.items()]
    weights = [(name, index[id(value)]) for name, value in output.step.weights.items()]
    weight, has_compiled_loss = index[id(output.step.weight)], output.step.has_compiled_loss
    metric_inputs = [
        [(name, [index[id(one)] for one in parts]) for name, parts in pairs.items()] for pairs in output.metric_inputs
    ]

    def build(returned: list[Tensor], batch: list[Tensor]) -> GraphOutput:
        found = [*returned, *batch, *constants]
        return GraphOutput(
            StepOutput(
                {name: found[at] for name, at in logs},
                found[weight],
                {name: found[at] for name, at in weights},
                has_compiled_loss,
            ),
            [{name: tuple(found[at] for at in parts) for name, parts in pairs} for pairs in metric_inputs],
        )

    return computed, build


def _values(output: GraphOutput) -> Iterator[Any]:
    yield from output.step.logs.values()
    yield from output.step.weights.values()
    for pairs in output.metric_inputs:
        for pair in pairs.values():
            yield from pair
    yield output.step.weight
