"""validation_split: which rows train and which validate."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import torch
from torch import Tensor

from kerastorch.core.errors import mismatch, warn
from kerastorch.core.nested import leaves


def check_split(split: Any) -> float:
    """`split` as a float in [0, 1)."""
    if isinstance(split, bool) or not isinstance(split, (int, float, np.floating)) or not 0 <= split < 1:
        percent = isinstance(split, (int, float)) and 1 < split < 100
        raise mismatch("validation_split", split, "in [0, 1)", f"Did you mean {split / 100:g}?" if percent else "")
    return float(split)


def split_rows(
    n: int, split: float, *, stratify: Tensor | None = None, shuffle: bool = False, seed: int | None = None
) -> tuple[Tensor, Tensor]:
    """The rows that train and those that validate, int64.

    Args:
        n: how many rows there are.
        split: the share that validates; as in Keras `floor(n * (1 - split))` rows train.
        stratify: labels `(n,)`: both parts get every class in proportion (scikit-learn's stratified split).
        shuffle: draw the rows at random instead of taking the last.
        seed: of that draw and of the stratified one; 0 if `None`.
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


def warn_of_unlike_parts(targets: Any, train: Tensor, validation: Tensor, *, as_they_lie: bool) -> None:
    """Warn when training and validation rows have labels so unlike that the rows must have been sorted.

    Args:
        targets: all of them, a tensor or several.
        train: the rows that train.
        validation: those that validate.
        as_they_lie: the validation rows are the last ones, neither drawn nor stratified.

    Warns:
        UserWarning: validation has classes that training never sees; or the two parts are more than `DISTANCE` apart
            (total variation, over classes, or over terciles of values), and fewer than one random split in a hundred
            sets as many rows this far apart.
    """
    for name, leaf in leaves(targets):
        if not isinstance(leaf, Tensor) or leaf.ndim > 2:
            continue
        known = leaf.detach().cpu()
        for labels in _labels((known.float() if known.dtype == torch.bfloat16 else known).numpy()):
            parts = labels[train.cpu().numpy()], labels[validation.cpu().numpy()]
            if _warned_of_unseen_classes(*parts) or (as_they_lie and _warned_of_distance(name, *parts)):
                return


DISTANCE = 0.5  # total variation above which two parts are unlike
CLASSES = 20  # more different numbers than these are values, not classes
COLUMNS = 8  # of values with more columns, as many are looked at
DRAWS, RARE = 999, 10  # random splits that are tried, and how many of them may be as far apart

Labels = np.ndarray[Any, Any]


def _labels(targets: Labels) -> list[Labels]:
    """One number a row: the class, or the values of each column."""
    if targets.ndim < 2 or targets.shape[1] == 1:
        return [targets.reshape(len(targets))]
    if bool((((targets == 0) | (targets == 1)).all(1) & (targets.sum(1) == 1)).all()):
        return [targets.argmax(1)]
    return list(targets.T[:COLUMNS])


def _warned_of_unseen_classes(train: Labels, validation: Labels) -> bool:
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
    """Return whether there are few different numbers, all of them whole, of which each is there twice on average."""
    together = np.concatenate(parts)
    kinds = np.unique(together)
    return len(kinds) <= min(CLASSES, len(together) // 2) and bool((kinds == np.round(kinds)).all())


def _terciles(*parts: Labels) -> list[Labels]:
    """In which third of all numbers each one lies; without those that are not finite."""
    finite = [part[np.isfinite(part)].astype(np.float64) for part in parts]
    together = np.concatenate(finite)
    if not len(together):
        return finite
    return [np.searchsorted(np.quantile(together, [1 / 3, 2 / 3]), part) for part in finite]


def _distance(whole: Labels, held: Labels) -> Any:
    """Compute the total variation between rows held out, by counts of each kind, and the others, a number a row."""
    others = whole - held
    sizes = np.maximum(held.sum(-1, keepdims=True), 1), np.maximum(others.sum(-1, keepdims=True), 1)
    return np.abs(held / sizes[0] - others / sizes[1]).sum(-1) / 2


def _is_rare(whole: Labels, held: Labels, found: float) -> bool:
    """Tell whether few random splits of these counts are as far apart; with few rows, or many classes, many are."""
    drawn = np.random.default_rng(0).multivariate_hypergeometric(whole, int(held.sum()), size=DRAWS, method="marginals")
    return int((_distance(whole, drawn) >= found - 1e-9).sum()) < RARE
