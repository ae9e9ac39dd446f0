"""`CallbackList` as scripts of Keras make it, for a loop of their own."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from functools import partial
from typing import TYPE_CHECKING, Any

from torch import nn

from kerastorch.callbacks.base import ALL_HOOKS, Callback, Logs
from kerastorch.callbacks.callback_list import CallbackList as BaseCallbackList
from kerastorch.callbacks.callback_list import to_list
from kerastorch.callbacks.history import History
from kerastorch.callbacks.progress_bar import ProgressBar


class CallbackList(BaseCallbackList):
    """Callbacks whose hooks a loop of one's own calls, as `callbacks.on_epoch_end(epoch, logs)`.

    Each hook of a callback is a method, whose `logs` may be left out.

    Args:
        callbacks: A callback, or a list of them. Default none.
        add_history: Whether a `History` is added if there is none; it is `model.history` once training ends. Default
            `False`.
        add_progbar: Whether a `ProgressBar` is added if there is none; the model must be compiled, and `epochs=` be
            given. Default `False`.
        model: The model, which callbacks have as `self.model`. Default none.
        **params: What callbacks have as `self.params`, such as `epochs=3` and `steps=100`.

    Raises:
        TypeError: An element is not a callback.

    >>> import kerastorch.keras as keras
    >>> model = keras.Sequential([keras.Input((2,)), keras.layers.Dense(1)])
    >>> callbacks = CallbackList(add_history=True, model=model, epochs=1)
    >>> callbacks.on_train_begin()
    >>> callbacks.on_epoch_begin(0)
    >>> callbacks.on_epoch_end(0, {"loss": 0.5})
    >>> callbacks.on_train_end()
    >>> model.history.history
    {'loss': [0.5]}
    """

    def __init__(
        self,
        callbacks: Iterable[Callback] | Callback | None = None,
        add_history: bool = False,
        add_progbar: bool = False,
        model: nn.Module | None = None,
        **params: Any,
    ) -> None:
        listed = to_list(callbacks)
        self._history = next((one for one in listed if isinstance(one, History)), None)
        if add_history and self._history is None:
            self._history = History()
            listed.append(self._history)
        if add_progbar and not any(isinstance(one, ProgressBar) for one in listed):
            listed.append(ProgressBar())
        self._given_model: Any = model
        super().__init__(listed, model, params)  # type: ignore[arg-type]  # a model may be set later

    def set_model(self, model: nn.Module) -> None:
        """Give all callbacks a model.

        Args:
            model: The model.
        """
        self._given_model = model
        for callback in self.callbacks:
            callback.set_model(model)  # type: ignore[arg-type]

    def set_params(self, params: Mapping[str, Any]) -> None:
        """Give all callbacks parameters.

        Args:
            params: What they have as `self.params`.
        """
        for callback in self.callbacks:
            callback.set_params(params)

    def on_epoch_end(self, epoch: int, logs: Logs | None = None) -> None:
        """Call `on_epoch_end` of all callbacks; what one adds to the logs, later ones get.

        Args:
            epoch: Number of the epoch, from 0.
            logs: Means of the epoch. Default none.
        """
        self.end_epoch(epoch, {} if logs is None else logs)

    def on_train_end(self, logs: Logs | None = None) -> None:
        """Call `on_train_end` of all callbacks, and let the model have the history.

        Args:
            logs: Means of the last epoch. Default none.
        """
        self.emit("on_train_end", logs or {})
        if self._history is not None and self._given_model is not None:
            self._given_model.history = self._history

    def _emit_with_logs(self, hook: str, *args: Any, logs: Logs | None = None) -> None:
        has_number = "batch" in hook or "epoch" in hook
        complete = args if len(args) > has_number else (*args, {} if logs is None else logs)
        self.emit(hook, *complete)

    if not TYPE_CHECKING:

        def __getattr__(self, name: str) -> Any:
            older = {"on_batch_begin": "on_train_batch_begin", "on_batch_end": "on_train_batch_end"}
            hook = older.get(name, name)
            if hook in ALL_HOOKS:
                return partial(self._emit_with_logs, hook)
            raise AttributeError(f"CallbackList has no {name!r}.")
