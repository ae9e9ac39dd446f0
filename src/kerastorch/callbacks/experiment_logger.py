"""How a training ended, for callbacks that close something; what it was, for those that write it down."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from typing import Any

from kerastorch.callbacks.log_values import as_float


class Outcome:
    """Tells in `on_train_end` which error ended training, if one did."""

    def __init__(self) -> None:
        self.begin()

    def begin(self) -> None:
        """In `on_train_begin`: what is being handled there, in an `except` around `fit`, has not to do with it."""
        self._outer = sys.exception()

    @property
    def error(self) -> BaseException | None:
        """In `on_train_end`."""
        now = sys.exception()
        return None if now is self._outer else now


def settings(model: Any, params: Mapping[str, Any]) -> dict[str, Any]:
    """What a fit was asked to do: `epochs`, `steps` of each, `optimizer`, `learning_rate`."""
    found = {name: params.get(name) for name in ("epochs", "steps")}
    if model.optimizer is not None:
        found |= {"optimizer": type(model.optimizer).__name__, "learning_rate": model.optimizer.param_groups[0]["lr"]}
    return {name: _plain(value) for name, value in found.items() if value is not None}


def numbers(logs: Mapping[str, Any] | None, prefix: str = "") -> dict[str, float]:
    """Return the logs that are numbers, with the prefix before their names."""
    found = {f"{prefix}{name}": as_float(value) for name, value in (logs or {}).items()}
    return {name: value for name, value in found.items() if value is not None}


def _plain(value: Any) -> Any:
    return value.item() if hasattr(value, "item") else value  # a learning rate in a tensor
