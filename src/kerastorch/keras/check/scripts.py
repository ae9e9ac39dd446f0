"""Find scripts and notebooks, and read them with their imports replaced."""

from __future__ import annotations

import json
import os
import tokenize
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from kerastorch.keras.check.imports import replace_imports
from kerastorch.keras.check.sections import Piece, Section, cut_cells, cut_script, plain_cell

ENDINGS = (".py", ".ipynb")
SKIPPED_FOLDERS = ("__pycache__", "node_modules", "site-packages", "venv", "env")


@dataclass(frozen=True)
class Script:
    """A script or a notebook.

    Attributes:
        path: The file.
        source: Source with the imports replaced; `None` for a notebook.
        sections: The parts that run.
        imports: How many imports of Keras were replaced.
        error: What makes the file unreadable, and the place; `None` if it can be read.
    """

    path: Path
    source: str | None
    sections: tuple[Section, ...]
    imports: int
    error: tuple[str, str] | None = None


def find_scripts(path: Path) -> list[Path]:
    """Return a script or notebook itself, or those of a folder and the folders in it, in the order of their names.

    Raises:
        FileNotFoundError: There is no such file or folder.
        ValueError: The file is neither a script nor a notebook, or the folder has none.
    """
    if path.is_file():
        if path.suffix not in ENDINGS:
            raise ValueError(f"The check reads .py and .ipynb files and folders of them, not {path}.")
        return [path]
    if not path.is_dir():
        raise FileNotFoundError(f"There is no file or folder {path}.")
    found = sorted(_walk(path))
    if not found:
        raise ValueError(f"The folder {path} has no .py or .ipynb file.")
    return found


def read_script(path: Path) -> Script:
    """Return a script with its sections; one that cannot be read has one section and an error."""
    try:
        if path.suffix == ".ipynb":
            return _read_notebook(path)
        with tokenize.open(path) as file:  # reads the encoding from the first lines
            source = file.read()
        source, imports = replace_imports(source)
        return Script(path, source, tuple(cut_script(source)), imports)
    except SyntaxError as error:
        return _unreadable(path, f"SyntaxError: {error.msg}", f"line {error.lineno or 1}")
    except (ValueError, OSError, RecursionError) as error:
        return _unreadable(path, f"{type(error).__name__}: {error}", "line 1")


def _read_notebook(path: Path) -> Script:
    content = json.loads(path.read_text(encoding="utf-8"))
    cells = content.get("cells") if isinstance(content, dict) else None
    if not isinstance(cells, list):
        raise ValueError("it is not a notebook of version 4: it has no list of cells")
    sources: list[str] = []
    imports = 0
    for cell in cells:
        if isinstance(cell, dict) and cell.get("cell_type") == "code":
            given = cell.get("source", "")
            source = plain_cell(given if isinstance(given, str) else "".join(map(str, given)))
            try:
                source, replaced = replace_imports(source)
            except SyntaxError:
                replaced = 0  # the run of this cell shows it
            sources.append(source)
            imports += replaced
    return Script(path, None, tuple(cut_cells(sources)), imports)


def _unreadable(path: Path, message: str, place: str) -> Script:
    return Script(path, None, (Section((Piece("", 1),), frozenset()),), 0, (message, place))


def _walk(folder: Path) -> Iterator[Path]:
    for parent, folders, files in os.walk(folder):
        folders[:] = sorted(name for name in folders if not is_skipped(name))
        yield from (Path(parent, name) for name in files if name.endswith(ENDINGS) and not name.startswith("."))


def is_skipped(folder: str) -> bool:
    """Return whether a folder of this name holds no scripts of the user: hidden ones, environments, caches."""
    return folder.startswith(".") or folder in SKIPPED_FOLDERS
