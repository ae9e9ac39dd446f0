"""The settings of a fit and facts about its data, as `history.diagnose` reads them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from kerastorch.callbacks.base import Callback
from kerastorch.callbacks.history import History
from kerastorch.core.module_tree import modules
from kerastorch.core.nested import leaves
from kerastorch.diagnosis.input_kind import input_kind
from kerastorch.diagnosis.settings import FitSettings, OutputSettings
from kerastorch.diagnosis.target_facts import TargetFacts, every_nth, facts_of_targets
from kerastorch.layers.augmentation import RandomImageLayer
from kerastorch.losses.base import Loss
from kerastorch.optimizers.step_hooks import TorchOptimizer
from kerastorch.training.fit_data import FitData
from kerastorch.training.trainer import Trainer

_CLIPS = ("clipnorm", "clipvalue", "global_clipnorm")
_OUTPUTS = ("out_features", "out_channels", "hidden_size", "embedding_dim", "units", "filters")


def record_settings(
    history: History, trainer: Trainer, data: FitData, weights: Sequence[Any], callbacks: Sequence[Callback]
) -> None:
    """Store the settings of a fit in its history, when the trainer is set up.

    Args:
        history: History of the fit.
        trainer: Parts that train the model.
        data: Training data and validation data.
        weights: Weights of classes and rows, `None` for those that are not given.
        callbacks: Callbacks of the user.
    """
    history.record_settings(_settings(trainer, data, any(one is not None for one in weights), callbacks))


def _validation_rows(trainer: Trainer, data: FitData) -> int | None:
    """Return the number of validation rows, of all ranks; `None` if there are none, or it is unknown."""
    if data.validation is None or trainer.parallel.shard is None:
        return None if data.validation is None else data.validation.samples
    found = [leaf for _, leaf in leaves(data.validation_targets) if isinstance(leaf, Tensor)]
    return len(found[0]) if found and found[0].ndim else None


def _settings(trainer: Trainer, data: FitData, has_weights: bool, callbacks: Sequence[Callback]) -> FitSettings:
    optimizers = list(trainer.optimizers.made.values())
    groups = [group for optimizer in optimizers for group in optimizer.param_groups]
    parts = modules(trainer.model)
    losses = [loss for loss in trainer.compiled_loss.losses.values() if loss is not None]
    task = _task(losses)
    trained = [one for one in trainer.model.parameters() if one.requires_grad]
    return FitSettings(
        optimizer="+".join(dict.fromkeys(map(_optimizer_name, optimizers))),
        learning_rate=max((float(group["lr"]) for group in groups if "lr" in group), default=None),
        momentum=max((float(group.get("momentum") or 0) for group in groups), default=0.0),
        weight_decay=max((float(group.get("weight_decay") or 0) for group in groups), default=0.0),
        loss="+".join(dict.fromkeys(str(loss.name) for loss in losses)),
        task=task,
        batch_size=data.training.batch_size,
        steps=data.training.steps(),
        rows=data.training.samples,
        validation_rows=_validation_rows(trainer, data),
        validation=data.validation_kind,
        shuffle=data.shuffle,
        parameters=sum(one.numel() for one in trained),
        frozen=sum(one.numel() for one in trainer.model.parameters() if not one.requires_grad),
        widths=tuple(_widths(parts)),
        dropout=tuple(_dropout_rates(parts)),
        penalties=tuple(dict.fromkeys(repr(one.regularizer) for one in trainer.compiled_loss.penalties)),
        normalization=tuple(dict.fromkeys(name for part in parts if "Norm" in (name := type(part).__name__))),
        augmentation=tuple(dict.fromkeys(type(part).__name__ for part in parts if isinstance(part, RandomImageLayer))),
        input_kind=input_kind(parts),
        has_class_weight=has_weights,
        is_clipped=any(getattr(one, name, None) for one in trainer.optimizers.configs.values() for name in _CLIPS),
        callbacks=tuple(type(callback).__name__ for callback in callbacks),
        targets=_target_facts(data.targets, task),
        validation_targets=_target_facts(data.validation_targets, task),
        outputs=tuple(_outputs(trainer, data)),
    )


def _outputs(trainer: Trainer, data: FitData) -> Iterable[OutputSettings]:
    """Yield what is known about each output with a loss, if there are several and their names are known."""
    losses = {name: loss for name, loss in trainer.compiled_loss.losses.items() if loss is not None}
    names = list(trainer.compiled_loss.losses)
    if len(losses) < 2 or "" in losses:
        return
    for name, loss in losses.items():
        task = _task([loss])
        targets, held = (
            _target_facts(_of_output(part, name, names), task) for part in (data.targets, data.validation_targets)
        )
        yield OutputSettings(name, str(loss.name), task, targets, held)


def _of_output(targets: Any, name: str, names: Sequence[str]) -> Any:
    """Return the targets of an output from a dict by names or a list with one for each output; `None` if unknown."""
    if isinstance(targets, Mapping):
        return targets.get(name)
    if isinstance(targets, (list, tuple)) and len(targets) == len(names):
        return targets[names.index(name)]
    return None


def _optimizer_name(optimizer: TorchOptimizer) -> str:
    """Return the name of the class of torch that an optimizer has, or of the user's own."""
    names = [one.__name__ for one in type(optimizer).__mro__ if one.__module__.startswith("torch.optim")]
    return next((name for name in names if name != "Optimizer"), type(optimizer).__name__)


def _task(losses: Iterable[Loss]) -> str:
    """Return the task that all losses have; empty if they differ or have none."""
    tasks = {loss.task for loss in losses}
    return str(tasks.pop() or "") if len(tasks) == 1 else ""


def _widths(parts: Iterable[nn.Module]) -> Iterable[int]:
    """Yield the number of outputs of each layer with weights of its own."""
    for part in parts:
        if any(one is not None and one.ndim > 1 for one in part._parameters.values()):
            sizes = (getattr(part, name, None) for name in _OUTPUTS)
            size = next((one for one in sizes if isinstance(one, int)), None)
            if size is not None:
                yield size


def _dropout_rates(parts: Iterable[nn.Module]) -> Iterable[float]:
    """Yield the rates of layers that add noise in training."""
    for part in parts:
        if "Dropout" in type(part).__name__ or "Noise" in type(part).__name__:
            rates = (vars(part).get(name) for name in ("p", "rate", "stddev"))
            rate = next((one for one in rates if isinstance(one, (int, float))), 0)
            if rate:
                yield float(rate)


def _target_facts(targets: Any, task: str) -> TargetFacts | None:
    """Return facts about the targets of a model with one output, from a sample of the rows."""
    found = [leaf for _, leaf in leaves(targets) if isinstance(leaf, Tensor)]
    if len(found) != 1 or found[0].ndim not in (1, 2) or not len(found[0]) or found[0].layout != torch.strided:
        return None
    y = found[0].detach()
    sample = y[:: every_nth(len(y), y[0].numel())].tolist()  # one read, if they are on an accelerator
    return facts_of_targets(
        sample,
        are_classes={"multiclass": True, "binary": True, "regression": False}.get(task),
        rows=len(y),
    )
