"""The reference shows the examples in docstrings as code: a run of `>>>` lines gets a fence around it."""

from __future__ import annotations

import re
from typing import Any

import griffe

# from a prompt to the next empty line
_EXAMPLE = re.compile(r"^>>> .*(?:\n(?!\s*$).*)*", re.MULTILINE)


def fenced(text: str) -> str:
    """`text` with each doctest in a code fence."""
    return _EXAMPLE.sub(lambda found: f"\n```pycon\n{found.group()}\n```", text)


class Doctests(griffe.Extension):
    """Rewrites every docstring as it is loaded."""

    def on_object(self, *, obj: griffe.Object, **kwargs: Any) -> None:
        if obj.docstring is not None:
            obj.docstring.value = fenced(obj.docstring.value)
