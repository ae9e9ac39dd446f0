"""Converting arrays in memory to torch tensors, and checking them; the arrays are never written to."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import torch
from torch import Tensor

from kerastorch.core.array_conversion import from_array, is_scipy_sparse, shape_in_file
from kerastorch.core.nested import is_object, is_record, is_sequence_of_arrays, leaves
from kerastorch.core.output_structure import parts_of
from kerastorch.core.tables import is_column


def is_array(data: Any) -> bool:
    """Return whether `data` can be converted to a tensor, or several, as a whole."""
    return isinstance(data, (list, tuple, Mapping)) or np.isscalar(data) or is_array_like(data)


def is_array_like(data: Any) -> bool:
    """Return whether `data` is one tensor or array, or can be read as one."""
    if isinstance(data, (Tensor, np.ndarray)) or hasattr(data, "__array__") or is_scipy_sparse(data):
        return True
    return is_column(data) or shape_in_file(data) is not None


def to_tensor(data: Any, name: str) -> Tensor:
    """Convert one array to a tensor, which shares its memory if possible."""
    found = _from_torch(data, name) if isinstance(data, Tensor) else from_array(data, name)
    if found.is_complex():
        raise TypeError(f"{name} is {found.dtype}; kerastorch takes real data. Use np.abs or stack real and imag.")
    if found.ndim == 0:
        raise ValueError(
            f"{name} must have at least 1 dimension, got a scalar. For one sample keep the row axis: {name}[:1] "
            f"instead of {name}[0]."
        )
    return found


def to_tensors(data: Any, name: str, convert: Callable[[Any, str], Any] = to_tensor) -> Any:
    """Convert an array to a tensor, or several arrays to a dict or tuple of tensors.

    Args:
        data: A tensor, NumPy array, pandas object, SciPy sparse array or list of numbers, or a dict, list or dataclass
            of these.
        name: Name of the argument, for messages.
        convert: Converts one array. Default: `to_tensor`.

    Raises:
        TypeError: The dtype is not numeric, or is complex.
        ValueError: A list is ragged, an array is masked, or a value is a scalar.
    """
    if data is None:
        return None
    if isinstance(data, (Tensor, np.ndarray)) or is_column(data):
        return convert(data, name)
    if isinstance(data, Mapping):
        return {key: to_tensors(part, f"{name}[{key!r}]", convert) for key, part in data.items()}
    if is_record(data):
        fields: Any = parts_of(data)  # a record has parts by name
        return {key: to_tensors(part, f"{name}.{key}", convert) for key, part in fields.items()}
    if is_sequence_of_arrays(data):
        return tuple(to_tensors(part, f"{name}[{index}]", convert) for index, part in enumerate(data))
    return convert(data, name)


def _from_torch(data: Tensor, name: str) -> Tensor:
    if data.layout != torch.strided:
        raise TypeError(f"{name} is a sparse tensor; call .to_dense() first.")
    return data.detach()


_ONE_BATCH = (
    " If the arrays are one batch without a common axis of samples, such as the nodes and edges of a graph, pass a "
    "list of batches: fit([((a, b), y)]), predict([((a, b),)])."
)


def check_lengths(**groups: Any) -> int:
    """Return the common number of rows of all arrays.

    Args:
        groups: Structures of arrays by the name of their argument.

    Raises:
        ValueError: Two arrays differ in their number of rows, or have none.
    """
    sizes: dict[str, int] = {
        name: leaf.shape[0] for group, data in groups.items() for name, leaf in leaves(data, group)
    }
    first, length = next(iter(sizes.items()))
    for name, size in sizes.items():
        if size != length:
            is_one_argument = first.partition("[")[0] == name.partition("[")[0]
            advice = " For one sample keep the row axis: x[:1] and y[:1]." if size == 1 else ""
            raise ValueError(
                f"{first} has {length} samples, {name} has {size}.{_ONE_BATCH if is_one_argument else advice}"
            )
    if length == 0:
        raise ValueError(f"{first} has 0 samples.")
    return length


def have_several_lengths(x: Any) -> bool:
    """Return whether several inputs are arrays whose first axes have different lengths."""
    if is_object(x) or not is_sequence_of_arrays(x):
        return False
    return len({len(leaf) for _, leaf in leaves(x) if getattr(leaf, "ndim", 0)}) > 1


def has_rows_on_axis_1(x: Any, y: Any) -> bool:
    """Return whether inputs have as many entries as the target on axis 1, and not on axis 0: time comes first."""
    inputs, targets = ([leaf for _, leaf in leaves(part) if isinstance(leaf, (Tensor, np.ndarray))] for part in (x, y))
    if is_object(x) or not inputs or not targets or not targets[0].ndim:
        return False
    rows = len(targets[0])
    return all(leaf.ndim > 1 and leaf.shape[0] != rows and leaf.shape[1] == rows for leaf in inputs)


def check_indexes(x: Any, y: Any) -> None:
    """Raise if pandas `x` and `y` have different indexes, since rows are paired by position.

    Raises:
        ValueError: The indexes differ.
    """
    if y is None:
        return
    first: Any = getattr(x, "index", None)
    second: Any = getattr(y, "index", None)
    if not hasattr(first, "equals") or not hasattr(second, "equals") or len(first) != len(second):
        return
    if not first.equals(second):
        raise ValueError("x and y have different pandas indexes; use .reset_index(drop=True) or .to_numpy().")


def check_weights(*sample_weights: Tensor) -> None:
    """Raise if sample weights are negative, not finite or all zero.

    Args:
        sample_weights: Weights of the rows, for one output each.

    Raises:
        ValueError: A weight is negative or not finite, or all weights are zero.
    """
    for weights in sample_weights:
        wrong = ~torch.isfinite(weights) | (weights < 0)
        if bool(wrong.any()):
            at = int(wrong.flatten().to(torch.uint8).argmax())
            raise ValueError(f"sample_weight[{at}] = {float(weights.flatten()[at])}; weights must be finite and >= 0.")
    if sample_weights and not any(bool((weights > 0).any()) for weights in sample_weights):
        raise ValueError("sample_weight is all 0.")
