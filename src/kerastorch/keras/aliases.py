"""Modules of kerastorch under Keras' paths, so that `from kerastorch.keras.losses import Loss` works, too."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Sequence
from importlib.abc import Loader, MetaPathFinder
from importlib.machinery import ModuleSpec
from types import ModuleType

MODULES = (
    "activations", "callbacks", "constraints", "datasets", "distribution", "initializers", "losses", "metrics",
    "mixed_precision", "ops", "optimizers", "preprocessing", "random", "regularizers", "saving", "utils",
)  # fmt: skip
_PREFIX = "kerastorch.keras."


class AliasFinder(MetaPathFinder, Loader):
    """Finds the modules of `MODULES`, and those in them, under Keras' paths; each is that of kerastorch itself."""

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        """Return the spec of an alias; `None` for other names."""
        name = fullname.removeprefix(_PREFIX)
        is_alias = name != fullname and name.partition(".")[0] in MODULES
        return ModuleSpec(fullname, self) if is_alias else None

    def exec_module(self, module: ModuleType) -> None:
        """Put the module of kerastorch in the place of a new one, so that no file runs twice."""
        sys.modules[module.__name__] = importlib.import_module(f"kerastorch.{module.__name__.removeprefix(_PREFIX)}")


def install() -> None:
    """Let imports find the aliases, once."""
    if not any(isinstance(one, AliasFinder) for one in sys.meta_path):
        sys.meta_path.insert(0, AliasFinder())  # first, since a package under its alias has the path of its files
