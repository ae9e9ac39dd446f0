"""Packages that only some callbacks need."""

from __future__ import annotations

from importlib.util import find_spec


def need(who: str, package: str, extra: str) -> None:
    """Refuse to go on without `package`; it is looked for, not imported.

    Raises:
        ImportError: it is not there; says which extra brings it.
    """
    if find_spec(package) is None:
        raise ImportError(f"{who} needs {package}: pip install kerastorch[{extra}]", name=package)
