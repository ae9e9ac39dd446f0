"""CheckReport: what `model.check` found, as text, HTML and values."""

from __future__ import annotations

import html
import textwrap
from collections.abc import Iterable
from typing import Literal, NamedTuple

from kerastorch.inspection.text_table import to_html

Level = Literal["error", "warning", "note"]
_LEVELS: tuple[Level, ...] = ("error", "warning", "note")
_WIDTH = 100  # characters of a line


class Finding(NamedTuple):
    """One thing that was found.

    Attributes:
        level: `"error"`: training would fail or learn nothing. `"warning"`: it would probably be worse than it could
            be. `"note"`: a fact.
        name: A short name of the check, such as `"scale"`.
        message: A sentence that says what was found, with numbers.
        advice: What to do; empty if the message says it, or if there is nothing to do.
    """

    level: Level
    name: str
    message: str
    advice: str = ""

    @property
    def text(self) -> str:
        """The message and the advice."""
        return f"{self.message} {self.advice}".strip()


class CheckReport:
    """The result of `model.check`; its truth value is whether there is no error.

    Args:
        subject: Name of the model.
        findings: What was found, in any order.

    Attributes:
        subject: Name of the model, a string.
        findings: A tuple of `Finding`, errors first, then warnings, then notes.

    >>> report = CheckReport("Sequential", [Finding("warning", "scale", "x reaches 255.", "Divide it by 255.")])
    >>> report
    Check of Sequential: 0 errors, 1 warning
      warning  scale   x reaches 255. Divide it by 255.
    >>> bool(report)
    True
    """

    def __init__(self, subject: str, findings: Iterable[Finding]) -> None:
        self.subject = subject
        unique = dict.fromkeys(findings)
        self.findings = tuple(sorted(unique, key=lambda one: _LEVELS.index(one.level)))  # a stable sort

    def of_level(self, level: Level) -> list[Finding]:
        """Return the findings of one level.

        Args:
            level: `"error"`, `"warning"` or `"note"`.
        """
        return [one for one in self.findings if one.level == level]

    def raise_if_errors(self) -> None:
        """Raise an error with the messages of all errors that were found.

        Raises:
            ValueError: There is an error.
        """
        errors = self.of_level("error")
        if errors:
            raise ValueError("\n".join(f"{one.name}: {one.text}" for one in errors))

    def __bool__(self) -> bool:
        return not self.of_level("error")

    def __repr__(self) -> str:
        width = max((len(one.name) for one in self.findings), default=0)
        lines = [self._title()]
        for one in self.findings:
            start = f"  {one.level:7}  {one.name:{width}}   "
            lines += textwrap.wrap(
                one.text, _WIDTH, initial_indent=start, subsequent_indent=" " * len(start), break_long_words=False
            )
        return "\n".join(lines)

    def _repr_html_(self) -> str:
        """Return the report as HTML, which notebooks display."""
        cells = [[one.level, one.name, "\n".join(textwrap.wrap(one.text, _WIDTH))] for one in self.findings]
        table = to_html(["Level", "Check", "Finding"], cells, [False, False, False])
        return f"<p><b>{html.escape(self._title())}</b></p>\n{table}"

    def _title(self) -> str:
        counts = [(len(self.of_level(level)), level) for level in _LEVELS[:2]]
        return f"Check of {self.subject}: " + ", ".join(
            f"{count} {level}{'' if count == 1 else 's'}" for count, level in counts
        )
