"""Inputs of single rows, for the plots of the worst ones."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from torch import Tensor
from torch.utils.data import DataLoader, Dataset, IterableDataset, SequentialSampler

from kerastorch.evaluation.predictions import Array

MOST_VALUES = 10**6  # of the inputs of a row that a report keeps


def row_inputs(x: Any, n_rows: int) -> Callable[[int], Array | None] | None:
    """Return a function of the number of a row that returns its inputs; `None` if they cannot be read by row.

    Args:
        x: What the model was evaluated on.
        n_rows: Number of rows of the report.
    """
    if isinstance(x, DataLoader):
        x = x.dataset if isinstance(x.sampler, SequentialSampler) and x.batch_size is not None else None
    if isinstance(x, IterableDataset) or not isinstance(x, (np.ndarray, Tensor, Dataset)):
        return None
    if not hasattr(x, "__len__") or len(x) != n_rows:
        return None
    data: Any = x

    def read(row: int) -> Array | None:
        sample = data[row]
        sample = sample[0] if isinstance(data, Dataset) and isinstance(sample, (tuple, list)) else sample
        if isinstance(sample, Tensor):
            sample = sample.detach().cpu().float().numpy() if sample.is_floating_point() else sample.cpu().numpy()
        if not isinstance(sample, np.ndarray) or sample.dtype.kind not in "biuf" or sample.size > MOST_VALUES:
            return None
        return sample.copy()

    return read
