"""From the arguments of `fit` to what is trained on and what validates."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import torch
from torch import nn

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
    """How `validation_split` takes its rows."""

    share: float
    stratify: Any
    shuffle: bool
    seed: int | None


class Assembled(NamedTuple):
    """What a fit runs on."""

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
    grows: Callable[[], bool],
    drawing: Mapping[str, Any],
    kept: bool,
) -> Assembled:
    """Split, batch and limit the sources; refuse what cannot be trained on.

    Args:
        model: that is trained.
        source: what it is trained on.
        validation: what validates.
        split: of `source`, where that validates.
        batch_size: as for `fit`; so are the next four.
        shuffle: see there.
        steps: see there.
        validation_batch_size: see there.
        validation_steps: see there.
        grows: whether batches of the validation may be of any size.
        drawing: what may hold random generators beside the data.
        kept: whether somebody keeps the states of this fit.
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
    random = RandomStates(kept, data=source.holder, validation=held, **drawing)
    training = source.batches(batch_size, shuffle=shuffle, seed=torch.initial_seed(), rows=rows, trains=True)
    check_last_batch(model, training)
    if steps is not None:
        training = SpanningBatches(training, check_int("steps_per_epoch", steps), random)
    if validation is None:
        return Assembled(training, None, random)
    size = validation_batch_size or (batch_size if validation.takes_batch_size else None)
    validating = eval_batches(validation, size, validation_steps, grows=grows, rows=held_out, name="validation_steps")
    return Assembled(training, validating, random)


def validation_source(data: Any, feed: BatchTransfer, finite: bool, steps: int | None) -> DataAdapter | None:
    """`validation_data` as a source: `(x, y)`, `(x, y, sample_weight)` or anything `x` can be."""
    if data is None:
        return None
    if isinstance(data, (tuple, list)):
        if len(data) not in (2, 3):
            raise ValueError(f"validation_data must be (x, y) or (x, y, sample_weight), got {len(data)} parts.")
        names = ("validation x", "validation y", "validation sample_weight")
        warn_of_integer_weights(*data[2:] or (None,))
        return DataAdapter(*data, names=names, finite=finite, cast=feed.convert_arrays, prefetcher=feed.prefetcher)
    names = ("validation_data", "y", "sample_weight")
    source = DataAdapter(data, names=names, finite=finite, cast=feed.convert_arrays, prefetcher=feed.prefetcher)
    if source.kind == "generator" and steps is None:
        raise ValueError(
            "validation_data is a generator, which has no length and ends after one pass; set validation_steps, or "
            "pass a function that returns a new one."
        )
    return source
