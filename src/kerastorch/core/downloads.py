"""Downloads by pooch: a file under a temporary name, which gets its own name when its hash was checked."""

from __future__ import annotations

import hashlib
import logging
import shutil
import tempfile
import urllib.parse
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from kerastorch.core.process_group import rank

_CHUNK = 1 << 16  # bytes that are written at a time
_TIMEOUT = 30  # seconds without an answer of the server


def file_digest(path: Path, algorithm: str) -> str:
    """Return the hexadecimal digest of a file.

    Args:
        path: The file.
        algorithm: Name of a hash function, as `"sha256"`.
    """
    with path.open("rb") as opened:
        # Systems that allow only FIPS algorithms compute MD5 too, if it is said to be no protection.
        return hashlib.file_digest(opened, lambda: hashlib.new(algorithm, usedforsecurity=False)).hexdigest()


def download(url: str, known_hash: str | None, target: Path, size: int | None = None, show: bool = True) -> None:
    """Download a file, check its hash, and put it in its place, where it replaces another one.

    Args:
        url: The address; `file://` copies a local file.
        known_hash: Algorithm and digest, as `"md5:..."`; `None` for no check.
        target: Path of the file, whose folder may not exist yet.
        size: Number of bytes, for the progress bar. Default unknown.
        show: Whether to show a progress bar. Default `True`.

    Raises:
        ValueError: The file has another hash; it is removed.
        OSError: The file cannot be read or written; `requests.RequestException` if the server cannot be reached.
    """
    import pooch
    import requests
    from tqdm import tqdm

    def fetch(address: str, temporary: Any, owner: Any) -> None:
        if address.startswith("file:"):
            local = urllib.request.url2pathname(urllib.parse.urlsplit(address).path)
            shutil.copyfile(local, temporary)
            return
        hidden = not show or rank() > 0  # pooch sets the total of the bar, and takes none without one
        with tqdm(total=size or 1, desc=target.name, unit="B", unit_scale=True, disable=hidden) as bar:
            try:
                pooch.HTTPDownloader(progressbar=bar, chunk_size=_CHUNK, timeout=_TIMEOUT)(address, temporary, owner)
            except requests.HTTPError as error:
                if error.response is not None:
                    error.response.close()  # pooch leaves the connection open
                raise

    target.parent.mkdir(parents=True, exist_ok=True)
    # pooch would log the temporary path, and how to call it with the hash of the file
    with tempfile.TemporaryDirectory(dir=target.parent) as folder, _warnings_alone(pooch.get_logger()):
        fetched = Path(pooch.retrieve(url, known_hash, target.name, path=folder, downloader=fetch))
        # pooch creates files that only their owner can read; several users may share a cache.
        fetched.chmod(target.parent.stat().st_mode & 0o666)
        fetched.replace(target)


@contextmanager
def _warnings_alone(logger: logging.Logger) -> Iterator[None]:
    """Let a logger log nothing below warnings within the block."""
    before = logger.level
    logger.setLevel(max(before, logging.WARNING))
    try:
        yield
    finally:
        logger.setLevel(before)


def first_cause(error: BaseException) -> BaseException:
    """Return the error of the operating system below those of the layers above it."""
    while (cause := error.__cause__ or error.__context__) is not None:
        error = cause
    return error
