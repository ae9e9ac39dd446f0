"""CheckpointRotation: a folder that holds the newest archives of one training."""

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

_FILE_NAME = re.compile(r"checkpoint-(\d{6,12})\.kt")


class CheckpointRotation:
    """Numbered archives in a folder: `checkpoint-000001.kt`, `checkpoint-000002.kt`, ...

    If the newest archive is damaged, the one before it is loaded.

    Args:
        folder: Path of the folder. The first `save` creates it with its parents.
        keep: Maximum number of archives, at least 2.

    Raises:
        CheckpointError: `folder` is a file.
    """

    def __init__(self, folder: str | os.PathLike[str], keep: int = 2) -> None:
        self.folder, self._keep = Path(folder), check_int("keep", keep, 2)
        if self.folder.exists() and not self.folder.is_dir():
            raise CheckpointError(f"{self.folder} is no folder; give one for this training alone.")

    def prepare(self) -> None:
        """Create the folder and force its name to disk.

        Called before training, so that a path that cannot be used raises an error early.

        Raises:
            OSError: The folder cannot be created or written to.
        """
        check_parent_folder(self.folder)
        missing = [folder for folder in (self.folder, *self.folder.parents) if not folder.exists()]
        self.folder.mkdir(parents=True, exist_ok=True)
        for folder in missing:
            atomic_file.sync_folder(folder.parent)

    def save(self, sections: Mapping[str, Any]) -> Path:
        """Write the next archive, then delete those that are too old.

        Args:
            sections: State by section name, as for `archive_format.encode`.

        Returns:
            The path of the new archive.
        """
        self.prepare()
        old = self._newest_first()
        number = _number(old[0]) + 1 if old else 1
        path = self.folder / f"checkpoint-{number:06d}.kt"
        archive_format.write(path, sections)
        for stale in old[self._keep - 1 :]:
            stale.unlink(missing_ok=True)
        return path

    def load(self) -> dict[str, Any] | None:
        """Return the sections of the newest archive that is intact; `None` if there is no archive.

        Warns:
            UserWarning: A newer archive is damaged.

        Raises:
            CheckpointError: All archives are damaged.
        """
        while True:
            errors: list[Exception] = []
            try:
                sections = self._read_newest(errors)
            except FileNotFoundError:  # another process has saved, and deleted an archive that was listed here
                continue
            if errors and sections is None:
                messages = " ".join(map(str, errors))
                raise CheckpointError(
                    f"{messages} There is no other; delete {self.folder} to start from the beginning."
                ) from errors[-1]
            for error in errors:
                warn(f"{error} One before it is used.")
            return sections

    def delete(self) -> None:
        """Delete all archives, and the folder if it is empty then."""
        for path in reversed(self._newest_first()):  # oldest first: if the process is killed, the newest one is left
            path.unlink(missing_ok=True)
        for path in self.folder.glob(".checkpoint-*.kt.tmp"):  # left by a process that was killed while it wrote
            path.unlink(missing_ok=True)
        with suppress(OSError):
            self.folder.rmdir()
            atomic_file.sync_folder(self.folder.parent)

    def _read_newest(self, errors: list[Exception]) -> dict[str, Any] | None:
        """Read the newest archive that is intact; add the errors of newer ones to `errors`."""
        for path in self._newest_first():
            try:
                return archive_format.read(path)
            except FileNotFoundError:
                raise
            except (CheckpointError, OSError) as error:  # OSError: the disk cannot read a sector
                errors.append(error)
        return None

    def _newest_first(self) -> list[Path]:
        """Return the paths of all archives."""
        names = os.listdir(self.folder) if self.folder.is_dir() else []
        return sorted((self.folder / name for name in names if _FILE_NAME.fullmatch(name)), key=_number, reverse=True)


def _number(path: Path) -> int:
    """Return the number in the name of an archive; 0 for another file."""
    match = _FILE_NAME.fullmatch(path.name)
    return int(match[1]) if match else 0
