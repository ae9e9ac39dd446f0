"""Micro-batches: parts of a batch, and how their losses become the loss of the whole batch."""

from __future__ import annotations

import copy
from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

from kerastorch.core.module_tree import modules, named_modules
from kerastorch.core.nested import batch_rows, leaves, map_structure
from kerastorch.core.process_group import is_distributed
from kerastorch.core.torch_private import BatchNormBase
from kerastorch.data.batches import Batch
from kerastorch.losses.base import Loss
from kerastorch.symbolic.masks import makes_mask
from kerastorch.training.optimizer_step import OptimizerStep
from kerastorch.training.step_mixin import overrides
from kerastorch.training.step_output import StepOutput
from kerastorch.training.trainer import Trainer


def split_rows(n_rows: int, size: int) -> Iterator[slice]:
    """Yield slices of at most `size` rows that together are all rows.

    >>> list(split_rows(5, 2))
    [slice(0, 2, None), slice(2, 4, None), slice(4, 5, None)]
    """
    return (slice(start, min(start + size, n_rows)) for start in range(0, n_rows, size))


def select_rows(structure: Any, rows: slice) -> Any:
    """Return some rows of each tensor of a structure, as views; `None` stays `None`."""
    return map_structure(lambda leaf: leaf[rows], structure)


def can_be_split(structure: Any, n_rows: int) -> bool:
    """Return whether a structure consists of dense tensors of `n_rows` rows each."""
    return all(
        isinstance(leaf, Tensor) and leaf.layout == torch.strided and leaf.ndim > 0 and len(leaf) == n_rows
        for _, leaf in leaves(structure)
    )


def why_not_exact(trainer: Trainer, batch: Batch, phase: str) -> str:
    """Return why micro-batches would give other numbers than the whole batch; an empty string if they give the same.

    Args:
        trainer: Parts that train the model.
        batch: The batch.
        phase: `'train'` or `'test'`.
    """
    model, n_rows = trainer.model, batch_rows(batch.x)
    if n_rows < 2:
        return "a single row does not fit into memory"
    if not can_be_split(tuple(batch), n_rows):
        return f"a part of it does not consist of {n_rows} rows"
    for name in (f"{phase}_step", "compute_loss", "compute_metrics"):
        if overrides(model, name):
            return f"{type(model).__name__}.{name} is your own and may compute anything"
    if trainer.parallel.divides_weights:
        return "the weights are divided among the processes, which must compute the same number of batches"
    reason = _why_losses_do_not_add(trainer)
    if reason or phase == "test":
        return reason
    if is_distributed():
        return "other processes compute their part of the step with whole batches"
    if not isinstance(trainer.optimizer_step, OptimizerStep):
        return "there are several optimizers"
    if trainer.optimizer_step.needs_closure:
        return f"{type(trainer.optimizer_step.optimizer).__name__} computes the loss several times for a step"
    for path, part in named_modules(model):
        if isinstance(part, BatchNormBase) and part.training:
            return f"{path or 'the model'} ({type(part).__name__}) computes with the mean of the batch"
    return ""


def _why_losses_do_not_add(trainer: Trainer) -> str:
    """Return why the losses of micro-batches cannot be combined; an empty string if they can."""
    if trainer.compiled_loss.is_of_all_outputs:
        return "the loss is computed from all that the model returns, and is not known to be a mean over the rows"
    losses = {name: loss for name, loss in trainer.compiled_loss.losses.items() if loss is not None}
    has_masks = any(map(makes_mask, modules(trainer.model)))
    for name, loss in losses.items():
        where = f"the loss {loss.name!r}{f' of {name!r}' if name else ''}"
        if combination(loss) is None:
            return f"{where} is not known to be a mean or a sum over the rows"
        if has_masks and (combination(loss) == "sum" or loss.reduction == "mean_with_sample_weight"):
            return f"{where} has reduction={loss.reduction!r}, and the outputs have masks"
    return ""


def combination(loss: Loss | None) -> str | None:
    """Return `'mean'` or `'sum'`, by which the losses of micro-batches become that of the batch; `None` if unknown."""
    if loss is None:
        return None
    if loss.is_mean_over_rows():
        return "mean"
    if loss.reduction != "sum":
        return None
    of_mean = copy.copy(loss)
    of_mean.reduction = "mean"
    return "sum" if of_mean.is_mean_over_rows() else None  # a loss such as Dice mixes rows before it adds


class Shares:
    """The share of each micro-batch in the losses of the whole batch.

    Args:
        rows: Number of rows of each micro-batch.
        counts: Log name -> what that loss of each micro-batch is a mean over, as tensors; `''` is the only loss. Losses
            that are left out are means over the rows.
        sums: Names of the losses that are sums.
    """

    def __init__(self, rows: Sequence[int], counts: Mapping[str, Sequence[Tensor]], sums: Collection[str]) -> None:
        self._rows, self._counts, self._sums = rows, counts, sums

    def weigh(self, index: int, output: StepOutput) -> dict[str, Any]:
        """Return the terms that a micro-batch adds to the logs of the batch.

        Penalties and terms of `add_loss`, which `loss` has beside `data_loss`, are divided by the rows.

        Args:
            index: Number of the micro-batch.
            output: Its logs: `loss`, `data_loss` if there are penalties, and `<output>_loss` of several outputs.
        """
        logs = output.logs
        data = logs.get("data_loss", logs["loss"])
        found = {name: self._share(index, name, logs[name]) for name in output.weights}
        if not found:
            share = self._share(index, "", data)
        elif data.requires_grad:  # the factors of the losses in their sum are its derivatives
            factors = torch.autograd.grad(data, [logs[name] for name in found], retain_graph=True)
            share = sum(factor * term for factor, term in zip(factors, found.values(), strict=True))
        else:  # in evaluation the means of several losses are added at the end of the pass
            share = data * self._row_share(index)
        if "data_loss" not in logs:
            return {"loss": share, **found}
        return {"loss": share + (logs["loss"] - data) * self._row_share(index), "data_loss": share, **found}

    def _row_share(self, index: int) -> float:
        return self._rows[index] / sum(self._rows)

    def _share(self, index: int, name: str, value: Any) -> Any:
        if name in self._sums:
            return value
        if name not in self._counts:
            return value * self._row_share(index)
        count, total = self._counts[name][index], torch.stack(list(self._counts[name])).sum()
        # the mean over no values is NaN and adds nothing
        return torch.where(count > 0, value * (count / total.where(total != 0, 1)), 0.0)


def tensor_counts(outputs: Sequence[StepOutput]) -> dict[str, list[Tensor]]:
    """Return the counts of the losses that are tensors, by log name; the only loss has the name `''`."""
    named = [{"": output.weight, **output.weights} for output in outputs]
    return {
        name: [one[name].detach() for one in named]  # type: ignore[union-attr]
        for name, first in named[0].items()
        if isinstance(first, Tensor)
    }


def combine(weighed: Sequence[Mapping[str, Any]], outputs: Sequence[StepOutput]) -> StepOutput:
    """Return the output of the step on the whole batch.

    Args:
        weighed: The terms of each micro-batch, as `Shares.weigh` returns them.
        outputs: The outputs of the steps on the micro-batches.
    """
    first = outputs[0]
    logs = {name: sum(_detach(one[name]) for one in weighed) for name in weighed[0]}
    weight = None if first.weight is None else sum(output.weight for output in outputs)  # type: ignore[misc]
    weights = {name: sum(output.weights[name] for output in outputs) for name in first.weights}
    return StepOutput(logs, weight, weights, all(output.has_compiled_loss for output in outputs))


def _detach(value: Any) -> Any:
    return value.detach() if isinstance(value, Tensor) else value
