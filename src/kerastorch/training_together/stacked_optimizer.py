"""The optimizers of several models, which update stacked weights."""

from __future__ import annotations

import inspect
import itertools
from collections import defaultdict
from collections.abc import Mapping, Sequence
from types import SimpleNamespace
from typing import Any

import torch
from torch import Tensor

from kerastorch.constraints import apply_constraints
from kerastorch.core.torch_optimizer_private import step_post_hooks, step_pre_hooks
from kerastorch.optimizers.base import TorchOptimizer
from kerastorch.optimizers.step_hooks import Clip, optimizer_parameters
from kerastorch.training.constrain_hook import ConstrainHook
from kerastorch.training.optimizer_step import OptimizerStep
from kerastorch.training_together.parameter_stack import ParameterStack

_Constrained = list[tuple[Tensor, Any]]


class StackedOptimizers:
    """Makes the steps of several optimizers on stacked weights, some rows at a time.

    Neighbors whose options and numbers of steps are equal are updated in one call, by a copy of the first one's
    optimizer that holds their rows as one weight.

    Args:
        steps: Steps of the models' optimizers.
        stacks: Their weights, of each parameter group that has any with gradients.
        names: For each model, the name of each of its weights by `id`.
    """

    def __init__(
        self, steps: Sequence[OptimizerStep], stacks: Sequence[ParameterStack], names: Sequence[Mapping[int, str]]
    ) -> None:
        self._steps, self._stacks = steps, stacks
        views = {name: view for stack in stacks for name, view in stack.weight_views.items()}
        self._constrained = [
            [(views[named[id(weight)]][row], constraint) for weight, constraint in step.constraints]
            for row, (step, named) in enumerate(zip(steps, names, strict=True))
        ]
        # what clipping by norms needs: the gradients of one model, as those of an optimizer
        self._rows = [
            SimpleNamespace(param_groups=[{"params": self._row_weights(row, names[row])}]) for row in range(len(steps))
        ]
        self._runs: list[_Run] = []

    def _row_weights(self, row: int, names: Mapping[int, str]) -> list[Tensor]:
        """Return the weights of a model in the order of its optimizer, as parts of the stacks, with gradients."""
        weights = {name: view for stack in self._stacks for name, view in stack.weight_views.items()}
        gradients = {name: view for stack in self._stacks for name, view in stack.gradient_views.items()}
        found = []
        for weight in optimizer_parameters(self._steps[row].optimizer):
            name = names.get(id(weight))
            if name is not None and name in weights:
                part = weights[name][row]
                part.grad = gradients[name][row]
                found.append(part)
        return found

    def begin(self) -> None:
        """Take over the options and the numbers of steps of the models' optimizers."""
        self._runs = []
        keys = [self._key(row) for row in range(len(self._steps))]
        for _, members in itertools.groupby(range(len(keys)), key=lambda row: keys.index(keys[row])):
            rows = list(members)
            part = slice(rows[0], rows[-1] + 1)
            self._runs.append(_Run(self._steps[part], self._stacks, part, self._rows[part], self._constrained[part]))

    def end(self, wanted: Sequence[bool]) -> None:
        """Write the options and the numbers of steps to the optimizers of the models that are wanted."""
        for run in self._runs:
            run.write_back(wanted)
        self._runs = []

    @torch.no_grad()
    def step(self) -> None:
        """Update the stacked weights by the stacked gradients."""
        for run in self._runs:
            run.step()

    def _key(self, row: int) -> Any:
        """Return what must be equal for models that are updated in one call."""
        options = [
            {name: _plain(value) for name, value in group.items() if name != "params"}
            for group in self._steps[row].optimizer.param_groups
        ]
        return options, [stack.counts(row) for stack in self._stacks], _hooks(self._steps[row].optimizer)


class _Run:
    """Neighboring models that are updated in one call.

    Args:
        steps: Steps of their optimizers.
        stacks: The weights of all models.
        rows: Their rows.
        members: For each model, its gradients as those of an optimizer.
        constrained: For each model, its constrained weights.
    """

    def __init__(
        self,
        steps: Sequence[OptimizerStep],
        stacks: Sequence[ParameterStack],
        rows: slice,
        members: Sequence[Any],
        constrained: Sequence[_Constrained],
    ) -> None:
        self._steps, self._stacks, self._rows, self._members = steps, stacks, rows, members
        self._constrained = [one for some in constrained for one in some]
        optimizer = steps[0].optimizer
        self._step = inspect.unwrap(type(optimizer).step)
        self._pre_hooks = list(step_pre_hooks(optimizer).values())
        self._post_hooks = list(step_post_hooks(optimizer).values())
        self._first_pieces: list[Tensor] = []  # of each stack
        self._optimizer = self._copy(optimizer)

    def _copy(self, optimizer: TorchOptimizer) -> TorchOptimizer:
        """Return an optimizer that holds the rows of each stack as one weight."""
        copied: TorchOptimizer = object.__new__(type(optimizer))
        copied.__dict__.update(optimizer.__dict__)
        groups = [
            {name: value.clone() if isinstance(value, Tensor) else value for name, value in group.items()}
            for group in optimizer.param_groups
        ]
        copied.param_groups = [{**group, "params": []} for group in groups]
        copied.state = defaultdict(dict)
        for stack in self._stacks:
            pieces = list(stack.pieces(self._rows))
            copied.param_groups[stack.index]["params"] += [weight for weight, _ in pieces]
            copied.state.update({weight: state for weight, state in pieces if state})
            self._first_pieces.append(pieces[0][0])
        return copied

    def step(self) -> None:
        """Make a step, with all hooks."""
        optimizer = self._optimizer
        for hook in self._pre_hooks:
            if isinstance(hook, Clip) and hook.how != "clipvalue":  # by the norms of single models
                for member in self._members:
                    hook(member, (), {})
            else:
                hook(optimizer, (), {})
        self._step(optimizer)
        for hook in self._post_hooks:
            if isinstance(hook, ConstrainHook):
                apply_constraints(self._constrained)
            else:
                hook(optimizer, (), {})
        if not any(isinstance(hook, ConstrainHook) for hook in self._post_hooks):
            apply_constraints(self._constrained)

    def write_back(self, wanted: Sequence[bool]) -> None:
        """Write the options and the numbers of steps to the optimizers of the models that are wanted."""
        rows = [row for row in range(self._rows.start, self._rows.stop) if wanted[row]]
        for row in rows:
            groups = self._steps[row - self._rows.start].optimizer.param_groups
            for group, new in zip(groups, self._optimizer.param_groups, strict=True):
                for name, value in new.items():
                    if isinstance(value, Tensor) and isinstance(group.get(name), Tensor):
                        group[name].copy_(value)
                    elif name != "params":
                        group[name] = value
        for stack, piece in zip(self._stacks, self._first_pieces, strict=True):
            for row in rows:
                stack.set_row_state(row, self._optimizer.state.get(piece, {}))


def _plain(value: Any) -> Any:
    """Return a value that can be compared."""
    return value.tolist() if isinstance(value, Tensor) else value


def _hooks(optimizer: TorchOptimizer) -> list[Any]:
    """Return the hooks of an optimizer as what can be compared."""
    hooks = [*step_pre_hooks(optimizer).values(), *step_post_hooks(optimizer).values()]
    return [(type(hook), _settings(hook)) for hook in hooks]


def _settings(hook: Any) -> Any:
    return None if isinstance(hook, ConstrainHook) else {key: repr(value) for key, value in vars(hook).items()}
