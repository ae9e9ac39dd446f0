"""`kerastorch.utils` under Keras' path, with the functions that kerastorch has elsewhere."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from kerastorch import saving, utils
from kerastorch.core.torch_private import pytree
from kerastorch.keras import image_functions
from kerastorch.keras.backend import clear_session, is_keras_tensor, standardize_dtype
from kerastorch.keras.config_object import Config
from kerastorch.keras.feature_space import FeatureSpace
from kerastorch.keras.get_file import get_file
from kerastorch.keras.interactive_logging import (
    disable_interactive_logging,
    enable_interactive_logging,
    is_interactive_logging_enabled,
)
from kerastorch.keras.model_to_dot import model_to_dot
from kerastorch.keras.progbar import Progbar
from kerastorch.symbolic.symbolic_tensor import Symbol, collect_symbols

_ON_IMAGES = image_functions.functions_of(utils)
_SAVING = [name for name in saving.__all__ if name != "load_model"]

__all__ = [
    "Config", "FeatureSpace", "Progbar", "clear_session", "disable_interactive_logging", "enable_interactive_logging",
    "get_file", "get_source_inputs", "is_interactive_logging_enabled", "is_keras_tensor", "model_to_dot",
    "standardize_dtype", *_SAVING, *utils.__all__,
]  # fmt: skip


def get_source_inputs(tensor: Any) -> list[Symbol]:
    """Return the symbols of `Input` that symbols are computed from.

    Args:
        tensor: A symbol, or a structure of them.
    """
    waiting, found, seen = list(pytree.tree_leaves(tensor)), dict[Symbol, None](), set[Symbol]()
    while waiting:
        symbol = waiting.pop()
        if symbol in seen:
            continue
        seen.add(symbol)
        if symbol.target is None:
            found[symbol] = None
        waiting += reversed(collect_symbols((symbol.args, symbol.kwargs)))
    return list(found)


def __dir__() -> list[str]:
    return sorted(__all__)


if not TYPE_CHECKING:

    def __getattr__(name: str) -> Any:
        return _ON_IMAGES.get(name) or getattr(saving if name in _SAVING else utils, name)
