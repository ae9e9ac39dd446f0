"""ReportData: the numbers of a report, which its tables, text and plots show."""

from __future__ import annotations

from dataclasses import dataclass, field

from kerastorch.evaluation.calibration import Calibration
from kerastorch.evaluation.predictions import Array, LabelPredictions, Predictions, Task, ValuePredictions
from kerastorch.evaluation.slices import Slice
from kerastorch.evaluation.value_metrics import PredictionIntervals
from kerastorch.evaluation.worst_rows import WorstRow


@dataclass(frozen=True, eq=False, repr=False)
class ReportData:
    """The numbers of a report: see `Report`."""

    predictions: Predictions
    metrics: dict[str, float]
    intervals: dict[str, tuple[float, float]]
    per_class: dict[str, dict[str, float]]
    per_column: dict[str, dict[str, float]]
    confusion: Array | None
    calibration: Calibration | None
    prediction_intervals: PredictionIntervals | None
    slices: dict[str, Slice]
    worst: tuple[WorstRow, ...]
    notes: tuple[str, ...]
    logs: dict[str, float] = field(default_factory=dict)
    confidence: float = 0.95
    n_bootstrap: int = 0
    threshold: float = 0.5
    name: str = ""

    @property
    def task(self) -> Task:
        """The task: `"binary"`, `"multiclass"`, `"multilabel"` or `"regression"`."""
        return self.predictions.task

    @property
    def n_rows(self) -> int:
        """The number of rows."""
        return self.predictions.n_rows

    @property
    def class_names(self) -> tuple[str, ...]:
        """The names of the classes, of the labels, or of the columns of values."""
        return self.predictions.names

    @property
    def y_true(self) -> Array:
        """The targets: classes `(places,)`, labels `(rows, labels)`, or values `(places,)` or `(rows, columns)`."""
        return self._of_one_column(self.predictions.y)

    @property
    def y_pred(self) -> Array:
        """The predicted classes, labels or values, in the shape of `y_true`."""
        return self._of_one_column(self.predictions.predicted)

    @property
    def probabilities(self) -> Array | None:
        """The probabilities, `(places, classes)` or `(rows, labels)`; `None` if there are none."""
        return None if isinstance(self.predictions, ValuePredictions) else self.predictions.probabilities

    def _of_one_column(self, values: Array) -> Array:
        is_column = isinstance(self.predictions, ValuePredictions) and values.shape[1] == 1
        return values[:, 0] if is_column else values

    @property
    def is_multilabel(self) -> bool:
        """Whether the task is multilabel."""
        return isinstance(self.predictions, LabelPredictions)
