"""CheckpointRotation: a folder that holds the newest checkpoints of one training.

A checkpoint is an archive, `checkpoint-000001.kt`, or a folder that several processes wrote, `checkpoint-000001`.
"""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, Protocol

from kerastorch.checkpoint import archive_format, atomic_file
from kerastorch.checkpoint.shard_files import INDEX
from kerastorch.checkpoint.state_json import Packed, pack
from kerastorch.core.errors import CheckpointError, check_int, warn
from kerastorch.core.path_checks import check_parent_folder

NAME = "checkpoint-{:06d}"
_ANY_NAME = re.compile(r"checkpoint-(\d{6,12})(\.kt)?")


class Rotation(Protocol):
    """The newest checkpoints of a training in a folder."""

    def prepare(self) -> None:
        """Create the folder."""

    def load(self) -> dict[str, Any] | None:
        """Return the newest checkpoint that is intact."""

    def stage(self, sections: Mapping[str, Any]) -> Any:
        """Return a copy of a state, for `save`."""

    def save(self, staged: Any) -> object:
        """Write the next checkpoint."""

    def delete(self) -> None:
        """Delete all checkpoints."""

    def agree(self, is_due: bool) -> bool:
        """Return whether to save now, on all ranks alike."""


MakeRotation = Callable[[Path, int], Rotation]  # of a folder, and the number of checkpoints to keep


class CheckpointRotation:
    """Numbered archives in a folder: `checkpoint-000001.kt`, `checkpoint-000002.kt`, ...

    If the newest archive is damaged, the one before it is loaded. Checkpoints of several processes are loaded, too.

    Args:
        folder: Path of the folder. The first `save` creates it with its parents.
        keep: Maximum number of checkpoints, at least 2.

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
        create_folder(self.folder)

    def stage(self, sections: Mapping[str, Any]) -> dict[str, Packed]:
        """Return a copy of a state, for `save` in a thread while training continues.

        Args:
            sections: State by section name.
        """
        return {name: _copy(section) for name, section in sections.items()}

    def save(self, sections: Mapping[str, Any]) -> Path:
        """Write the next archive, then delete those that are too old.

        Args:
            sections: State by section name, as for `archive_format.encode`, or what `stage` returned.

        Returns:
            The path of the new archive.
        """
        self.prepare()
        path = self.folder / f"{NAME.format(next_number(self.folder))}.kt"
        archive_format.write(path, sections)
        delete_old(self.folder, self._keep)
        return path

    def load(self) -> dict[str, Any] | None:
        """Return the sections of the newest archive that is intact; `None` if there is no archive.

        Warns:
            UserWarning: A newer archive is damaged.

        Raises:
            CheckpointError: All archives are damaged.
        """
        while True:
            try:
                return load_newest(self.folder, checkpoints(self.folder), _read)
            except FileNotFoundError:  # another process has saved, and deleted an archive that was listed here
                continue

    def agree(self, is_due: bool) -> bool:
        """Return whether to save now: one process decides alone."""
        return is_due

    def delete(self) -> None:
        """Delete all checkpoints, and the folder if it is empty then."""
        delete_all(self.folder)


def create_folder(folder: Path) -> None:
    """Create a folder with its parents, and force their names to disk.

    Raises:
        OSError: The folder cannot be created or written to.
    """
    check_parent_folder(folder)
    missing = [one for one in (folder, *folder.parents) if not one.exists()]
    folder.mkdir(parents=True, exist_ok=True)
    for one in missing:
        atomic_file.sync_folder(one.parent)


def checkpoints(folder: Path) -> list[Path]:
    """Return the paths of all whole checkpoints, the newest first."""
    return [path for path in _newest_first(folder) if path.suffix or (path / INDEX).exists()]


def next_number(folder: Path) -> int:
    """Return the number of the next checkpoint: no file or folder, whole or not, has it."""
    return max(map(_number, _newest_first(folder)), default=0) + 1


def load_newest(
    folder: Path, paths: Sequence[Path], read: Callable[[Path], dict[str, Any]], warn: Callable[[str], None] = warn
) -> dict[str, Any] | None:
    """Return the newest checkpoint that is intact; `None` if there is none at all.

    Args:
        folder: Folder of the checkpoints, for messages.
        paths: Their paths, the newest first.
        read: Reads one of them.
        warn: Called with a sentence about each newer one that is damaged.

    Raises:
        CheckpointError: All are damaged.
        FileNotFoundError: One was deleted meanwhile.
    """
    errors: list[Exception] = []
    for path in paths:
        try:
            sections = read(path)
        except FileNotFoundError:
            raise
        except (CheckpointError, OSError) as error:  # OSError: the disk cannot read a sector
            errors.append(error)
            continue
        for found in errors:
            warn(f"{found} One before it is used.")
        return sections
    if errors:
        messages = " ".join(map(str, errors))
        raise CheckpointError(
            f"{messages} There is no other; delete {folder} to start from the beginning."
        ) from errors[-1]
    return None


def delete_old(folder: Path, keep: int) -> None:
    """Delete all checkpoints but the newest ones, and folders that were not written to their end.

    Args:
        folder: Folder of the checkpoints.
        keep: Number of checkpoints that stay.
    """
    whole = checkpoints(folder)
    for path in _newest_first(folder):
        if path not in whole[:keep]:
            _delete(path)


def delete_all(folder: Path) -> None:
    """Delete all checkpoints in a folder, and the folder if it is empty then."""
    for path in reversed(_newest_first(folder)):  # oldest first: if the process is killed, the newest one is left
        _delete(path)
    for path in folder.glob(".checkpoint-*.kt.tmp"):  # left by a process that was killed while it wrote
        path.unlink(missing_ok=True)
    with suppress(OSError):
        folder.rmdir()
        atomic_file.sync_folder(folder.parent)


def _read(path: Path) -> dict[str, Any]:
    """Read a checkpoint in one process."""
    if path.suffix:
        return archive_format.read(path)
    from kerastorch.checkpoint.sharded import read  # a second to import, and rarely used

    loaded = read(path)
    return with_ranks(loaded.state, loaded.world_size, 1, 0)


def with_ranks(sections: Mapping[str, Any], saved: int, now: int, rank: int) -> dict[str, Any]:
    """Add to a loaded state how many ranks saved it, if there are others now.

    Args:
        sections: State by section name.
        saved: Number of ranks that saved it.
        now: Number of ranks that load it.
        rank: Number of this rank.
    """
    return {**sections, **({"ranks": {"saved": saved, "now": now, "rank": rank}} if saved != now else {})}


def _copy(section: Any) -> Packed:
    packed = pack(section)
    return Packed(packed.json, {name: tensor.detach().to("cpu", copy=True) for name, tensor in packed.tensors.items()})


def _delete(path: Path) -> None:
    """Delete a checkpoint; that of several processes is none from the first moment on."""
    if path.suffix:
        path.unlink(missing_ok=True)
        return
    (path / INDEX).unlink(missing_ok=True)
    shutil.rmtree(path, ignore_errors=True)


def _newest_first(folder: Path) -> list[Path]:
    """Return the paths of all checkpoints, and of folders that were not written to their end."""
    names = os.listdir(folder) if folder.is_dir() else []
    return sorted((folder / name for name in names if _ANY_NAME.fullmatch(name)), key=_number, reverse=True)


def _number(path: Path) -> int:
    """Return the number in the name of a checkpoint; 0 for another file."""
    match = _ANY_NAME.fullmatch(path.name)
    return int(match[1]) if match else 0
