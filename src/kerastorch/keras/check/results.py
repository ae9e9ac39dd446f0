"""What became of sections and scripts."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from kerastorch.keras.check.causes import Cause

RAN, FAILED, TOO_LONG, NEEDS, FOLLOWS, NOT_REACHED = (
    "ran", "failed", "too long", "needs data or a package", "follows from another", "not reached",
)  # fmt: skip


@dataclass(frozen=True)
class SectionResult:
    """What became of a section.

    Attributes:
        where: Its first line, as in `line 12` or `cell 3, line 1`.
        status: `"ran"`, `"failed"`, `"too long"` (the time limit), `"needs data or a package"`,
            `"follows from another"` (it uses a name that a failed section binds) or `"not reached"` (the script ended
            itself before).
        seconds: Time that it took.
        at: The line where it stopped; `None` if it ran.
        error: First line of the error; `None` if it ran.
        cause: Why it did not run, and what to write instead; `None` if it ran.
    """

    where: str
    status: str
    seconds: float = 0.0
    at: str | None = None
    error: str | None = None
    cause: Cause | None = None


@dataclass(frozen=True)
class ScriptResult:
    """The sections of a script.

    Attributes:
        path: The file.
        sections: In their order.
        imports: How many imports of Keras were replaced.
        notes: What a reader of the numbers must know.
    """

    path: Path
    sections: tuple[SectionResult, ...]
    imports: int
    notes: tuple[str, ...] = ()

    @property
    def ran(self) -> int:
        """Number of sections that ran."""
        return sum(section.status == RAN for section in self.sections)

    @property
    def total(self) -> int:
        """Number of sections, without those that need data or a package and those that are never reached."""
        return sum(section.status not in (NEEDS, NOT_REACHED) for section in self.sections)
