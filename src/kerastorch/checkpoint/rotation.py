"""Generations: the last archives of one thing in a folder; where the newest is bad, the one before it is used."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from kerastorch.checkpoint import archive_format, atomic_file
from kerastorch.core.errors import CheckpointError, check_int, warn
from kerastorch.core.path_checks import check_parent_folder

_NAME = re.compile(r"checkpoint-(\d{6,12})\.kt")


class CheckpointRotation:
    """`checkpoint-000001.kt`, `checkpoint-000002.kt`, ... in a folder, the older ones deleted.

    Args:
        folder: made by the first `save`, with its parents.
        keep: how many there are at most, at least 2.

    Raises:
        CheckpointError: `folder` is a file.
    """

    def __init__(self, folder: str | os.PathLike[str], keep: int = 2) -> None:
        self.folder, self._keep = Path(folder), check_int("keep", keep, 2)
        if self.folder.exists() and not self.folder.is_dir():
            raise CheckpointError(f"{self.folder} is no folder; give one for this training alone.")

    def prepare(self) -> None:
        """Make the folder, each name forced to disk; one that cannot be is found out before there is much to lose.

        Raises:
            OSError: it cannot be made, or written to, or a file is in its place.
        """
        check_parent_folder(self.folder)
        missing = [one for one in (self.folder, *self.folder.parents) if not one.exists()]
        self.folder.mkdir(parents=True, exist_ok=True)
        for one in missing:
            atomic_file.sync_folder(one.parent)

    def save(self, sections: Mapping[str, Any]) -> Path:
        """Write the next one; after that only, delete what is too old."""
        self.prepare()
        old = self._files()
        number = _number(old[0]) + 1 if old else 1
        path = self.folder / f"checkpoint-{number:06d}.kt"
        archive_format.write(path, sections)
        for stale in old[self._keep - 1 :]:
            stale.unlink(missing_ok=True)
        return path

    def load(self) -> dict[str, Any] | None:
        """The sections of the newest that is whole; `None` where there is none at all.

        Warns:
            UserWarning: one cannot be used, and the one before it is.

        Raises:
            CheckpointError: there are some, and none is whole; the last error found.
        """
        while True:
            errors: list[Exception] = []
            try:
                found = self._newest(errors)
            except FileNotFoundError:  # another process has saved, and deleted what was listed here
                continue
            if errors and found is None:
                told = " ".join(map(str, errors))
                raise CheckpointError(f"{told} There is no other; delete {self.folder} to begin anew.") from errors[-1]
            for error in errors:
                warn(f"{error} One before it is used.")
            return found

    def delete(self) -> None:
        """All of them, and the folder where nothing else is in it."""
        for path in reversed(self._files()):  # killed in between, the newest is left
            path.unlink(missing_ok=True)
        for path in self.folder.glob(".checkpoint-*.kt.tmp"):  # of a write that was killed
            path.unlink(missing_ok=True)
        with suppress(OSError):
            self.folder.rmdir()
            atomic_file.sync_folder(self.folder.parent)

    def _newest(self, errors: list[Exception]) -> dict[str, Any] | None:
        for path in self._files():
            try:
                return archive_format.read(path)
            except FileNotFoundError:
                raise
            except (CheckpointError, OSError) as error:  # OSError: a disk that cannot read its own sectors
                errors.append(error)
        return None

    def _files(self) -> list[Path]:
        """The newest first."""
        names = os.listdir(self.folder) if self.folder.is_dir() else []
        return sorted((self.folder / name for name in names if _NAME.fullmatch(name)), key=_number, reverse=True)


def _number(path: Path) -> int:
    found = _NAME.fullmatch(path.name)
    return int(found[1]) if found else 0
