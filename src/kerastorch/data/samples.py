"""Samples of datasets: those of Hugging Face datasets as tensors, and stacking samples to batches."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from torch.utils.data import default_collate

from kerastorch.core.ownership import is_from


def with_tensors(data: Any) -> Any:
    """Return a Hugging Face dataset whose samples are lists as one whose samples are tensors; other data unchanged."""
    if not is_from(data, "datasets") or not callable(getattr(data, "with_format", None)):
        return data
    known = getattr(data, "format", None)  # an IterableDataset keeps its format in a private attribute
    kind = known["type"] if isinstance(known, Mapping) else getattr(data._formatting, "format_type", None)
    return data.with_format("torch") if kind is None else data


def collate_samples(samples: list[Any]) -> Any:
    """Stack samples to a batch, as torch does.

    Raises:
        ValueError: Samples have different shapes.
    """
    try:
        return default_collate(samples)
    except (RuntimeError, ValueError) as error:
        difference = _difference(samples)
        if difference is None:
            raise
        raise ValueError(
            f"samples cannot be stacked to a batch: {difference}. Pad them to one length, or pass a DataLoader whose "
            "collate_fn pads the samples of a batch."
        ) from error


def _difference(samples: list[Any]) -> str | None:
    """Return which parts of samples have different sizes, or `None`."""
    first = samples[0]
    is_dict, is_tuple = isinstance(first, Mapping), isinstance(first, tuple)
    for key in first if is_dict else range(len(first)) if is_tuple else [None]:
        sizes = list(dict.fromkeys(_size(sample if key is None else sample[key]) for sample in samples))
        if len(sizes) > 1:
            place = "a sample" if key is None else f"{key!r}" if is_dict else f"part {key}"
            return f"{place} has the shapes {sizes[0]} and {sizes[1]}"
    return None


def _size(value: Any) -> tuple[int, ...]:
    if isinstance(value, (list, str)):
        return (len(value),)
    return tuple(getattr(value, "shape", ()))
