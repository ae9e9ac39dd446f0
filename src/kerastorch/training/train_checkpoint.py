"""Session: one fit as state: all that a later process needs to go on with it, bit for bit."""

from __future__ import annotations

import copy
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple, Protocol

import torch
from torch import nn

from kerastorch.callbacks.base import CallbackList
from kerastorch.checkpoint import optimizer_state
from kerastorch.checkpoint.module_state import capture_module_state, check_module_state, restore_module_state
from kerastorch.checkpoint.optimizer_state import parameter_names
from kerastorch.core.errors import CheckpointError, warn
from kerastorch.core.module_tree import named_modules
from kerastorch.core.torch_private import pytree
from kerastorch.core.unsaved_attributes import Snapshot, changed_attributes, declares_state, snapshot
from kerastorch.data.batches import Batch, FirstBatches
from kerastorch.data.loaders import LoaderBatches, StreamBatches
from kerastorch.data.sequences import SequenceBatches
from kerastorch.training.compile_settings import Settings, differences
from kerastorch.training.fit_data import Assembled


class Position(NamedTuple):
    """Where a fit is, between two batches.

    Attributes:
        epoch: its number, from 0.
        done: how many batches of it have been trained on.
    """

    epoch: int
    done: int


class Keeper(Protocol):
    """A callback that keeps the states of a fit."""

    def keep(self) -> None:
        """Training is stopped here, between two batches."""

    def finish(self) -> None:
        """Training has ended as it should, and all other callbacks are done."""


class Session:
    """One fit, as a callback that keeps its state sees it.

    Args:
        trainer: whose fit.
        data: what is trained on, what validates, and what is drawn from.
        callbacks: their states are kept with it.
        epochs: their numbers.

    Attributes:
        position: where it was between two batches when it was last known: where it began, was stopped or ended.
        number: of the running pass over the data, counted over all fits since `compile`.
        completed: training has ended as it should.
        logs: of the last whole epoch.
    """

    def __init__(self, trainer: Any, data: Assembled, callbacks: CallbackList, epochs: range) -> None:
        self._trainer, self._callbacks, self._epochs = trainer, callbacks, epochs
        self._batches, self._random = data.training, data.random
        one = data.validation.batches if isinstance(data.validation, FirstBatches) else data.validation
        self._validation = one if isinstance(one, (StreamBatches, LoaderBatches, SequenceBatches)) else None
        self._known: dict[str, Any] | None = None
        self.position = Position(epochs.start, 0)
        self.number = max(trainer.epochs_done, epochs.start)
        self.completed = False
        self.logs: dict[str, Any] = {}
        self._keeper: Keeper | None = None
        self._parts: dict[str, tuple[nn.Module, Snapshot]] = {}
        self._held: dict[str, dict[str, Any]] | None = None
        self._stopped = False
        self._loaded: Mapping[str, Any] | None = None
        self._from = ""
        self._beginning: dict[str, Any] = {}
        self._settings: Settings = {}

    # --- kept -------------------------------------------------------------------------------------------------

    def kept_by(self, keeper: Keeper) -> None:
        """Take on who keeps this fit: called in its `on_train_begin`, after that of all other callbacks.

        Raises:
            CheckpointError: there is one already.
        """
        if self._keeper is not None:
            raise CheckpointError("two callbacks would keep this training; pass resume= or one BackupAndRestore.")
        names, known = self._names(), self._trainer.optimizer
        for place, one in {"optimizer": known, **optimizer_state.held(self._trainer.model, known)}.items():
            optimizer_state.check_held(one, names, place)
        self._keeper = keeper
        self._callbacks.snapshot_attributes()
        parts = named_modules(self._trainer.model)
        self._parts = {
            path: (part, snapshot(part, _NOT_COUNTED)) for path, part in parts if not declares_state(part, *_MODULES)
        }

    def note_settings(self, settings: Settings) -> None:
        """Take what `compile` was given, before any callback changes a learning rate."""
        self._settings = settings

    def begin(self, epoch: int) -> None:
        """The batches of an epoch are about to be drawn."""
        self.position = Position(epoch, 0)
        self._beginning = self._now()

    def stop(self, done: int) -> None:
        """The batches of the epoch have been trained on, or some before somebody stopped training."""
        self.position = self.position._replace(done=done)

    def hold(self) -> None:
        """Validation comes: if it is broken off, what is kept is from before it, as it moves states, too."""
        if self._keeper is None:
            return
        state = self.state_dict()
        # a pass of evaluation moves buffers, but no parameter; what callbacks gave they may go on with
        callbacks = copy.deepcopy(state["fit"]["callbacks"])
        self._held = {
            **state,
            "model": pytree.tree_map(_own, state["model"]),
            "fit": {**pytree.tree_map(lambda one: one, state["fit"]), "callbacks": callbacks},
        }

    def end(self, logs: dict[str, Any]) -> None:
        """The epoch has ended, with its validation; its callbacks are about to be told."""
        self._held = None
        self.number += 1
        self.position, self.logs = Position(self.position.epoch + 1, 0), logs

    def keep(self) -> None:
        """Somebody stops training here."""
        if self._keeper is not None:
            self._keeper.keep()

    def finish(self) -> None:
        """Training, and all that callbacks do at its end, went as it should."""
        self._trainer.completed_fits += 1
        if self._keeper is not None:
            self._keeper.finish()

    def state_dict(self) -> dict[str, dict[str, Any]]:
        """Everything, by sections; tensors are those in use, to be copied before training goes on."""
        if self._held is not None:
            return self._held
        trainer, model = self._trainer, self._trainer.model
        return {
            "model": capture_module_state(model),
            "optimizer": optimizer_state.capture_optimizer_state(trainer.optimizer, self._names()),
            "fit": {
                "optimizers": {
                    name: optimizer_state.capture_optimizer_state(one, self._names())
                    for name, one in optimizer_state.held(model, trainer.optimizer).items()
                },
                **self.position._asdict(),
                "facts": self._facts(),
                "settings": self._settings,
                "number": self.number,
                "logs": self.logs,
                "stop_training": bool(model.stop_training),
                "beginning": self._began(),
                "validation": None if self._validation is None else self._validation.state_dict(),
                "meter": trainer.meter.state_dict() if self.position.done else None,
                "objective": trainer.objective.state_dict(),
                "update": trainer.update.state_dict(),
                "callbacks": self._callbacks.state_dict(),
                "unkept": {
                    path: names
                    for path, (part, before) in self._parts.items()
                    if (names := changed_attributes(part, before, _NOT_COUNTED))
                },
                "random": self._random.capture(),
            },
        }

    def _began(self) -> dict[str, Any]:
        """What the batches of this epoch began with, those of the next one will, or these are at."""
        if not self.position.done:
            return self._now()
        if self._batches.has_position:
            return {**self._beginning, "batches": self._batches.state_dict()}
        return self._beginning

    def _facts(self) -> dict[str, Any]:
        """What must be the same in the fit that goes on."""
        if self._known is None:
            before = {"the number of fits before it": self._trainer.completed_fits, "initial_epoch": self._epochs.start}
            self._known = {**before, **self._batches.fingerprint()}
        return self._known

    def _now(self) -> dict[str, Any]:
        return {"batches": self._batches.state_dict(), "random": self._random.capture()}

    # --- gone on with -----------------------------------------------------------------------------------------

    def resume(self, state: Mapping[str, Any], where: str = "the checkpoint") -> Position:
        """Go on where `state` was taken: called in `on_train_begin`, done once every callback has been told of that.

        Args:
            state: what `state_dict` gave.
            where: it was kept, for messages.

        Raises:
            CheckpointError: it is of another model, optimizer, or other data; nothing has been changed.
        """
        if self._loaded is not None:
            raise CheckpointError("two callbacks want to go on from a checkpoint; pass one.")
        fit = state.get("fit")
        if not isinstance(fit, Mapping) or not {"model", "optimizer"} <= state.keys():
            raise CheckpointError("the file holds no state of a fit; was it written by model.save()?")
        self._refuse_other(fit, where)
        self._from = where
        self._loaded = {**state, "fit": pytree.tree_map(_copy, fit)}  # of torch's own memory, not that of a file
        self.position = Position(fit["epoch"], fit["done"])
        return self.position

    def _refuse_other(self, fit: Mapping[str, Any], where: str) -> None:
        here, saved = self._facts(), fit["facts"]
        for name in {**here, **saved}:
            if here.get(name) != saved.get(name):
                raise CheckpointError(
                    f"{where}: it is of a fit with {name} {saved.get(name)}, this one has {here.get(name)}. Run the "
                    "same script, or delete it to begin anew. Each fit of a script needs a folder of its own."
                )
        if (fit["epoch"], fit["done"]) > (self._epochs.stop, 0):
            raise CheckpointError(f"{where}: it is of epoch {fit['epoch'] + 1}; fit has epochs={self._epochs.stop}.")

    @property
    def restores(self) -> bool:
        """Whether `restore` is due."""
        return self._loaded is not None

    def restore(self) -> Iterator[Batch]:
        """Put everything back; the batches that are left of the epoch."""
        assert self._loaded is not None
        state, self._loaded = self._loaded, None
        trainer, fit = self._trainer, state["fit"]
        try:
            check_module_state(trainer.model, state["model"])
            optimizer_state.check_optimizer_state(
                trainer.optimizer, state["optimizer"], self._names(), "the checkpoint"
            )
            others = self._others(fit["optimizers"])
            if fit["meter"] is not None:
                trainer.meter.check_state(fit["meter"])
            self._batches.load_state_dict(fit["beginning"]["batches"])
        except CheckpointError as error:
            raise CheckpointError(f"{self._from}: {error} Run the same script, or delete it to begin anew.") from error
        restore_module_state(trainer.model, state["model"])
        optimizer_state.restore_optimizer_state(trainer.optimizer, state["optimizer"], self._names(), "the checkpoint")
        for name, one in others.items():
            optimizer_state.restore_optimizer_state(
                one, fit["optimizers"][name], self._names(), f"the checkpoint, {name}"
            )
        if self._validation is not None and fit["validation"] is not None:
            self._validation.load_state_dict(fit["validation"])
        trainer.objective.load_state_dict(fit["objective"])
        trainer.update.load_state_dict(fit["update"])
        trainer.epochs_done = self.number = fit["number"]
        trainer.model.stop_training = self._stopped = fit["stop_training"]
        self.logs = dict(fit["logs"])
        if fit["meter"] is not None:
            trainer.meter.load_state_dict(fit["meter"], _device(trainer.model))
        self._callbacks.load_state_dict(fit["callbacks"])
        self._warn_of_differences(fit)
        # a pass draws when it begins: as it did then, and what is passed over was not drawn a second time
        self._random.restore(fit["beginning"]["random"])
        self._beginning = dict(fit["beginning"])
        stream = self._batches.epoch(self.number, self.position.done)
        if self.position.done:
            self._random.restore(fit["random"])
        return iter(()) if self._stopped else stream

    def _warn_of_differences(self, fit: Mapping[str, Any]) -> None:
        other = differences(fit["settings"], self._settings) if "settings" in fit else []
        if other:
            warn(
                f"{self._from} is of a script with other settings: {', '.join(other)}. Delete it to begin anew with "
                "those of this script; a callback may set model.optimizer.learning_rate."
            )
        for path, names in fit["unkept"].items():
            warn(
                f"{repr(path) if path else 'the model'} begins anew: the checkpoint has not kept its "
                f"{', '.join(names)}. Keep numbers in buffers, and tensors too, or write get_extra_state and "
                "set_extra_state."
            )

    def _others(self, saved: Mapping[str, Any]) -> dict[str, Any]:
        """The optimizers that the model holds beside that of `compile`, those of the checkpoint."""
        here = optimizer_state.held(self._trainer.model, self._trainer.optimizer)
        for name in here.keys() ^ saved.keys():
            raise CheckpointError(f"{'the checkpoint' if name in here else 'the model'} has no optimizer {name!r}.")
        for name, one in here.items():
            optimizer_state.check_optimizer_state(one, saved[name], self._names(), f"the checkpoint, {name}")
        return here

    def left(self) -> range:
        """The epochs still to be trained, the one under way among them."""
        ended = self._stopped and not self.position.done
        return range(0) if ended else range(self.position.epoch, self._epochs.stop)

    def _names(self) -> dict[str, torch.Tensor]:
        return parameter_names(self._trainer.model, self._trainer.objective.parameters())


_MODULES = (nn.Module, ("get_extra_state",))
_NOT_COUNTED = {
    *vars(nn.Module()),
    "stop_training",
    "_charges",
    "_charges_thread",
}  # of a module: what is kept, or its settings


def _copy(value: Any) -> Any:
    return value.clone() if isinstance(value, torch.Tensor) else value


def _own(value: Any) -> Any:
    return value if isinstance(value, nn.Parameter) else _copy(value)


def _device(model: Any) -> torch.device:
    return next((tensor.device for tensor in (*model.parameters(), *model.buffers())), torch.device("cpu"))
