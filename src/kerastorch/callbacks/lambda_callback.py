"""LambdaCallback: a callback made of functions."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from kerastorch.callbacks.base import ALL_HOOKS, Callback
from kerastorch.core.errors import mismatch


class LambdaCallback(Callback):
    """A callback made of functions, one for each hook, with the arguments of the hook.

    Args:
        on_epoch_begin: Function of `(epoch, logs)`, called before each epoch.
        on_epoch_end: Function of `(epoch, logs)`, called after each epoch and its validation.
        on_train_begin: Function of `(logs)`, called before the first epoch.
        on_train_end: Function of `(logs)`, called after the last epoch.
        on_train_batch_begin: Function of `(batch, logs)`, called before each training batch.
        on_train_batch_end: Function of `(batch, logs)`, called after each training batch.
        on_after_backward: Function without arguments, called after each backward pass of `fit`.
        on_before_optimizer_step: Function of `(optimizer)`, called before each step of an optimizer.
        on_test_begin: Function of `(logs)`, called before `evaluate` or a validation.
        on_test_end: Function of `(logs)`, called after `evaluate` or a validation.
        on_test_batch_begin: Function of `(batch, logs)`, called before each evaluation batch.
        on_test_batch_end: Function of `(batch, logs)`, called after each evaluation batch.
        on_predict_begin: Function of `(logs)`, called before `predict`.
        on_predict_end: Function of `(logs)`, called after `predict`.
        on_predict_batch_begin: Function of `(batch, logs)`, called before each batch of `predict`.
        on_predict_batch_end: Function of `(batch, logs)`, called after each batch of `predict`.

    Raises:
        ValueError: An argument is not a function.

    >>> def show(epoch, logs):
    ...     print(epoch, logs["loss"])
    >>> LambdaCallback(on_epoch_end=show)
    LambdaCallback(on_epoch_end=show)
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
        on_after_backward: Callable[..., Any] | None = None,
        on_before_optimizer_step: Callable[..., Any] | None = None,
    ) -> None:
        arguments = locals()
        for hook in ALL_HOOKS:
            function = arguments.get(hook)
            if function is None:
                continue
            if not callable(function):
                raise mismatch(hook, function, "a function")
            setattr(self, hook, function)
