"""Bootstrap intervals: how much a metric varies if the rows are drawn again."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np

from kerastorch.evaluation.predictions import Array, Predictions

MOST, FEWEST = 1000, 100  # resamples if their number is not given
BUDGET = 10**8  # numbers that these resamples read together
PIECE = 10**5  # weights that are computed with at a time
WITHOUT_INTERVAL = ("max_error",)  # a maximum of resampled rows is never larger than that of the rows


def default_resamples(found: Predictions) -> int:
    """Return the number of resamples for data of this size: 1000, fewer for large data."""
    count = len(found.names)
    return int(np.clip(BUDGET // max(1, found.n_places * count + count**2), FEWEST, MOST))


def bootstrap_intervals(
    score: Callable[[Array], dict[str, Array]], found: Predictions, n_resamples: int, confidence: float, seed: int
) -> dict[str, tuple[float, float]]:
    """Return an interval for each metric: percentiles of its values for rows drawn with replacement.

    All places of a row are drawn together. A metric that most of the resamples leave undefined has no interval.

    Args:
        score: Returns the metrics for several weightings of the places.
        found: The predictions.
        n_resamples: Number of resamples; 0 for no intervals.
        confidence: Probability of the intervals, such as 0.95.
        seed: Seed of the resamples.
    """
    if not n_resamples or found.n_rows < 2:
        return {}
    values: dict[str, list[Array]] = {}
    for weights in _resampled(found, n_resamples, np.random.default_rng(seed)):
        for name, some in score(weights).items():
            values.setdefault(name, []).append(some)
    ends = (0.5 - confidence / 2, 0.5 + confidence / 2)
    intervals = {}
    for name, pieces in values.items():
        some = np.concatenate(pieces)
        known = some[~np.isnan(some)]
        if name not in WITHOUT_INTERVAL and 2 * len(known) > n_resamples:
            low, high = np.quantile(known, ends)
            intervals[name] = (float(low), float(high))
    return intervals


def _resampled(found: Predictions, n_resamples: int, generator: np.random.Generator) -> Iterator[Array]:
    """Yield weights of the places in some resamples, `(k, places)`: how often the row of each place was drawn.

    Resamples without any weight are left out.
    """
    piece = int(np.clip(PIECE // max(1, found.n_places, len(found.names) ** 2 // 10), 1, n_resamples))
    for start in range(0, n_resamples, piece):
        drawn = np.stack(
            [
                np.bincount(generator.integers(0, found.n_rows, found.n_rows), minlength=found.n_rows)
                for _ in range(min(piece, n_resamples - start))
            ]
        )
        weights = (drawn if found.rows is None else drawn[:, found.rows]).astype(np.float64)
        weights = weights if found.weight is None else weights * found.weight
        weights = weights[weights.sum(1) > 0]
        if len(weights):
            yield weights
