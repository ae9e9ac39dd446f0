"""Estimators that hold predictions, for scorers of scikit-learn, which call methods of estimators.

Only imported where a scorer is called, because it imports scikit-learn.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from sklearn.base import BaseEstimator, ClassifierMixin, RegressorMixin

Array = np.ndarray[Any, Any]


class PredictedValues(RegressorMixin, BaseEstimator):  # type: ignore[misc]  # scikit-learn has no types
    """A regressor whose predictions are known.

    Args:
        values: Predictions, `(rows,)` or `(rows, outputs)`.
    """

    def __init__(self, values: Array) -> None:
        self.values = values

    def predict(self, X: Array) -> Array:  # noqa: N803  # the name in scikit-learn
        """Return the predictions for some rows.

        Args:
            X: Numbers of the rows, `(n, 1)`.
        """
        return self.values[X[:, 0]]


class PredictedClasses(ClassifierMixin, BaseEstimator):  # type: ignore[misc]  # scikit-learn has no types
    """A classifier whose probabilities are known.

    Args:
        probabilities: Probabilities of the classes, `(rows, classes)`.
        classes: Labels of the classes, in ascending order.
    """

    def __init__(self, probabilities: Array, classes: Array) -> None:
        self.probabilities, self.classes = probabilities, classes

    @property
    def classes_(self) -> Array:
        """Labels of the classes."""
        return self.classes

    def predict(self, X: Array) -> Array:  # noqa: N803  # the name in scikit-learn
        """Return the most probable class of some rows; of two classes with 0.5 the first."""
        predicted: Array = self.classes[self.probabilities[X[:, 0]].argmax(1)]
        return predicted

    def predict_proba(self, X: Array) -> Array:  # noqa: N803  # the name in scikit-learn
        """Return the probabilities of all classes for some rows."""
        return self.probabilities[X[:, 0]]


class PredictedLabels(ClassifierMixin, BaseEstimator):  # type: ignore[misc]  # scikit-learn has no types
    """A classifier of several yes-or-no questions whose probabilities are known.

    Args:
        probabilities: Probability of each label, `(rows, labels)`.
    """

    def __init__(self, probabilities: Array) -> None:
        self.probabilities = probabilities

    @property
    def classes_(self) -> list[Array]:
        """Labels of each question."""
        return [np.array([0, 1])] * self.probabilities.shape[1]

    def predict(self, X: Array) -> Array:  # noqa: N803  # the name in scikit-learn
        """Return 0 or 1 for each label of some rows."""
        return (self.probabilities[X[:, 0]] > 0.5).astype(int)

    def predict_proba(self, X: Array) -> Array:  # noqa: N803  # the name in scikit-learn
        """Return the probability of each label for some rows."""
        return self.probabilities[X[:, 0]]
