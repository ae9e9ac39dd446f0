"""Report: the evaluation of one output of a model, as numbers, tables, text and plots."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from kerastorch.core.errors import mismatch, unknown
from kerastorch.core.path_checks import check_writable, parse_path
from kerastorch.evaluation import report_tables, report_text
from kerastorch.evaluation.report_data import ReportData

if TYPE_CHECKING:
    from matplotlib.figure import Figure


@dataclass(frozen=True, eq=False, repr=False)
class Report(ReportData):
    """The evaluation of one output of a model, which `evaluate(report=True)` and `kt.evaluation.report` return.

    `print(report)` shows it as text, `report.plot()` as a figure, `report.frame("metrics")` a part as a DataFrame, and
    `report.to_dict()` all numbers. It can be pickled.

    Attributes:
        predictions: Targets and predictions: `y`, `predicted`, and for classifications `scores`.
        metrics: Metrics by name. Those of binary classification are for the second class; `roc_auc` and
            `average_precision` of several classes are means over the classes, each against the others.
        intervals: Bootstrap interval of each metric: the lower and the upper end.
        per_class: Metrics by name of each class or label; empty for regression.
        per_column: Metrics by name of each column of values; empty for classification.
        confusion: Confusion matrix of classes, `(classes, classes)`, a row for each true class; else `None`.
        calibration: Confidence and accuracy in bins; `None` without probabilities.
        prediction_intervals: Intervals around predicted values; `None` for classification, or if there are too few
            rows.
        slices: Metrics of groups of rows, by names such as `"sex=female"`.
        worst: The rows with the largest losses of the task, in descending order: log loss of classes, squared error of
            values, whatever the model was compiled with.
        notes: Sentences about what limits the numbers.
        logs: Loss and metrics of `compile`, as `evaluate` returns them.
        confidence: Probability of the bootstrap intervals.
        n_bootstrap: Number of resamples.
        threshold: Probability above which the second class, or a label, is predicted.
        name: Name of the output; empty if the model has one.
    """

    def frame(self, part: str = "metrics") -> Any:
        """Return a part of the report as a pandas DataFrame (needs pandas).

        Args:
            part: `"metrics"` (default); `"classes"`, `"confusion"`, `"calibration"`, `"roc"`, `"precision_recall"` for
                classification; `"columns"`, `"residuals"` for regression; `"slices"`, `"worst"`.

        Raises:
            ValueError: The report has no such part.
            ImportError: Pandas is not installed.
        """
        return report_tables.frame(self, part)

    def to_dict(self) -> dict[str, Any]:
        """Return the numbers of the report as dicts, lists, numbers and strings, without the single predictions."""
        return report_tables.to_dict(self)

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write the report to a file.

        Args:
            path: A name that ends in `.json`, for `to_dict()`, or in `.txt`, for the text.

        Raises:
            ValueError: The name ends in something else.
        """
        _save(self, path)

    def plot(self, path: str | os.PathLike[str] | None = None, *, kind: str | None = None) -> Figure:
        """Plot the report (needs matplotlib).

        Args:
            path: File to save the plot to; its suffix chooses the format. Default `None`: nothing is saved. The name of
                a panel, `report.plot("roc")`, counts as `kind`.
            kind: One panel: `"confusion"`, `"roc"`, `"precision_recall"`, `"calibration"`, `"classes"` for
                classification; `"predictions"`, `"residuals"`, `"histogram"` for regression; `"slices"`; `"worst"` for
                the images with the largest losses. Default: a figure with the panels that fit the task.

        Returns:
            The matplotlib figure, which `plt.show()` shows in a script, and which a notebook displays.

        Raises:
            ImportError: Matplotlib is not installed.
            ValueError: The report has no such panel, or the suffix of `path` is unknown.
        """
        from kerastorch.evaluation.report_plots import plot_report

        return plot_report(self, path, kind)

    def __str__(self) -> str:
        return report_text.text(self)

    __repr__ = __str__


def _save(report: Report | Reports, path: str | os.PathLike[str]) -> None:
    """Write the text of a report, or its numbers as JSON, to a file.

    Raises:
        ValueError: The name ends in something else than `.json` or `.txt`.
    """
    file = parse_path("path", path)
    suffix = file.suffix.lower()
    if suffix not in (".json", ".txt"):
        raise mismatch("path", str(file), "a name that ends in .json or .txt", "report.plot(path=...) saves plots.")
    check_writable(file)
    content = str(report) if suffix == ".txt" else json.dumps(report.to_dict(), indent=2, ensure_ascii=False)
    file.write_text(content + "\n", encoding="utf-8")


class Reports(Mapping[str, Report]):
    """The reports on a model of several outputs, by the name of the output.

    Args:
        reports: The reports by name.
        logs: Loss and metrics of `compile`, as `evaluate` returns them.
    """

    def __init__(self, reports: Mapping[str, Report], logs: Mapping[str, float]) -> None:
        self._reports, self.logs = dict(reports), dict(logs)

    def __getitem__(self, name: str) -> Report:
        if name not in self._reports:
            raise KeyError(str(unknown("output", name, self._reports)))
        return self._reports[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._reports)

    def __len__(self) -> int:
        return len(self._reports)

    def frame(self, part: str = "metrics") -> Any:
        """Return a part of all reports as a pandas DataFrame, whose first index is the output (needs pandas).

        Args:
            part: As for `Report.frame`. Outputs whose report has no such part are left out.

        Raises:
            ValueError: No report has this part.
            ImportError: Pandas is not installed.
        """
        having = {name: one for name, one in self._reports.items() if report_tables.has_part(one, part)}
        frames = {name: one.frame(part) for name, one in (having or self._reports).items()}
        import pandas as pd

        return pd.concat(frames, names=["output"])

    def to_dict(self) -> dict[str, Any]:
        """Return `logs`, and as `outputs` the numbers of the report on each output."""
        outputs = {name: one.to_dict() for name, one in self._reports.items()}
        return {"logs": report_tables.plain(self.logs), "outputs": outputs}

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write all reports to one file.

        Args:
            path: A name that ends in `.json`, for `to_dict()`, or in `.txt`, for the text.

        Raises:
            ValueError: The name ends in something else.
        """
        _save(self, path)

    def plot(self, path: str | os.PathLike[str] | None = None, *, kind: str | None = None) -> dict[str, Figure]:
        """Return a figure for each output, by its name (needs matplotlib).

        Args:
            path: Files to save the figures to: `"report.png"` stands for `"report-NAME.png"` with the names of the
                outputs. Default `None`: nothing is saved. The name of a panel counts as `kind`.
            kind: As for `Report.plot`. Outputs whose report has no such panel are left out.

        Raises:
            ImportError: Matplotlib is not installed.
            ValueError: No report has such a panel, or the suffix of `path` is unknown.
        """
        from kerastorch.evaluation.report_plots import plot_reports

        return plot_reports(self._reports, path, kind)

    def __str__(self) -> str:
        logs = report_text.logs_line(self.logs)
        return "\n\n".join([*([logs] if logs else []), *map(str, self._reports.values())])

    __repr__ = __str__
