"""Optimizers whose `step` computes the loss itself, by a closure: found by their signature, or by a trial."""

from __future__ import annotations

import ast
import copy
import inspect
import textwrap

import torch

from kerastorch.core.distributed_tensors import is_distributed_tensor
from kerastorch.core.ownership import is_from, is_own
from kerastorch.core.torch_private import foreach_copy_
from kerastorch.optimizers.scheduled_rate import set_step_count, step_count
from kerastorch.optimizers.scipy_minimizer import ScipyMinimizer
from kerastorch.optimizers.step_hooks import TorchOptimizer, optimizer_parameters


def requires_closure(optimizer: TorchOptimizer) -> bool:
    """Return whether `optimizer.step` cannot be called without a closure, by its signature."""
    parameters = _step_parameters(optimizer)
    return (
        bool(parameters)
        and parameters[0].default is inspect.Parameter.empty
        and parameters[0].kind in (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)
    )


def demands_closure(optimizer: TorchOptimizer) -> bool:
    """Return whether `optimizer.step()` raises an error because it has no closure, though its signature allows that.

    So does sharpness-aware minimization (SAM): it steps from gradients that are there, and computes others in the
    closure. The source of `step` tells: it asserts a closure, raises without one, or calls it in any case.
    """
    if is_from(optimizer, "torch.optim") or is_own(optimizer):
        return False
    names = [parameter.name for parameter in _step_parameters(optimizer)]
    if "closure" not in names:
        return False
    try:
        source = textwrap.dedent(inspect.getsource(inspect.unwrap(type(optimizer).step)))
        function = ast.parse(source).body[0]
    except (OSError, TypeError, SyntaxError):
        return False
    return isinstance(function, ast.FunctionDef) and any(map(_demands, function.body))


def _demands(statement: ast.stmt) -> bool:
    """Return whether a statement of `step` fails without a closure."""
    if isinstance(statement, ast.Assert):
        return "closure" in _names(statement.test)
    if isinstance(statement, ast.If):
        is_check = "closure" in _names(statement.test)
        return is_check and any(isinstance(inner, ast.Raise) for inner in statement.body)
    if isinstance(statement, ast.With):
        return any(map(_demands, statement.body))
    calls = [node for node in ast.walk(statement) if isinstance(node, ast.Call)]
    has_blocks = isinstance(statement, (ast.For, ast.While, ast.Try, ast.FunctionDef, ast.Return))
    return not has_blocks and any(isinstance(one.func, ast.Name) and one.func.id == "closure" for one in calls)


def _names(node: ast.AST) -> set[str]:
    return {one.id for one in ast.walk(node) if isinstance(one, ast.Name)}


def _step_parameters(optimizer: TorchOptimizer) -> list[inspect.Parameter]:
    """Return the parameters of `optimizer.step` without `self`."""
    step = optimizer.step
    try:
        parameters = list(inspect.signature(step).parameters.values())
    except (TypeError, ValueError):
        return []
    if inspect.isfunction(step) and inspect.unwrap(step) is inspect.unwrap(type(optimizer).step):
        parameters = parameters[1:]  # a schedule of torch wraps `step` on the instance: it shows `self`, which is bound
    return parameters


def check_has_whole_weights(optimizer: TorchOptimizer) -> None:
    """Raise an error if an optimizer joins all weights to one vector, and processes hold parts of the weights.

    Raises:
        ValueError: It is an optimizer of that kind.
    """
    joins = isinstance(optimizer, (torch.optim.LBFGS, ScipyMinimizer))
    if joins and any(map(is_distributed_tensor, optimizer_parameters(optimizer))):
        raise ValueError(
            f"{type(optimizer).__name__} needs all weights in one vector, and each process holds a part of them "
            "(fully_shard, tensor parallelism). Use another optimizer, such as Adam, or leave the model whole."
        )


class StepSnapshot:
    """A copy of weights and optimizer state, which change between the evaluations of a step, and of the step count.

    Args:
        optimizer: Holds the weights.
    """

    def __init__(self, optimizer: TorchOptimizer) -> None:
        self._optimizer = optimizer
        self._weights = [weight.detach().clone() for weight in optimizer_parameters(optimizer)]
        self._state = {weight: copy.deepcopy(about) for weight, about in optimizer.state.items()}
        self._count = step_count(optimizer)

    @torch.no_grad()
    def restore(self) -> None:
        """Put back what was copied."""
        foreach_copy_(optimizer_parameters(self._optimizer), self._weights)
        self._optimizer.state.clear()
        self._optimizer.state.update(self._state)
        set_step_count(self._optimizer, self._count)
