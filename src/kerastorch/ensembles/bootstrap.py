"""Bootstrap samples: rows of arrays that are drawn with replacement."""

from __future__ import annotations

import hashlib
from typing import Any

import numpy as np
import torch

from kerastorch.core.errors import check_float
from kerastorch.core.nested import first_rows, map_structure
from kerastorch.data import arrays


def bootstrap_rows(share: bool | float, x: Any, y: Any, sample_weight: Any, states: Any) -> tuple[Any, Any, Any]:
    """Return inputs, targets and sample weights for rows that are drawn with replacement; for `False` all rows.

    Args:
        share: Number of rows to draw, as a fraction of all; `True` is 1.
        x: Inputs.
        y: Targets.
        sample_weight: Weights of rows, or `None`.
        states: States of the random generators, from which the draw follows; they are not changed.

    Raises:
        ValueError: The data are no arrays, or the fraction is not above 0.
    """
    if share is False:
        return x, y, sample_weight
    fraction = 1.0 if share is True else check_float("bootstrap", share, above=0)
    if y is None or not arrays.is_array(x):
        raise ValueError(f"bootstrap draws rows of arrays x and y, got {type(x).__name__}; pass bootstrap=False.")
    count = first_rows(arrays.to_tensors(y, "y"))
    rows = np.random.default_rng(seed_from(states)).integers(0, count, max(1, round(fraction * count)))
    return _take(x, "x", rows), _take(y, "y", rows), _take(sample_weight, "sample_weight", rows)


def seed_from(states: Any) -> int:
    """Return a seed that follows from the states of the random generators."""
    return int.from_bytes(hashlib.sha256(states["torch"].numpy().tobytes()).digest()[:4], "little")


def _take(given: Any, name: str, rows: Any) -> Any:
    """Return some rows of arrays; tables stay tables."""
    if given is None or hasattr(given, "iloc"):
        return None if given is None else given.iloc[rows]
    index = torch.as_tensor(rows)
    return map_structure(lambda one: one[index], arrays.to_tensors(given, name))
