"""A short description of data, by which the ranks of a process group find out whether they were given the same data."""

from __future__ import annotations

import hashlib
from typing import Any

import torch
from torch import Tensor

from kerastorch.core.nested import leaves
from kerastorch.data.data_adapter import DataAdapter
from kerastorch.data.lazy_arrays import LazyArray

SAMPLED_ROWS = 64  # rows at equal distances whose values are compared


def fingerprint(source: DataAdapter, names: tuple[str, str, str] = ("x", "y", "sample_weight")) -> dict[str, str]:
    """Return descriptions of data by the name of the argument; equal data have equal ones.

    Arrays are described by shape, dtype, and the values of some rows, so that large ones need not be read.

    Args:
        source: The data.
        names: Names of inputs, targets and weights in messages.
    """
    data = source.arrays()
    if data is None:
        rows = "" if source.samples is None else f" of {source.samples} samples"
        return {names[0]: f"a {source.kind}{rows}"}
    return {name: _describe(part) for name, part in zip(names, data, strict=True) if part is not None}


def _describe(part: Any) -> str:
    return ", ".join(_describe_array(leaf) for _, leaf in leaves(part) if isinstance(leaf, (Tensor, LazyArray)))


def _describe_array(array: Tensor | LazyArray) -> str:
    count = array.shape[0]
    rows = torch.linspace(0, count - 1, min(count, SAMPLED_ROWS), dtype=torch.float64).round().to(torch.int64)
    values = array.index_select(0, rows.to(array.device)).detach().cpu().contiguous()
    digest = hashlib.sha256(values.reshape(-1).view(torch.uint8).numpy().tobytes()).hexdigest()
    return f"{tuple(array.shape)} {str(array.dtype).removeprefix('torch.')} with values {digest[:8]}"
