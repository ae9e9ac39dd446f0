"""A table in a terminal, no wider than it, and the same as HTML for a notebook."""

from __future__ import annotations

import html
from collections.abc import Sequence

LEAST = 8  # characters that a column shrinks to


def text(header: Sequence[str], rows: Sequence[Sequence[str]], right: Sequence[bool], width: int) -> str:
    """Lines drawn in box characters; cells that do not fit end in an ellipsis.

    Args:
        header: of the columns.
        rows: cells.
        right: which columns are aligned to the right.
        width: of a line at most.
    """
    widths = [max(map(len, column)) for column in zip(header, *rows, strict=True)]
    while sum(widths) + 3 * len(widths) + 1 > width and max(widths) > LEAST:
        widths[widths.index(max(widths))] -= 1

    def line(cells: Sequence[str], edge: str) -> str:
        fitted = [
            f"{_cut(cell, size):>{size}}" if aligned else f"{_cut(cell, size):<{size}}"
            for cell, size, aligned in zip(cells, widths, right, strict=True)
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


def as_html(header: Sequence[str], rows: Sequence[Sequence[str]], right: Sequence[bool]) -> str:
    """An HTML table of the same cells, whole."""

    def line(cells: Sequence[str], tag: str) -> str:
        styled = (
            f'<{tag} style="text-align:{"right" if aligned else "left"};white-space:pre">{html.escape(cell)}</{tag}>'
            for cell, aligned in zip(cells, right, strict=True)
        )
        return f"<tr>{''.join(styled)}</tr>"

    body = "\n".join(line(row, "td") for row in rows)
    return f"<table>\n<thead>{line(header, 'th')}</thead>\n<tbody>\n{body}\n</tbody>\n</table>"


def memory(size: int) -> str:
    """Bytes as people read them, 1 KB being 1024, as Keras has it.

    >>> memory(4810 * 4)
    '18.79 KB'
    """
    amount, unit = float(size), "B"
    for unit in ("B", "KB", "MB", "GB", "TB"):
        if amount < 1024 or unit == "TB":
            break
        amount /= 1024
    return f"{amount:.2f} {unit}" if unit != "B" else f"{size} B"


def _cut(cell: str, size: int) -> str:
    return cell if len(cell) <= size else f"{cell[: size - 1]}…"
