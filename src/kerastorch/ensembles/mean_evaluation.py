"""Evaluation of the mean prediction of several models, on arrays, loaders and all other data that a model takes."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from kerastorch.data.loader_checks import check_keeps_order
from kerastorch.ensembles.combination import Combination
from kerastorch.ensembles.output_kinds import OutputKinds
from kerastorch.evaluation.collect import CollectedOutputs, collect_outputs
from kerastorch.evaluation.from_outputs import Outputs
from kerastorch.model import Model
from kerastorch.training.trainer import Trainer


class _MeanOutputs(nn.Module):
    """Returns the mean prediction, which is its input, so that losses and metrics can be computed of it."""

    def forward(self, outputs_of_members: Any) -> Any:
        return outputs_of_members


def repeatable(x: Any) -> Any:
    """Return data that can be read once for each member: of an iterator, copies of its batches."""
    if not isinstance(x, Iterator):
        return x
    batches = [copy.deepcopy(batch) for batch in x]  # copied: an iterator may use the memory of a batch again
    return lambda: iter(batches)


def collect_mean(members: Sequence[Model], x: Any, evaluate: Callable[[Model, Any], Any]) -> CollectedOutputs:
    """Return the mean outputs of several models for the same data, with the loss and the metrics of the mean.

    Args:
        members: Compiled models.
        x: The data.
        evaluate: Evaluates a model on the data and returns the logs.

    Raises:
        ValueError: The data have another order or other targets for each member; the outputs cannot be averaged.
    """
    check_keeps_order(x, "evaluate")
    data = repeatable(x)
    found = [collect_outputs(member, data, lambda one=member: evaluate(one, data)) for member in members]  # type: ignore[misc]
    kinds = OutputKinds.of(members[0])
    means = {
        name: [_mean(same, kinds.of_output(name)) for same in zip(*(one.groups[name] for one in found), strict=True)]
        for name in found[0].groups
    }
    trainer = found[0].trainer
    return CollectedOutputs(trainer, means, _evaluate_mean(trainer, means))


def _mean(same: Sequence[Outputs], how: Combination) -> Outputs:
    """Return the mean outputs for the rows of a group.

    Raises:
        ValueError: The targets of the members differ.
    """
    first = same[0]
    if not all(one.y_true.shape == first.y_true.shape and bool((one.y_true == first.y_true).all()) for one in same):
        raise ValueError(
            "the data gave other targets to each member: they are shuffled or drawn at random. Evaluate an ensemble on "
            "data that are the same each time they are read."
        )
    mean = how.mean(np.stack([_numpy(one.y_pred) for one in same]))
    return first._replace(y_pred=torch.as_tensor(mean))


def _numpy(outputs: Tensor) -> Any:
    return (outputs.float() if outputs.dtype is torch.bfloat16 else outputs).numpy()


def _evaluate_mean(trainer: Trainer, means: Mapping[str, Sequence[Outputs]]) -> dict[str, float]:
    """Return the loss and the metrics of outputs, as a model is compiled, without penalties.

    Args:
        trainer: Parts of a compiled model.
        means: Outputs, targets and weights by output.

    Raises:
        ValueError: Several outputs have batches of different shapes.
    """
    losses = trainer.compiled_loss.outputs
    judge = Model(_MeanOutputs())
    if list(means) == [""]:
        judge.compile(loss=losses.loss_of(""), loss_weights=_only(losses.factors), device="cpu")
        batches: list[tuple[Any, ...]] = [tuple(one) for one in means[""]]
    else:
        tree = losses.tree if losses.tree is not None else {name: name for name in means}
        factors = losses.names.settings("loss_weights", losses.factors, tree)
        judge.compile(
            loss={name: losses.loss_of(name) for name in means},
            loss_weights={name: 1.0 if factors.get(name) is None else factors[name] for name in means},
            device="cpu",
        )
        if any(len(groups) > 1 for groups in means.values()):
            raise ValueError("evaluate: the outputs have several shapes. Evaluate on batches of one shape at a time.")
        y_pred, y_true = ({name: one[0][part] for name, one in means.items()} for part in range(2))
        batches = [(y_pred, y_true, _weights(means))]
    with judge.trainer.with_metrics(trainer.metrics):
        if len(batches) == 1:
            y_pred, y_true, weight = batches[0]
            logs = judge.evaluate(y_pred, y_true, sample_weight=weight, verbose=0, return_dict=True)
        else:
            logs = judge.evaluate(lambda: iter(batches), verbose=0, return_dict=True)
    return dict(logs)


def _only(factors: Any) -> Any:
    """Return the factor of the only loss."""
    while isinstance(factors, (Mapping, list, tuple)):
        factors = next(iter(factors.values() if isinstance(factors, Mapping) else factors), None)
    return factors


def _weights(means: Mapping[str, Sequence[Outputs]]) -> dict[str, Tensor | None] | None:
    weights = {name: groups[0].weight for name, groups in means.items()}
    return weights if any(one is not None for one in weights.values()) else None
