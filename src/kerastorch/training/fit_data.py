"""FitData: training data and validation data, made from the arguments of `fit`."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import torch
from torch import nn

from kerastorch.callbacks.base import Callback
from kerastorch.core.errors import check_int
from kerastorch.core.rng_state import RandomStates
from kerastorch.data.adaptive_batch_size import eval_batches
from kerastorch.data.batches import Batches, Resumable
from kerastorch.data.data_adapter import DataAdapter
from kerastorch.data.loaders import warn_of_integer_weights
from kerastorch.data.spanning_batches import SpanningBatches
from kerastorch.data.validation_split import check_split
from kerastorch.runtime.batch_transfer import BatchTransfer
from kerastorch.training.preflight import check_last_batch


class Split(NamedTuple):
    """Arguments of `fit` for the validation split: share of the rows, stratification, shuffling and its seed."""

    share: float
    stratify: Any
    shuffle: bool
    seed: int | None


class FitData(NamedTuple):
    """Training data, validation data and random generators of one fit."""

    training: Resumable
    validation: Batches | None
    random: RandomStates


def assemble(
    model: nn.Module,
    source: DataAdapter,
    validation: DataAdapter | None,
    split: Split,
    *,
    batch_size: int | None,
    shuffle: bool | str,
    steps: int | None,
    validation_batch_size: int | None,
    validation_steps: int | None,
    can_grow: Callable[[], bool],
    generators_in: Mapping[str, Any],
    callbacks: Sequence[Callback],
) -> FitData:
    """Split the data, and make batches of them.

    Args:
        model: The model to train.
        source: Training data.
        validation: Validation data, `None` if there is none or it is split from `source`.
        split: The validation split of `source`.
        batch_size: Rows of a training batch.
        shuffle: `fit(shuffle=)`.
        steps: `fit(steps_per_epoch=)`.
        validation_batch_size: Rows of a validation batch.
        validation_steps: Maximal number of validation batches.
        can_grow: Returns whether validation batches may have any size.
        generators_in: Objects that may hold random generators, besides the data, by name.
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
        validation = source
    held = None if validation is None else validation.holder
    is_captured = any(getattr(one, "is_checkpointer", False) for one in callbacks)
    # a checkpointer refers to the whole fit, so that everything would be found a second time in it
    others = [None if getattr(one, "is_checkpointer", False) else one for one in callbacks]
    random = RandomStates(is_captured, data=source.holder, validation=held, **generators_in, callbacks=others)
    training = source.batches(batch_size, shuffle=shuffle, seed=torch.initial_seed(), rows=rows, trains=True)
    check_last_batch(model, training)
    if steps is not None:
        training = SpanningBatches(training, check_int("steps_per_epoch", steps), random)
    if validation is None:
        return FitData(training, None, random)
    size = validation_batch_size or (batch_size if validation.takes_batch_size else None)
    validating = eval_batches(
        validation, size, validation_steps, grows=can_grow, rows=held_out, name="validation_steps"
    )
    return FitData(training, validating, random)


def validation_source(data: Any, transfer: BatchTransfer, finite: bool, steps: int | None) -> DataAdapter | None:
    """Adapt `validation_data`: `(x, y)`, `(x, y, sample_weight)` or anything that `x` can be.

    Args:
        data: `validation_data` of `fit`.
        transfer: Converts arrays to the dtypes of the model.
        finite: Raise an error for NaN and infinity.
        steps: `fit(validation_steps=)`, required for a generator.
    """
    if data is None:
        return None
    if isinstance(data, (tuple, list)):
        if len(data) not in (2, 3):
            raise ValueError(f"validation_data must be (x, y) or (x, y, sample_weight), got {len(data)} parts.")
        names = ("validation x", "validation y", "validation sample_weight")
        warn_of_integer_weights(*data[2:] or (None,))
        return DataAdapter(
            *data, names=names, finite=finite, cast=transfer.convert_arrays, prefetcher=transfer.prefetcher
        )
    names = ("validation_data", "y", "sample_weight")
    source = DataAdapter(data, names=names, finite=finite, cast=transfer.convert_arrays, prefetcher=transfer.prefetcher)
    if source.kind == "generator" and steps is None:
        raise ValueError(
            "validation_data is a generator, which has no length and ends after one pass; set validation_steps, or "
            "pass a function that returns a new one."
        )
    return source
