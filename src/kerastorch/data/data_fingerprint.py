"""A short description of data, by which the ranks of a process group find out whether they were given the same data."""

from __future__ import annotations

import hashlib
from typing import Any

from torch.utils.data import DataLoader, Dataset

from kerastorch.core.nested import leaves
from kerastorch.data.array_digest import SAMPLED_ROWS, describe_arrays
from kerastorch.data.batched_dataset import checksum_of
from kerastorch.data.data_adapter import DataAdapter

MAX_DEPTH = 8  # of datasets within datasets


def fingerprint(source: DataAdapter, names: tuple[str, str, str] = ("x", "y", "sample_weight")) -> dict[str, str]:
    """Return descriptions of data by the name of the argument; equal data have equal ones.

    Arrays are described by shape, dtype, and the values of some rows, so that large ones need not be read. Of a
    dataset, no sample is read: the attributes with a row or item for each sample are described.

    Args:
        source: The data.
        names: Names of inputs, targets and weights in messages.
    """
    data = source.arrays()
    if data is None:
        rows = "" if source.samples is None else f" of {source.samples} samples"
        held = source.holder.dataset if isinstance(source.holder, DataLoader) else source.holder
        found = {names[0]: f"a {source.kind}{rows}"}
        inner = _describe_dataset(held, MAX_DEPTH) if isinstance(held, Dataset) else ""
        return {**found, f"the content of {names[0]}": inner} if inner else found
    return {name: describe_arrays(part) for name, part in zip(names, data, strict=True) if part is not None}


def _describe_dataset(data: Any, depth: int) -> str:
    """Return a description of the attributes of a dataset with an entry for each sample, and of datasets within it."""
    count = len(data) if hasattr(data, "__len__") else None
    found = [f"{name} {number}" for name, number in checksum_of(data).items()]
    for name, value in sorted(vars(data).items()) if depth else ():
        inner = value[:SAMPLED_ROWS] if isinstance(value, (list, tuple)) else [value]
        if inner and all(isinstance(one, Dataset) for one in inner):
            text = ", ".join(_describe_dataset(one, depth - 1) for one in inner)
        elif isinstance(value, (list, range)):
            text = _describe_list(value) if len(value) == count else ""
        else:
            has_rows = any(tuple(getattr(leaf, "shape", ()))[:1] == (count,) for _, leaf in leaves(value))
            text = describe_arrays(value) if has_rows else ""
        if text:
            found.append(f"{name}: {text}")
    return "; ".join(found)


def _describe_list(values: Any) -> str:
    """Return the length of a list, and a digest of some items, if they are numbers, texts, or pairs of these.

    A list of other items, such as transformations, has no description that is the same in all processes.
    """
    some = list(values[:: max(1, len(values) // SAMPLED_ROWS)])
    if not all(isinstance(leaf, (int, float, str)) for one in some for _, leaf in leaves(one)):
        return ""
    return f"{len(values)} items with values {hashlib.sha256(repr(some).encode()).hexdigest()[:8]}"
