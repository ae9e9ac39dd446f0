"""The text of a report, in lines of at most 100 characters."""

from __future__ import annotations

import math
import textwrap
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from kerastorch.evaluation.predictions import ClassPredictions

if TYPE_CHECKING:
    from kerastorch.evaluation.report_data import ReportData

WIDTH = 100
MOST_CLASSES = 20  # classes of a table; of more, the worst are shown
MOST_CELLS = 10  # classes of a confusion matrix
_WORDS = {
    "binary": "classification of 2 classes",
    "multiclass": "classification of {} classes",
    "multilabel": "{} labels",
    "regression": "regression of {}",
}
# of slices and of single classes or columns
_MAIN = {
    "binary": ("accuracy", "f1", "roc_auc", "ece"),
    "multiclass": ("accuracy", "f1_macro", "roc_auc", "ece"),
    "multilabel": ("subset_accuracy", "f1_macro", "roc_auc", "ece"),
    "regression": ("rmse", "mae", "r2"),
}


def text(report: ReportData) -> str:
    """Return the report as text."""
    parts = [
        _title(report),
        _metrics(report),
        _classes(report),
        _confusion(report),
        _calibration(report),
        _columns(report),
        _intervals(report),
        _slices(report),
        _worst(report),
        _notes(report),
    ]
    return "\n\n".join("\n".join(_cut(line) for line in part) for part in parts if part)


def number(value: float) -> str:
    """Return a number with four significant digits.

    >>> number(0.98251), number(12345.6), number(float("nan"))
    ('0.9825', '12346', '-')
    """
    if not math.isfinite(value):
        return "-" if math.isnan(value) else str(value)
    if value == 0:
        return "0"
    return f"{value:.4g}" if 1e-4 <= abs(value) < 1e4 else f"{value:.0f}" if 1e4 <= abs(value) < 1e9 else f"{value:.3g}"


def shortened(name: str, size: int) -> str:
    """Return a name with at most `size` characters, whose end is cut off.

    >>> shortened("a very long name", 8), shortened("short", 8)
    ('a very …', 'short')
    """
    return name if len(name) <= size else f"{name[: size - 1]}…"


def main_metrics(report: ReportData) -> list[str]:
    """Return the names of the metrics that are shown for slices."""
    return [name for name in _MAIN[report.task] if name in report.metrics]


def logs_line(logs: Mapping[str, float]) -> str:
    """Return the loss and the metrics of `compile` in one line; empty if there are none."""
    found = ", ".join(f"{name} {number(value)}" for name, value in logs.items())
    return f"evaluate: {found}" if found else ""


def _cut(line: str) -> str:
    return shortened(line, WIDTH)


def _lines(header: Sequence[str], rows: Sequence[Sequence[str]], left: int = 1) -> list[str]:
    """Return an indented table without rules; the first `left` columns are aligned to the left."""
    widths = [min(32, max(map(len, column))) for column in zip(header, *rows, strict=True)]

    def line(cells: Sequence[str]) -> str:
        short = [shortened(cell, size) for cell, size in zip(cells, widths, strict=True)]
        found = [
            f"{cell:<{size}}" if at < left else f"{cell:>{size}}"
            for at, (cell, size) in enumerate(zip(short, widths, strict=True))
        ]
        return ("  " + "  ".join(found)).rstrip()

    return [line(header), *map(line, rows)]


def _title(report: ReportData) -> list[str]:
    count = len(report.class_names)
    columns = "one value" if count == 1 else f"{count} values"
    words = _WORDS[report.task].format(columns if report.task == "regression" else count)
    places = "" if report.predictions.rows is None else f", {report.predictions.n_places} places"
    output = f" of output {report.name!r}" if report.name else ""
    rows = "1 row" if report.n_rows == 1 else f"{report.n_rows} rows"
    lines = [f"Report{output}: {words}, {rows}{places}"]
    if report.task == "binary":
        lines.append(f"  precision, recall, f1 and areas under curves are those of the class {report.class_names[1]!r}")
    logs = logs_line(report.logs)
    return [*lines, *textwrap.wrap(logs, WIDTH, initial_indent="  ", subsequent_indent="    ")]


def _metrics(report: ReportData) -> list[str]:
    header = ["metric", "value", f"{100 * report.confidence:g} % interval"]
    rows = [[name, number(value), _ends(report.intervals.get(name))] for name, value in report.metrics.items()]
    return _lines(header, rows)


def _ends(interval: tuple[float, float] | None) -> str:
    return "" if interval is None else f"{number(interval[0])} to {number(interval[1])}"


def _classes(report: ReportData) -> list[str]:
    if not report.per_class:
        return []
    shown = list(report.per_class.items())
    title = ""
    if len(shown) > MOST_CLASSES:
        title = f"  The {MOST_CLASSES} classes with the lowest F1, of {len(shown)}:"
        shown = sorted(shown, key=lambda item: item[1]["f1"])[:MOST_CLASSES]
    names = [name for name in shown[0][1] if name not in ("f1_low", "f1_high")]
    rows = [[name, *(number(one[key]) for key in names)] for name, one in shown]
    word = "label" if report.is_multilabel else "class"
    return [*([title] if title else []), *_lines([word, *names], rows)]


def _confusion(report: ReportData) -> list[str]:
    if report.confusion is None:
        return []
    names = list(report.class_names)
    if len(names) <= MOST_CELLS:
        rows = [[name, *map(number, row)] for name, row in zip(names, report.confusion, strict=True)]
        found = _lines(["true, predicted", *names], rows)
        if max(map(len, found)) <= WIDTH:
            return found
    wrong = report.confusion * (1 - np.eye(len(names)))
    order = np.argsort(-wrong, axis=None, kind="stable")[:MOST_CELLS]
    rows = [
        [names[cell // len(names)], names[cell % len(names)], number(wrong.flat[cell])]
        for cell in order.tolist()
        if wrong.flat[cell] > 0
    ]
    return _lines(["most frequent errors: true", "predicted", "count"], rows, 2) if rows else ["  no errors"]


def _calibration(report: ReportData) -> list[str]:
    found = report.calibration
    if found is None:
        return []
    is_filled = found.counts > 0
    confidence = float(np.nansum(found.confidence * found.counts) / found.counts.sum())
    accuracy = float(np.nansum(found.accuracy * found.counts) / found.counts.sum())
    gap = confidence - accuracy
    word = "as confident as it is right" if abs(gap) < 0.005 else "too confident" if gap > 0 else "not confident enough"
    return textwrap.wrap(
        f"calibration: mean confidence {number(confidence)}, accuracy {number(accuracy)}: on average {word}. Expected "
        f"calibration error {number(found.ece)}, largest {number(found.mce)}, in {int(is_filled.sum())} filled bins of "
        f"{len(found.counts)} of equal width.",
        WIDTH,
        initial_indent="  ",
        subsequent_indent="  ",
    )


def _columns(report: ReportData) -> list[str]:
    if len(report.per_column) < 2:
        return []
    shown = list(report.per_column.items())[:MOST_CLASSES]
    names = list(shown[0][1])
    lines = _lines(["column", *names], [[name, *(number(one[key]) for key in names)] for name, one in shown])
    more = len(report.per_column) - len(shown)
    return [*lines, *([f"  and {more} columns more"] if more else [])]


def _intervals(report: ReportData) -> list[str]:
    found = report.prediction_intervals
    if found is None:
        return []
    rows = [
        [name or "prediction", f"{found.low[at]:+.4g}", f"{found.high[at]:+.4g}", number(float(found.coverage[at]))]
        for at, name in enumerate(report.class_names[:MOST_CLASSES])
    ]
    return _lines([f"{100 * found.level:g} % prediction interval", "from", "to", "coverage on held-out half"], rows)


def _slices(report: ReportData) -> list[str]:
    if not report.slices:
        return []
    names = main_metrics(report)
    first = names[0]
    header = ["slice", "rows", first, f"{100 * report.confidence:g} % interval", *names[1:], ""]
    rows = [
        [
            one.name,
            str(one.n_rows),
            number(one.metrics.get(first, math.nan)),
            _ends(one.intervals.get(first)),
            *(number(one.metrics.get(name, math.nan)) for name in names[1:]),
            "few rows" if one.is_small else "",
        ]
        for one in report.slices.values()
    ]
    return _lines(header, rows)


def _worst(report: ReportData) -> list[str]:
    if not report.worst:
        return []
    if report.predictions.rows is not None:
        return _lines(["worst rows: index", "loss"], [[str(one.index), number(one.loss)] for one in report.worst])
    has_confidence = isinstance(report.predictions, ClassPredictions) and report.worst[0].confidence is not None
    header = ["worst rows: index", "loss", "target", "prediction", *(["confidence"] if has_confidence else [])]
    rows = [
        [
            str(one.index),
            number(one.loss),
            _value(one.target),
            _value(one.prediction),
            *([number(one.confidence or 0.0)] if has_confidence else []),
        ]
        for one in report.worst
    ]
    return _lines(header, rows)


def _value(value: Any) -> str:
    if isinstance(value, float):
        return number(value)
    if isinstance(value, list):
        return ", ".join(map(_value, value)) or "none"
    return str(value)


def _notes(report: ReportData) -> list[str]:
    lines = []
    for note in report.notes:
        lines += textwrap.wrap(note, WIDTH, initial_indent="  - ", subsequent_indent="    ")
    return ["  notes", *lines] if lines else []
