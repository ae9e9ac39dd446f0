"""A short description of data, by which the ranks of a process group find out whether they were given the same data."""

from __future__ import annotations

from kerastorch.data.array_digest import describe_arrays
from kerastorch.data.data_adapter import DataAdapter


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
    return {name: describe_arrays(part) for name, part in zip(names, data, strict=True) if part is not None}
