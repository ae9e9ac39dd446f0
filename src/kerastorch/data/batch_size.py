"""Checks of the argument `batch_size`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from kerastorch.core.errors import check_int, warn


def check_no_batch_size(batch_size: int | None, kind: str, *, is_ignored: bool = False) -> None:
    """Raise an error if a batch size is given with data that come in batches.

    Args:
        batch_size: The argument, or `None`.
        kind: The kind of the data, for the message.
        is_ignored: Whether it only warns, as for a `PyDataset`: Keras ignores the argument then.

    Raises:
        ValueError: There is one.
    """
    if batch_size is not None and is_ignored:
        warn("batch_size has no effect on a PyDataset, which makes the batches itself.")
    elif batch_size is not None:
        raise ValueError(f"batch_size cannot be given with a {kind}; it comes in batches.")


def check_batch_size(given: Any) -> int:
    """Return `batch_size` as an int, at least 1.

    Raises:
        ValueError: It is something else; the message for data says where validation data go.
    """
    is_data = isinstance(given, (tuple, list, Mapping)) or getattr(given, "ndim", 0) > 0
    advice = "The third argument is batch_size; validation data are validation_data=(x, y)." if is_data else ""
    return check_int("batch_size", given, advice=advice)
