"""Format a table for a terminal of limited width, or as HTML for a notebook."""

from __future__ import annotations

import html
from collections.abc import Sequence

MIN_WIDTH = 8  # characters of a shrunk column


def to_text(header: Sequence[str], rows: Sequence[Sequence[str]], align_right: Sequence[bool], width: int) -> str:
    """Return a table drawn with box characters; cells that do not fit end in an ellipsis.

    Args:
        header: Titles of the columns.
        rows: Cells of each row.
        align_right: For each column whether it is aligned to the right.
        width: Maximum length of a line in characters.
    """
    widths = [max(map(len, column)) for column in zip(header, *rows, strict=True)]
    while sum(widths) + 3 * len(widths) + 1 > width and max(widths) > MIN_WIDTH:
        widths[widths.index(max(widths))] -= 1

    def line(cells: Sequence[str], edge: str) -> str:
        fitted = [
            f"{_cut(cell, size):>{size}}" if aligned else f"{_cut(cell, size):<{size}}"
            for cell, size, aligned in zip(cells, widths, align_right, strict=True)
        ]
        return f"{edge} {f' {edge} '.join(fitted)} {edge}"

    def rule(left: str, between: str, end: str, dash: str) -> str:
        return left + between.join(dash * (size + 2) for size in widths) + end

    return "\n".join(
        [
            rule("┏", "┳", "┓", "━"),
            line(header, "┃"),
            rule("┡", "╇", "┩", "━"),
            *(line(row, "│") for row in rows),
            rule("└", "┴", "┘", "─"),
        ]
    )


def to_html(header: Sequence[str], rows: Sequence[Sequence[str]], align_right: Sequence[bool]) -> str:
    """Return an HTML table; the first three arguments are those of `to_text`, and cells are not cut."""

    def line(cells: Sequence[str], tag: str) -> str:
        styled = (
            f'<{tag} style="text-align:{"right" if aligned else "left"};white-space:pre">{html.escape(cell)}</{tag}>'
            for cell, aligned in zip(cells, align_right, strict=True)
        )
        return f"<tr>{''.join(styled)}</tr>"

    body = "\n".join(line(row, "td") for row in rows)
    return f"<table>\n<thead>{line(header, 'th')}</thead>\n<tbody>\n{body}\n</tbody>\n</table>"


def format_bytes(size: int) -> str:
    """Return a number of bytes with a unit; 1 KB is 1024 bytes, as in Keras.

    >>> format_bytes(4810 * 4)
    '18.79 KB'
    """
    amount, unit = float(size), "B"
    for unit in ("B", "KB", "MB", "GB", "TB"):
        if amount < 1024 or unit == "TB":
            break
        amount /= 1024
    return f"{amount:.2f} {unit}" if unit != "B" else f"{size} B"


def _cut(cell: str, size: int) -> str:
    """Return a cell shortened to `size` characters."""
    return cell if len(cell) <= size else f"{cell[: size - 1]}…"
