"""TargetFacts: the distribution and the order of the targets of a fit, from a sample of its rows."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any, Self

import numpy as np

MOST_ROWS = 4096  # rows of a sample
MOST_CLASSES = 1000
MOST_VALUES = 2**16
_FEWEST_FOR_ORDER = 20
_ORDERED_SHARE = 0.35  # changes between neighbors, as a share of those in a random order
_FAR = 10  # usual deviations from the median to an outlier
_ORDERED_CORRELATION = 0.6  # of the values of neighbors


@dataclass(frozen=True)
class TargetFacts:
    """Facts about targets.

    Attributes:
        rows: Number of rows.
        shares: Share of the rows of each class, by the class's number; empty if the targets are no classes.
        mean: Mean of the values; `None` if the targets are classes.
        variance: Variance of the values, the mean over their columns; `None` if the targets are classes.
        outliers: Share of the rows whose values are more than ten usual deviations away from the median; 0 for
            classes.
        outlier_variance: Share of the variance that these rows have.
        order: Likeness of neighbors: 0 in a random order, 1 if the rows are sorted by their targets; `None` if there
            are too few rows to say.
    """

    rows: int
    shares: Mapping[int, float] = field(default_factory=dict)
    mean: float | None = None
    variance: float | None = None
    order: float | None = None
    outliers: float = 0.0
    outlier_variance: float = 0.0

    @property
    def is_sorted(self) -> bool:
        """Whether neighbors are much more alike than in a random order."""
        limit = 1 - _ORDERED_SHARE if self.shares else _ORDERED_CORRELATION
        return self.order is not None and self.order >= limit

    @property
    def entropy(self) -> float | None:
        """The cross-entropy, in nats, of a prediction that is the share of each class; `None` without classes."""
        if not self.shares:
            return None
        return -sum(share * math.log(share) for share in self.shares.values() if share > 0)

    @property
    def largest_share(self) -> float | None:
        """The accuracy of always predicting the most frequent class; `None` without classes."""
        return max(self.shares.values()) if self.shares else None

    def to_dict(self) -> dict[str, Any]:
        """Return the facts as numbers, text and dicts, for a JSON file."""
        facts = asdict(self)
        facts["shares"] = {str(name): share for name, share in self.shares.items()}
        return facts

    @classmethod
    def from_dict(cls, facts: Mapping[str, Any]) -> Self:
        """Return the facts that `to_dict` returned."""
        shares = {int(name): float(share) for name, share in facts.get("shares", {}).items()}
        return cls(**{**facts, "shares": shares})


def every_nth(rows: int, columns: int = 1) -> int:
    """Return the distance of the rows of a sample in the order of the data."""
    return max(1, math.ceil(rows / MOST_ROWS), math.ceil(rows * columns / MOST_VALUES))


def facts_of_targets(y: Any, *, are_classes: bool | None, rows: int | None = None) -> TargetFacts | None:
    """Return facts about targets; `None` if they are neither classes nor numbers, one or more for each row.

    Args:
        y: Targets in the order of the data, `(rows,)` or `(rows, columns)`; a sample of them if there are many.
        are_classes: Whether they are class numbers or one-hot rows; `None` to infer it from the values.
        rows: Number of all rows. Default: those of `y`.
    """
    values = np.asarray(y)
    if values.ndim not in (1, 2) or values.dtype.kind not in "biuf" or not values.size:
        return None
    count = len(values) if rows is None else rows
    values = values[:, 0] if values.ndim == 2 and values.shape[1] == 1 else values
    if are_classes or are_classes is None:
        numbers = class_numbers(values)
        if numbers is not None and (are_classes or _look_like_classes(numbers)):
            return _facts_of_classes(numbers, count)
    numeric = values.astype(np.float64).reshape(len(values), -1)
    if not np.isfinite(numeric).all():
        return None
    outliers, outlier_variance = _outliers(numeric)
    return TargetFacts(
        count,
        mean=float(numeric.mean()),
        variance=float(numeric.var(axis=0).mean()),
        order=_order_of_values(numeric),
        outliers=outliers,
        outlier_variance=outlier_variance,
    )


def class_numbers(values: np.ndarray[Any, Any]) -> np.ndarray[Any, Any] | None:
    """Return class numbers `(rows,)` of class numbers or one-hot rows; `None` for anything else."""
    if values.ndim == 2:
        is_one_hot = np.isin(values, (0, 1)).all() and (values.sum(axis=1) == 1).all()
        return values.argmax(axis=1) if is_one_hot else None
    if values.dtype.kind == "f" and not (np.isfinite(values).all() and (values == np.round(values)).all()):
        return None
    numbers = values.astype(np.int64)
    return None if len(np.unique(numbers)) > MOST_CLASSES else numbers


def _look_like_classes(numbers: np.ndarray[Any, Any]) -> bool:
    """Return whether whole numbers are few and small enough to be classes."""
    different = np.unique(numbers)
    return bool(different.min() >= 0 and len(different) <= max(2, min(100, math.isqrt(len(numbers)) + 2)))


def _facts_of_classes(numbers: np.ndarray[Any, Any], rows: int) -> TargetFacts:
    numbers = numbers[numbers >= 0]  # negative ones are left out by `ignore_index`
    found, counts = np.unique(numbers, return_counts=True)
    shares = {int(number): float(count / counts.sum()) for number, count in zip(found, counts, strict=True)}
    order = None
    expected = 1 - sum(share**2 for share in shares.values())  # changes between neighbors in a random order
    if len(numbers) >= _FEWEST_FOR_ORDER and expected > 0.05:
        order = 1 - float((np.diff(numbers) != 0).mean()) / expected
    return TargetFacts(rows, shares, order=order)


def _outliers(values: np.ndarray[Any, Any]) -> tuple[float, float]:
    """Return the share of outlying rows, and their share of the variance.

    The usual deviation is the median absolute deviation, scaled to the standard deviation of a normal distribution.
    """
    distances = np.abs(values - np.median(values, axis=0))
    usual = 1.4826 * np.median(distances, axis=0)
    is_far = ((distances > _FAR * usual) & (usual > 0)).any(axis=1)
    squares = ((values - values.mean(axis=0)) ** 2).sum(axis=1)
    if not is_far.any():
        return 0.0, 0.0
    return float(is_far.mean()), float(squares[is_far].sum() / squares.sum())


def _order_of_values(values: np.ndarray[Any, Any]) -> float | None:
    """Return the correlation of neighbors, the largest of all columns; `None` if there are too few rows."""
    if len(values) < _FEWEST_FOR_ORDER:
        return None
    centered = values - values.mean(axis=0)
    spread = (centered**2).sum(axis=0)
    if not (spread > 0).any():
        return None
    together = (centered[1:] * centered[:-1]).sum(axis=0)
    return float((together[spread > 0] / spread[spread > 0]).max())
