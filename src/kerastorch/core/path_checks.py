"""Parsing and checking paths that users pass, before work starts whose result could not be written."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any


def parse_path(name: str, value: Any) -> Path:
    """Return the value of the argument `name` as a path, in which `~` is expanded to the home folder.

    Raises:
        TypeError: The value is no path, or is empty.
    """
    path = os.fspath(value) if isinstance(value, (str, os.PathLike)) else value
    if not isinstance(path, str) or not path:
        raise TypeError(f"{name} must be a path, got {value!r}.")
    return Path(path).expanduser()


def check_parent_folder(path: Path) -> None:
    """Raise if files cannot be written in a folder, which may not exist yet.

    Raises:
        NotADirectoryError: The path or one of its parents is a file.
        PermissionError: The user has no permission to write there.
    """
    found = next((one for one in (path, *path.parents) if one.exists()), Path())
    if not found.is_dir():
        raise NotADirectoryError(f"{path} can be no folder: {found} is a file.")
    if not os.access(found, os.W_OK | os.X_OK):
        raise PermissionError(f"nothing can be written in {path}: no permission to write in {found}.")


def check_writable(path: Path) -> None:
    """Create the parent folders of a file, or raise if the file cannot be written.

    Raises:
        IsADirectoryError: The path is a folder.
        NotADirectoryError: One of its parents is a file.
        PermissionError: The user has no permission to write there.
    """
    if path.is_dir():
        raise IsADirectoryError(
            f"{path} is a folder; give the name of a file, as {str(path / ('model' + path.suffix))!r}."
        )
    check_parent_folder(path.parent)
    path.parent.mkdir(parents=True, exist_ok=True)


def check_exists(path: Path) -> None:
    """Raise if a file that is to be read does not exist.

    Raises:
        FileNotFoundError: The file does not exist; for a relative path the message names the working folder.
    """
    if not os.path.lexists(path):
        where = "" if path.is_absolute() else f" The working folder is {os.getcwd()}."
        raise FileNotFoundError(f"There is no file {path}.{where}")
