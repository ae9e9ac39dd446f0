"""Evaluation: reports on the predictions of a model, and calibration of its probabilities."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from kerastorch.core.absent_names import absent_name

if TYPE_CHECKING:
    from kerastorch.evaluation.array_report import report_from_predictions
    from kerastorch.evaluation.calibration import Calibration
    from kerastorch.evaluation.evaluation_report import Report, Reports
    from kerastorch.evaluation.model_report import report
    from kerastorch.evaluation.slices import Slice
    from kerastorch.evaluation.temperature import CalibrationScores, TemperatureScaling, temperature_scaling
    from kerastorch.evaluation.value_metrics import PredictionIntervals
    from kerastorch.evaluation.worst_rows import WorstRow

__all__ = [
    "Calibration",
    "CalibrationScores",
    "PredictionIntervals",
    "Report",
    "Reports",
    "Slice",
    "TemperatureScaling",
    "WorstRow",
    "report",
    "report_from_predictions",
    "temperature_scaling",
]

# imported on first use, so that `import kerastorch` stays fast
_LAZY = {
    "Calibration": "calibration",
    "CalibrationScores": "temperature",
    "PredictionIntervals": "value_metrics",
    "Report": "evaluation_report",
    "Reports": "evaluation_report",
    "Slice": "slices",
    "TemperatureScaling": "temperature",
    "WorstRow": "worst_rows",
    "report": "model_report",
    "report_from_predictions": "array_report",
    "temperature_scaling": "temperature",
}


def __dir__() -> list[str]:
    return __all__


if not TYPE_CHECKING:  # type checkers read the imports above

    def __getattr__(name: str) -> Any:
        if name not in _LAZY:
            raise absent_name(__name__, name, __all__)
        value = getattr(importlib.import_module(f"{__name__}.{_LAZY[name]}"), name)
        globals()[name] = value
        return value
