"""A short description of arrays by shape, dtype and some of their values; equal arrays have equal ones."""

from __future__ import annotations

import hashlib
from typing import Any

import numpy as np
import torch
from torch import Tensor

from kerastorch.core.nested import leaves
from kerastorch.data.lazy_arrays import LazyArray

SAMPLED_ROWS = 64  # rows at equal distances whose values are compared


def describe_arrays(part: Any) -> str:
    """Return the descriptions of all arrays in a structure."""
    found = (torch.as_tensor(leaf) if isinstance(leaf, np.ndarray) else leaf for _, leaf in leaves(part))
    return ", ".join(_describe(leaf) for leaf in found if isinstance(leaf, (Tensor, LazyArray)) and len(leaf.shape))


def _describe(array: Tensor | LazyArray) -> str:
    count = array.shape[0]
    rows = torch.linspace(0, max(0, count - 1), min(count, SAMPLED_ROWS), dtype=torch.float64).round().to(torch.int64)
    values = array.index_select(0, rows.to(array.device)).detach().cpu().contiguous()
    digest = hashlib.sha256(values.reshape(-1).view(torch.uint8).numpy().tobytes()).hexdigest()
    return f"{tuple(array.shape)} {str(array.dtype).removeprefix('torch.')} with values {digest[:8]}"
