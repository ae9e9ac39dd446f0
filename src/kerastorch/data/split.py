"""validation_split: which rows train and which validate."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import torch
from torch import Tensor

from kerastorch.errors import mismatch, warn


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


def warn_of_unseen_classes(train: Tensor, validation: Tensor) -> None:
    """Warn when validation holds classes that training never sees."""
    missing = sorted(set(validation.unique().tolist()) - set(train.unique().tolist()))
    if missing:
        shown = ", ".join(f"{label:g}" for label in missing[:10])
        warn(
            f"validation rows contain classes never seen in training: {{{shown}}}. "
            "Shuffle first, or pass validation_shuffle=True or validation_stratify=True.",  # the line that called fit
        )
