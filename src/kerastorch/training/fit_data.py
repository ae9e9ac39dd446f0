"""FitData: training data and validation data, made from the arguments of `fit`."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple, Protocol

import torch
from torch import nn

from kerastorch.callbacks.base import Callback
from kerastorch.core.errors import check_int, shown
from kerastorch.core.module_tree import modules
from kerastorch.core.nested import map_structure
from kerastorch.core.rng_state import RandomStates
from kerastorch.data.adaptive_batch_size import eval_batches
from kerastorch.data.batch_reader import BatchReader, warn_of_integer_weights
from kerastorch.data.batches import Batches, Resumable
from kerastorch.data.data_adapter import DataAdapter
from kerastorch.data.item_lists import list_kind
from kerastorch.data.limited_batches import (
    LimitedBatches,
    RepeatedBatches,
    check_number_of_batches,
    number_of_batches,
)
from kerastorch.data.rank_shard import RowShard
from kerastorch.data.rank_slices import RankSlices
from kerastorch.data.sequences import check_ends
from kerastorch.data.spanning_batches import SpanningBatches
from kerastorch.data.validation_split import check_split
from kerastorch.runtime.batch_transfer import BatchTransfer
from kerastorch.training.preflight import check_last_batch
from kerastorch.training.row_axis import check_row_axis


class Ranks(Protocol):
    """What the data of a fit need to know of the ranks that train the model."""

    shard: RowShard | None

    def order_seed(self) -> int:
        """Return the seed of the order of the rows."""

    def check_data(self, source: DataAdapter, names: tuple[str, str, str] = ...) -> None:
        """Check that all ranks were given the same data, which have no NaN or infinity if these were searched for."""


class Split(NamedTuple):
    """Arguments of `fit` for the validation split: share of the rows, stratification, shuffling and its seed."""

    share: float
    stratify: Any
    shuffle: bool
    seed: int | None

    @property
    def kind(self) -> str:
        """Return `"split"` for the last rows, `"random split"`, or `"data"` if there is no split."""
        if not self.share:
            return "data"
        return "random split" if self.shuffle or self.stratify not in (None, False) else "split"


class Limits(NamedTuple):
    """Arguments of `fit` for the number of batches of an epoch and of its validation."""

    steps_per_epoch: int | None
    validation_steps: int | None
    limit_batches: int | float | None
    overfit_batches: int | float | None

    @property
    def largest_validation(self) -> int | None:
        """Return the largest number of validation batches as far as it is known without the data."""
        given = [one for one in (self.validation_steps, self.limit_batches) if isinstance(one, int)]
        return min(given, default=None)


def check_limits(steps: Any, validation_steps: Any, limit: Any, overfit: Any) -> Limits:
    """Return the arguments for the number of batches, checked.

    Args:
        steps: `fit(steps_per_epoch=)`.
        validation_steps: `fit(validation_steps=)`.
        limit: `fit(limit_batches=)`.
        overfit: `fit(overfit_batches=)`.

    Raises:
        ValueError: An argument is out of its range, or two of them exclude each other.
    """
    given = {"steps_per_epoch": steps, "limit_batches": limit, "overfit_batches": overfit}
    names = [name for name, value in given.items() if value is not None]
    if len(names) > 1:
        raise ValueError(
            f"pass one of {' and '.join(names)}: steps_per_epoch continues through the data, limit_batches begins "
            "each epoch anew, overfit_batches repeats the same batches."
        )
    return Limits(
        None if steps is None else check_int("steps_per_epoch", steps),
        None if validation_steps is None else check_int("validation_steps", validation_steps),
        check_number_of_batches("limit_batches", limit),
        check_number_of_batches("overfit_batches", overfit),
    )


class FitData(NamedTuple):
    """The data of one fit.

    Attributes:
        training: Batches of the training data.
        validation: Batches of the validation data, if there are any.
        random: Random generators.
        targets: All training targets, if they are in memory.
        validation_targets: All targets of the validation, if they are in memory.
        validation_kind: `"split"` for the last rows, `"random split"`, `"data"`, or empty without validation.
        shuffle: Whether rows are shuffled in each epoch; `None` if the data have an order of their own.
    """

    training: Resumable
    validation: Batches | None
    random: RandomStates
    targets: Any
    validation_targets: Any
    validation_kind: str
    shuffle: bool | None


def assemble(
    model: nn.Module,
    source: DataAdapter,
    validation: DataAdapter | None,
    split: Split,
    limits: Limits,
    *,
    batch_size: int | None,
    shuffle: bool | str,
    validation_batch_size: int | None,
    can_grow: Callable[[], bool],
    generators_in: Mapping[str, Any],
    callbacks: Sequence[Callback],
    validation_reader: BatchReader,
    parallel: Ranks,
) -> FitData:
    """Split the data, and make batches of them.

    Args:
        model: The model to train.
        source: Training data.
        validation: Validation data, `None` if there is none or it is split from `source`.
        split: The validation split of `source`.
        limits: Numbers of batches of an epoch and of its validation.
        batch_size: Rows of a training batch.
        shuffle: `fit(shuffle=)`.
        validation_batch_size: Rows of a validation batch.
        can_grow: Returns whether validation batches may have any size.
        generators_in: Objects that may hold random generators, besides the data, by name.
        validation_reader: Reads the validation split of `source`.
        parallel: What several ranks do together.
        callbacks: Callbacks of the fit. If one saves its state, random generators are looked for, in the others too.

    Raises:
        ValueError: Two sources of validation data; another `shuffle`; a last batch that the model cannot train on.
    """
    share = check_split(split.share)
    if share and validation is not None:
        raise ValueError("pass one of validation_split and validation_data.")
    if shuffle not in (True, False, "batch"):
        raise ValueError(f"shuffle must be True, False or 'batch', got {shuffle!r}.")
    rows = held_out = None
    if share:
        rows, held_out = source.split(share, stratify=split.stratify, shuffle=split.shuffle, seed=split.seed)
        validation = source.read_by(validation_reader)
    parallel.check_data(source)
    if validation is not None and not share:
        parallel.check_data(validation, ("validation_data", "validation y", "validation sample_weight"))
    held, parts = None if validation is None else validation.holder, modules(model)
    is_captured = any(getattr(one, "is_checkpointer", False) for one in callbacks)
    # a checkpointer refers to the whole fit, so that everything would be found a second time in it
    others = [None if getattr(one, "is_checkpointer", False) else one for one in callbacks]
    random = RandomStates(is_captured, data=source.holder, validation=held, **generators_in, callbacks=others)
    shuffle = shuffle if limits.overfit_batches is None else False
    training = source.batches(
        batch_size, shuffle=shuffle, seed=parallel.order_seed(), rows=rows, trains=True, shard=parallel.shard
    )
    check_row_axis(parts, source, batch_size, is_shuffled=bool(shuffle))
    if limits == limits._replace(steps_per_epoch=None, limit_batches=None, overfit_batches=None):
        check_ends(training.whole if isinstance(training, RankSlices) else training, "steps_per_epoch")
    training = _limited(training, limits, source.kind)
    check_last_batch(model, training)
    if limits.steps_per_epoch is not None:
        training = SpanningBatches(training, limits.steps_per_epoch, random)
    is_shuffled = bool(shuffle) if source.kind in ("arrays", "Dataset") else None
    if limits.overfit_batches is not None:
        return FitData(training, training, random, source.targets(), None, "", is_shuffled)
    targets = _selected(source.targets(), rows)
    if validation is None:
        return FitData(training, None, random, targets, None, "", is_shuffled)
    size = validation_batch_size or (batch_size if validation.takes_batch_size else None)
    check_row_axis(parts, validation, size)
    steps = _validation_steps(validation, size, held_out, limits)
    validating = eval_batches(
        validation, size, steps, grows=can_grow, rows=held_out, name="validation_steps", shard=parallel.shard
    )
    on_validation = _selected(validation.targets(), held_out)
    return FitData(training, validating, random, targets, on_validation, split.kind, is_shuffled)


def _selected(targets: Any, rows: torch.Tensor | None) -> Any:
    """Return the targets of some rows; of all rows for `None`."""
    return targets if rows is None else map_structure(lambda one: one[rows.to(one.device)], targets)


def _limited(training: Resumable, limits: Limits, kind: str) -> Resumable:
    """Apply `limit_batches` or `overfit_batches` to the training batches."""
    if limits.limit_batches is not None:
        return LimitedBatches(training, number_of_batches("limit_batches", limits.limit_batches, training))
    if limits.overfit_batches is None:
        return training
    count = number_of_batches("overfit_batches", limits.overfit_batches, training)
    # arrays and datasets that are not shuffled begin each pass with the same rows; other data have their own order
    return (LimitedBatches if kind in ("arrays", "Dataset") else RepeatedBatches)(training, count)


def _validation_steps(
    validation: DataAdapter, batch_size: int | None, rows: torch.Tensor | None, limits: Limits
) -> int | None:
    """Return the largest number of validation batches; `None` for all."""
    steps, limit = limits.largest_validation, limits.limit_batches
    if limit is None or isinstance(limit, int):
        return steps
    fraction = number_of_batches("limit_batches", limit, validation.batches(batch_size, rows=rows))
    return fraction if steps is None else min(steps, fraction)


def validation_source(
    data: Any,
    transfer: BatchTransfer,
    finite: bool,
    steps: int | None,
    reader: BatchReader,
    workers: int = 0,
    shard: RowShard | None = None,
) -> DataAdapter | None:
    """Adapt `validation_data`: `(x, y)`, `(x, y, sample_weight)` or anything that `x` can be.

    Args:
        data: `validation_data` of `fit`.
        transfer: Converts arrays to the dtypes of the model.
        finite: Raise an error for NaN and infinity.
        steps: The largest number of validation batches, required for a generator.
        reader: Reads what the data yield.
        workers: Number of workers, if the data are read by workers.
        shard: Which rows this rank searches for NaN and infinity. Default: all.
    """
    if data is None:
        return None
    names = ("validation_data", "y", "sample_weight")
    if isinstance(data, tuple) or (isinstance(data, list) and list_kind(data, names[0], reader.row_axes) is None):
        if len(data) not in (2, 3):
            raise ValueError(
                f"validation_data must be (x, y) or (x, y, sample_weight), got {len(data)} parts: {shown(data)}. Write "
                "validation_data=(x, y)."
            )
        names = ("validation x", "validation y", "validation sample_weight")
        warn_of_integer_weights(*data[2:] or (None,))
        x, y, sample_weight = (*data, None)[:3]
        return adapt(x, y, sample_weight, transfer, reader, finite=finite, names=names, shard=shard)
    source = adapt(data, None, None, transfer, reader, finite=finite, names=names, shard=shard)
    held = source.arrays()
    if held is not None and held.y is None and reader.needs_target:
        raise ValueError("validation_data has no targets, which the loss needs. Write validation_data=(x, y).")
    if source.kind == "generator" and steps is None:
        raise ValueError(
            "validation_data is a generator, which has no length and ends after one pass; set validation_steps, or "
            "pass a function that returns a new one."
        )
    return source.read_in(workers)


def adapt(
    x: Any,
    y: Any,
    sample_weight: Any,
    transfer: BatchTransfer,
    reader: BatchReader,
    *,
    finite: bool,
    names: tuple[str, str, str] = ("x", "y", "sample_weight"),
    workers: int = 0,
    shard: RowShard | None = None,
) -> DataAdapter:
    """Return the data of one call of a method, recognised and checked.

    Args:
        x: Arrays, or data that yield batches.
        y: Targets; only with arrays.
        sample_weight: Weights of samples; only with arrays.
        transfer: Converts arrays to the dtypes of the model.
        reader: Reads what the data yield.
        finite: Whether NaN and infinity in arrays raise an error.
        names: Names of the first three arguments in messages.
        workers: Number of workers that read samples.
        shard: Which rows this rank searches for NaN and infinity; `check_data` of the ranks must follow. Default: all.
    """
    cast, prefetcher = transfer.convert_arrays, transfer.prefetcher
    return DataAdapter(
        x,
        y,
        sample_weight,
        names=names,
        finite=finite,
        shard=shard,
        cast=cast,
        prefetcher=prefetcher,
        reader=reader,
        workers=workers,
    )
