"""Diagnosis: the findings on a fit as text, data and marks in a plot."""

from __future__ import annotations

import os
import textwrap
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from kerastorch.core.optional_dependency import require_package
from kerastorch.core.path_checks import check_writable, parse_path
from kerastorch.diagnosis.curves import Curves
from kerastorch.diagnosis.findings import NO_VALIDATION, REMARKS, Finding

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_WIDTH = 100  # characters of a line
_PER_INCH = 14.5  # characters of the small text in a plot
_SMALL = 9  # points
_TITLE_WIDTH = 60  # characters of a line above a panel


@dataclass(frozen=True)
class Diagnosis:
    """What the curves of a fit show, from `History.diagnose`; its `str` is the text.

    Attributes:
        findings: A tuple of `Finding`, the most important first. Each has the attributes `cause`, `summary`, `since`
            (the epoch, counted from 1, or `None`), `evidence` and `remedies`, whose items have a `text` and a line of
            `code`. The only finding of a good fit has the cause `"healthy"`.
        epochs: Number of epochs.
        unknown: Sentences on what the diagnosis had to do without.

    >>> import kerastorch as kt
    >>> history = kt.History()
    >>> for epoch in range(30):
    ...     history.on_epoch_end(epoch, {"loss": 0.9**epoch, "val_loss": 0.5 + 0.002 * (epoch - 8) ** 2})
    >>> diagnosis = history.diagnose()
    >>> diagnosis.findings[0].cause, diagnosis.findings[0].since
    ('overfitting', 10)
    >>> diagnosis.is_healthy
    False
    """

    findings: tuple[Finding, ...]
    epochs: int
    unknown: tuple[str, ...] = ()
    curves: Curves | None = field(default=None, compare=False, repr=False)

    @property
    def causes(self) -> tuple[str, ...]:
        """The causes of all findings, the most important first."""
        return tuple(one.cause for one in self.findings)

    @property
    def is_healthy(self) -> bool:
        """Whether no fault was found."""
        return all(cause in REMARKS for cause in self.causes)

    def __str__(self) -> str:
        epochs = f"{self.epochs} epoch{'s' if self.epochs != 1 else ''}"
        parts = [f"Diagnosis of {epochs}: {self._titles()}", *map(_text_of, self.findings)]
        if self.unknown:
            parts.append("\n".join(textwrap.fill(one, _WIDTH) for one in self.unknown))
        return "\n\n".join(parts)

    __repr__ = __str__

    def frame(self) -> Any:
        """Return the findings as a pandas DataFrame, one row for each (needs pandas)."""
        require_package("Diagnosis.frame", "pandas")
        import pandas as pd

        columns: dict[str, list[Any]] = {
            "cause": [one.cause for one in self.findings],
            "since": pd.array([one.since for one in self.findings], dtype="Int64"),
            "summary": [one.summary for one in self.findings],
            "evidence": [" ".join(one.evidence) for one in self.findings],
            "remedies": [" ".join(each.text for each in one.remedies) for one in self.findings],
        }
        return pd.DataFrame(columns)

    def plot(self, path: str | os.PathLike[str] | None = None) -> Figure:
        """Plot the losses with the findings (needs matplotlib); `history.plot(diagnose=True)` plots all logs.

        Args:
            path: File to save the plot to; its suffix chooses the format. Default `None`: nothing is saved.

        Returns:
            The matplotlib figure.

        Raises:
            ImportError: Matplotlib is not installed.
            ValueError: There is no loss, or the suffix of `path` is unknown.
        """
        require_package("Diagnosis.plot", "matplotlib")
        from kerastorch.core.pyplot_figure import COLORS, DPI, check_suffix, new_panels, point_marker, set_epoch_axis

        if self.curves is None:
            raise ValueError("There is no loss to plot.")
        file = None if path is None else parse_path("path", path)
        if file is not None:
            check_suffix("path", file)
            check_writable(file)
        figure, (axes,) = new_panels(1, 1, 7.0, 3.4)
        curves = (self.curves.loss, "training"), (self.curves.validation, "validation")
        for (curve, label), color in zip(curves, COLORS, strict=False):
            if curve is not None:
                axes.plot(curve.epochs, curve.values, color=color, label=label, marker=point_marker(len(curve)))
        axes.set_ylabel(self.curves.loss.name, parse_math=False)
        set_epoch_axis(axes, int(self.curves.loss.epochs[0]), int(self.curves.loss.epochs[-1]))
        self.draw(figure, {"loss": axes})
        axes.legend()
        if file is not None:
            figure.savefig(file, dpi=DPI)
        return figure

    def draw(self, figure: Figure, panels: Mapping[str, Axes]) -> None:
        """Mark the findings in a plot: shade the epochs since which one is seen, and write the text below.

        Args:
            figure: The figure.
            panels: Axes by the name of the log of the training that they show.
        """
        from kerastorch.core.pyplot_figure import COLORS

        marked = [one for one in self.findings if one.since is not None and one.since > 1]
        for finding, color in zip(marked, COLORS[3:], strict=False):
            for axes in panels.values():
                left, right = axes.get_xlim()
                axes.axvspan((finding.since or 1) - 0.5, right, color=color, alpha=0.13, linewidth=0, zorder=0)
                axes.set_xlim(left, right)
        first = panels.get("loss") or next(iter(panels.values()), None)
        if first is not None:
            first.set_title(textwrap.fill(self._titles(), _TITLE_WIDTH), fontsize=10)
        width = int(figure.get_figwidth() * _PER_INCH)
        lines = [textwrap.fill(_short_text(one), width) for one in self.findings]
        figure.supxlabel("\n".join(lines), x=0.01, ha="left", fontsize=_SMALL)

    def _titles(self) -> str:
        titles = [one.title for one in self.findings]
        return ", ".join(titles) if titles else "nothing to say"

    def _repr_html_(self) -> str:
        """Return the text as HTML, which notebooks display."""
        import html

        return f"<pre>{html.escape(str(self))}</pre>"


def _text_of(finding: Finding) -> str:
    """Return a finding as paragraphs."""
    lines = [finding.title, textwrap.fill(finding.summary, _WIDTH, initial_indent="  ", subsequent_indent="  ")]
    for sentence in finding.evidence:
        lines.append(textwrap.fill(sentence, _WIDTH, initial_indent="  - ", subsequent_indent="    "))
    if finding.remedies:
        lines.append("  Try, in this order:" if len(finding.remedies) > 1 else "  Try:")
    for number, remedy in enumerate(finding.remedies, 1):
        lines.append(textwrap.fill(remedy.text, _WIDTH, initial_indent=f"  {number}. ", subsequent_indent="     "))
        lines += [f"       {remedy.code}"] if remedy.code else []
    return "\n".join(lines)


def _short_text(finding: Finding) -> str:
    """Return a finding as one line for a plot."""
    first = "" if finding.cause == NO_VALIDATION or not finding.remedies else f" Try first: {finding.remedies[0].text}"
    return f"{finding.title}: {finding.summary}{first}"
