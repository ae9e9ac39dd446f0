"""Files that are there whole or not at all: written beside the old one, forced to disk, read back, then renamed."""

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
except ImportError:  # not on Windows: there two writers of one file are not told from each other
    fcntl = None

Bytes = bytes | bytearray | memoryview
CHUNK = 2**23  # bytes written or read by one call
_CANNOT = {errno.EINVAL, errno.ENOSYS, errno.ENOTSUP, errno.ENOLCK}  # of file systems that lack locks, or more


def write(path: Path, parts: Iterable[Bytes]) -> None:
    """Make `path` a file of these bytes, one after the other.

    Whatever happens, power loss included, `path` is the old file or the new one, whole. A write that fails leaves no
    other file; one that is killed leaves `.name.tmp`, which the next write takes.

    Raises:
        CheckpointError: another write of the same file is under way; what was read back is not what was written.
        OSError: what the system refused, as for a disk that is full.
    """
    pieces = [memoryview(part).cast("B") for part in parts if len(part)]
    temporary = path.with_name(f".{path.name}.tmp")
    with _ours(temporary) as file:
        try:
            os.ftruncate(file, 0)
            for piece in pieces:
                _write_all(file, piece)
            os.fsync(file)
            _verify(file, pieces, path)
            os.replace(temporary, path)
        except BaseException:
            with suppress(OSError):  # the first error is the one to tell
                os.unlink(temporary)
            raise
    sync_folder(path.parent)


def read(path: Path, *, links: bool = False) -> memoryview:
    """All bytes of a regular file, and no more than it had when it was opened.

    Args:
        path: the file.
        links: whether it may be a symbolic link.

    Raises:
        CheckpointError: no regular file.
        FileNotFoundError: there is none.
    """
    kind = os.stat(path, follow_symlinks=links).st_mode
    if stat.S_ISLNK(kind):
        raise CheckpointError(f"{path} is a symbolic link; give the file itself.")
    if not stat.S_ISREG(kind):  # not even opened: to open a device may do something
        raise CheckpointError(f"{path} is no file.")
    flags = os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | (0 if links else getattr(os, "O_NOFOLLOW", 0))
    file = os.open(path, flags | getattr(os, "O_BINARY", 0) | getattr(os, "O_CLOEXEC", 0))
    try:
        about = os.fstat(file)
        if not stat.S_ISREG(about.st_mode):
            raise CheckpointError(f"{path} is no file.")
        held = _memory(about.st_size, path)
        if _read_all(file, held) < len(held):
            raise CheckpointCorruptError(f"{path} became shorter while it was read.")
        return held
    finally:
        os.close(file)


def sync_folder(folder: Path) -> None:
    """Force the names in a folder to disk, where the system can do that."""
    if hasattr(os, "O_DIRECTORY"):
        file = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
        try:
            os.fsync(file)
        except OSError as error:
            if error.errno not in _CANNOT:
                raise
        finally:
            os.close(file)


@contextmanager
def _ours(path: Path) -> Iterator[int]:
    """An open file under this name that nobody else writes."""
    while True:
        file = os.open(path, os.O_RDWR | os.O_CREAT | getattr(os, "O_BINARY", 0) | getattr(os, "O_NOFOLLOW", 0), 0o666)
        try:
            if _lock(file, path):
                yield file
                return
        finally:
            os.close(file)


def _lock(file: int, path: Path) -> bool:
    """Whether the file is ours now; not where the one who had it has just renamed it."""
    if fcntl is None:
        return True
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        raise CheckpointError(f"{path.parent / path.name[1:-4]} is being written by somebody else.") from None
    except OSError as error:
        if error.errno not in _CANNOT:
            raise
        return True
    try:
        return os.path.samestat(os.fstat(file), os.stat(path))
    except FileNotFoundError:
        return False


def _memory(size: int, path: Path) -> memoryview:
    try:
        return memoryview(bytearray(size))
    except (MemoryError, OverflowError):
        raise CheckpointError(f"{path} has {size} bytes, more than there is memory for.") from None


def _write_all(file: int, part: memoryview) -> None:
    while part:
        part = part[os.write(file, part[:CHUNK]) :]


def _read_all(file: int, held: memoryview) -> int:
    done = 0
    while done < len(held):
        found = os.readv(file, [held[done : done + CHUNK]]) if hasattr(os, "readv") else _read_some(file, held[done:])
        if not found:
            break
        done += found
    return done


def _read_some(file: int, held: memoryview) -> int:
    found = os.read(file, min(len(held), CHUNK))
    held[: len(found)] = found
    return len(found)


def _verify(file: int, parts: Iterable[memoryview], path: Path) -> None:
    """Read the bytes back."""
    os.lseek(file, 0, os.SEEK_SET)
    for part in parts:
        for start in range(0, len(part), CHUNK):
            wanted = part[start : start + CHUNK]
            held = bytearray(len(wanted))  # two memoryviews would be compared a number at a time
            if _read_all(file, memoryview(held)) != len(wanted) or held != wanted:
                raise CheckpointError(f"{path}: the disk does not give back what was written; the old file stays.")
