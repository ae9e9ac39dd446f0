"""The parts of a report as DataFrames and as plain values."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np

from kerastorch.core.errors import unknown
from kerastorch.core.optional_dependency import require_package
from kerastorch.evaluation.curves import curve_rows
from kerastorch.evaluation.predictions import ValuePredictions

if TYPE_CHECKING:
    from kerastorch.evaluation.report_data import ReportData

Rows = list[dict[str, Any]]


def table(report: ReportData, part: str) -> tuple[list[str], Rows]:
    """Return a part of a report as rows, and the columns that are its index.

    Raises:
        ValueError: The report has no such part.
    """
    makers = _makers(report)
    if part not in makers:
        raise unknown(f"part of a {report.task} report", part, makers)
    index, rows = makers[part]
    return index, rows()


def has_part(report: ReportData, part: str) -> bool:
    """Return whether a report has a part."""
    return part in _makers(report)


def _makers(report: ReportData) -> dict[str, Any]:
    """Return for each part that the report has its index and a function that returns its rows."""
    found: dict[str, Any] = {"metrics": (["metric"], lambda: _metrics(report))}
    if report.per_class:
        found["classes"] = (["class"], lambda: [{"class": name, **one} for name, one in report.per_class.items()])
    if report.confusion is not None:
        found["confusion"] = (["true class"], lambda: _confusion(report))
    if report.calibration is not None:
        found["calibration"] = ([], lambda: _calibration(report))
    if not isinstance(report.predictions, ValuePredictions) and report.predictions.scores is not None:
        for kind in ("roc", "precision_recall"):
            found[kind] = ([], lambda kind=kind: curve_rows(report.predictions, kind))
    if report.per_column:
        found["columns"] = (["column"], lambda: _columns(report))
        found["residuals"] = ([], lambda: _residuals(report))
    if report.slices:
        found["slices"] = (["column", "value"], lambda: _slices(report))
    found["worst"] = ([], lambda: _worst(report))
    return found


def frame(report: ReportData, part: str) -> Any:
    """Return a part of a report as a pandas DataFrame.

    Raises:
        ImportError: Pandas is not installed.
        ValueError: The report has no such part.
    """
    require_package("Report.frame", "pandas")
    import pandas as pd

    index, rows = table(report, part)
    found = pd.DataFrame(rows)
    return found.set_index(index) if index and rows else found


def _metrics(report: ReportData) -> Rows:
    nothing = (math.nan, math.nan)
    return [
        {"metric": name, "value": value, **dict(zip(("low", "high"), report.intervals.get(name, nothing), strict=True))}
        for name, value in report.metrics.items()
    ]


def _confusion(report: ReportData) -> Rows:
    assert report.confusion is not None
    return [
        {"true class": name, **dict(zip(report.class_names, row.tolist(), strict=True))}
        for name, row in zip(report.class_names, report.confusion, strict=True)
    ]


def _calibration(report: ReportData) -> Rows:
    bins = report.calibration
    assert bins is not None
    columns = (bins.edges[:-1], bins.edges[1:], bins.counts, bins.confidence, bins.accuracy)
    names = ("low", "high", "count", "confidence", "accuracy")
    return [dict(zip(names, map(float, row), strict=True)) for row in zip(*columns, strict=True)]


def _columns(report: ReportData) -> Rows:
    found = report.prediction_intervals
    rows = []
    for number, (name, metrics) in enumerate(report.per_column.items()):
        row: dict[str, Any] = {"column": name, **metrics}
        if found is not None:
            row |= {
                "interval_low": float(found.low[number]),
                "interval_high": float(found.high[number]),
                "coverage": float(found.coverage[number]),
            }
        rows.append(row)
    return rows


def _residuals(report: ReportData) -> Rows:
    found = report.predictions
    rows = np.arange(found.n_places) if found.rows is None else found.rows
    return [
        {"row": int(row), "column": name, "target": float(y), "prediction": float(guess), "residual": float(y - guess)}
        for column, name in enumerate(found.names)
        for row, y, guess in zip(rows, found.y[:, column], found.predicted[:, column], strict=True)
    ]  # fmt: skip


def _slices(report: ReportData) -> Rows:
    rows = []
    for one in report.slices.values():
        row: dict[str, Any] = {"column": one.column, "value": one.value, "rows": one.n_rows, **one.metrics}
        for name, (low, high) in one.intervals.items():
            row |= {f"{name}_low": low, f"{name}_high": high}
        rows.append(row | {"is_small": one.is_small})
    return rows


def _worst(report: ReportData) -> Rows:
    return [
        {"index": one.index, "target": one.target, "prediction": one.prediction, "loss": one.loss}
        | ({} if one.confidence is None else {"confidence": one.confidence})
        for one in report.worst
    ]


def to_dict(report: ReportData) -> dict[str, Any]:
    """Return the numbers of a report as plain values; NaN becomes `None`."""
    intervals = {name: list(ends) for name, ends in report.intervals.items()}
    found: dict[str, Any] = {
        "task": report.task,
        "n_rows": report.n_rows,
        "class_names": [] if report.class_names == ("",) else list(report.class_names),
        "logs": report.logs,
        "metrics": report.metrics,
        "intervals": intervals,
        "confidence": report.confidence,
        "n_bootstrap": report.n_bootstrap,
    }
    for part in ("classes", "columns", "calibration", "slices", "worst"):
        if part in _makers(report):
            found[part] = table(report, part)[1]
    if report.confusion is not None:
        found["confusion"] = report.confusion.tolist()
    return plain({**found, "notes": list(report.notes)})  # type: ignore[no-any-return]


def plain(value: Any) -> Any:
    """Return a structure whose numbers are those of JSON."""
    if isinstance(value, dict):
        return {str(key): plain(one) for key, one in value.items()}
    if isinstance(value, (list, tuple)):
        return [plain(one) for one in value]
    if isinstance(value, np.generic):
        value = value.item()
    return None if isinstance(value, float) and not math.isfinite(value) else value
