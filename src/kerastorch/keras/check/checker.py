"""Run scripts section by section, and collect what ran."""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from pathlib import Path

from tqdm import tqdm

from kerastorch.core.errors import check_float
from kerastorch.keras.check.check_result import CheckResult
from kerastorch.keras.check.child_process import ChildProcess
from kerastorch.keras.check.outcomes import script_result, unreadable_result
from kerastorch.keras.check.results import ScriptResult
from kerastorch.keras.check.scripts import Script, find_scripts, read_script
from kerastorch.keras.check.sections import Piece
from kerastorch.keras.check.working_copy import copy_folder


def check(path: str | Path, timeout: float = 60.0, verbose: bool = False) -> CheckResult:
    """Run Keras' scripts with `kerastorch.keras` in place of Keras, and return which of their sections ran.

    Only the imports are replaced. Each script runs in a process of its own, in a copy of its folder, without network.
    Run it on scripts that you trust: it executes them.

    Args:
        path: A script, a notebook, or a folder. Files of a folder that import no Keras are left out.
        timeout: Seconds for each section.
        verbose: Whether to show a progress bar.

    Returns:
        The sections of each script with their status; `print` shows them as tables.

    Raises:
        FileNotFoundError: There is no such file or folder.
        ValueError: It is no script, no notebook, and no folder with one; or no file of the folder imports Keras.
    """
    check_float("timeout", timeout, above=0)
    path = Path(path)
    scripts = [read_script(found.absolute()) for found in find_scripts(path)]
    if path.is_dir():
        scripts = [script for script in scripts if script.imports or script.error]
        if not scripts:
            raise ValueError(f"No script or notebook in the folder {path} imports Keras.")
    results = []
    total = sum(len(script.sections) for script in scripts)
    with ChildProcess(timeout) as child, tqdm(total=total, disable=not verbose, unit="section", leave=False) as bar:
        for script in scripts:
            bar.set_postfix_str(script.path.name)
            results.append(run_script(script, child, bar.update))
    return CheckResult(tuple(results))


def run_script(script: Script, child: ChildProcess, on_end: Callable[[int], object] = lambda _: None) -> ScriptResult:
    """Run a script in a copy of its folder.

    Args:
        script: The script.
        child: The process that runs it.
        on_end: Called with 1 after each section.
    """
    if script.error is not None:
        on_end(1)
        return unreadable_result(script)
    with tempfile.TemporaryDirectory(prefix="kerastorch-check-", ignore_cleanup_errors=True) as place:
        folder = Path(place, "script")
        is_whole = copy_folder(script, folder)
        job = {
            "folder": str(folder),
            "file": script.path.name,
            "is_notebook": script.source is None,
            "sections": [
                [(piece.source, _file_name(script, piece, folder)) for piece in section.pieces]
                for section in script.sections
            ],
        }
        messages = []
        for message in child.run(job):
            if "end" in message:
                on_end(1)
            messages.append(message)
    notes = () if is_whole else ("Its folder is large: only the Python files were copied for the run.",)
    return script_result(script, messages, notes)


def _file_name(script: Script, piece: Piece, folder: Path) -> str:
    """Return the file name that tracebacks show for a piece."""
    return f"<{script.path.name}, {piece.place}>" if piece.place else str(folder / script.path.name)
