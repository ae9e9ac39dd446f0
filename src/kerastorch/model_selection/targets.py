"""Targets of data: those that were given, or those that a dataset yields with its samples."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from torch.utils.data import Subset, TensorDataset

from kerastorch.model_selection.rows import is_dataset


def targets_of(x: Any, y: Any) -> Any:
    """Return the targets of all rows as far as they are in memory, else `None`.

    Args:
        x: Inputs, or a dataset that yields inputs and targets.
        y: Targets, or `None`.
    """
    if y is not None or not is_dataset(x):
        return y
    if isinstance(x, TensorDataset):
        return x.tensors[1] if len(x.tensors) > 1 else None
    if isinstance(x, Subset):
        whole = targets_of(x.dataset, None)
        return None if whole is None else np.asarray(whole)[list(x.indices)]
    found: Any = getattr(x, "targets", None)
    return found if hasattr(found, "__len__") and len(found) == len(x) else None


def read_targets(x: Any, y: Any) -> Any:
    """Return the targets of all rows; those of a dataset are read from its samples.

    Args:
        x: Inputs, or a dataset that yields inputs and targets.
        y: Targets, or `None`.

    Raises:
        ValueError: The samples are no pairs `(x, y)`.
    """
    found = targets_of(x, y)
    if found is not None or not is_dataset(x):
        return found
    samples = (x[row] for row in range(len(x)))
    targets = [None if isinstance(one, Mapping) or len(one) < 2 else one[1] for one in samples]
    if any(one is None for one in targets):
        raise ValueError("metrics need the targets, and the samples of the dataset are no pairs (x, y).")
    return np.stack([np.asarray(one) for one in targets])
