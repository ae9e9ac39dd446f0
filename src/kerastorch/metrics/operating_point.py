"""The best value of one rate over the thresholds at which another rate is high enough."""

from __future__ import annotations

import torch
from torch import Tensor

from kerastorch.core.errors import check_float, check_int
from kerastorch.metrics.built_in_metric import divide_or_zero
from kerastorch.metrics.confusion import AtThresholds


def even_thresholds(number: int) -> list[float]:
    """Return evenly spaced thresholds from 0 to 1; of one threshold, 0.5."""
    return [0.5] if number == 1 else [index / (number - 1) for index in range(number)]


class _OperatingPoint(AtThresholds):
    """Base of the metrics of two rates: the largest value of one where the other is at least a bound.

    Args:
        bound: Least value of the rate that is bounded, 0..1.
        num_thresholds: Number of thresholds, evenly spaced in 0..1.
        class_id: As in `AtThresholds`.
        name: As in `Metric`.
        dtype: As in `Metric`.
    """

    higher_is_better = True

    def __init__(
        self,
        bound: float,
        num_thresholds: int,
        class_id: int | None,
        name: str | None,
        dtype: str | torch.dtype | None,
    ) -> None:
        self._bound, self.num_thresholds = bound, check_int("num_thresholds", num_thresholds)
        super().__init__(even_thresholds(self.num_thresholds), class_id, None, name, dtype)

    def _prepare(self, y_pred: Tensor) -> Tensor:
        return y_pred.clamp(0, 1)

    def _sensitivity(self) -> Tensor:
        return divide_or_zero(self.true_positives, self.true_positives + self.false_negatives)

    def _specificity(self) -> Tensor:
        return divide_or_zero(self.true_negatives, self.true_negatives + self.false_positives)

    def _precision(self) -> Tensor:
        return divide_or_zero(self.true_positives, self.true_positives + self.false_positives)

    def _largest(self, rate: Tensor, bounded: Tensor) -> Tensor:
        """Return the largest rate where the other is high enough; 0 if it never is."""
        # Keras compares in float32, in which a bound such as 0.7 equals a rate of 7/10
        is_reached = bounded.float() >= torch.tensor(self._bound, dtype=torch.float32, device=bounded.device)
        return self.finish(rate.where(is_reached, 0.0).max())


class SensitivityAtSpecificity(_OperatingPoint):
    """The largest sensitivity, `tp / (tp + fn)`, at a specificity, `tn / (tn + fp)`, of at least a bound.

    Args:
        specificity: The bound, 0..1.
        num_thresholds: Number of thresholds, evenly spaced in 0..1, at which the rates are computed.
        class_id: Column that counts. Default: all.
        name: As in `Metric`.
        dtype: As in `Metric`.

    >>> metric = SensitivityAtSpecificity(0.5)
    >>> metric.update_state([0, 0, 0, 1, 1], [0.0, 0.3, 0.8, 0.3, 0.8])
    >>> metric.result()
    tensor(0.5000)
    """

    def __init__(
        self,
        specificity: float,
        num_thresholds: int = 200,
        class_id: int | None = None,
        name: str | None = None,
        dtype: str | torch.dtype | None = None,
    ) -> None:
        self.specificity = check_float("specificity", specificity, least=0, most=1)
        super().__init__(self.specificity, num_thresholds, class_id, name, dtype)

    def result(self) -> Tensor:
        """Return the sensitivity; 0 if no threshold has the specificity."""
        return self._largest(self._sensitivity(), self._specificity())


class SpecificityAtSensitivity(_OperatingPoint):
    """The largest specificity, `tn / (tn + fp)`, at a sensitivity, `tp / (tp + fn)`, of at least a bound.

    Args:
        sensitivity: The bound, 0..1.
        num_thresholds: Number of thresholds, evenly spaced in 0..1, at which the rates are computed.
        class_id: Column that counts. Default: all.
        name: As in `Metric`.
        dtype: As in `Metric`.
    """

    def __init__(
        self,
        sensitivity: float,
        num_thresholds: int = 200,
        class_id: int | None = None,
        name: str | None = None,
        dtype: str | torch.dtype | None = None,
    ) -> None:
        self.sensitivity = check_float("sensitivity", sensitivity, least=0, most=1)
        super().__init__(self.sensitivity, num_thresholds, class_id, name, dtype)

    def result(self) -> Tensor:
        """Return the specificity; 0 if no threshold has the sensitivity."""
        return self._largest(self._specificity(), self._sensitivity())


class PrecisionAtRecall(_OperatingPoint):
    """The largest precision, `tp / (tp + fp)`, at a recall, `tp / (tp + fn)`, of at least a bound.

    Args:
        recall: The bound, 0..1.
        num_thresholds: Number of thresholds, evenly spaced in 0..1, at which the rates are computed.
        class_id: Column that counts. Default: all.
        name: As in `Metric`.
        dtype: As in `Metric`.
    """

    def __init__(
        self,
        recall: float,
        num_thresholds: int = 200,
        class_id: int | None = None,
        name: str | None = None,
        dtype: str | torch.dtype | None = None,
    ) -> None:
        self.recall = check_float("recall", recall, least=0, most=1)
        super().__init__(self.recall, num_thresholds, class_id, name, dtype)

    def result(self) -> Tensor:
        """Return the precision; 0 if no threshold has the recall."""
        return self._largest(self._precision(), self._sensitivity())


class RecallAtPrecision(_OperatingPoint):
    """The largest recall, `tp / (tp + fn)`, at a precision, `tp / (tp + fp)`, of at least a bound.

    Args:
        precision: The bound, 0..1.
        num_thresholds: Number of thresholds, evenly spaced in 0..1, at which the rates are computed.
        class_id: Column that counts. Default: all.
        name: As in `Metric`.
        dtype: As in `Metric`.
    """

    def __init__(
        self,
        precision: float,
        num_thresholds: int = 200,
        class_id: int | None = None,
        name: str | None = None,
        dtype: str | torch.dtype | None = None,
    ) -> None:
        self.precision = check_float("precision", precision, least=0, most=1)
        super().__init__(self.precision, num_thresholds, class_id, name, dtype)

    def result(self) -> Tensor:
        """Return the recall; 0 if no threshold has the precision."""
        return self._largest(self._sensitivity(), self._precision())
