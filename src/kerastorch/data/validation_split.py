"""Splitting rows into training and validation rows: `validation_split`."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import torch
from torch import Tensor

from kerastorch.core.errors import mismatch, warn
from kerastorch.core.nested import leaves


def check_split(split: Any) -> float:
    """Return the argument `validation_split` as a float in [0, 1).

    Raises:
        ValueError: It is something else.
    """
    if isinstance(split, bool) or not isinstance(split, (int, float, np.floating)) or not 0 <= split < 1:
        percent = isinstance(split, (int, float)) and 1 < split < 100
        raise mismatch("validation_split", split, "in [0, 1)", f"Did you mean {split / 100:g}?" if percent else "")
    return float(split)


def split_rows(
    n: int, split: float, *, stratify: Tensor | None = None, shuffle: bool = False, seed: int | None = None
) -> tuple[Tensor, Tensor]:
    """Return the indices of the training rows and of the validation rows, int64.

    Args:
        n: Number of rows.
        split: Fraction of the rows that validate; as in Keras, `floor(n * (1 - split))` rows train.
        stratify: Labels, `(n,)`, whose classes get equal proportions in both parts (scikit-learn stratified split).
        shuffle: Whether the validation rows are drawn at random; by default they are the last rows.
        seed: Seed of the random or stratified split. Default 0.

    Raises:
        ValueError: A part would be empty, or scikit-learn cannot stratify these labels.
    """
    at = math.floor(n * (1 - split))
    if at in (0, n):
        raise ValueError(
            f"validation_split={split:g} of {n} samples leaves {at} to train and {n - at} to validate; "
            "both need at least one."
        )
    if stratify is not None:
        from sklearn.model_selection import train_test_split

        try:
            train, validation = train_test_split(
                np.arange(n), test_size=n - at, stratify=stratify.cpu().numpy(), random_state=seed or 0
            )
        except ValueError as error:
            raise ValueError(f"validation_stratify: {error}") from error
        return torch.as_tensor(np.sort(train)), torch.as_tensor(np.sort(validation))
    order = torch.arange(n)
    if shuffle:
        order = torch.randperm(n, generator=torch.Generator().manual_seed(seed or 0))
    return order[:at], order[at:]


def warn_of_unlike_parts(targets: Any, train: Tensor, validation: Tensor, *, is_unshuffled: bool) -> None:
    """Warn if labels of training and validation rows differ as if the rows were sorted.

    Args:
        targets: All targets, one tensor or several.
        train: Indices of the training rows.
        validation: Indices of the validation rows.
        is_unshuffled: Whether the validation rows are the last rows, neither random nor stratified.

    Warns:
        UserWarning: Validation has classes that training lacks; or the total variation distance between the two parts,
            over classes or terciles of values, exceeds `DISTANCE`, and fewer than one in a hundred random splits of the
            same sizes has such a distance.
    """
    for name, leaf in leaves(targets):
        if not isinstance(leaf, Tensor) or leaf.ndim > 2:
            continue
        known = leaf.detach().cpu()
        for labels in _labels((known.float() if known.dtype == torch.bfloat16 else known).numpy()):
            parts = labels[train.cpu().numpy()], labels[validation.cpu().numpy()]
            if _warned_of_unseen_classes(*parts) or (is_unshuffled and _warned_of_distance(name, *parts)):
                return


DISTANCE = 0.5  # total variation distance above which two parts differ
MAX_CLASSES = 20  # targets with more different values are values, not classes
MAX_COLUMNS = 8  # further columns of targets are not compared
DRAWS, MAX_EQUAL_DRAWS = 999, 10  # number of random splits, and how many of them may have the same distance

Labels = np.ndarray[Any, Any]


def _labels(targets: Labels) -> list[Labels]:
    """Return arrays of one number for each row: the class, or the values of each column."""
    if targets.ndim < 2 or targets.shape[1] == 1:
        return [targets.reshape(len(targets))]
    if bool((((targets == 0) | (targets == 1)).all(1) & (targets.sum(1) == 1)).all()):
        return [targets.argmax(1)]
    return list(targets.T[:MAX_COLUMNS])


def _warned_of_unseen_classes(train: Labels, validation: Labels) -> bool:
    """Warn if validation rows have unseen classes; return whether a warning was emitted."""
    seen, held = np.unique(train), np.unique(validation)
    missing = sorted(set(held.tolist()) - set(seen.tolist()))
    numbered = train.dtype.kind != "f" and 2 * (len(seen) + len(missing)) <= len(train) + len(validation)
    if not missing or not (numbered or _are_classes(train, validation)):
        return False
    shown = ", ".join(f"{label:g}" for label in missing[:10])
    warn(
        f"validation rows contain classes never seen in training: {{{shown}}}. "
        "Shuffle first, or pass validation_shuffle=True or validation_stratify=True."
    )
    return True


def _warned_of_distance(name: str, train: Labels, validation: Labels) -> bool:
    """Warn if the distributions of both parts differ too much; return whether a warning was emitted."""
    classes = _are_classes(train, validation)
    numbers = _terciles if not classes else lambda one, other: (one, other)
    train, validation = numbers(train, validation)
    kinds = np.unique(np.concatenate([train, validation]))
    counts = [np.array([(part == kind).sum() for kind in kinds]) for part in (train, validation)]
    whole, held = counts[0] + counts[1], counts[1]
    found = _distance(whole, held)
    if found <= DISTANCE or not _is_rare(whole, held, found):
        return False
    where = f" of y{name}" if name else ""
    warn(
        f"validation_split takes the last rows, whose {'classes' if classes else 'values'}{where} are unlike those of "
        f"the rows that train (total variation {found:.2f}): the data seems sorted. Pass validation_shuffle=True"
        f"{' or validation_stratify=True' if classes else ''}; if the order is meant, as in time, pass the last rows "
        "as validation_data."
    )
    return True


def _are_classes(*parts: Labels) -> bool:
    """Return whether the values are classes: few different ones, all integers, each twice on average."""
    together = np.concatenate(parts)
    kinds = np.unique(together)
    return len(kinds) <= min(MAX_CLASSES, len(together) // 2) and bool((kinds == np.round(kinds)).all())


def _terciles(*parts: Labels) -> list[Labels]:
    """Replace each finite value by the number of the tercile that contains it; drop other values."""
    finite = [part[np.isfinite(part)].astype(np.float64) for part in parts]
    together = np.concatenate(finite)
    if not len(together):
        return finite
    return [np.searchsorted(np.quantile(together, [1 / 3, 2 / 3]), part) for part in finite]


def _distance(whole: Labels, held: Labels) -> Any:
    """Return the total variation distance between the held-out rows and the others.

    Args:
        whole: Number of rows of each kind, `(kinds,)`.
        held: Number of held-out rows of each kind, `(..., kinds)`, for several splits at once.
    """
    others = whole - held
    sizes = np.maximum(held.sum(-1, keepdims=True), 1), np.maximum(others.sum(-1, keepdims=True), 1)
    return np.abs(held / sizes[0] - others / sizes[1]).sum(-1) / 2


def _is_rare(whole: Labels, held: Labels, found: float) -> bool:
    """Return whether few random splits of the same sizes have such a distance.

    Many do if there are few rows or many classes.
    """
    drawn = np.random.default_rng(0).multivariate_hypergeometric(whole, int(held.sum()), size=DRAWS, method="marginals")
    return int((_distance(whole, drawn) >= found - 1e-9).sum()) < MAX_EQUAL_DRAWS
