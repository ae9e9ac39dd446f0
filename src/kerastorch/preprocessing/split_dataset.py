"""split_dataset: arrays, or a dataset, in two parts."""

from __future__ import annotations

import random
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor
from torch.utils.data import Dataset, IterableDataset, Subset, TensorDataset

from kerastorch.core.array_conversion import from_array
from kerastorch.core.errors import check_choice, check_float, check_int, mismatch
from kerastorch.data.batched_dataset import BatchedDataset


def split_dataset(
    dataset: Any,
    left_size: float | int | None = None,
    right_size: float | int | None = None,
    shuffle: bool = False,
    seed: int | None = None,
    preferred_backend: str | None = None,
) -> tuple[Dataset[Any], Dataset[Any]]:
    """Split a dataset into two: the first samples and the last ones.

    Args:
        dataset: An array or tensor; a list or tuple of arrays of the same length, such as `(x, y)`; or a torch
            `Dataset`.
        left_size: Size of the first part: a fraction if it is a float between 0 and 1, a number of samples if it is
            an integer. Default: all that `right_size` leaves.
        right_size: Size of the second part, in the same way. Default: all that `left_size` leaves.
        shuffle: Whether the samples are shuffled before. Default `False`.
        seed: Seed of the shuffling. The order is that of Keras' `tf.data` path. Default: that of torch, which
            `utils.set_random_seed` sets.
        preferred_backend: No effect: the results are always those of torch. Keras' names of backends are accepted.

    Returns:
        Two `TensorDataset`s for arrays, which share the memory of the arrays unless they are shuffled. For a
        `BatchedDataset` two of them, with its batch size; for other datasets two `Subset`s.

    Raises:
        TypeError: A dataset without a length, or of an unknown kind.
        ValueError: A size is out of its range, or the sizes are larger than the dataset.

    >>> left, right = split_dataset(torch.arange(10), left_size=0.8)
    >>> len(left), len(right), right[0]
    (8, 2, (tensor(8),))
    """
    check_choice("preferred_backend", preferred_backend or "torch", ("torch", "tensorflow", "jax", "numpy"))
    tensors = None if isinstance(dataset, Dataset) else _tensors(dataset)
    if tensors is None and (isinstance(dataset, IterableDataset) or not hasattr(dataset, "__len__")):
        raise TypeError(f"split_dataset needs a dataset with a length, got {type(dataset).__name__}.")
    total = len(dataset) if tensors is None else len(tensors[0])
    left, right = _sizes(left_size, right_size, total)
    if not shuffle:
        return _part(dataset, tensors, range(left)), _part(dataset, tensors, range(total - right, total))
    order = list(range(total))
    random.Random(torch.initial_seed() if seed is None else seed).shuffle(order)
    return _part(dataset, tensors, order[:left]), _part(dataset, tensors, order[total - right :])


def _tensors(dataset: Any) -> list[Tensor]:
    """Return arrays of the same length as tensors.

    Raises:
        TypeError: These are no arrays.
        ValueError: There are none, or their lengths differ.
    """
    columns = list(dataset) if isinstance(dataset, (list, tuple)) else [dataset]
    if not columns:
        raise ValueError("split_dataset was given an empty list; pass arrays, such as (x, y).")
    for column in columns:
        if not hasattr(column, "shape") or not len(column.shape):
            raise TypeError(
                "split_dataset takes an array, a list or tuple of arrays such as (x, y), or a torch Dataset, got "
                f"{type(dataset).__name__}{'' if column is dataset else f' with {type(column).__name__}'}."
            )
    tensors = [column if isinstance(column, Tensor) else from_array(column, "dataset") for column in columns]
    lengths = [len(tensor) for tensor in tensors]
    if len(set(lengths)) > 1:
        raise ValueError(f"the arrays have different lengths: {lengths}.")
    return tensors


def _sizes(left: Any, right: Any, total: int) -> tuple[int, int]:
    """Return the numbers of samples of both parts, with the rounding of Keras."""
    if left is None and right is None:
        raise ValueError("split_dataset needs left_size or right_size, such as left_size=0.8.")
    if isinstance(left, float) and isinstance(right, float) and left + right > 1:
        raise ValueError(f"left_size + right_size must be at most 1, got {left} + {right}.")
    first = None if left is None else _count("left_size", left, total)
    second = None if right is None else _count("right_size", right, total)
    first = total - int(second or 0) if first is None else first
    second = total - first if second is None else second
    if first + second > total or not first or not second:
        raise ValueError(f"{total} samples cannot be split into {first} and {second}.")
    return first, second


def _count(name: str, size: Any, total: int) -> int:
    if isinstance(size, float):
        return round(check_float(name, size, above=0, below=1) * total)
    count = check_int(name, size, 1, "A float between 0 and 1 is a fraction.")
    if count >= total:
        raise mismatch(name, size, f"an integer below the number of samples, {total}")
    return count


def _part(dataset: Any, tensors: list[Tensor] | None, rows: Sequence[int]) -> Dataset[Any]:
    """Return the samples of some rows."""
    if isinstance(dataset, BatchedDataset):
        return dataset.select(rows)
    if tensors is None:
        return Subset(dataset, rows)
    chosen: Any = slice(rows.start, rows.stop) if isinstance(rows, range) else torch.tensor(rows)
    return TensorDataset(*(tensor[chosen] for tensor in tensors))
