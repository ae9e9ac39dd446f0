"""Cut scripts and notebooks into sections.

A section of a script begins at a heading: a comment at the left margin after an empty line, a `# %%` line, or a text of
its own in triple quotes. A script with fewer than two headings is cut at empty lines. In a notebook it is a cell.
A part that only imports, defines functions and classes, or names constants belongs to the section after it, because
nothing of Keras has run until something is called.
"""

from __future__ import annotations

import ast
import re
from dataclasses import dataclass

_QUIET = (ast.Import, ast.ImportFrom, ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef, ast.Pass)
_MAGIC = re.compile(r"^\s*[%!?]|\?\s*$")
_FOREIGN_CELL = re.compile(r"^\s*%%(?!time|timeit|capture)\w")


@dataclass(frozen=True)
class Piece:
    """Source that is compiled at once.

    Attributes:
        source: The lines, after as many empty lines as the file has before them.
        first_line: Number of the first line with a statement.
        place: What the lines are in, for messages; `""` in a script, `"cell 3"` in a notebook.
    """

    source: str
    first_line: int
    place: str = ""

    def where(self, line: int | None = None) -> str:
        """Return the position of a line, or of the first one, as in `cell 3, line 2`.

        >>> Piece("x = 1", 1, "cell 3").where(2)
        'cell 3, line 2'
        """
        text = f"line {line or self.first_line}"
        return f"{self.place}, {text}" if self.place else text


@dataclass(frozen=True)
class Section:
    """A part of a script that runs at once.

    Attributes:
        pieces: What runs, in this order; several if cells of a notebook are joined.
        names: Names that its statements bind, which later sections may need.
    """

    pieces: tuple[Piece, ...]
    names: frozenset[str]


def cut_script(source: str) -> list[Section]:
    """Return the sections of a script.

    Args:
        source: Source, with the imports replaced.

    Raises:
        SyntaxError: Python cannot read it.
    """
    statements = ast.parse(source).body
    lines = source.split("\n")
    inside = {number for node in statements for number in range(_first_line(node), (node.end_lineno or 0) + 1)}
    headings = sorted(
        {
            *(number for number, line in enumerate(lines, 1) if number not in inside and _is_heading(lines, number)),
            *(node.lineno for node in statements if _is_text(node)),
        }
    )
    if len(headings) < 2:
        headings = [number for number, line in enumerate(lines, 1) if number not in inside and not line.strip()]
    groups: list[list[ast.stmt]] = [[] for _ in range(len(headings) + 1)]
    for node in statements:
        groups[sum(number <= _first_line(node) for number in headings)].append(node)
    return [_section(nodes, lines) for nodes in _joined(groups)]


def cut_cells(cells: list[str]) -> list[Section]:
    """Return the sections of a notebook.

    Args:
        cells: Source of each code cell, with the imports replaced and without lines for the notebook itself.
    """
    sections: list[Section] = []
    waiting: list[Piece] = []
    names: frozenset[str] = frozenset()
    for number, source in enumerate(cells, 1):
        try:
            statements = ast.parse(source).body
        except SyntaxError:
            statements = ast.parse("it_fails()").body  # its run shows the error
        if not statements or all(map(_is_text, statements)):
            continue
        waiting.append(Piece(source, 1, f"cell {number}"))
        names |= bound_names(statements)
        if any(map(_acts, statements)):
            sections.append(Section(tuple(waiting), names))
            waiting, names = [], frozenset()
    return [*sections, Section(tuple(waiting), names)] if waiting else sections


def plain_cell(source: str) -> str:
    """Return a cell without the lines for the notebook, such as `%matplotlib inline` and `!pip install`.

    >>> plain_cell("%matplotlib inline\\nx = 1")
    'pass\\nx = 1'
    """
    if _FOREIGN_CELL.match(source):
        return ""
    try:
        ast.parse(source)
    except SyntaxError:
        lines = source.split("\n")
        indents = [line[: len(line) - len(line.lstrip())] for line in lines]
        pairs = zip(lines, indents, strict=True)
        return "\n".join(f"{indent}pass" if _MAGIC.search(line) else line for line, indent in pairs)
    return source  # a line of a text may begin with %


def bound_names(nodes: list[ast.stmt]) -> frozenset[str]:
    """Return the names that statements bind at the top level."""
    found = set()
    for node in nodes:
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)):
            found.add(node.name)
            continue
        for part in ast.walk(node):
            if isinstance(part, ast.Name) and isinstance(part.ctx, ast.Store):
                found.add(part.id)
            elif isinstance(part, ast.alias):
                found.add(part.asname or part.name.partition(".")[0])
            elif isinstance(part, (ast.FunctionDef, ast.ClassDef)):
                found.add(part.name)
    return frozenset(found)


def _acts(node: ast.stmt) -> bool:
    """Return whether a statement does more than importing, defining and naming constants."""
    if isinstance(node, _QUIET) or _is_text(node):
        return False
    is_assignment = isinstance(node, (ast.Assign, ast.AnnAssign))
    return not is_assignment or any(isinstance(part, ast.Call) for part in ast.walk(node))


def _joined(groups: list[list[ast.stmt]]) -> list[list[ast.stmt]]:
    """Return groups of statements, those in which nothing is called joined to the next one."""
    found: list[list[ast.stmt]] = []
    waiting: list[ast.stmt] = []
    for group in groups:
        waiting += group
        if any(map(_acts, group)):
            found.append(waiting)
            waiting = []
    if waiting and not all(map(_is_text, waiting)):
        found.append(waiting)
    return found


def _section(nodes: list[ast.stmt], lines: list[str]) -> Section:
    first, last = _first_line(nodes[0]), nodes[-1].end_lineno or nodes[-1].lineno
    source = "\n" * (first - 1) + "\n".join(lines[first - 1 : last]) + "\n"
    first_statement = next((node for node in nodes if not _is_text(node)), nodes[0])
    return Section((Piece(source, _first_line(first_statement)),), bound_names(nodes))


def _is_text(node: ast.stmt) -> bool:
    return isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant) and isinstance(node.value.value, str)


def _is_heading(lines: list[str], number: int) -> bool:
    line = lines[number - 1]
    is_first = number == 1 or not lines[number - 2].strip()
    return line.startswith(("# %%", "# In[")) or (line.startswith("#") and not line.startswith("#!") and is_first)


def _first_line(node: ast.stmt) -> int:
    """Return the first line of a statement, that of its first decorator if it has any."""
    decorators: list[ast.expr] = getattr(node, "decorator_list", [])
    return min([node.lineno, *(one.lineno for one in decorators)])
