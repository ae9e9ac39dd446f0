"""Rows: inputs, encoded targets and weights of a fit."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, Self

import numpy as np

from kerastorch.wrappers.targets import Array, Targets, check_class_numbers, class_weight_of_rows


@dataclass(frozen=True, eq=False)
class Rows:
    """Rows of a fit.

    Attributes:
        x: Inputs `(rows, ...)`, dense or sparse.
        numbers: Encoded targets `(rows, columns)`.
        weights: Weight of each row; `None` for 1 each.
    """

    x: Any
    numbers: Array
    weights: Array | None

    @classmethod
    def of(cls, x: Any, numbers: Array, weights: Array | None) -> Self:
        """Return rows."""
        return cls(x, numbers, weights)

    def __len__(self) -> int:
        return len(self.numbers)

    def select(self, chosen: Array) -> Rows:
        """Return the rows of a mask or of indices."""
        return Rows(self.x[chosen], self.numbers[chosen], None if self.weights is None else self.weights[chosen])

    def with_class_weight(self, targets: Targets, class_weight: Any) -> Rows:
        """Return the rows with their weights multiplied by those of their classes."""
        if class_weight is None:
            return self
        factors = class_weight_of_rows(targets, self.numbers, class_weight, self.weights)
        if not factors.any():
            raise ValueError("class_weight must contain at least one number that is not zero for a class of y.")
        return replace(self, weights=factors if self.weights is None else self.weights * factors)

    def without_zero_weights(self) -> Rows:
        """Return the rows that count, so that a weight of 0 is the same as a row that is not there."""
        if self.weights is None or self.weights.all():
            return self
        return self.select(self.weights > 0)

    def relative_weights(self, dtype: Any) -> Array | None:
        """Return the weights divided by their mean; `None` if they are all the same.

        A weight counts as that many copies of a row, and the loss stays a mean.
        """
        if self.weights is None or (self.weights == self.weights[0]).all():
            return None
        relative: Array = (self.weights / self.weights.mean()).astype(dtype)
        return relative

    def as_data(self, y: Any, dtype: Any) -> tuple[Any, ...]:
        """Return the rows as `(x, y)` or `(x, y, sample_weight)`, given their targets as the loss takes them."""
        weights = self.relative_weights(dtype)
        return (self.x, y) if weights is None else (self.x, y, weights)

    def check_classes(self, targets: Targets) -> None:
        """Raise a ValueError if there is one class alone."""
        check_class_numbers(targets, self.numbers)


def hold_out(rows: Rows, targets: Targets, fraction: float) -> tuple[Rows, Rows]:
    """Return the rows for training, and a random fraction for validation, with the same shares of the classes.

    Args:
        rows: All rows.
        targets: Encoding of the targets.
        fraction: Fraction of the rows that are held out.

    Raises:
        ValueError: There are too few rows.
    """
    from sklearn.model_selection import train_test_split

    stratify = None
    n_held = int(np.ceil(fraction * len(rows)))
    if targets.kind == "classes":
        counts = np.bincount(rows.numbers[:, 0])
        present = counts[counts > 0]
        if present.min() > 1 and len(present) <= min(n_held, len(rows) - n_held):
            stratify = rows.numbers[:, 0]
    if n_held >= len(rows):
        raise ValueError(f"validation_fraction={fraction:g} of {len(rows)} rows leaves none to train on.")
    train, held = train_test_split(np.arange(len(rows)), test_size=n_held, stratify=stratify)
    return rows.select(np.sort(train)), rows.select(np.sort(held))
