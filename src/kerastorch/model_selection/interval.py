"""The interval of the mean score of folds, which are not independent of each other."""

from __future__ import annotations

import math

import numpy as np

from kerastorch.core.errors import check_float


def corrected_interval(scores: np.ndarray, train_rows: float, test_rows: float, level: float) -> tuple[float, float]:
    """Return the corrected t interval of the mean score.

    Folds share training rows, so that the plain standard error of the mean is too small. Nadeau and Bengio (Inference
    for the Generalization Error, Machine Learning 52, 2003) replace the variance of the mean, `s^2 / k`, by
    `s^2 (1 / k + test_rows / train_rows)`, with `k - 1` degrees of freedom for `k` folds and the variance `s^2` of
    their scores.

    Args:
        scores: Score of each fold, shape `(folds,)`.
        train_rows: Mean number of training rows.
        test_rows: Mean number of held-out rows.
        level: Probability of the interval, such as 0.95.

    Returns:
        Both ends; NaN if there is one fold.
    """
    check_float("level", level, above=0, below=1)
    if len(scores) < 2:
        return math.nan, math.nan
    from scipy.stats import t

    width = float(t.ppf((1 + level) / 2, len(scores) - 1))
    half = width * float(np.std(scores, ddof=1)) * math.sqrt(1 / len(scores) + test_rows / train_rows)
    mean = float(np.mean(scores))
    return mean - half, mean + half
