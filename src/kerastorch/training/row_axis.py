"""Checks that the axis along which data are cut into batches is not the axis of time in the model."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from typing import Any

from torch import nn
from torch.utils.data import default_collate

from kerastorch.core.errors import warn
from kerastorch.core.rng_state import preserved_rng_states
from kerastorch.data.data_adapter import DataAdapter
from kerastorch.data.samples import collate_samples
from kerastorch.runtime.time_axis import TimeModule, find_module_with_rows_as_time, may_take_rows_as_time


def check_row_axis(
    parts: Sequence[nn.Module], source: DataAdapter, batch_size: int | None, *, is_shuffled: bool = False
) -> None:
    """Check that no module of torch takes the rows of a batch for the steps of one sequence.

    Batches that a generator or a `collate_fn` of the user makes may have any order of axes.

    Args:
        parts: The modules of the model.
        source: The data.
        batch_size: Rows of a batch, `None` if they are chosen later. If it is that of all data, nothing is cut.
        is_shuffled: Whether the rows are in another order than that of the data.

    Raises:
        ValueError: A recurrent module or an attention of torch does; batches are cut from arrays or made of a dataset.

    Warns:
        UserWarning: It does, and a `DataLoader` makes the batches.
    """
    is_whole = batch_size is not None and source.samples is not None and source.samples <= batch_size
    if is_whole and not is_shuffled:
        return
    x = _sample_inputs(source) if may_take_rows_as_time(parts) else None
    if x is None or not may_take_rows_as_time(parts, x):
        return
    found = find_module_with_rows_as_time(parts, x)
    if found is None:
        return
    if source.kind != "DataLoader":
        raise ValueError(f"batches are rows of x along its first axis, and {_meaning(found)} {_advice(found)}")
    put_first = "" if found.is_unbatched else " Or let collate_fn put time first: torch.stack(samples, 1)."
    warn(f"the DataLoader stacks samples along the first axis, and {_meaning(found)} {_remedy(found)}{put_first}")


def _sample_inputs(source: DataAdapter) -> Any:
    """Return inputs whose first axis is that of rows: all arrays, or the first sample of a dataset as a batch.

    The result is `None` if batches may have another order of axes.
    """
    held, data = source.arrays(), source.holder
    if held is not None:
        return held.x
    if source.kind == "DataLoader":
        data = data.dataset if data.batch_size and data.collate_fn is default_collate else None
    elif source.kind != "Dataset":
        return None
    if hasattr(data, "__getitem__"):
        with preserved_rng_states(), suppress(Exception):  # the batches will raise it
            return source.reader(collate_samples([data[0]])).x
    return None


def _meaning(found: TimeModule) -> str:
    if found.is_unbatched:
        return f"{found.name} of torch takes a tensor with two axes as one sequence, so that rows are its steps."
    return (
        f"{found.name} takes the first axis as time (batch_first=False), so that rows are steps of the same sequences."
    )


def _remedy(found: TimeModule) -> str:
    if found.is_unbatched:
        return "Give each row an axis of steps, x[:, None], and create the module with batch_first=True."
    return "Create the module with batch_first=True."


def _advice(found: TimeModule) -> str:
    remedy = _remedy(found)
    return (
        f"If the first axis is that of samples, {remedy[0].lower()}{remedy[1:]} If it is time, pass one batch: "
        "predict_on_batch(x), and fit(DataLoader([(x, y)], batch_size=None))."
    )
