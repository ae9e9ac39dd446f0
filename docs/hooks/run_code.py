"""Runs the code of a page when the site is built and puts what it prints under it.

A fence that starts with ```` ```python exec ```` is run. The blocks of a page share one namespace, in order, and a
working directory of their own; a picture saved there becomes a file of the site beside the page. After `exec` may
stand:

- `hide`: run it, show neither code nor output (checks of what the prose says);
- `raises=ValueError`: it must end in this error; the error's last line is shown.

A block that fails, or warns, or does not raise what it should, stops the build and names the page and the line.
"""

from __future__ import annotations

import contextlib
import io
import os
import re
import tempfile
import traceback
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.exceptions import PluginError
from mkdocs.structure.files import File, Files
from mkdocs.structure.pages import Page

# these models are small: on a busy machine threads would mostly wait for each other
os.environ.setdefault("OMP_NUM_THREADS", "1")

_BLOCK = re.compile(r"^```python exec(?P<options>[^\n]*)\n(?P<code>.*?)^```[ ]*$", re.MULTILINE | re.DOTALL)


def on_page_markdown(markdown: str, page: Page, config: MkDocsConfig, files: Files) -> str:
    """The page with its code run."""
    if not _BLOCK.search(markdown):
        return markdown
    front_matter = page.file.content_string.count("\n") - markdown.count("\n")
    namespace: dict[str, Any] = {"__name__": "__main__"}
    with _folder() as folder:

        def run(found: re.Match[str]) -> str:
            line = front_matter + markdown.count("\n", 0, found.start()) + 1
            return _run(found["code"], found["options"].split(), namespace, f"{page.file.src_uri}:{line}", page, line)

        text = _BLOCK.sub(run, markdown)
        for path in sorted(folder.iterdir()):
            uri = (Path(page.file.src_uri).parent / path.name).as_posix()
            if path.suffix in (".svg", ".png"):
                if uri in files.src_uris:
                    files.remove(files.src_uris[uri])
                files.append(File.generated(config, uri, content=path.read_bytes()))
    return text


def _run(code: str, options: list[str], namespace: dict[str, Any], where: str, page: Page, line: int) -> str:
    """Run one block: what stands in its place."""
    expected = next((option.removeprefix("raises=") for option in options if option.startswith("raises=")), None)
    unknown = [option for option in options if option != "hide" and not option.startswith("raises=")]
    if unknown:
        raise PluginError(f"{where}: no option of exec: {' '.join(unknown)}")
    printed = io.StringIO()
    # the code stands at its own lines of the page, so that a traceback points at them
    source = "\n" * line + code
    try:
        with contextlib.redirect_stdout(printed), warnings.catch_warnings():
            warnings.simplefilter("error")
            exec(compile(source, page.file.abs_src_path or page.file.src_uri, "exec"), namespace)
    except Exception as error:
        if expected not in [kind.__name__ for kind in type(error).__mro__]:
            raise PluginError(f"{where}: this block failed\n{traceback.format_exc()}") from error
        printed.write(f"{type(error).__name__}: {error}")
    else:
        if expected is not None:
            raise PluginError(f"{where}: this block should have raised {expected}")
    if "hide" in options:
        return ""
    shown = f"```python\n{code}```"
    output = printed.getvalue().rstrip()
    return f"{shown}\n\n```{{.text .output}}\n{output}\n```" if output else shown


@contextlib.contextmanager
def _folder() -> Iterator[Path]:
    """A working directory for the blocks of a page."""
    before = os.getcwd()
    with tempfile.TemporaryDirectory() as name:
        os.chdir(name)
        try:
            yield Path(name)
        finally:
            os.chdir(before)
