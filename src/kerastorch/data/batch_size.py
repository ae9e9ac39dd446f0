"""Checks of the argument `batch_size`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from kerastorch.core.errors import check_int


def check_no_batch_size(batch_size: int | None, kind: str) -> None:
    """Raise a `ValueError` if a batch size is given with data that come in batches."""
    if batch_size is not None:
        raise ValueError(f"batch_size cannot be given with a {kind}; it comes in batches.")


def check_batch_size(given: Any) -> int:
    """Return `batch_size` as an int, at least 1.

    Raises:
        ValueError: It is something else; the message for data says where validation data go.
    """
    is_data = isinstance(given, (tuple, list, Mapping)) or getattr(given, "ndim", 0) > 0
    advice = "The third argument is batch_size; validation data are validation_data=(x, y)." if is_data else ""
    return check_int("batch_size", given, advice=advice)
