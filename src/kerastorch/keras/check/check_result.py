"""The result of a check."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from kerastorch.keras.check.causes import Cause
from kerastorch.keras.check.report import report
from kerastorch.keras.check.results import NOT_REACHED, RAN, ScriptResult, SectionResult


@dataclass(frozen=True)
class CheckResult:
    """The scripts of a check; `print(result)` shows tables.

    Attributes:
        scripts: In the order of their names.
    """

    scripts: tuple[ScriptResult, ...]

    @property
    def ran(self) -> int:
        """Number of sections that ran."""
        return sum(script.ran for script in self.scripts)

    @property
    def total(self) -> int:
        """Number of sections, without those that need data or a package and those that are never reached."""
        return sum(script.total for script in self.scripts)

    @property
    def is_complete(self) -> bool:
        """Whether every section ran that its script reaches."""
        return all(one.status in (RAN, NOT_REACHED) for script in self.scripts for one in script.sections)

    def causes(self) -> list[tuple[Cause, list[tuple[Path, SectionResult]]]]:
        """Return the causes with the sections that they stopped, those that stopped most first."""
        found: dict[str, tuple[Cause, list[tuple[Path, SectionResult]]]] = {}
        for script in self.scripts:
            for section in script.sections:
                if section.cause is not None:
                    found.setdefault(section.cause.title, (section.cause, []))[1].append((script.path, section))
        return sorted(found.values(), key=lambda pair: -len(pair[1]))

    def to_dict(self) -> dict[str, Any]:
        """Return numbers and texts alone, for JSON."""
        scripts = [
            {
                "path": str(script.path),
                "ran": script.ran,
                "total": script.total,
                "imports": script.imports,
                "notes": list(script.notes),
                "sections": [dataclasses.asdict(section) for section in script.sections],
            }
            for script in self.scripts
        ]
        return {"ran": self.ran, "total": self.total, "scripts": scripts}

    def __str__(self) -> str:
        return report(self.scripts, self.causes())
