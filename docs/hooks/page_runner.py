"""Run the Python blocks of a Markdown page and put what they print and draw under them.

A fence that starts with ```` ```python exec ```` is run. It may be indented, for example inside a folded solution. The
blocks of a page share one namespace, in order, and a working directory of their own. After `exec` may stand:

- `hide`: run the block, show neither code nor output (checks of what the prose says);
- `raises=ValueError`: the block must end in this error; the last line of the error is shown;
- `alt="A description"`: the block draws with pyplot; its figures are shown under the output, with this text for
  readers who cannot see them. A block that leaves an open pyplot figure must have it.

A picture that the code saves in the working directory becomes a file of the site beside the page. A block that fails,
or warns, or does not raise what it should, is an error that names the page and the line.
"""

from __future__ import annotations

import contextlib
import io
import os
import re
import shlex
import tempfile
import textwrap
import traceback
import warnings
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

_BLOCK = re.compile(
    r"^(?P<indent>[ ]*)```python exec(?P<options>[^\n]*)\n(?P<code>.*?)^(?P=indent)```[ ]*$", re.MULTILINE | re.DOTALL
)
_LARGEST_SVG = 150_000  # bytes; a figure with more points becomes a PNG
_PNG_DPI = 150


class PageError(Exception):
    """A block of a page failed, or its options are wrong."""


@dataclass
class ExecutedPage:
    """Markdown of a page after its code ran, and the pictures that the code made, by file name."""

    markdown: str
    pictures: dict[str, bytes] = field(default_factory=dict)


def has_code(text: str) -> bool:
    """Return whether a page has blocks to run."""
    return _BLOCK.search(text) is not None


def run_page(uri: str, text: str) -> ExecutedPage:
    """Run the blocks of a page in order.

    Args:
        uri: Path of the page in the documentation; it names the page in errors, and its stem names the pictures.
        text: Markdown of the page.

    Raises:
        PageError: A block failed, warned, did not raise what it should, or has a wrong option.
    """
    namespace: dict[str, Any] = {"__name__": "__main__"}
    page = ExecutedPage("")
    with _working_directory() as folder:

        def replace(found: re.Match[str]) -> str:
            line = text.count("\n", 0, found.start()) + 1
            return _Block(found, uri, line).run(namespace, page)

        page.markdown = _BLOCK.sub(replace, text)
        for path in sorted(folder.iterdir()):
            if path.suffix in (".svg", ".png"):
                page.pictures[path.name] = path.read_bytes()
    return page


class _Block:
    """One block of code and its options."""

    def __init__(self, found: re.Match[str], uri: str, line: int) -> None:
        self.indent, self.code = found["indent"], textwrap.dedent(found["code"])
        self.uri, self.line = uri, line
        self.hidden, self.raises, self.alt = False, "", ""
        for option in shlex.split(found["options"]):
            name, _, value = option.partition("=")
            if option == "hide":
                self.hidden = True
            elif name in ("raises", "alt") and value:
                setattr(self, name, value)
            else:
                raise PageError(f"{self.where}: exec has no option {option}")

    @property
    def where(self) -> str:
        """Page and line of the block."""
        return f"{self.uri}:{self.line}"

    def run(self, namespace: dict[str, Any], page: ExecutedPage) -> str:
        """Run the code and return the Markdown that stands in its place."""
        printed = self._execute(namespace)
        pictures = _save_open_figures(Path(self.uri).stem, page)
        if bool(pictures) != bool(self.alt):
            raise PageError(f"{self.where}: alt= belongs to a block that leaves an open pyplot figure, and only there")
        if self.hidden:
            return ""
        parts = [f"```python\n{self.code}```"]
        if printed:
            parts.append(f"```{{.text .output}}\n{printed}\n```")
        parts += [f"![{self.alt}]({name})" for name in pictures]
        return textwrap.indent("\n\n".join(parts), self.indent)

    def _execute(self, namespace: dict[str, Any]) -> str:
        """Run the code and return what it printed, with the error that it had to raise."""
        printed = io.StringIO()
        # The code is compiled at its own lines of the page, so that a traceback points at them.
        source = "\n" * self.line + self.code
        try:
            with contextlib.redirect_stdout(printed), warnings.catch_warnings():
                warnings.simplefilter("error")
                # `plt.show()` belongs into a script; the figures are shown on the page in any case.
                warnings.filterwarnings("ignore", message=".* is non-interactive, and thus cannot be shown")
                exec(compile(source, self.uri, "exec"), namespace)
        except Exception as error:
            if self.raises not in [kind.__name__ for kind in type(error).__mro__]:
                raise PageError(f"{self.where}: this block failed\n{traceback.format_exc()}") from None
            printed.write(f"{type(error).__name__}: {error}")
        else:
            if self.raises:
                raise PageError(f"{self.where}: this block should have raised {self.raises}")
        return printed.getvalue().rstrip()


def _save_open_figures(stem: str, page: ExecutedPage) -> list[str]:
    """Add the open pyplot figures to the pictures of the page, close them, and return their file names."""
    import matplotlib.pyplot as plt

    names = []
    for number in plt.get_fignums():
        figure, count = plt.figure(number), len(page.pictures) + 1
        file = io.BytesIO()
        figure.savefig(file, format="svg", bbox_inches="tight", metadata={"Date": None})
        suffix = "svg"
        if file.tell() > _LARGEST_SVG:
            file, suffix = io.BytesIO(), "png"
            figure.savefig(file, format="png", bbox_inches="tight", dpi=_PNG_DPI)
        name = f"{stem}-{count}.{suffix}"
        page.pictures[name] = file.getvalue()
        names.append(name)
        plt.close(figure)
    return names


@contextlib.contextmanager
def _working_directory() -> Iterator[Path]:
    """Change into a temporary working directory for the blocks of a page."""
    before = os.getcwd()
    with tempfile.TemporaryDirectory() as name:
        os.chdir(name)
        try:
            yield Path(name)
        finally:
            os.chdir(before)
