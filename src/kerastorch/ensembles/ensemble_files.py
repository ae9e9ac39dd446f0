"""The files of an ensemble: one for each member."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from kerastorch.model import Model
from kerastorch.saving.load import load_model


def save_members(members: Sequence[Model], folder: Path, *, overwrite: bool) -> None:
    """Write each member to a file; files of further members that an earlier ensemble has left are deleted.

    Args:
        members: The models.
        folder: Where to write.
        overwrite: Whether existing files are replaced.

    Raises:
        NotADirectoryError: It is a file, or has the name of one.
        FileExistsError: The folder has an ensemble and `overwrite` is `False`.
    """
    if folder.suffix == ".kt" or folder.is_file():
        raise NotADirectoryError(
            f"{folder} is the name of a file, and an ensemble has a file for each member. Give the name of a folder."
        )
    old = _files(folder)
    if old and not overwrite:
        raise FileExistsError(f"{folder} has an ensemble of {len(old)} members; pass overwrite=True to replace it.")
    folder.mkdir(parents=True, exist_ok=True)
    for index, member in enumerate(members):
        member.save(_file(folder, index))
    for path in old[len(members) :]:
        path.unlink()


def load_members(folder: Path, load_arguments: Mapping[str, Any]) -> list[Model]:
    """Return the members in a folder.

    Raises:
        FileNotFoundError: There are none.
    """
    files = _files(folder)
    if not files:
        advice = " It is a file: kt.load_model reads a single model." if folder.is_file() else ""
        raise FileNotFoundError(f"there is no ensemble in {folder}: {_file(folder, 0).name} is missing.{advice}")
    return [load_model(path, **load_arguments) for path in files]


def _files(folder: Path) -> list[Path]:
    """Return the files of the members 1, 2, ... up to the first one that is missing."""
    found: list[Path] = []
    while (path := _file(folder, len(found))).exists():
        found.append(path)
    return found


def _file(folder: Path, index: int) -> Path:
    return folder / f"member-{index + 1}.kt"
