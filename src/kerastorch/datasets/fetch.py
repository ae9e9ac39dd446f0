"""Finding the file of a dataset: a local path, the cache, the cache of Keras, or a download with a checked hash."""

from __future__ import annotations

import os
from pathlib import Path

from kerastorch.core import cache_dir
from kerastorch.core.downloads import download, file_digest, first_cause
from kerastorch.core.optional_dependency import require_package
from kerastorch.core.path_checks import check_exists, check_parent_folder, parse_path
from kerastorch.datasets import registry
from kerastorch.datasets.registry import RemoteFile


def local_path(path: str | os.PathLike[str]) -> Path | None:
    """Return the argument `path` as the path of an existing local file or folder; None if it is a name in the cache.

    A string without a folder is a name in the cache, as in Keras. A `pathlib.Path` is always a local path.

    Raises:
        TypeError: The argument is no path.
        FileNotFoundError: It is a local path, and nothing is there.
    """
    parsed = parse_path("path", path)
    if isinstance(path, str) and path == parsed.name:
        return None
    check_exists(parsed)
    return parsed


def find_file(user: str, path: str | os.PathLike[str], key: str) -> Path:
    """Return the local path that the argument `path` means; download the file if it is a name that is not cached.

    Args:
        user: Public function that needs the file, for messages, as `"datasets.mnist.load_data"`.
        path: A name in the cache, or a local path, which is returned without checking its hash.
        key: Key of the file in `registry.FILES`.

    Raises:
        TypeError: `path` is no path.
        FileNotFoundError: `path` is a local path, and nothing is there.
        ImportError: The file must be downloaded, and pooch is not installed.
        ConnectionError: The download failed.
        ValueError: The downloaded file has another hash than expected.
    """
    found = local_path(path)
    return fetch_file(user, str(path), key) if found is None else found


def fetch_file(user: str, name: str, key: str, folder: str = "") -> Path:
    """Return the path of a file with the right hash: in the cache, in the cache of Keras, or after a download.

    Args:
        user: Public function that needs the file, for messages.
        name: Name of the file in the cache.
        key: Key of the file in `registry.FILES`.
        folder: Subfolder of the cache that holds the file. Default: none.

    Raises:
        ImportError: The file must be downloaded, and pooch is not installed.
        ConnectionError: The download failed.
        ValueError: The downloaded file has another hash than expected.
    """
    file = registry.FILES[key]
    cached = cache_dir.current() / "datasets" / folder / name
    candidates = [cached, *_keras_paths(name, folder, file)]
    for path in candidates:
        if path.is_file() and file_digest(path, file.algorithm) == file.digest:
            return path
    require_package(user, "pooch")
    check_parent_folder(cached.parent)
    _download(file, cached, candidates)
    return cached


def _keras_paths(name: str, folder: str, file: RemoteFile) -> list[Path]:
    """Return the paths at which Keras may have stored the file; the variable `KERAS_HOME` moves them, as in Keras."""
    home = os.environ.get("KERAS_HOME")
    datasets = (Path(home).expanduser() if home else Path.home() / ".keras") / "datasets"
    names = dict.fromkeys((name, file.url.rpartition("/")[2], *file.keras_names))  # each name once, in this order
    return [datasets / folder / one for one in names]


def _download(file: RemoteFile, target: Path, candidates: list[Path]) -> None:
    """Download a file and check its hash; explain what to do if that fails."""
    import requests

    try:
        download(file.url, file.known_hash, target, file.size)
    except requests.RequestException as error:
        # The traceback of a failed connection has more than a hundred lines; the message contains its first cause.
        raise ConnectionError(_offline(file, target, candidates, error)) from None
    except ValueError as error:
        raise ValueError(
            f"The download of {file.url} is damaged and was removed: its {_algorithm_name(file)} is not {file.digest}. "
            "Try again. A proxy or a login page may have answered instead of the server."
        ) from error


def _offline(file: RemoteFile, target: Path, candidates: list[Path], error: BaseException) -> str:
    """Return the message for a download that failed: what was tried, and where to put the file by hand."""
    error = first_cause(error)
    searched = "".join(f"\n  {path}{' (another hash)' if path.is_file() else ''}" for path in candidates)
    return (
        f"{file.url} could not be downloaded: {type(error).__name__}: {error}\n"
        f"Without a connection, copy the file to {target}; its {_algorithm_name(file)} must be {file.digest}. "
        f"kerastorch.config.set_cache_dir and the environment variable {cache_dir.VARIABLE} choose another folder. "
        f"Any local file is read with path=pathlib.Path(...).\nSearched before:{searched}"
    )


def _algorithm_name(file: RemoteFile) -> str:
    return {"sha256": "SHA-256", "md5": "MD5"}[file.algorithm]
