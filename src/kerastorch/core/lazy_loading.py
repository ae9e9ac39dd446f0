"""Loading modules of this package when a name of theirs is read, so that a script waits only for what it uses."""

from __future__ import annotations

import gc
import importlib
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from types import ModuleType


def load(module: str) -> ModuleType:
    """Import a module, without collections of garbage meanwhile.

    Args:
        module: Its full name.
    """
    if (loaded := sys.modules.get(module)) is not None and not getattr(loaded.__spec__, "_initializing", False):
        return loaded
    with _without_collections():
        return importlib.import_module(module)


@contextmanager
def _without_collections() -> Iterator[None]:
    """Turn off the garbage collector; what was made meanwhile counts as old, as if collections had not found it.

    What an import makes is kept as long as the process runs, and its amount causes collections of all objects, those of
    torch included, which take about as long as the import itself.
    """
    if not gc.isenabled():
        yield
        return
    gc.disable()
    try:
        yield
    finally:
        if not gc.get_freeze_count():  # else objects that the script froze would be unfrozen
            gc.freeze()
            gc.unfreeze()
        gc.enable()
