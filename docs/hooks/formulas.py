"""Render formulas as MathML when the site is built.

`$...$` in a line and `$$...$$` on lines of their own are LaTeX. Browsers show MathML without a script or a font from
the network, in the colours of the page, and screen readers can read it.
"""

from __future__ import annotations

import html
import re

from latex2mathml.converter import convert
from mkdocs.config.defaults import MkDocsConfig
from mkdocs.exceptions import PluginError
from mkdocs.structure.files import Files
from mkdocs.structure.pages import Page

# What pymdownx.arithmatex makes of formulas in its generic mode.
_FORMULA = re.compile(r'<(?P<tag>span|div) class="arithmatex">\\[(\[](?P<latex>.*?)\\[)\]]</(?P=tag)>', re.DOTALL)


def on_page_content(content: str, page: Page, config: MkDocsConfig, files: Files) -> str:
    """Return the HTML of a page with its formulas as MathML."""

    def render(found: re.Match[str]) -> str:
        latex = html.unescape(found["latex"]).strip()
        try:
            formula = convert(latex, display="block" if found["tag"] == "div" else "inline")
        except Exception as error:
            raise PluginError(f"{page.file.src_uri}: cannot render the formula {latex}: {error}") from error
        return f'<{found["tag"]} class="formula" title="{html.escape(latex)}">{formula}</{found["tag"]}>'

    return _FORMULA.sub(render, content)
