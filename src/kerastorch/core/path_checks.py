"""Paths as users give them: read as a shell reads them, and refused before work is done that could not be kept."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any


def parse_path(name: str, value: Any) -> Path:
    """What was given for the argument `name` as a path; `~` is the home folder.

    Raises:
        TypeError: no path, or an empty one.
    """
    path = os.fspath(value) if isinstance(value, (str, os.PathLike)) else value
    if not isinstance(path, str) or not path:
        raise TypeError(f"{name} must be a path, got {value!r}.")
    return Path(path).expanduser()


def check_parent_folder(path: Path) -> None:
    """For a folder that is there, or that is to be made.

    Raises:
        NotADirectoryError: it, or something on its way, is a file.
        PermissionError: nothing may be written there.
    """
    found = next((one for one in (path, *path.parents) if one.exists()), Path())
    if not found.is_dir():
        raise NotADirectoryError(f"{path} can be no folder: {found} is a file.")
    if not os.access(found, os.W_OK | os.X_OK):
        raise PermissionError(f"nothing can be written in {path}: no permission to write in {found}.")


def check_writable(path: Path) -> None:
    """Make the folders that a file is to be in.

    Raises:
        OSError: of the kind that says why: it is a folder, something on its way is none, or nothing may be written.
    """
    if path.is_dir():
        raise IsADirectoryError(
            f"{path} is a folder; give the name of a file, as {str(path / ('model' + path.suffix))!r}."
        )
    check_parent_folder(path.parent)
    path.parent.mkdir(parents=True, exist_ok=True)


def check_exists(path: Path) -> None:
    """For what is to be read.

    Raises:
        FileNotFoundError: it is not there; of a relative path, where it was looked for.
    """
    if not os.path.lexists(path):
        where = "" if path.is_absolute() else f" The working folder is {os.getcwd()}."
        raise FileNotFoundError(f"There is no file {path}.{where}")
