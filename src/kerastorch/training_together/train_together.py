"""train_together: fits of several models of one architecture, whose steps run as one."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager, ExitStack, nullcontext
from typing import Any, NamedTuple

from kerastorch.callbacks.callback_list import to_list
from kerastorch.callbacks.history import History
from kerastorch.core.rng_state import capture_rng_states, restore_rng_states
from kerastorch.model import Model
from kerastorch.training.fit_loop import fit_epochs
from kerastorch.training.prepared_fit import FitArguments, PreparedFit
from kerastorch.training.signals import InterruptHandler
from kerastorch.training_together.eligibility import check_fits, check_kinds
from kerastorch.training_together.errors import CannotTrainTogether
from kerastorch.training_together.lockstep import Lockstep
from kerastorch.training_together.member import Member


class FitTask(NamedTuple):
    """A fit of one model.

    Attributes:
        model: Compiled model.
        arguments: Arguments of `fit` by name, `x` and `y` included. Callbacks belong to this fit alone.
        rng_states: States of the global random generators when the fit begins, as `capture_rng_states` returns them.
        explaining: Returns a context in which the arguments are checked, to add to errors. Default: nothing is added.
    """

    model: Model
    arguments: Mapping[str, Any]
    rng_states: Mapping[str, Any]
    explaining: Callable[[], AbstractContextManager[None]] = nullcontext


class TrainedTogether(NamedTuple):
    """What `train_together` returns.

    Attributes:
        histories: The logs of each fit.
        reason: Why the models were trained one after the other from some epoch on; `None` if they were trained
            together to the end.
    """

    histories: list[History]
    reason: str | None


def train_together(tasks: Sequence[FitTask]) -> TrainedTogether:
    """Fit several models of one architecture, each on its own data, at once.

    Weights, optimizers, histories and random states are those of `model.fit(**arguments)`, called for one model after
    the other, each with its own states of the random generators. The batches of all models run as one graph, as long
    as that gives the same numbers, bit by bit, as their own steps; else the models are trained one after the other.

    Args:
        tasks: The fits.

    Raises:
        CannotTrainTogether: The fits cannot run at the same time; nothing was changed.
        Exception: What a fit has raised; all fits are ended.
    """
    arguments = [_all_arguments(task) for task in tasks]
    check_fits([task.model for task in tasks], arguments)
    interrupt = InterruptHandler()
    lockstep = Lockstep(lambda: interrupt.pending)
    members = []
    with interrupt.watch(), ExitStack() as stack:
        prepared = _prepare(tasks, arguments)
        for task, (fit, rng_states) in zip(tasks, prepared, strict=True):
            restore_rng_states(rng_states)
            stack.enter_context(task.model._fitting(fit))
            member = Member(fit_epochs(*fit.run, waits=True))
            stack.callback(member.close)
            members.append(member)
        _train(members, lockstep, interrupt)
    return TrainedTogether([fit.history for fit, _ in prepared], lockstep.reason)


def _prepare(
    tasks: Sequence[FitTask], arguments: Sequence[dict[str, Any]]
) -> list[tuple[PreparedFit, Mapping[str, Any]]]:
    """Return the fits before they begin, each with the random states that it begins with.

    Raises:
        CannotTrainTogether: The data are no arrays; the random states are as they were.
    """
    before = capture_rng_states()
    found: list[tuple[PreparedFit, Mapping[str, Any]]] = []
    for task, given in zip(tasks, arguments, strict=True):
        restore_rng_states(task.rng_states)
        with task.explaining():
            prepared = task.model._prepare_fit(FitArguments(**given))
        found.append((prepared, capture_rng_states()))
    try:
        check_kinds([prepared.data_kind for prepared, _ in found])
    except CannotTrainTogether:
        restore_rng_states(before)
        raise
    return found


def _train(members: Sequence[Member], lockstep: Lockstep, interrupt: InterruptHandler) -> None:
    """Train all epochs of all members; the random states are those of the last fit then."""
    while active := [member for member in members if member.due is not None]:
        if len(active) == 1 or lockstep.reason is not None:
            for member in active:
                member.train_to_the_end(interrupt)
            break
        lockstep.train(active)
        if interrupt.pending:
            interrupt.raise_interrupt()
    last = members[-1]
    restore_rng_states({**last.host_states, "torch": last.generator.get_state()})


def _all_arguments(task: FitTask) -> dict[str, Any]:
    """Return all arguments of `fit`, those that are not given with their defaults."""
    bound = inspect.signature(Model.fit).bind(task.model, **task.arguments)
    bound.apply_defaults()
    given = {name: value for name, value in bound.arguments.items() if name != "self"}
    return {**given, "callbacks": to_list(given["callbacks"])}
