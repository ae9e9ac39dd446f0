"""The folder for files that are downloaded once: the setting behind `kerastorch.config.set_cache_dir`."""

from __future__ import annotations

import os
from pathlib import Path

VARIABLE = "KERASTORCH_HOME"

_chosen: Path | None = None


def choose(folder: Path | None) -> None:
    """Choose the cache folder for the whole process; None returns to the environment and the default."""
    global _chosen
    _chosen = None if folder is None else folder.absolute()


def current() -> Path:
    """Return the cache folder; it may not exist yet.

    The environment is read at each call: `KERASTORCH_HOME`, then `XDG_CACHE_HOME`. The XDG Base Directory Specification
    asks programs to ignore a relative `XDG_CACHE_HOME`.
    """
    if _chosen is not None:
        return _chosen
    if home := os.environ.get(VARIABLE):
        return Path(home).expanduser().absolute()
    base = Path(os.environ.get("XDG_CACHE_HOME", ""))
    return (base if base.is_absolute() else Path.home() / ".cache") / "kerastorch"
