"""Copy the folder of a script, so that no file of the user is changed."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

from kerastorch.keras.check.imports import replace_imports
from kerastorch.keras.check.scripts import Script, is_skipped

MAX_BYTES = 100 * 2**20
MAX_FILES = 5000


def copy_folder(script: Script, target: Path) -> bool:
    """Copy the folder of a script; modules of the user import `kerastorch.keras`, too.

    Args:
        script: The script, which is in the copy with its imports replaced.
        target: A folder that does not exist yet.

    Returns:
        Whether other files than modules were copied. Of a folder that is too large, they are not.
    """
    source = script.path.parent
    is_small = _is_small(source)
    target.mkdir()
    for parent, folders, files in os.walk(source):
        folders[:] = [name for name in folders if not is_skipped(name)]
        place = target / Path(parent).relative_to(source)
        for name in files:
            if is_small or name.endswith(".py"):
                place.mkdir(parents=True, exist_ok=True)
                _copy_file(Path(parent, name), place / name)
    if script.source is not None:
        (target / script.path.name).write_text(script.source, encoding="utf-8")
    return is_small


def _copy_file(source: Path, target: Path) -> None:
    """Copy a file, a module with its imports replaced; a link whose file is missing is left out."""
    try:
        if source.suffix == ".py":
            replaced, _ = replace_imports(source.read_text(encoding="utf-8"))
            target.write_text(replaced, encoding="utf-8")
            return
    except (SyntaxError, ValueError, OSError):
        pass  # the import of the module shows the error
    if source.is_file():
        shutil.copyfile(source, target)


def _is_small(folder: Path) -> bool:
    """Return whether the files of a folder can be copied in a moment."""
    size = count = 0
    for parent, folders, files in os.walk(folder):
        folders[:] = [name for name in folders if not is_skipped(name)]
        for name in files:
            path = Path(parent, name)
            size += path.stat().st_size if path.is_file() else 0
            count += 1
            if size > MAX_BYTES or count > MAX_FILES:
                return False
    return True
