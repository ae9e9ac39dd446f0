"""CSVLogger: a text file with one row for each epoch."""

from __future__ import annotations

import csv
import io
import os
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, BinaryIO

from kerastorch.callbacks.base import Callback, Logs
from kerastorch.callbacks.learning_rate import LEARNING_RATE
from kerastorch.core.errors import mismatch, warn
from kerastorch.core.ownership import is_own
from kerastorch.core.path_checks import check_writable

MISSING = "NA"  # cell of a column for which an epoch has no value


class CSVLogger(Callback):
    """A callback that writes the logs of each epoch to a CSV file, one row an epoch, at full precision.

    The columns are `epoch`, counted from 0, and the sorted names of the first epoch's logs. If the first epoch has no
    validation, `val_` columns for later epochs follow. A column without a value contains `NA`. Logs that first occur
    in a later epoch have no column, and a warning names them once. A file without a column for a learning rate, which
    rows are added to, gets none. Each row is flushed when its epoch ends.

    A resumed training removes the rows written after its checkpoint, so that the file ends like that of an
    uninterrupted training.

    Args:
        filename: Path of the file; its folder is created.
        separator: Character between columns. Default `","`.
        append: Add rows to an existing file, in its columns. Default `False`: an existing file is replaced when the
            first epoch ends.

    Raises:
        ValueError: `filename` or `separator` is not of this kind; or, before the first epoch with `append=True`, the
            file has no header of this kind, or no column for a log of this model.
        OSError: Before the first epoch, if the file cannot be written.
    """

    first_process_only = True

    def __init__(self, filename: str | os.PathLike[str], separator: str = ",", append: bool = False) -> None:
        if not isinstance(filename, (str, os.PathLike)) or not os.fspath(filename):
            raise mismatch("filename", filename, "the path of a file")
        if not isinstance(separator, str) or len(separator) != 1 or separator in '\r\n"':
            raise mismatch("separator", separator, "one character, no quote and no line break")
        self.filename, self.separator, self.append = os.fspath(filename), separator, bool(append)
        self._path = Path(self.filename).expanduser().absolute()  # training may change the working folder
        self._file: BinaryIO | None = None
        self._reset()

    def _reset(self) -> None:
        """Forget columns and position, as before the first epoch."""
        self._close()
        self._columns: list[str] | None = None
        self._position = 0  # end of the rows of this training in bytes; anything behind it is cut off
        self._has_warned = False

    def state_dict(self) -> dict[str, Any]:
        return {"position": self._position, "columns": self._columns}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        self._close()
        position, columns = state["position"], state["columns"]
        size = self._path.stat().st_size if self._path.exists() else 0
        if size < position or (position and columns is not None and self._read_columns() != columns):
            warn(
                f"CSVLogger: {self.filename} is not the file that the interrupted training wrote ({size} bytes, "
                f"{position} expected): " + ("rows are added to it." if self._position else "a new file is written.")
            )
            return
        self._position, self._columns = position, columns
        if size > position:
            os.truncate(self._path, position)

    def on_train_begin(self, logs: Logs | None = None) -> None:
        self._reset()
        check_writable(self._path)
        self._path.open("ab").close()  # creates it, but does not empty it: a resumed training needs its rows
        if self.append and self._path.stat().st_size:
            self._columns, self._position = self._read_columns(), self._path.stat().st_size
            self._check_columns(self._columns)

    def on_epoch_end(self, epoch: int, logs: Logs | None = None) -> None:
        logs = logs or {}
        if self._columns is None:
            self._columns = _columns_for(logs)
        self._warn_of_missing_columns(logs)
        header = "" if self._position else self._line(["epoch", *self._columns])
        cells = [_cell(logs[name]) if name in logs else MISSING for name in self._columns]
        self._write(header + self._line([str(epoch), *cells]))

    def on_train_end(self, logs: Logs | None = None) -> None:
        self._close()

    def _write(self, text: str) -> None:
        """Append text to the file and flush it."""
        if self._file is None:
            self._file = self._open()
        self._file.write(text.encode())
        self._file.flush()
        self._position = self._file.tell()

    def _open(self) -> BinaryIO:
        """Open the file for writing at `_position`, after a complete line."""
        file = self._path.open("r+b" if self._path.exists() else "w+b")
        file.truncate(self._position)
        if self._position:
            file.seek(self._position - 1)
            if file.read(1) != b"\n":  # the last line has no end
                file.write(b"\r\n")
        file.seek(0, os.SEEK_END)
        return file

    def _close(self) -> None:
        """Close the file if it is open."""
        if self._file is not None:
            self._file.close()
        self._file = None

    def _line(self, cells: Iterable[str]) -> str:
        """Return cells as a line of CSV."""
        line = io.StringIO()
        csv.writer(line, delimiter=self.separator).writerow(cells)
        return line.getvalue()

    def _read_columns(self) -> list[str]:
        """Return the columns of the file without `epoch`; an empty list if it has no such header."""
        with self._path.open(newline="", encoding="utf-8", errors="replace") as file:
            first, *columns = next(csv.reader(file, delimiter=self.separator), None) or [""]
        return columns if first == "epoch" else []

    def _check_columns(self, columns: list[str]) -> None:
        """Check that an existing file has a header, with a column for each log of the model.

        Raises:
            ValueError: There is no header, or a column is missing.
        """
        if not columns:
            raise ValueError(
                f"CSVLogger(append=True): {self.filename!r} has no header 'epoch{self.separator}...'. "
                "Pass another filename, its separator, or append=False to replace it."
            )
        steps = type(self.model).train_step, type(self.model).test_step
        if not all(map(is_own, steps)):
            return  # a user-defined step may log anything
        # a metric of several values logs each as name_part
        new = [n for n in self.model.metrics_names if not any(c == n or c.startswith(f"{n}_") for c in columns)]
        if new:
            raise ValueError(
                f"CSVLogger(append=True): {self.filename!r} has no column for {', '.join(new)}; "
                f"it has {', '.join(columns)}. Pass another filename, or append=False to replace it."
            )

    def _warn_of_missing_columns(self, logs: Mapping[str, Any]) -> None:
        """Warn, once in a training, of logs that have no column."""
        columns = set(self._columns or ())
        missing = sorted(set(logs) - columns)
        if not any(map(_is_rate, columns)):
            missing = [name for name in missing if not _is_rate(name)]  # a file of a version that did not log rates
        if missing and not self._has_warned:
            self._has_warned = True
            warn(
                f"CSVLogger: {self.filename} has no column for {', '.join(missing)}, which the first epoch did not "
                "log: left out."
            )


def _columns_for(logs: Mapping[str, Any]) -> list[str]:
    """Return the columns for the logs of the first epoch, with `val_` columns in any case."""
    names = sorted(logs)
    if any(name.startswith("val_") for name in names):
        return names
    return [*names, *(f"val_{name}" for name in names if not _is_rate(name))]


def _is_rate(name: str) -> bool:
    """Return whether a log is a learning rate, which a validation does not have."""
    return name.startswith(LEARNING_RATE)


def _cell(value: Any) -> str:
    """Return a value as text that is read as the same number; arrays become lists in brackets."""
    value = value.tolist() if hasattr(value, "tolist") else value  # tensors and arrays
    return value if isinstance(value, str) else repr(value)
