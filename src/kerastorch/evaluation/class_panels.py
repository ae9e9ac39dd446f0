"""Panels of classifications: confusion matrix, curves, calibration, and the metrics of each class."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from kerastorch.evaluation.curves import Curve, curves
from kerastorch.evaluation.predictions import ClassPredictions
from kerastorch.evaluation.report_data import ReportData
from kerastorch.evaluation.report_text import number, shortened
from kerastorch.evaluation.value_panels import as_label
from kerastorch.plots.confusion_matrix import draw_matrix

if TYPE_CHECKING:
    from matplotlib.axes import Axes

MOST_CURVES = 6  # with a name and a color; of more classes, those with the smallest area have one
MOST_BARS = 25
LONGEST_NAME, LONGEST_ALONE = 14, 32  # characters of a name in one of several panels, and in a panel alone
_GRAY = "#bbbbbb"


def draw_confusion(axes: Axes, report: ReportData) -> None:
    """Draw the confusion matrix."""
    assert report.confusion is not None
    draw_matrix(axes, report.confusion, _names(axes, report.class_names), None)
    axes.set_title("confusion matrix")


def _names(axes: Axes, names: Sequence[str]) -> list[str]:
    """Return the names of classes, cut off so that a panel has room for its content; one alone has more room.

    If the beginnings do not tell them apart, their ends are shown, too.
    """
    size = LONGEST_ALONE if len(axes.figure.axes) == 1 else LONGEST_NAME
    short = [shortened(name, size) for name in names]
    if len(set(short)) == len(short):
        return short
    return [name if len(name) <= size else f"{name[: size // 3]}…{name[-(size - size // 3 - 1) :]}" for name in names]


def draw_roc(axes: Axes, report: ReportData) -> None:
    """Draw the ROC curves."""
    _draw_curves(axes, report, "roc")
    axes.set_title("ROC curve")
    axes.set_xlabel("false-positive rate")
    axes.set_ylabel("true-positive rate")


def draw_precision_recall(axes: Axes, report: ReportData) -> None:
    """Draw the precision-recall curves."""
    _draw_curves(axes, report, "precision_recall")
    axes.set_title("precision-recall curve")
    axes.set_xlabel("recall")
    axes.set_ylabel("precision")


def _draw_curves(axes: Axes, report: ReportData, kind: str) -> None:
    """Draw the curves of a kind with scikit-learn's display; those of many classes in gray, the worst in color."""
    from kerastorch.core.pyplot_figure import COLORS

    found = curves(report.predictions, kind)
    short = dict(zip([one.name for one in found], _names(axes, [one.name for one in found]), strict=True))
    named = {one.name for one in sorted(found, key=lambda one: one.area)[:MOST_CURVES]}
    colors = iter(COLORS)
    for one in found:
        if one.name not in named:  # without scikit-learn's display, which is slow for many
            axes.plot(one.x, one.y, color=_GRAY, linewidth=0.8, drawstyle="steps-post", zorder=1)
    for one in found:
        if one.name in named:
            _draw_curve(axes, one, kind)
            label = as_label(f"{short[one.name]}: {number(one.area)}")
            axes.lines[-1].set(color=next(colors), linewidth=1.6, label=label)
    if kind == "roc":
        axes.plot([0, 1], [0, 1], color="#444444", linewidth=0.8, linestyle=":", label="chance")
    elif report.task == "binary" and found:
        axes.axhline(found[0].share, color="#444444", linewidth=0.8, linestyle=":", label="chance")
    axes.set(xlim=(-0.01, 1.01), ylim=(-0.01, 1.02), aspect="auto")
    axes.grid(alpha=0.3)
    if not found:
        axes.text(0.5, 0.5, "undefined: one class in y", ha="center", va="center", transform=axes.transAxes)
        return
    word = "area" if kind == "roc" else "average precision"
    title = f"{word} (lowest {MOST_CURVES})" if len(found) > MOST_CURVES else word
    for text in axes.legend(title=title, fontsize=8).get_texts():
        text.set_parse_math(False)


def _draw_curve(axes: Axes, one: Curve, kind: str) -> None:
    from sklearn.metrics import PrecisionRecallDisplay, RocCurveDisplay

    if kind == "roc":
        RocCurveDisplay(fpr=one.x, tpr=one.y, roc_auc=one.area).plot(ax=axes)
    else:
        PrecisionRecallDisplay(precision=one.y, recall=one.x, average_precision=one.area).plot(ax=axes)


def draw_calibration(axes: Axes, report: ReportData) -> None:
    """Draw accuracy over confidence, and of two classes the fraction of the second over its probability."""
    from sklearn.calibration import CalibrationDisplay, calibration_curve

    from kerastorch.core.pyplot_figure import COLORS

    bins, found = report.calibration, report.predictions
    assert bins is not None
    is_filled = bins.counts > 0
    CalibrationDisplay(bins.accuracy[is_filled], bins.confidence[is_filled], bins.confidence[is_filled]).plot(
        ax=axes, name="predicted class", color=COLORS[0]
    )
    if report.task == "binary" and isinstance(found, ClassPredictions) and found.weight is None:
        assert found.probabilities is not None
        second = np.clip(found.probabilities[:, 1], 0, 1)
        true, predicted = calibration_curve(found.y, second, n_bins=10)
        CalibrationDisplay(true, predicted, second).plot(
            ax=axes,
            ref_line=False,
            name=f"class {_names(axes, report.class_names)[1]}",
            color=COLORS[1],
            marker="o",
            markersize=4,
        )
    axes.set(
        xlim=(-0.01, 1.01), ylim=(-0.01, 1.02), xlabel="confidence, or probability", ylabel="accuracy, or fraction"
    )
    axes.set_title(f"calibration, ECE {number(bins.ece)}")
    axes.grid(alpha=0.3)
    axes.set_aspect("auto")
    for text in axes.legend(
        loc="upper left", bbox_to_anchor=(-0.02, -0.15), ncols=2, fontsize=8, frameon=False
    ).get_texts():
        text.set_parse_math(False)


def draw_classes(axes: Axes, report: ReportData) -> None:
    """Draw precision and recall of each class or label; of many, those with the lowest F1."""
    from kerastorch.core.pyplot_figure import COLORS

    shown = list(report.per_class.items())
    title = "precision and recall"
    if len(shown) > MOST_BARS:
        shown = sorted(shown, key=lambda item: item[1]["f1"])[:MOST_BARS]
        title += f" of the {MOST_BARS} worst"
    places = np.arange(len(shown))
    for offset, name, color in ((-0.2, "precision", COLORS[0]), (0.2, "recall", COLORS[1])):
        axes.barh(places + offset, [one[name] for _, one in shown], 0.38, color=color, label=name)
    axes.set_yticks(
        places, _names(axes, [name for name, _ in shown]), parse_math=False, fontsize=8 if len(shown) <= 12 else 6
    )
    axes.invert_yaxis()
    axes.set(xlim=(0, 1.02), title=title)
    axes.grid(alpha=0.3, axis="x")
    axes.legend(loc="upper left", bbox_to_anchor=(0.0, -0.08), ncols=2, fontsize=8, frameon=False)
