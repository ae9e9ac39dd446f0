"""LambdaCallback and TerminateOnNaN."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

from kerastorch.callbacks.base import HOOKS, Callback, Logs
from kerastorch.errors import mismatch


class LambdaCallback(Callback):
    """A callback of functions, each with the arguments of its hook.

    >>> LambdaCallback(on_epoch_end=lambda epoch, logs: print(epoch, logs["loss"])).monitor
    """

    def __init__(
        self,
        on_epoch_begin: Callable[..., Any] | None = None,
        on_epoch_end: Callable[..., Any] | None = None,
        on_train_begin: Callable[..., Any] | None = None,
        on_train_end: Callable[..., Any] | None = None,
        on_train_batch_begin: Callable[..., Any] | None = None,
        on_train_batch_end: Callable[..., Any] | None = None,
        on_test_begin: Callable[..., Any] | None = None,
        on_test_end: Callable[..., Any] | None = None,
        on_test_batch_begin: Callable[..., Any] | None = None,
        on_test_batch_end: Callable[..., Any] | None = None,
        on_predict_begin: Callable[..., Any] | None = None,
        on_predict_end: Callable[..., Any] | None = None,
        on_predict_batch_begin: Callable[..., Any] | None = None,
        on_predict_batch_end: Callable[..., Any] | None = None,
    ) -> None:
        given = locals()
        for hook in HOOKS:
            if given.get(hook) is not None:
                if not callable(given[hook]):
                    raise mismatch(hook, given[hook], "a function")
                setattr(self, hook, given[hook])


class TerminateOnNaN(Callback):
    """Stops training when the loss of a batch is NaN or infinite.

    Args:
        raise_error: raise a `RuntimeError` instead of stopping quietly.

    It reads the loss after every batch, which makes a GPU wait each time.
    """

    def __init__(self, raise_error: bool = False) -> None:
        self.raise_error = raise_error

    def on_train_batch_end(self, batch: int, logs: Logs | None = None) -> None:
        loss = (logs or {}).get("loss")
        if loss is None or math.isfinite(loss):
            return
        if self.raise_error:
            raise RuntimeError(f"NaN or Inf loss encountered at batch {batch}.")
        print(f"Batch {batch}: invalid loss, terminating training.")
        self.model.stop_training = True
