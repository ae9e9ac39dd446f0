"""Read the scripts of `examples/` as cells, and write them as Markdown pages and as notebooks.

A script is in the percent format that editors and Jupyter know: a docstring with the title and a description, then
cells that begin with `# %%` (code) or `# %% [markdown]` (text). A code cell that draws has `alt="..."` in its first
line, a description of the picture.
"""

from __future__ import annotations

import ast
from dataclasses import dataclass
from pathlib import Path

import jupytext
import nbformat

_INSTALL = """\
# Install kerastorch if it is not there: from a clone (the folder with pyproject.toml) or from a wheel.
import importlib.util

SOURCE = "./kerastorch"  # path of the clone or the wheel: ./ keeps pip from looking on the package index
if importlib.util.find_spec("kerastorch") is None:
    %pip install "{SOURCE}[plot]"
"""


@dataclass(frozen=True)
class Example:
    """One script: its file name without `.py`, title, description in Markdown, and cells."""

    name: str
    title: str
    description: str
    cells: list[nbformat.NotebookNode]


def read_example(path: Path) -> Example:
    """Read a script.

    Raises:
        ValueError: It has no docstring that begins with a title line, or no cell.
    """
    text = path.read_text(encoding="utf-8")
    tree = ast.parse(text)
    docstring = ast.get_docstring(tree)
    if not docstring:
        raise ValueError(f"{path.name} has no docstring")
    title, _, description = docstring.partition("\n")
    body = "\n".join(text.splitlines()[tree.body[0].end_lineno :])
    cells = [cell for cell in jupytext.reads(body, fmt="py:percent").cells if cell.source.strip()]
    if not cells:
        raise ValueError(f"{path.name} has no cell")
    return Example(path.stem, title.rstrip("."), description.strip(), cells)


def to_markdown(example: Example) -> str:
    """Return the page of an example: its text, and its code in blocks that are run when the site is built."""
    parts = [
        f"# {example.title}",
        example.description,
        f"Download: [script]({example.name}.py), [notebook]({example.name}.ipynb).",
    ]
    for cell in example.cells:
        if cell.cell_type == "markdown":
            parts.append(cell.source)
        else:
            alt = f' alt="{cell.metadata["alt"]}"' if "alt" in cell.metadata else ""
            parts.append(f"```python exec{alt}\n{cell.source}\n```")
    return "\n\n".join(part for part in parts if part) + "\n"


def to_notebook(example: Example) -> str:
    """Return the notebook of an example, as JSON. Its first code cell installs kerastorch if it is missing."""
    new = nbformat.v4
    cells = [
        new.new_markdown_cell(f"# {example.title}\n\n{example.description}"),
        new.new_code_cell(_INSTALL.rstrip()),
        *(
            new.new_markdown_cell(cell.source) if cell.cell_type == "markdown" else new.new_code_cell(cell.source)
            for cell in example.cells
        ),
    ]
    for number, cell in enumerate(cells):
        cell["id"] = f"cell-{number}"
    kernel = {"name": "python3", "display_name": "Python 3", "language": "python"}
    notebook = new.new_notebook(cells=cells, metadata={"kernelspec": kernel})
    nbformat.validate(notebook)
    return nbformat.writes(notebook)
