"""Atomic files: written under a temporary name, forced to disk, read back, then renamed."""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from kerastorch.core.errors import CheckpointCorruptError, CheckpointError

fcntl: Any
try:
    import fcntl
except ImportError:  # Windows has no file locks of this kind, so two processes that write one file are not detected
    fcntl = None

Bytes = bytes | bytearray | memoryview
CHUNK = 2**23  # bytes that one call writes or reads
_UNSUPPORTED = {errno.EINVAL, errno.ENOSYS, errno.ENOTSUP, errno.ENOLCK}  # file systems without locks or folder syncs


def write(path: Path, parts: Iterable[Bytes]) -> None:
    """Replace a file by the concatenation of `parts`, atomically.

    After any failure, including power loss, `path` is either the old file or the complete new one. If writing fails,
    the temporary file is deleted. If the process is killed, `.name.tmp` stays and the next `write` reuses it.

    Args:
        path: Path of the file.
        parts: Pieces of its content, in order.

    Raises:
        CheckpointError: Another process writes the same file, or the disk returns other bytes than were written.
        OSError: The system refuses an operation, for example because the disk is full.
    """
    pieces = [memoryview(part).cast("B") for part in parts if len(part)]
    temporary = path.with_name(f".{path.name}.tmp")
    with _locked_file(temporary) as file:
        try:
            os.ftruncate(file, 0)
            for piece in pieces:
                _write_all(file, piece)
            os.fsync(file)
            _verify(file, pieces, path)
            os.replace(temporary, path)
        except BaseException:
            with suppress(OSError):  # the first error is the one to raise
                os.unlink(temporary)
            raise
    sync_folder(path.parent)


def read(path: Path, *, follow_symlinks: bool = False) -> memoryview:
    """Return the bytes of a regular file; bytes that are appended during the call are left out.

    Args:
        path: Path of the file.
        follow_symlinks: Read the target of a symbolic link instead of raising an error.

    Raises:
        CheckpointError: The path is no regular file, or a symbolic link, or there is not enough memory.
        FileNotFoundError: The file does not exist.
    """
    with _open_regular(path, follow_symlinks) as (file, size):
        data = _allocate(size, path)
        if _read_all(file, data) < len(data):
            raise CheckpointCorruptError(f"{path} became shorter while it was read.")
        return data


def read_range(path: Path, begin: int, end: int) -> memoryview:
    """Return the bytes from `begin` to before `end` of a regular file.

    Raises:
        CheckpointCorruptError: The file is shorter.
        CheckpointError: The path is no regular file, or a symbolic link, or there is not enough memory.
        FileNotFoundError: The file does not exist.
    """
    with _open_regular(path, False) as (file, size):
        if end > size:
            raise CheckpointCorruptError(f"{path} was cut off: it has {size} bytes, and should have at least {end}.")
        os.lseek(file, begin, os.SEEK_SET)
        data = _allocate(end - begin, path)
        if _read_all(file, data) < len(data):
            raise CheckpointCorruptError(f"{path} became shorter while it was read.")
        return data


@contextmanager
def _open_regular(path: Path, follow_symlinks: bool) -> Iterator[tuple[int, int]]:
    """Open a regular file for reading; yield its descriptor and its size."""
    mode = os.stat(path, follow_symlinks=follow_symlinks).st_mode
    if stat.S_ISLNK(mode):
        raise CheckpointError(f"{path} is a symbolic link; give the file itself.")
    if not stat.S_ISREG(mode):  # checked before the file is opened, because opening a device can have effects
        raise CheckpointError(f"{path} is no file.")
    flags = os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | (0 if follow_symlinks else getattr(os, "O_NOFOLLOW", 0))
    file = os.open(path, flags | getattr(os, "O_BINARY", 0) | getattr(os, "O_CLOEXEC", 0))
    try:
        status = os.fstat(file)
        if not stat.S_ISREG(status.st_mode):
            raise CheckpointError(f"{path} is no file.")
        yield file, status.st_size
    finally:
        os.close(file)


def sync_folder(folder: Path) -> None:
    """Force the names in a folder to disk, if the system supports that."""
    if hasattr(os, "O_DIRECTORY"):
        file = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
        try:
            os.fsync(file)
        except OSError as error:
            if error.errno not in _UNSUPPORTED:
                raise
        finally:
            os.close(file)


@contextmanager
def _locked_file(path: Path) -> Iterator[int]:
    """Open a file, created if it does not exist, that no other process writes."""
    while True:
        file = os.open(path, os.O_RDWR | os.O_CREAT | getattr(os, "O_BINARY", 0) | getattr(os, "O_NOFOLLOW", 0), 0o666)
        try:
            if _lock(file, path):
                yield file
                return
        finally:
            os.close(file)


def _lock(file: int, path: Path) -> bool:
    """Lock an open file; return `False` if it no longer has this path.

    Another process may have renamed or deleted it before it was locked.
    """
    if fcntl is None:
        return True
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        raise CheckpointError(f"{path.parent / path.name[1:-4]} is being written by somebody else.") from None
    except OSError as error:
        if error.errno not in _UNSUPPORTED:
            raise
        return True
    try:
        return os.path.samestat(os.fstat(file), os.stat(path))
    except FileNotFoundError:
        return False


def _allocate(size: int, path: Path) -> memoryview:
    try:
        return memoryview(bytearray(size))
    except (MemoryError, OverflowError):
        raise CheckpointError(f"{path} has {size} bytes, more than there is memory for.") from None


def _write_all(file: int, part: memoryview) -> None:
    while part:
        part = part[os.write(file, part[:CHUNK]) :]


def _read_all(file: int, buffer: memoryview) -> int:
    """Fill a buffer from a file; return the number of bytes up to the end of the file."""
    done = 0
    while done < len(buffer):
        chunk = buffer[done : done + CHUNK]
        n_read = os.readv(file, [chunk]) if hasattr(os, "readv") else _read_into(file, chunk)
        if not n_read:
            break
        done += n_read
    return done


def _read_into(file: int, chunk: memoryview) -> int:
    """Read bytes as `os.readv`, which Windows lacks."""
    data = os.read(file, len(chunk))
    chunk[: len(data)] = data
    return len(data)


def _verify(file: int, parts: Iterable[memoryview], path: Path) -> None:
    """Read a file back and raise an error unless it holds `parts`."""
    os.lseek(file, 0, os.SEEK_SET)
    for part in parts:
        for start in range(0, len(part), CHUNK):
            expected = part[start : start + CHUNK]
            actual = bytearray(len(expected))  # Python compares two memoryviews slowly, element by element
            if _read_all(file, memoryview(actual)) != len(expected) or actual != expected:
                raise CheckpointError(f"{path}: the disk does not give back what was written; the old file stays.")
