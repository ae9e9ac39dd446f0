"""KeptFiles: the files of the best models that a callback has written, for `ModelCheckpoint(save_top_k=)`."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

from kerastorch.callbacks.monitor import is_improvement


class _File(NamedTuple):
    """A file with the value of its model, and what shows that it is still the one that was written."""

    path: str
    value: float
    modified: int  # nanoseconds
    size: int  # bytes


class KeptFiles:
    """Files of the best models, of which the worst one is deleted if there are too many.

    Args:
        limit: Number of files to keep.

    Attributes:
        sign: 1 if larger values are better, -1 if smaller values are better.
    """

    def __init__(self, limit: int | None) -> None:
        self._limit = limit or 0
        self.sign = 1
        self._files: list[_File] = []  # the best first

    @property
    def paths(self) -> list[str]:
        """Return the paths of the files, the best first."""
        return [file.path for file in self._files]

    def has_place_for(self, value: float) -> bool:
        """Return whether a model with this value is better than one of the files, or there are fewer than wanted."""
        worst = None if len(self._files) < self._limit else self._files[-1].value
        return is_improvement(value, worst, self.sign)

    def add(self, path: Path, value: float) -> None:
        """Add a file that was written, and delete the worst one if there are more than wanted."""
        found = path.stat()
        new = _File(os.fspath(path.absolute()), value, found.st_mtime_ns, found.st_size)
        files = [file for file in self._files if file.path != new.path]
        # a stable sort: of equal values the earlier one is the better one
        self._files = sorted([*files, new], key=lambda file: -self.sign * file.value)
        while len(self._files) > self._limit:
            _delete(self._files.pop())

    def state_dict(self) -> list[tuple[str, float, int, int]]:
        """Return the files as plain data."""
        return [(file.path, file.value, file.modified, file.size) for file in self._files]

    def load_state_dict(self, state: Sequence[Any]) -> None:
        """Restore what `state_dict` returned."""
        self._files = [_File(*file) for file in state]


def _delete(file: _File) -> None:
    """Delete a file, unless it is gone or somebody has written another one in its place."""
    try:
        found = os.stat(file.path)
    except OSError:
        return
    if (found.st_mtime_ns, found.st_size) == (file.modified, file.size):
        os.unlink(file.path)
