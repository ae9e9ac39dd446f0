"""CSVLogger: a row an epoch in a text file."""

from __future__ import annotations

import csv
import io
import os
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, BinaryIO

from kerastorch.callbacks.base import Callback, Logs
from kerastorch.core.errors import mismatch, warn
from kerastorch.core.ownership import is_own
from kerastorch.core.path_checks import check_writable

MISSING = "NA"  # in a column that an epoch has no number for


class CSVLogger(Callback):
    """Writes the numbers of each epoch into a CSV file, a row an epoch, at full precision.

    The columns are `epoch`, counted from 0, and the sorted names of the first epoch's logs; where that epoch was not
    validated, `val_` columns follow for later ones. A column without a number has `NA`. A name that comes up later
    has no column: that is said once, in a warning. Each row is handed to the operating system when its epoch ends.

    Args:
        filename: path of the file; its folder is made.
        separator: one character between columns.
        append: add rows to the file, in its columns, if it is there; otherwise it is replaced when the first epoch
            ends.

    Raises:
        OSError: before the first epoch: the file cannot be written.
        ValueError: as early: `append=True` and the file is no such table, or has no column for a number of this model.

    A training that is resumed takes away the rows written after its checkpoint, so the file ends as if training had
    never been interrupted.
    """

    first_process_only = True

    def __init__(self, filename: str | os.PathLike[str], separator: str = ",", append: bool = False) -> None:
        if not isinstance(filename, (str, os.PathLike)) or not os.fspath(filename):
            raise mismatch("filename", filename, "the path of a file")
        if not isinstance(separator, str) or len(separator) != 1 or separator in '\r\n"':
            raise mismatch("separator", separator, "one character, no quote and no line break")
        self.filename, self.separator, self.append = os.fspath(filename), separator, bool(append)
        self._path = Path(self.filename).expanduser().absolute()  # while training runs, the working folder may change
        self._file: BinaryIO | None = None
        self._reset()

    def _reset(self) -> None:
        self._close()
        self._columns: list[str] | None = None
        self._position = 0  # where the next row goes: what stands behind it is not ours, or not any more
        self._told = False

    def state_dict(self) -> dict[str, Any]:
        return {"position": self._position, "columns": self._columns}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        self._close()
        position, columns = state["position"], state["columns"]
        size = self._path.stat().st_size if self._path.exists() else 0
        if size < position or (position and columns is not None and self._header() != columns):
            warn(
                f"CSVLogger: {self.filename} is not the file that the interrupted training wrote ({size} bytes, "
                f"{position} expected): " + ("rows are added to it." if self._position else "a new one is begun.")
            )
            return
        self._position, self._columns = position, columns
        if size > position:
            os.truncate(self._path, position)

    def on_train_begin(self, logs: Logs | None = None) -> None:
        self._reset()
        check_writable(self._path)
        self._path.open("ab").close()  # as it was: a training that is resumed goes on in it
        if self.append and self._path.stat().st_size:
            self._columns, self._position = self._header(), self._path.stat().st_size
            self._check_columns(self._columns)

    def on_epoch_end(self, epoch: int, logs: Logs | None = None) -> None:
        logs = logs or {}
        if self._columns is None:
            self._columns = _columns(logs)
        self._warn_of_lost(logs)
        header = "" if self._position else self._line(["epoch", *self._columns])
        cells = [_cell(logs[name]) if name in logs else MISSING for name in self._columns]
        self._write(header + self._line([str(epoch), *cells]))

    def on_train_end(self, logs: Logs | None = None) -> None:
        self._close()

    def _write(self, text: str) -> None:
        if self._file is None:
            self._file = self._opened()
        self._file.write(text.encode())
        self._file.flush()
        self._position = self._file.tell()

    def _opened(self) -> BinaryIO:
        file = self._path.open("r+b" if self._path.exists() else "w+b")
        file.truncate(self._position)
        if self._position:
            file.seek(self._position - 1)
            if file.read(1) != b"\n":  # a last line that was cut off
                file.write(b"\r\n")
        file.seek(0, os.SEEK_END)
        return file

    def _close(self) -> None:
        if self._file is not None:
            self._file.close()
        self._file = None

    def _line(self, cells: Iterable[str]) -> str:
        line = io.StringIO()
        csv.writer(line, delimiter=self.separator).writerow(cells)
        return line.getvalue()

    def _header(self) -> list[str]:
        """The columns of the file, without `epoch`; none if it is something else."""
        with self._path.open(newline="", encoding="utf-8", errors="replace") as file:
            first, *columns = next(csv.reader(file, delimiter=self.separator), None) or [""]
        return columns if first == "epoch" else []

    def _check_columns(self, columns: list[str]) -> None:
        if not columns:
            raise ValueError(
                f"CSVLogger(append=True): {self.filename!r} has no header 'epoch{self.separator}...'. "
                "Pass another filename, its separator, or append=False to replace it."
            )
        steps = type(self.model).train_step, type(self.model).test_step
        if not all(map(is_own, steps)):
            return  # a step of the user's own logs what it likes
        # a metric of several values logs each as name_part
        new = [n for n in self.model.metrics_names if not any(c == n or c.startswith(f"{n}_") for c in columns)]
        if new:
            raise ValueError(
                f"CSVLogger(append=True): {self.filename!r} has no column for {', '.join(new)}; "
                f"it has {', '.join(columns)}. Pass another filename, or append=False to replace it."
            )

    def _warn_of_lost(self, logs: Mapping[str, Any]) -> None:
        lost = sorted(set(logs) - set(self._columns or ()))
        if lost and not self._told:
            self._told = True
            warn(
                f"CSVLogger: {self.filename} has no column for {', '.join(lost)}, which the first epoch did not log: "
                "left out."
            )


def _columns(logs: Mapping[str, Any]) -> list[str]:
    names = sorted(logs)
    validated = any(name.startswith("val_") for name in names)
    return names if validated else [*names, *(f"val_{name}" for name in names)]


def _cell(value: Any) -> str:
    """A number so that reading it gives the same number; several in brackets."""
    value = value.tolist() if hasattr(value, "tolist") else value  # tensors and arrays
    return value if isinstance(value, str) else repr(value)
