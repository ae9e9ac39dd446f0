"""Checks of the inputs: their scale, constant columns, and rows that training and validation share."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import torch
from torch import Tensor

from kerastorch.core.nested import leaves
from kerastorch.data.batches import Batches
from kerastorch.model_check.observer import CallObserver
from kerastorch.model_check.report import Finding, Level
from kerastorch.model_check.sample import Sample
from kerastorch.training.unscaled_pixels import WITHOUT_SCALING, looks_like_pixels

_RATIO = 100.0  # of the scales of two columns
_LARGE = 1000.0
_MOST_NAMED = 5
_MOST_ROWS = 200_000  # rows that are compared with each other
_LEAST_SHARED, _SHARED_PART = 3, 0.01  # number and part of the validation rows that are in the training data


def scale_findings(observer: CallObserver) -> Iterator[Finding]:
    """Yield a finding if the first layer with weights gets inputs that are not scaled.

    Layers such as `Rescaling`, `Normalization` and batch normalization come before the weights, so that nothing is
    found behind them.

    Args:
        observer: Observed a call of the model.
    """
    x = observer.first_input
    if x is None or not isinstance(observer.first_layer, WITHOUT_SCALING) or not x.numel():
        return
    x = x.float()
    low, high = float(x.min()), float(x.max())
    if looks_like_pixels(x):
        yield Finding(
            "warning",
            "unscaled",
            f"The first layer ({type(observer.first_layer).__name__}) gets whole numbers from {low:g} to {high:g}, as "
            "the pixels of images are.",
            "Divide x by 255, or let the model begin with layers.Rescaling(1 / 255).",
        )
        return
    advice = "Standardize the columns: let the model begin with an adapted layers.Normalization()."
    if x.ndim == 2 and x.shape[1] > 1:
        reach = x.abs().amax(0)  # (columns,)
        varies = (x != x[:1]).any(0)  # a column of rare values may be constant in a batch, and says nothing then
        largest, smallest = int(reach.argmax()), int(reach.where(varies, torch.inf).argmin())
        if bool(varies.any()) and float(reach[largest]) >= max(10.0, _RATIO * float(reach[smallest])):
            yield Finding(
                "warning",
                "scale",
                f"The columns of the input have very different scales: column {largest} reaches "
                f"{float(reach[largest]):.4g}, column {smallest} reaches {float(reach[smallest]):.2g}.",
                advice,
            )
            return
    if max(abs(low), abs(high)) >= _LARGE:
        yield Finding("warning", "scale", f"The inputs are large: they go from {low:.4g} to {high:.4g}.", advice)


def constant_findings(x: dict[str, Tensor]) -> Iterator[Finding]:
    """Yield findings about inputs, or columns of them, that are the same in all rows.

    Args:
        x: Rows of each input by name.
    """
    for name, rows in x.items():
        if len(rows) < 2:
            continue
        is_constant = (rows == rows[:1]).all(0)  # (...)
        if bool(is_constant.all()):
            level: Level = "warning" if len(x) == 1 else "note"  # a mask may be the same in all rows
            yield Finding(level, "constant", f"All rows of {name} are the same.", "Look at the data.")
        elif rows.ndim == 2 and bool(is_constant.any()):
            columns = is_constant.nonzero().flatten().tolist()
            shown = ", ".join(map(str, columns[:_MOST_NAMED])) + (", ..." if len(columns) > _MOST_NAMED else "")
            yield Finding(
                "note",
                "constant",
                f"{len(columns)} of {rows.shape[1]} columns of {name} are the same in all rows: {shown}.",
            )


def repeated_batch_findings(sample: Sample, n_workers: int) -> Iterator[Finding]:
    """Yield a finding if the first two batches are the same.

    Args:
        sample: Rows of the data.
        n_workers: Workers of a loader, each with a copy of the dataset; 0 for other data.
    """
    if sample.is_repeated and "constant" not in {one.name for one in constant_findings(sample.x)}:
        reason = f"each of the {n_workers} workers yields all samples" if n_workers > 1 else "look at the data"
        yield Finding(
            "warning",
            "repeated batches",
            f"The first two batches are the same: {reason}.",
            "Divide the samples in __iter__ of the dataset, by torch.utils.data.get_worker_info()."
            if n_workers > 1
            else "",
        )


def shared_row_findings(training: Batches, validation: Batches) -> Iterator[Finding]:
    """Yield a finding if many rows of the validation data are also rows of the training data.

    Rows are compared by a hash of their bytes. Data with few different rows have equal rows by chance: then a part of
    the training rows is repeated within the training data, too.

    Args:
        training: Training data in memory.
        validation: Validation data in memory.
    """
    known, held = _row_hashes(training), _row_hashes(validation)
    if known is None or held is None or not len(held):
        return
    unique, counts = np.unique(known, return_counts=True)
    shared = int(np.isin(held, unique).sum())
    repeated = float((counts[np.searchsorted(unique, known)] > 1).mean())
    part = shared / len(held)
    if shared >= _LEAST_SHARED and part >= _SHARED_PART and part > 2 * repeated:
        yield Finding(
            "warning",
            "shared rows",
            f"{shared} of {len(held)} validation rows are also in the training data, so that the validation is too "
            "good.",
            "Remove equal rows before you split the data.",
        )


def _row_hashes(batches: Batches) -> np.ndarray[tuple[int], np.dtype[np.uint64]] | None:
    """Return a hash of each row of the inputs, at most `_MOST_ROWS`; `None` if they are no tensors."""
    found: list[np.ndarray[tuple[int], np.dtype[np.uint64]]] = []
    total = 0
    for batch in batches.epoch(0):
        tensors = [leaf for _, leaf in leaves(batch.x)]
        if not tensors or not all(isinstance(one, Tensor) for one in tensors):
            return None
        found.append(hash_rows(tensors))
        total += len(found[-1])
        if total >= _MOST_ROWS:
            break
    return np.concatenate(found) if found else None


def hash_rows(tensors: list[Tensor]) -> np.ndarray[tuple[int], np.dtype[np.uint64]]:
    """Return a hash of each row: the sum of its words of 64 bits, each times a random odd number, modulo 2^64.

    Args:
        tensors: `(rows, ...)`, all with the same rows.

    >>> one, other, third = hash_rows([torch.tensor([[1.0, 2.0], [2.0, 1.0], [1.0, 2.0]])])
    >>> bool(one == third), bool(one == other)
    (True, False)
    """
    random = np.random.default_rng(0)
    total: np.ndarray[tuple[int], np.dtype[np.uint64]] = np.zeros(len(tensors[0]), np.uint64)
    for tensor in tensors:
        rows = tensor.detach().cpu().contiguous().flatten(1) if tensor.ndim > 1 else tensor.detach().cpu()[:, None]
        octets = rows.contiguous().view(torch.uint8).numpy()  # (rows, bytes)
        padded = np.pad(octets, ((0, 0), (0, -octets.shape[1] % 8)))
        words = np.ascontiguousarray(padded).view(np.uint64)  # (rows, words)
        factors = random.integers(0, 2**63, words.shape[1], dtype=np.uint64) * np.uint64(2) + np.uint64(1)
        mixed = words ^ (words >> np.uint64(29))
        with np.errstate(over="ignore"):
            total = total + (mixed * factors).sum(1, dtype=np.uint64)
    return total
