"""Modules of kerastorch under Keras' paths, so that `from kerastorch.keras.losses import Loss` works, too."""

from __future__ import annotations

import importlib
import sys
from types import ModuleType

MODULES = (
    "activations", "callbacks", "constraints", "datasets", "distribution", "initializers", "losses", "metrics",
    "mixed_precision", "ops", "optimizers", "preprocessing", "random", "regularizers", "saving", "utils",
)  # fmt: skip


def import_alias(name: str) -> ModuleType:
    """Return a module of kerastorch, and let it be imported by its path in `kerastorch.keras`, too.

    Args:
        name: Name of the module in `kerastorch`, one of `MODULES`.
    """
    found = importlib.import_module(f"kerastorch.{name}")
    sys.modules.setdefault(f"kerastorch.keras.{name}", found)
    return found
