"""Checks of a step of the user's while it is traced: what a graph would take as constant, or would not repeat."""

from __future__ import annotations

import inspect
from collections.abc import Iterable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from functools import partial
from types import FunctionType, MethodType, ModuleType
from typing import Any

import torch
from torch import Tensor, nn
from torch.fx import GraphModule
from torch.optim.optimizer import register_optimizer_step_pre_hook

from kerastorch.core.ownership import PACKAGE, is_from, is_own
from kerastorch.core.unsaved_attributes import MAX_ENTRIES
from kerastorch.training.jit.errors import UntraceableError
from kerastorch.training.jit.trainer_protocol import TrainerProtocol
from kerastorch.training.own_metrics import name_of, replaced
from kerastorch.training.own_steps import own_metrics

# parts of a trainer that a step of the user's may use: they compute with tensors alone, or stay the same
_READABLE = {"backward_and_step", "compiled_loss", "context", "metrics", "minimize", "model", "output_mask"}
_OPTIMIZERS = {"optimizer", "optimizers", "get_if_built", "optimizer_step", "get_or_create_optimizer"}
_PLAIN = (Tensor, nn.Module, torch.optim.Optimizer, type, FunctionType, MethodType, ModuleType, str, int, float)


@contextmanager
def forbid_optimizer_steps(model: nn.Module) -> Iterator[None]:
    """Raise an error if an optimizer makes a step within the block, other than by `backward_and_step`.

    Args:
        model: The model whose step is traced.

    Raises:
        UntraceableError: A step of an optimizer was called.
    """

    def refuse(optimizer: torch.optim.Optimizer, args: Any, kwargs: Any) -> None:  # noqa: ARG001
        called = f"{type(optimizer).__name__}.step()"
        raise _refused(model, f"calls {called} itself instead of self.trainer.backward_and_step(loss)")

    handle = register_optimizer_step_pre_hook(refuse)
    try:
        yield
    finally:
        handle.remove()


@contextmanager
def forbid_metric_updates(trainer: TrainerProtocol) -> Iterator[None]:
    """Raise an error if a step updates a metric object that the model holds.

    Args:
        trainer: Holds the model.

    Raises:
        UntraceableError: The name of the metric.
    """

    def refuse(metric: Any, *args: Any, **kwargs: Any) -> None:  # noqa: ARG001
        raise _refused(trainer.model, f"updates the metric object {name_of(metric)!r}")

    with ExitStack() as stack:
        for one in own_metrics(trainer):
            stack.enter_context(replaced(one, "update_state", partial(refuse, one)))
        yield


class _ReadableTrainer:
    """The parts of a trainer that a traced step may use; other attributes raise an error.

    The default methods of models, which a step may call, read what they need, except for optimizers.

    Args:
        trainer: The trainer.
    """

    def __init__(self, trainer: TrainerProtocol) -> None:
        self._trainer = trainer

    def __getattr__(self, name: str) -> Any:
        reader = inspect.currentframe()
        caller = None if reader is None or reader.f_back is None else reader.f_back.f_globals.get("__name__", "")
        is_default = str(caller).startswith(f"{PACKAGE}.")
        if name in _READABLE or (is_default and name not in _OPTIMIZERS):
            return getattr(self._trainer, name)
        if name in _OPTIMIZERS:
            raise _refused(self._trainer.model, "uses the optimizer itself, whose settings a graph takes as constant")
        raise _refused(self._trainer.model, f"reads trainer.{name}, which a graph takes as constant")


@contextmanager
def readable_parts(model: nn.Module) -> Iterator[None]:
    """Let the steps of a model use only such parts of its trainer as a graph may depend on.

    Args:
        model: A compiled model.
    """
    attributes = vars(model)
    trainer = attributes["_trainer"]
    attributes["_trainer"] = _ReadableTrainer(trainer)
    try:
        yield
    finally:
        attributes["_trainer"] = trainer


def held_objects(parts: Sequence[nn.Module]) -> list[object]:
    """Return the objects of other classes that modules have as attributes, such as metrics; a step may change them."""
    found: dict[int, object] = {}
    for part in parts:
        for name, value in vars(part).items():
            if name == "_trainer":
                continue
            for one in value if isinstance(value, (list, tuple)) and len(value) <= MAX_ENTRIES else [value]:
                if hasattr(one, "__dict__") and not isinstance(one, _PLAIN) and not is_from(one, "torch", "builtins"):
                    found[id(one)] = one
    return [one for one in found.values() if not is_own(one) or hasattr(one, "update_state")]


def check_constants(graph: GraphModule, model: nn.Module) -> None:
    """Raise an error if a graph writes into a tensor that is neither a weight nor a buffer.

    Args:
        graph: A traced step.
        model: The model.

    Raises:
        UntraceableError: A step changes such a tensor.
    """
    for node in graph.graph.nodes:
        if node.op == "get_attr" and any(_writes_into(user, node) for user in node.users):
            raise _refused(model, "changes a tensor that is no weight or buffer of the model")


def _writes_into(user: torch.fx.Node, tensor: torch.fx.Node) -> bool:
    schema = getattr(user.target, "_schema", None)
    if schema is None:
        return False
    written: Iterable[Any] = (
        given
        for argument, given in zip(schema.arguments, user.args, strict=False)
        if argument.alias_info is not None and argument.alias_info.is_write
    )
    return any(given is tensor for given in written)


def _refused(model: nn.Module, reason: str) -> UntraceableError:
    return UntraceableError(f"{type(model).__name__}.train_step is your own and {reason}")
