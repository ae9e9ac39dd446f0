"""Show the result of a check as text."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence
from pathlib import Path

from kerastorch.inspection.text_table import to_text
from kerastorch.keras.check.causes import Cause
from kerastorch.keras.check.results import FOLLOWS, NEEDS, ScriptResult, SectionResult

WIDTH = 100  # characters


Stopped = Sequence[tuple[Cause, Sequence[tuple[Path, SectionResult]]]]


def report(scripts: Sequence[ScriptResult], causes: Stopped) -> str:
    """Return a table of the scripts, the causes, and the total.

    Args:
        scripts: The results of the scripts.
        causes: The causes in the order of the report, each with the sections that it stopped.
    """
    rows = [
        [_short(script.path), str(script.ran), str(script.total), str(_needing(script.sections)), str(script.imports)]
        for script in scripts
    ]
    table = to_text(
        ["script", "ran", "of", "need data", "imports replaced"], rows, [False, True, True, True, True], WIDTH
    )
    notes = [f"{_short(script.path)}: {note}" for script in scripts for note in script.notes]
    needing = sum(_needing(script.sections) for script in scripts)
    ran, reached = sum(script.ran for script in scripts), sum(script.total for script in scripts)
    share = f" ({ran / reached:.1%})" if reached else ""
    total = f"{ran} of {reached} sections ran{share}."
    if needing:
        total += f" {needing} more need data or a package that is not here."
    return "\n".join([table, *notes, *_causes(causes), "", total])


def _causes(causes: Stopped) -> list[str]:
    """Return lines about each cause, those first that stopped most sections."""
    lines: list[str] = []
    for cause, stopped in causes:
        number = len({path for path, _ in stopped})
        lines += ["", f"{cause.title}: {_counted(len(stopped), 'section')} in {_counted(number, 'script')}"]
        first = [pair for pair in stopped if pair[1].status != FOLLOWS] or stopped
        lines += [_example(path, section) for path, section in first[:3]]
        advice = " ".join([cause.advice, f"See the guide {cause.guide}." if cause.guide else ""]).strip()
        if advice:
            lines += textwrap.wrap(advice, WIDTH, initial_indent="  -> ", subsequent_indent="     ")
    return lines


def _example(path: Path, section: SectionResult) -> str:
    return "  " + textwrap.shorten(f"{path.name}, {section.at}: {section.error}", WIDTH - 2, placeholder=" ...")


def _needing(sections: tuple[SectionResult, ...]) -> int:
    return sum(section.status == NEEDS for section in sections)


def _counted(number: int, noun: str) -> str:
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"


def _short(path: Path) -> str:
    """Return the path from the current folder, if it is in it."""
    return str(path.relative_to(Path.cwd())) if path.is_relative_to(Path.cwd()) else str(path)
