"""Extracting archives of which no file may leave the folder."""

from __future__ import annotations

import os
import shutil
import tarfile
import tempfile
import zipfile
from collections.abc import Sequence
from pathlib import Path, PurePosixPath

FORMATS = ("tar", "zip")


def extract_archive(archive: Path, folder: Path, formats: Sequence[str] = FORMATS) -> bool:
    """Extract an archive to a folder, all of its files or none; return whether it is an archive of these formats.

    Args:
        archive: Path of the archive, which may be compressed as tar files are.
        folder: The folder, which may not exist yet; files that are in it already stay there.
        formats: Formats that are tried: `"tar"`, `"zip"`.

    Raises:
        ValueError: A path or a link in the archive leaves the folder.
    """
    is_zip = "zip" in formats and zipfile.is_zipfile(archive)
    if not is_zip and not ("tar" in formats and tarfile.is_tarfile(archive)):
        return False
    folder.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=folder.parent) as temporary:
        inside = Path(temporary, "content")
        inside.mkdir(mode=0o777)
        (_extract_zip if is_zip else _extract_tar)(archive, inside)
        if folder.is_dir():
            shutil.copytree(inside, folder, symlinks=True, dirs_exist_ok=True)
        else:
            os.replace(inside, folder)
    return True


def _extract_tar(archive: Path, folder: Path) -> None:
    try:
        with tarfile.open(archive) as opened:
            opened.extractall(folder, filter="data")  # refuses paths and links that leave the folder, and devices
    except tarfile.FilterError as error:
        raise _leaves(archive, error.tarinfo.name) from error


def _extract_zip(archive: Path, folder: Path) -> None:
    with zipfile.ZipFile(archive) as opened:
        for name in opened.namelist():
            path = PurePosixPath(name.replace("\\", "/"))
            if path.is_absolute() or ".." in path.parts or ":" in path.parts[:1]:
                raise _leaves(archive, name)
        opened.extractall(folder)


def _leaves(archive: Path, name: str) -> ValueError:
    return ValueError(f"{archive} is not extracted: its entry {name!r} would leave the folder, or is no plain file.")
