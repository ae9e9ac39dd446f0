"""What compiled steps leave beside new weights, and how a graph's outputs become that."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor

from kerastorch.training.jit.errors import UntraceableError


class StepOutputs(NamedTuple):
    """What steps leave beside new weights; of several, vectors.

    Attributes:
        logs: those of `train_step`.
        weight: how much each weights, `None` for its rows.
        weights: the same for single logs.
        scores: for the metrics, of each step: `(y_pred, y_true)` by output.
    """

    logs: dict[str, Any]
    weight: Any
    weights: dict[str, Any]
    scores: list[dict[str, tuple[Any, Any]]]


def output_tensors(found: StepOutputs, given: Sequence[Tensor]) -> list[Tensor]:
    """What the graph returns: every tensor found that was not given."""
    known = {id(tensor) for tensor in given}
    return [value for value in _values(found) if isinstance(value, Tensor) and id(value) not in known]


def stack_outputs(found: list[StepOutputs]) -> StepOutputs:
    """What several steps found, as one."""

    def vector(values: list[Any]) -> Any:
        if all(value is None for value in values):
            return None
        return torch.stack([torch.as_tensor(value).reshape(()) for value in values])

    names, weighted = list(found[0].logs), list(found[0].weights)
    return StepOutputs(
        {name: vector([one.logs[name] for one in found]) for name in names},
        found[0].weight if isinstance(found[0].weight, int) else vector([one.weight for one in found]),
        {name: vector([one.weights[name] for one in found]) for name in weighted},
        [scores for one in found for scores in one.scores],
    )


def _values(found: StepOutputs) -> Iterator[Any]:
    yield from found.logs.values()
    yield from found.weights.values()
    for scores in found.scores:
        for pair in scores.values():
            yield from pair
    yield found.weight


def output_builder(
    found: StepOutputs, given: Sequence[Tensor], parts: int
) -> Callable[[list[Tensor], list[Tensor]], StepOutputs]:
    """What puts a call's tensors where this call's were; `given` ends in the `parts` tensors of a batch."""
    made = {id(tensor): place for place, tensor in enumerate(output_tensors(found, given))}
    fed = {id(tensor): len(made) + place for place, tensor in enumerate(given[len(given) - parts :])}
    constants = [value for value in _values(found) if id(value) not in made and id(value) not in fed]
    if any(isinstance(value, Tensor) for value in constants):
        raise UntraceableError("train_step returns a weight itself; return a copy")
    fixed = {id(value): len(made) + parts + place for place, value in enumerate(constants)}
    place = {**fixed, **fed, **made}
    logs = [(name, place[id(value)]) for name, value in found.logs.items()]
    weights = [(name, place[id(value)]) for name, value in found.weights.items()]
    scores = [{name: (place[id(a)], place[id(b)]) for name, (a, b) in some.items()} for some in found.scores]
    weight = place[id(found.weight)]

    def assemble(returned: list[Tensor], batch: list[Tensor]) -> StepOutputs:
        values = [*returned, *batch, *constants]
        return StepOutputs(
            {name: values[at] for name, at in logs},
            values[weight],
            {name: values[at] for name, at in weights},
            [{name: (values[a], values[b]) for name, (a, b) in some.items()} for some in scores],
        )

    return assemble
