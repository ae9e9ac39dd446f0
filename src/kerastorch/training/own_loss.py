"""What an overridden `compute_loss` returns: recorded for the logs."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable
from typing import Any

_MARK = "__records_loss__"


def recorded(function: Callable[..., Any]) -> Callable[..., Any]:
    """Return a `compute_loss` of the user's that records its result, and that may be given `training`.

    Args:
        function: The method. If it has no parameter `training`, which is newer in Keras than the others, it does not
            get it.
    """
    if hasattr(function, _MARK):
        return function
    parameters = inspect.signature(function).parameters.values()
    takes_training = any(one.name == "training" or one.kind is one.VAR_KEYWORD for one in parameters)

    @functools.wraps(function)
    def compute_loss(self: Any, *args: Any, **kwargs: Any) -> Any:
        if not takes_training:
            kwargs.pop("training", None)
        total = function(self, *args, **kwargs)
        if total is None:
            raise TypeError(f"{type(self).__name__}.compute_loss returned None; return the loss, a tensor.")
        if self._trainer is not None:
            self._trainer.context.record_total(total)
        return total

    setattr(compute_loss, _MARK, True)
    return compute_loss
