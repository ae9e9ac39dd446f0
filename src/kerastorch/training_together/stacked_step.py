"""StackedStep: one training step of several models, on a batch of each."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any

import torch
from torch import Tensor

from kerastorch.core.nested import leaves
from kerastorch.data.batches import Batch
from kerastorch.training.jit.errors import UntraceableError
from kerastorch.training.jit.graph_output import GraphOutput
from kerastorch.training_together.member import Member
from kerastorch.training_together.member_graph import MemberGraph
from kerastorch.training_together.parameter_stack import ParameterStack, can_be_joined, kind_of_state
from kerastorch.training_together.stacked_optimizer import StackedOptimizers
from kerastorch.training_together.stacking import Exactness, Generators, stack_graph
from kerastorch.training_together.tensor_stack import TensorStack


class StackedStep:
    """Training steps of several models of one architecture, which run as one graph.

    `load` copies what the models have learned into stacks, and `unload` copies it back. In between, the models stay as
    they were.

    Args:
        members: The models.
        recorded: The step of the first one.
        batches: A batch of each, of equal shapes.
        exactness: How operations are stacked.

    Raises:
        UntraceableError: The models cannot be stacked.
    """

    def __init__(
        self, members: Sequence[Member], recorded: MemberGraph, batches: Sequence[Batch], exactness: Exactness
    ) -> None:
        self._build_output, self._n_numbers = recorded.build_output, recorded.n_numbers
        parameters = [member.parameters() for member in members]
        self._stacks = _parameter_stacks(members, parameters, recorded.trained)
        views = {name: view for stack in self._stacks for name, view in stack.weight_views.items()}
        gradients = {name: view for stack in self._stacks for name, view in stack.gradient_views.items()}
        self._gradients = [gradients[name] for name in recorded.trained]
        names = [{id(weight): name for name, weight in named.items()} for named in parameters]
        self._optimizers = StackedOptimizers([one.optimizer_step for one in members], self._stacks, names)
        frozen = [name for name in parameters[0] if name not in views]
        self._frozen = TensorStack([partial(_named, member, frozen) for member in members])
        self._buffers = TensorStack([partial(_buffers, member) for member in members])
        all_weights = {**views, **dict(zip(frozen, self._frozen.stacked, strict=True))}
        self._inputs = [*(all_weights[name] for name in parameters[0]), *self._buffers.stacked]
        self._generators = Generators(member.generator for member in members)
        self.load()
        states = self.random_states()
        inputs = [*self._inputs, *_stacked_tensors(batches)]
        self._graph = stack_graph(recorded.graph, inputs, self._generators, exactness)
        self.set_random_states(states)

    @torch.no_grad()
    def load(self) -> None:
        """Take over weights, buffers and optimizer states from the models."""
        for stack in self._stacks:
            stack.load()
        self._frozen.load()
        self._buffers.load()
        self._optimizers.begin()

    @torch.no_grad()
    def unload(self, wanted: Sequence[bool]) -> None:
        """Give the models that are wanted their weights, buffers and optimizer states."""
        for stack in self._stacks:
            stack.unload(wanted)
        self._buffers.unload(wanted)
        self._optimizers.end(wanted)

    @torch.no_grad()
    def __call__(self, batches: Sequence[Batch]) -> list[GraphOutput]:
        """Make a step of each model; return their results."""
        tensors = [_tensors(batch) for batch in batches]
        returned = self._graph(*self._inputs, *map(torch.stack, zip(*tensors, strict=True)))
        torch._foreach_copy_(self._gradients, list(returned[self._n_numbers :]))
        self._optimizers.step()
        numbers = [number.unbind() for number in returned[: self._n_numbers]]
        return [self._build_output([number[row] for number in numbers], given) for row, given in enumerate(tensors)]

    def equals_members(self) -> bool:
        """Return whether the models have the weights, buffers and states of the stacks, bit by bit."""
        return all(stack.equals_members() for stack in self._stacks) and self._buffers.equals_members()

    def random_states(self) -> list[Tensor]:
        """Return the states of the models' random generators."""
        return [generator.get_state() for generator in self._generators.generators]

    def set_random_states(self, states: Sequence[Tensor]) -> None:
        """Restore what `random_states` returned."""
        for generator, state in zip(self._generators.generators, states, strict=True):
            generator.set_state(state)


def _named(member: Member, names: Sequence[str]) -> list[Tensor]:
    parameters = member.parameters()
    return [parameters[name] for name in names]


def _buffers(member: Member) -> list[Tensor]:
    return list(member.module.buffers())


def _parameter_stacks(
    members: Sequence[Member], parameters: Sequence[Mapping[str, Tensor]], trained: Sequence[str]
) -> list[ParameterStack]:
    """Return the weights that have gradients, by parameter group.

    Raises:
        UntraceableError: The parameter groups of the models differ, or do not hold a weight.
    """
    optimizers = [member.optimizer_step.optimizer for member in members]
    places = [_groups_of(optimizer, named) for optimizer, named in zip(optimizers, parameters, strict=True)]
    if any(place != places[0] for place in places):
        raise UntraceableError("the parameter groups of the optimizers differ")
    groups: dict[Any, list[str]] = {}
    for name in trained:
        if name not in places[0]:
            raise UntraceableError(f"the optimizer does not hold {name}, which has a gradient")
        weight = parameters[0][name]
        kind = kind_of_state(optimizers[0].state.get(weight, {}), weight)
        groups.setdefault((places[0][name], can_be_joined(weight), kind), []).append(name)
    return [
        ParameterStack(optimizers, [{name: named[name] for name in names} for named in parameters], index, is_joined)
        for (index, is_joined, _), names in groups.items()
    ]


def _groups_of(optimizer: torch.optim.Optimizer, named: Mapping[str, Tensor]) -> dict[str, int]:
    """Return the number of the parameter group of each weight, by name."""
    at = {id(weight): index for index, group in enumerate(optimizer.param_groups) for weight in group["params"]}
    return {name: at[id(weight)] for name, weight in named.items() if id(weight) in at}


def _stacked_tensors(batches: Sequence[Batch]) -> list[Tensor]:
    """Return the tensors of the batches, each stacked, in the order of a graph's arguments."""
    return [torch.stack(column) for column in zip(*map(_tensors, batches), strict=True)]


def _tensors(batch: Batch) -> list[Tensor]:
    """Return the tensors of a batch, in the order of a graph's arguments."""
    x, y, sample_weight = batch
    if isinstance(x, Tensor) and isinstance(y, Tensor) and sample_weight is None:  # the most frequent case
        return [x, y]
    return [leaf for _, leaf in leaves(tuple(batch))]
