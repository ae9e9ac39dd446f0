"""The containers that a case's rows come in."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset, IterableDataset, TensorDataset

from fuzz.case import Case
from fuzz.data import Data

ARRAYS = ("numpy", "tensor", "list")
MAPPED = ("TensorDataset", "Dataset")
BATCHED = ("DataLoader", "reused", "generator", "function", "sequence")


class Items(Dataset):
    """One sample at a time."""

    def __init__(self, case: Case, rows: Data) -> None:
        self.case, self.rows = case, rows

    def __len__(self) -> int:
        return len(self.rows.x)

    def __getitem__(self, index: int) -> tuple[Any, ...]:
        return item(self.case, self.rows.rows(index))


class Reused(IterableDataset):
    """Batches that lie in the same memory, one after the other."""

    def __init__(self, batches: list[tuple[Any, ...]]) -> None:
        self.batches = batches

    def __len__(self) -> int:
        return len(self.batches)

    def __iter__(self) -> Iterator[Any]:
        buffers = mapped(torch.clone, self.batches[0])
        for batch in self.batches:
            size = len(batch[0])
            mapped(lambda buffer, part: buffer[: len(part)].copy_(part), buffers, batch)
            yield mapped(lambda buffer, size=size: buffer[:size], buffers)


class Sequence:
    """Batch by batch, as Keras' sequences."""

    def __init__(self, batches: list[tuple[Any, ...]]) -> None:
        self.batches = batches

    def __len__(self) -> int:
        return len(self.batches)

    def __getitem__(self, index: int) -> Any:
        return self.batches[index]

    def on_epoch_end(self) -> None:
        """That there is one says what this is."""


def contained(case: Case, container: str, rows: Data, size: int | None, epochs: int = 1) -> dict[str, Any]:
    """Arguments of `fit` and `evaluate`: `x`, and for arrays `y` and `sample_weight`."""
    if container in ARRAYS:
        as_given: dict[str, Callable[[Tensor], Any]] = {
            "numpy": Tensor.numpy, "tensor": lambda tensor: tensor, "list": Tensor.tolist,
        }  # fmt: skip
        x, y, *weights = mapped(as_given[container], item(case, rows))
        return {"x": x, "y": y} | ({"sample_weight": weights[0]} if weights else {})
    if container == "TensorDataset":
        return {"x": TensorDataset(*item(case, rows))}
    if container == "Dataset":
        return {"x": Items(case, rows)}
    size = size or 32
    if container == "DataLoader":
        return {"x": DataLoader(Items(case, rows), batch_size=size)}
    starts = range(0, len(rows.x), size)
    batches = [item(case, rows.rows(slice(start, start + size))) for start in starts]
    if container == "reused":
        return {"x": DataLoader(Reused(batches), batch_size=None)}
    if container == "generator":
        return {"x": (batch for _ in range(epochs) for batch in batches)}
    return {"x": (lambda: iter(batches)) if container == "function" else Sequence(batches)}


def item(case: Case, rows: Data) -> tuple[Any, ...]:
    """`(x, y)` or `(x, y, sample_weight)`, with `y` in the structure of the outputs."""
    y: Any = rows.given
    if len(case.outputs) == 1:
        y = y[0]
    elif case.structure == "dict":
        y = dict(zip(case.names, y, strict=True))
    return (rows.x, y) if rows.weights is None else (rows.x, y, rows.weights)


def mapped(function: Callable[..., Any], one: Any, *others: Any) -> Any:
    """`function` of each tensor in a structure."""
    if isinstance(one, tuple):
        return tuple(mapped(function, *parts) for parts in zip(one, *others, strict=True))
    if isinstance(one, dict):
        return {key: mapped(function, one[key], *(other[key] for other in others)) for key in one}
    return function(one, *others)
