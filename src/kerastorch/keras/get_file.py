"""`get_file`: a file of the internet in the cache, with a checked hash, and extracted if it is an archive."""

from __future__ import annotations

import os
import urllib.parse
from pathlib import Path

from kerastorch.core import cache_dir as cache
from kerastorch.core import interactive_logging
from kerastorch.core.archives import FORMATS, extract_archive
from kerastorch.core.downloads import download, file_digest, first_cause
from kerastorch.core.errors import mismatch, warn
from kerastorch.core.optional_dependency import require_package
from kerastorch.core.path_checks import check_parent_folder, parse_path

_ALGORITHM_OF_LENGTH = {32: "md5", 40: "sha1", 64: "sha256", 128: "sha512"}  # hexadecimal digits


def get_file(
    fname: str | os.PathLike[str] | None = None,
    origin: str | None = None,
    untar: bool = False,
    md5_hash: str | None = None,
    file_hash: str | None = None,
    cache_subdir: str = "datasets",
    hash_algorithm: str = "auto",
    extract: bool = False,
    archive_format: str | list[str] | tuple[str, ...] | None = "auto",
    cache_dir: str | os.PathLike[str] | None = None,
    force_download: bool = False,
) -> str:
    """Return the path of a file, which is downloaded unless it is in the cache.

    pooch downloads: `pip install pooch`. An archive is extracted once. No file of it may leave the folder: a path or a
    link that would is an error.

    Args:
        fname: Name of the file in the cache, or of the folder for an archive. Default: the name in `origin`.
        origin: The address, `https://`, `http://`, or `file://`.
        untar: Whether the file is a tar archive that is to be extracted. Default `False`.
        md5_hash: MD5 digest of the file; write `file_hash` in new code. Default none.
        file_hash: Digest of the file. A file in the cache with another one is downloaded again. Default: no check.
        cache_subdir: Subfolder of the cache, or a folder anywhere if the path is absolute. Default `"datasets"`.
        hash_algorithm: `"md5"`, `"sha256"` or another of `hashlib`. Default `"auto"`: by the length of the digest.
        extract: Whether the file is an archive that is to be extracted. Default `False`.
        archive_format: `"tar"`, `"zip"`, a list of them, or `None`, which extracts nothing. Default `"auto"`: both.
        cache_dir: The cache. Default: that of `kerastorch.config.cache_dir`.
        force_download: Whether to download a file that is in the cache. Default `False`.

    Returns:
        The path of the file; for an archive that is extracted, the path of the folder: `fname` without its ending and
        with `_extracted`, or `fname` itself if it has no ending or is the name in `origin`.

    Raises:
        ValueError: There is no origin, or no name in it; `fname` has a folder; the download has another hash; an entry
            of the archive leaves the folder.
        ConnectionError: The download failed.
        ImportError: The file must be downloaded, and pooch is not installed.

    Warns:
        UserWarning: The file is no archive of a format that is tried.
    """
    if not origin:
        raise ValueError("get_file needs origin=, the address of the file.")
    base = cache.current() if cache_dir is None else parse_path("cache_dir", cache_dir)
    target, folder = _places(base / cache_subdir, fname, origin, extract or untar)
    expected = md5_hash if file_hash is None else file_hash
    algorithm = "md5" if file_hash is None else _algorithm(hash_algorithm, file_hash)
    is_new = force_download or not _is_valid(target, algorithm, expected)
    if is_new:
        require_package("utils.get_file", "pooch")
        _download(origin, target, None if expected is None else f"{algorithm}:{expected.lower()}")
    if folder is None:
        return str(target)
    if is_new or not folder.is_dir():
        _extract(target, folder, "tar" if untar else archive_format)
    return str(folder)


def _places(
    cache_folder: Path, fname: str | os.PathLike[str] | None, origin: str, is_archive: bool
) -> tuple[Path, Path | None]:
    """Return the path of the downloaded file, and that of the folder of its content; they are where Keras has them."""
    name = os.fspath(fname) if fname else urllib.parse.unquote(urllib.parse.urlsplit(origin).path.rpartition("/")[2])
    if not name:
        raise ValueError(f"There is no name of a file in {origin!r}; give fname=.")
    if Path(name).name != name:
        raise ValueError(f"fname must be a name without a folder, got {name!r}; cache_dir= chooses the folder.")
    if not is_archive:
        return cache_folder / name, None
    if fname and "." in name:
        return cache_folder / name, cache_folder / f"{name.partition('.')[0]}_extracted"
    return cache_folder / f"{name}_archive", cache_folder / name


def _algorithm(given: str, digest: str) -> str:
    """Return the name of the hash function.

    Raises:
        ValueError: No hash function has digests of this length.
    """
    if given != "auto":
        return given
    if len(digest) not in _ALGORITHM_OF_LENGTH:
        raise ValueError(f"file_hash must have 32 (MD5) or 64 (SHA-256) hexadecimal digits, got {len(digest)}.")
    return _ALGORITHM_OF_LENGTH[len(digest)]


def _is_valid(target: Path, algorithm: str, expected: str | None) -> bool:
    """Return whether a file is in the cache, with the right hash if there is one."""
    return target.is_file() and (expected is None or file_digest(target, algorithm) == expected.lower())


def _download(origin: str, target: Path, known_hash: str | None) -> None:
    import requests

    check_parent_folder(target.parent)
    try:
        download(origin, known_hash, target, show=interactive_logging.is_enabled())
    except (requests.RequestException, FileNotFoundError) as error:
        cause = first_cause(error)
        raise ConnectionError(f"{origin} could not be downloaded: {type(cause).__name__}: {cause}") from None
    except ValueError as error:
        if known_hash is None:
            raise
        raise ValueError(
            f"The download of {origin} was removed: its hash is not {known_hash.partition(':')[2]}. The file may be "
            "damaged, another one than expected, or the page of a proxy."
        ) from error


def _extract(archive: Path, folder: Path, archive_format: str | list[str] | tuple[str, ...] | None) -> None:
    named = [archive_format] if isinstance(archive_format, str) else list(archive_format or ())
    formats = FORMATS if named == ["auto"] else named
    if unknown := [one for one in formats if one not in FORMATS]:
        raise mismatch("archive_format", unknown[0], "'auto', 'tar', 'zip', a list of them, or None")
    if not extract_archive(archive, folder, formats):
        warn(f"{archive} is not extracted: it is no archive of the formats {', '.join(formats) or 'none'}.")
