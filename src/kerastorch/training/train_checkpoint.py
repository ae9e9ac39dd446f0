"""The state of a running fit: captured as plain data, and restored in a later process, bit for bit.

Each part is captured by name. The position in the data is the number of the epoch, the states that its batches began
with, and the number of batches done. Data whose order kerastorch decides start at that batch. Other data start like
the saved epoch and skip to it. The random states of the moment of the capture are restored last.
"""

from __future__ import annotations

import copy
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from kerastorch.callbacks.callback_list import CallbackList
from kerastorch.checkpoint.module_state import capture_module_state, check_module_state, restore_module_state
from kerastorch.checkpoint.optimizer_state import (
    capture_optimizer_state,
    capture_optimizers,
    check_optimizer_state,
    check_optimizers,
    check_parameters_are_named,
    find_optimizers,
    parameter_names,
    restore_optimizer_state,
    restore_optimizers,
)
from kerastorch.core.errors import CheckpointError, warn
from kerastorch.core.torch_private import pytree
from kerastorch.data.batches import Batch, FirstBatches
from kerastorch.data.loaders import LoaderBatches, StreamBatches
from kerastorch.data.sequences import SequenceBatches
from kerastorch.optimizers.base import TorchOptimizer
from kerastorch.training import own_metrics
from kerastorch.training.compile_settings import Settings, differences
from kerastorch.training.fit_data import FitData
from kerastorch.training.module_attributes import (
    Watched,
    capture_attributes,
    restore_attributes,
    warn_of_lost,
    watch_attributes,
)
from kerastorch.training.own_steps import own_metrics as metrics_of
from kerastorch.training.resumed_ranks import for_these_ranks, reseed_new_rank
from kerastorch.training.train_state import TrainState
from kerastorch.training.trainer import Trainer

Sections = dict[str, dict[str, Any]]


@dataclass(frozen=True)
class FitParts:
    """What the state of a fit is captured from and restored to.

    Attributes:
        trainer: Parts that train the model.
        data: Training data, validation data, and random generators.
        callbacks: Their states are captured, too.
        epochs: Numbers of the epochs of this fit.
        settings: Arguments of `compile`, to compare two scripts.
        fingerprint: What must be the same in a fit that resumes.
        modules: Modules without a `state_dict` of their own, with snapshots of their attributes, by path.
    """

    trainer: Trainer
    data: FitData
    callbacks: CallbackList
    epochs: range
    settings: Settings
    fingerprint: Mapping[str, Any]
    modules: Watched

    @classmethod
    def of(
        cls,
        trainer: Trainer,
        data: FitData,
        callbacks: CallbackList,
        epochs: range,
        settings: Settings,
    ) -> FitParts:
        """Collect the parts of a fit that is captured, after `on_train_begin`.

        Raises:
            CheckpointError: An optimizer holds a tensor that is no parameter of the model.
        """
        names = _parameter_names(trainer)
        own = trainer.optimizers.get_or_create()
        for place, one in {**own, **find_optimizers(trainer.model, own.values())}.items():
            check_parameters_are_named(one, names, place or "optimizer")
        callbacks.snapshot_attributes()
        modules = watch_attributes(trainer.model)
        before = {"the number of fits before it": trainer.state.completed_fits, "initial_epoch": epochs.start}
        fingerprint = {**before, **data.training.fingerprint()}
        return cls(trainer, data, callbacks, epochs, settings, fingerprint, modules)


def epoch_start(data: FitData) -> dict[str, Any]:
    """Return the states of data and random generators that the batches of an epoch begin with."""
    return {"batches": data.training.state_dict(), "random": data.random.capture()}


def capture(parts: FitParts, state: TrainState) -> Sections:
    """Return the state of a fit between two batches.

    Args:
        parts: What it is captured from.
        state: Progress of the fit.

    Returns:
        Sections `model`, `optimizer` and `fit`. Tensors are those in use: copy them before training continues.
    """
    trainer, model = parts.trainer, parts.trainer.model
    names, own = _parameter_names(trainer), trainer.optimizers.get_or_create()
    validation = _resumable_validation(parts.data)
    return {
        "model": capture_module_state(model),
        "optimizer": capture_optimizers(own, names),
        "fit": {
            "optimizers": {
                name: capture_optimizer_state(one, names) for name, one in find_optimizers(model, own.values()).items()
            },
            "epoch": state.epoch,
            "done": state.batches_done,
            "facts": dict(parts.fingerprint),
            "settings": parts.settings,
            "number": state.pass_number,
            "logs": state.logs,
            "stop_training": bool(model.stop_training),
            "beginning": _epoch_start(parts.data, state),
            "validation": None if validation is None else validation.state_dict(),
            "meter": state.metrics.state_dict() if state.batches_done else None,
            "own_metrics": own_metrics.capture(metrics_of(trainer)) if state.batches_done else [],
            "objective": trainer.compiled_loss.state_dict(),
            "update": trainer.optimizer_step.state_dict(),
            "callbacks": parts.callbacks.state_dict(),
            **capture_attributes(model, parts.modules),
            "random": parts.data.random.capture(),
        },
    }


def detached(sections: Sections) -> Sections:
    """Copy what a validation changes in a captured state: buffers, attributes, losses, metrics, callbacks; no weights.

    A validation that is interrupted has changed random states, too. The checkpoint is then the state before it.
    """
    changed = {name: pytree.tree_map(_copy, sections["fit"][name]) for name in ("objective", "meter")}
    changed |= {name: copy.deepcopy(sections["fit"][name]) for name in ("attributes", "callbacks")}
    return {
        **sections,
        "model": pytree.tree_map(_copy_buffer, sections["model"]),
        "fit": {**pytree.tree_map(lambda leaf: leaf, sections["fit"]), **changed},
    }


def check_saved(parts: FitParts, saved: Mapping[str, Any], where: str) -> None:
    """Raise an error if a state was saved by a different fit; nothing has been changed then.

    Args:
        parts: The fit that would resume.
        saved: What `capture` returned in another process.
        where: Path of the checkpoint, for messages.

    Raises:
        CheckpointError: The state is none of a fit, or of one with different data or epochs.
    """
    fit = saved.get("fit")
    if not isinstance(fit, Mapping) or not {"model", "optimizer"} <= saved.keys():
        raise CheckpointError(f"{where} holds no state of a fit; was it written by model.save()?")
    here, there = parts.fingerprint, fit["facts"]
    for name in {**here, **there}:
        if here.get(name) != there.get(name):
            raise CheckpointError(
                f"{where}: it was saved by a fit with {name} {there.get(name)}, this one has {here.get(name)}. Run the "
                "same script, or delete it to start from the beginning. Each fit needs its own folder."
            )
    if (fit["epoch"], fit["done"]) > (parts.epochs.stop, 0):
        raise CheckpointError(f"{where}: it was saved in epoch {fit['epoch'] + 1}; fit has epochs={parts.epochs.stop}.")


def restore(parts: FitParts, state: TrainState, saved: Mapping[str, Any], where: str) -> Iterator[Batch]:
    """Restore a saved state into a fit, after `on_train_begin`.

    Args:
        parts: What is restored: model, optimizers, loss, data, callbacks, random generators.
        state: Gets the progress and the metrics of the saved fit.
        saved: What `capture` returned in another process, after `check_saved`.
        where: Path of the checkpoint, for messages.

    Returns:
        The batches that are left of the epoch.

    Raises:
        CheckpointError: The state does not fit the model, the optimizers or the metrics; nothing has been changed.

    Warns:
        UserWarning: Settings of `compile` differ from the saved ones, or modules have attributes that the state does
            not contain, or another number of ranks saved the state within an epoch.
    """
    trainer = parts.trainer
    # copied: views of a file are not aligned
    fit = pytree.tree_map(_copy, for_these_ranks(saved, where))
    names, own = _parameter_names(trainer), trainer.optimizers.get_or_create()
    try:
        check_module_state(trainer.model, saved["model"])
        check_optimizers(own, saved["optimizer"], names, "the checkpoint")
        others = _other_optimizers(trainer, fit["optimizers"], names)
        trainer.compiled_loss.check_state(fit["objective"])
        if fit["meter"] is not None:
            state.metrics.check_state(fit["meter"])
        parts.data.training.load_state_dict(fit["beginning"]["batches"])
    except CheckpointError as error:
        raise CheckpointError(
            f"{where}: {error} Run the same script, or delete it to start from the beginning."
        ) from error
    restore_module_state(trainer.model, saved["model"])
    restore_optimizers(own, saved["optimizer"], names, "the checkpoint")
    for name, one in others.items():
        restore_optimizer_state(one, fit["optimizers"][name], names, f"the checkpoint, {name}")
    validation = _resumable_validation(parts.data)
    if validation is not None and fit["validation"] is not None:
        validation.load_state_dict(fit["validation"])
    trainer.compiled_loss.load_state_dict(fit["objective"])
    trainer.optimizer_step.load_state_dict(fit["update"])
    trainer.model.stop_training = fit["stop_training"]
    state.resume(fit["epoch"], fit["done"], fit["number"], fit["logs"], fit["beginning"])
    if fit["meter"] is not None:
        state.metrics.load_state_dict(fit["meter"], _device(trainer.model))
    own_metrics.restore(metrics_of(trainer), fit.get("own_metrics", []))
    parts.callbacks.load_state_dict(fit["callbacks"])
    restore_attributes(trainer.model, parts.modules, fit.get("attributes", {}))
    _warn_of_differences(parts, fit, where)
    # a pass draws when it begins: as it did in the saved fit; batches that are skipped were drawn then
    parts.data.random.restore(fit["beginning"]["random"])
    stream = parts.data.training.epoch(state.pass_number, state.batches_done)
    if state.batches_done:
        parts.data.random.restore(fit["random"])
    reseed_new_rank(saved)
    return iter(()) if fit["stop_training"] else stream


def _epoch_start(data: FitData, state: TrainState) -> Mapping[str, Any]:
    """Return what the batches of the running epoch began with, or those of the next one will begin with."""
    if not state.batches_done:
        return epoch_start(data)
    if data.training.has_position:
        return {**state.epoch_start, "batches": data.training.state_dict()}
    return state.epoch_start


def _resumable_validation(data: FitData) -> StreamBatches | LoaderBatches | SequenceBatches | None:
    """Return the validation data if passes over it depend on the ones before."""
    inner = data.validation.batches if isinstance(data.validation, FirstBatches) else data.validation
    return inner if isinstance(inner, (StreamBatches, LoaderBatches, SequenceBatches)) else None


def _other_optimizers(
    trainer: Trainer, saved: Mapping[str, Any], names: Mapping[str, Tensor]
) -> dict[str, TorchOptimizer]:
    """Return the optimizers that the model holds beside that of `compile`, checked against the saved ones."""
    here = find_optimizers(trainer.model, trainer.optimizers.get_or_create().values())
    for name in here.keys() ^ saved.keys():
        raise CheckpointError(f"{'the checkpoint' if name in here else 'the model'} has no optimizer {name!r}.")
    for name, one in here.items():
        check_optimizer_state(one, saved[name], names, f"the checkpoint, {name}")
    return here


def _warn_of_differences(parts: FitParts, fit: Mapping[str, Any], where: str) -> None:
    different = differences(fit["settings"], parts.settings) if "settings" in fit else []
    if different:
        warn(
            f"{where} is of a script with other settings: {', '.join(different)}. Delete it to start from the "
            "beginning with those of this script; a callback may set model.optimizer.learning_rate."
        )
    warn_of_lost(fit.get("unsaved", {}))


def _parameter_names(trainer: Trainer) -> dict[str, Tensor]:
    return parameter_names(trainer.model, trainer.compiled_loss.outputs.parameters())


def _copy(value: Any) -> Any:
    return value.clone() if isinstance(value, Tensor) else value


def _copy_buffer(value: Any) -> Any:
    return value if isinstance(value, nn.Parameter) else _copy(value)


def _device(model: nn.Module) -> torch.device:
    return next((tensor.device for tensor in (*model.parameters(), *model.buffers())), torch.device("cpu"))
