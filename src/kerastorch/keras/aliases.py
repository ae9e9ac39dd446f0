"""Modules of kerastorch under Keras' paths, so that `from kerastorch.keras.losses import Loss` works, too."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Sequence
from importlib.abc import Loader, MetaPathFinder
from importlib.machinery import ModuleSpec
from types import ModuleType
from typing import Any

from kerastorch.keras import image_functions, serialize
from kerastorch.keras.callback_list import CallbackList

MODULES = (
    "activations", "callbacks", "constraints", "datasets", "distribution", "export", "initializers", "losses",
    "metrics", "ops", "optimizers", "preprocessing", "random", "regularizers", "wrappers",
)  # fmt: skip
_PREFIX = "kerastorch.keras."
_INNER = ("utils.bounding_boxes",)  # within modules that are files here
_EXTENDED = (*serialize.MODULES, *image_functions.MODULES)
_OTHER_NAMES = {"activations": {"swish": "silu", "hard_swish": "hard_silu"}}


class ExtendedModule(ModuleType):
    """A module of kerastorch with the functions that it has only behind Keras' paths.

    Args:
        base: The module.
        added: The functions by name.
    """

    def __init__(self, base: ModuleType, added: dict[str, Any]) -> None:
        super().__init__(_PREFIX + base.__name__.partition(".")[2], base.__doc__)
        self._base = base
        self.__all__ = sorted({*dir(base), *added})
        plain = {name: found for name, found in vars(base).items() if not name.startswith("_")}
        self.__dict__.update({name: found for name, found in plain.items() if self._path(name) not in _EXTENDED})
        self.__dict__.update(added)

    def _path(self, name: str) -> str:
        return self.__name__.removeprefix(_PREFIX) + f".{name}"

    def __getattr__(self, name: str) -> Any:
        path = self._path(name)
        return importlib.import_module(_PREFIX + path) if path in _EXTENDED else getattr(self._base, name)

    def __dir__(self) -> list[str]:
        return self.__all__


class AliasFinder(MetaPathFinder, Loader):
    """Finds the modules of `MODULES`, and those in them, under Keras' paths."""

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        """Return the spec of an alias; `None` for other names."""
        name = fullname.removeprefix(_PREFIX)
        is_alias = name != fullname and (name.partition(".")[0] in MODULES or name in _INNER)
        return ModuleSpec(fullname, self) if is_alias else None

    def exec_module(self, module: ModuleType) -> None:
        """Put the module of kerastorch in the place of a new one, so that no file runs twice."""
        name = module.__name__.removeprefix(_PREFIX)
        base = importlib.import_module(f"kerastorch.{name}")
        if name in serialize.MODULES:
            others = {other: getattr(base, own) for other, own in _OTHER_NAMES.get(name, {}).items()}
            base = ExtendedModule(base, {**serialize.functions_of(base), **others})
        elif name == "callbacks":
            base = ExtendedModule(base, {"CallbackList": CallbackList})
        elif name in image_functions.MODULES:
            base = ExtendedModule(base, image_functions.functions_of(base))
        sys.modules[module.__name__] = base


def install() -> None:
    """Let imports find the aliases, once."""
    if not any(isinstance(one, AliasFinder) for one in sys.meta_path):
        sys.meta_path.insert(0, AliasFinder())  # first, since a package under its alias has the path of its files
