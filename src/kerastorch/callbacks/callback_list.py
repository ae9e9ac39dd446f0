"""CallbackList: calls the hooks of callbacks, and captures their states."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import TYPE_CHECKING, Any, Protocol, cast

from torch import nn

from kerastorch.callbacks.base import ALL_HOOKS, Callback, Logs
from kerastorch.callbacks.not_a_callback import not_a_callback
from kerastorch.callbacks.rank_hooks import check_same_callbacks, end_epoch
from kerastorch.callbacks.renamed_attributes import adopt_old_names
from kerastorch.callbacks.time_budget import TimeBudget
from kerastorch.checkpoint.rotation import MakeRotation
from kerastorch.core.call_mode import called_by_hand
from kerastorch.core.errors import CheckpointError, suggest, unknown, warn
from kerastorch.core.module_tree import modules
from kerastorch.core.ownership import is_own
from kerastorch.core.process_group import alone, rank
from kerastorch.core.unsaved_attributes import changed_attributes, declares_state, snapshot

if TYPE_CHECKING:
    from kerastorch.module.trainable_model import TrainableModel

_SET_BY_LIST = ("model", "params")
_OLDER_HOOKS = {"on_train_batch_begin": "on_batch_begin", "on_train_batch_end": "on_batch_end"}
_OLDER_CLASSES = {"Schedule": "LRScheduler"}  # class names in states that earlier releases saved


class Checkpointer(Protocol):
    """A callback that writes and reads the state of a fit. It asks `fit` for states, and `fit` restores them."""

    @property
    def location(self) -> str:
        """Return where the checkpoint is, for messages."""

    def load(self, capture: Callable[[], Mapping[str, Any]], rotation: MakeRotation) -> Mapping[str, Any] | None:
        """Return the last saved state of an unfinished fit, if there is one.

        Args:
            capture: Returns the present state, whenever the callback saves it.
            rotation: Makes what writes and reads the files of a folder: one process, or all ranks together.
        """

    def announce_resume(self, epoch: int, batch: int) -> None:
        """Report that training resumes at a batch of an epoch, both counted from 0."""

    def save_now(self, state: Mapping[str, Any]) -> None:
        """Write a state, and wait until it is written, because training is interrupted."""

    def finish(self) -> None:
        """Delete or mark the checkpoint of a fit that ended normally."""


class CallbackList:
    """The callbacks of one call of `fit`, `evaluate` or `predict`, called in order.

    Args:
        callbacks: Instances of `Callback`.
        model: Model that becomes the attribute `model` of each callback.
        params: Dict that becomes the attribute `params` of each callback.
        shared: Whether several ranks train the model together: callbacks then run on rank 0 unless they have
            `every_rank`, and those of rank 0 alone do not wait for the other ranks.

    Attributes:
        callbacks: Callbacks of this process, those that replace weights first, checkpointers last.
        of_all_ranks: The same with those that rank 0 alone runs.

    Raises:
        TypeError: An element is not a callback instance, or one of its hooks is misspelt.
        RuntimeError: The ranks have different callbacks with `every_rank`.
    """

    def __init__(
        self, callbacks: Iterable[Callback], model: nn.Module, params: Mapping[str, Any], *, shared: bool = False
    ) -> None:
        self._shared, self._model = shared, model
        self.of_all_ranks = list(callbacks)
        for callback in self.of_all_ranks:
            _check_callback(callback)
            adopt_old_names(type(callback), stacklevel=2)
            callback.set_model(cast("TrainableModel", model))
            callback.set_params(params)
        self.of_all_ranks.sort(key=lambda callback: (callback.is_checkpointer, not callback.replaces_weights))
        self.callbacks = [one for one in self.of_all_ranks if rank() == 0 or self._runs_elsewhere(one)]
        if shared:
            check_same_callbacks([type(one).__name__ for one in self.callbacks if one.every_rank])
        self._hooks = {hook: [f for c in self.callbacks for f in self._functions(c, hook)] for hook in ALL_HOOKS}
        self.snapshot_attributes()

    def _runs_elsewhere(self, callback: Callback) -> bool:
        """Return whether a callback runs on other ranks than 0."""
        return callback.every_rank if self._shared else not callback.first_process_only

    def _functions(self, callback: Callback, hook: str) -> list[Callable[..., None]]:
        """Return what is called for a hook of a callback."""
        functions = _overridden_hooks(callback, hook)
        if getattr(self._model, "_called_as_keras", False) and not is_own(callback):
            functions = [_ByHandHook(one, self._model) for one in functions]
        return [_AloneHook(one) for one in functions] if self._shared and not callback.every_rank else functions

    @property
    def checkpointer(self) -> Checkpointer | None:
        """Return the callback that saves the state of the fit, if there is one.

        Raises:
            CheckpointError: There are two.
        """
        found = [one for one in self.callbacks if one.is_checkpointer and hasattr(one, "save_now")]
        if len(found) > 1:
            raise CheckpointError(
                "two callbacks would save the state of this training; pass resume= or one BackupAndRestore."
            )
        return cast(Checkpointer, found[0]) if found else None

    def snapshot_attributes(self) -> None:
        """Record the attributes of all callbacks, to detect later which of them training has changed."""
        self._seen = [snapshot(one, _SET_BY_LIST) for one in self.callbacks]

    def emit(self, hook: str, *args: Any) -> None:
        """Call `hook` of every callback that overrides it."""
        for function in self._hooks[hook]:
            function(*args)

    def end_epoch(self, epoch: int, logs: Logs) -> None:
        """Call `on_epoch_end` of every callback that overrides it; what one adds to the logs, all later ones get.

        Args:
            epoch: Number of the epoch, from 0.
            logs: Means of the epoch.
        """
        if self._shared:
            calls = [(one, not isinstance(one, _AloneHook)) for one in self._hooks["on_epoch_end"]]
            end_epoch(calls, epoch, logs)
        else:
            self.emit("on_epoch_end", epoch, logs)

    def emit_to_all(self, hook: str, *args: Any) -> None:
        """Call `hook` of every callback that overrides it, even if some fail; then raise the first error."""
        errors = []
        for function in self._hooks[hook]:
            try:
                function(*args)
            except Exception as error:
                errors.append(error)
        if errors:
            raise errors[0]

    def state_dict(self) -> list[dict[str, Any]]:
        """Return the state of each callback, in order, with the names of changed attributes that are not in it."""
        return [
            {
                "class": type(one).__name__,
                "state": one.state_dict(),
                "unsaved": []
                if declares_state(one, Callback, ("state_attributes", "state_dict"))
                else changed_attributes(one, before, _SET_BY_LIST),
            }
            for one, before in zip(self.callbacks, self._seen, strict=True)
        ]

    def load_state_dict(self, states: Iterable[Mapping[str, Any]]) -> None:
        """Restore each state into the next callback of the same class.

        Args:
            states: List that `state_dict` returned.

        Warns:
            UserWarning: There is no callback for a state, or changed attributes of a callback were not saved.
        """
        waiting = list(self.callbacks)
        for state in states:
            name = self._current_class_name(state["class"])
            callback = next((one for one in waiting if type(one).__name__ == name), None)
            if callback is None:
                if state["state"] and (rank() == 0 or not self._shared):
                    warn(f"the checkpoint has the state of a {name}, which is not here.")
                continue
            waiting.remove(callback)
            if state["state"]:
                callback.load_state_dict(state["state"])
            if unsaved := state.get("unsaved", state.get("unkept")):
                warn(
                    f"the callback {name} starts from its initial state: the checkpoint does not contain its "
                    f"{', '.join(unsaved)}. Name the attributes to restore in `state_attributes`; "
                    "`state_attributes = ()` means that none of them need to be restored."
                )

    def _current_class_name(self, saved: str) -> str:
        """Return the name that a saved class has in this release."""
        has_saved_name = any(type(one).__name__ == saved for one in self.callbacks)  # a class of the user's
        return saved if has_saved_name else _OLDER_CLASSES.get(saved, saved)

    def has_hook(self, *hooks: str) -> bool:
        """Return whether any callback overrides any of these hooks."""
        return any(self._hooks[hook] for hook in hooks)

    def modifies_training(self, *hooks: str) -> bool:
        """Return whether any of these hooks may change how the next batch is trained on.

        Hooks of user-defined classes count, as they may change anything.
        """
        functions = [function for hook in hooks for function in self._hooks[hook]]
        return any(
            not is_own(one) or getattr(getattr(one, "__self__", None), "modifies_training", False) for one in functions
        )

    def may_end_epoch(self) -> bool:
        """Return whether a hook of batches may end an epoch before its last batch."""
        hooks = "on_train_batch_begin", "on_train_batch_end"
        return self.modifies_training(*hooks) or any(isinstance(one, TimeBudget) for one in self.callbacks)


class _AloneHook:
    """A hook of a callback that one rank of several runs: what it calls does not wait for the other ranks.

    Args:
        function: The bound method.
    """

    def __init__(self, function: Callable[..., None]) -> None:
        self._function, self.__self__ = function, getattr(function, "__self__", None)
        self.__module__ = getattr(function, "__module__", "")  # tells who has defined the hook

    def __call__(self, *args: Any) -> None:
        with alone():
            self._function(*args)


class _ByHandHook:
    """A hook of the user's in which calls of the model evaluate unless they say otherwise, as in Keras.

    Args:
        function: The bound method.
        model: The model.
    """

    def __init__(self, function: Callable[..., None], model: nn.Module) -> None:
        self._function, self._model = function, model
        self.__self__ = getattr(function, "__self__", None)
        self.__module__ = getattr(function, "__module__", "")

    def __call__(self, *args: Any) -> None:
        with called_by_hand(modules(self._model)):
            self._function(*args)


def to_list(callbacks: Iterable[Callback] | Callback | None) -> list[Callback]:
    """Return the argument `callbacks`, which may be an iterable, one callback, or `None`, as a list."""
    if callbacks is None:
        return []
    given: Any = callbacks
    return list(given) if isinstance(given, Iterable) and not isinstance(given, str) else [given]


def _overridden_hooks(callback: Callback, hook: str) -> list[Callable[..., None]]:
    """Return the methods of a callback to call for `hook`: those under its name and its older name."""
    names = [hook, _OLDER_HOOKS[hook]] if hook in _OLDER_HOOKS else [hook] if hook not in _OLDER_HOOKS.values() else []
    functions = [getattr(callback, name) for name in names]
    return [f for name, f in zip(names, functions, strict=True) if not _is_default(f, name)]


def _is_default(function: Any, name: str) -> bool:
    """Return whether a bound method is the empty hook of `Callback`."""
    return getattr(function, "__func__", None) is getattr(Callback, name)


def _check_callback(callback: object) -> None:
    """Check that `callback` is an instance of `Callback` without misspelt hooks.

    Raises:
        TypeError: It is something else, or a method that begins with `on_` is not a hook.
    """
    if not isinstance(callback, Callback):
        raise not_a_callback(callback)
    for name in dir(type(callback)):
        if name.startswith("on_") and name not in ALL_HOOKS and callable(getattr(callback, name, None)):
            raise TypeError(
                f"{type(callback).__name__}.{name} is not a hook.{suggest(name, ALL_HOOKS)} "
                f"Hooks: {', '.join(ALL_HOOKS)}."
            )


def _may_add_logs(callback: Callback) -> bool:
    """Return whether a callback runs user code at the end of epochs, which may add logs."""
    ours = is_own(callback) and "on_epoch_end" not in vars(callback)
    return not ours and bool(_overridden_hooks(callback, "on_epoch_end"))


def check_monitors(
    callbacks: Iterable[Callback],
    available: list[str],
    validates: bool,
    may_be_logged: Callable[[str], bool] = lambda name: False,
) -> None:
    """Check before the first epoch that all logs that callbacks require will exist.

    The check ends at the first user-defined callback with `on_epoch_end`, as it may add logs under any name.

    Args:
        callbacks: Callbacks in the order of their calls.
        available: Names of the logs of `fit` itself.
        validates: Whether `fit` has validation data.
        may_be_logged: Returns whether `fit` may add a log of this name that is not known yet.

    Raises:
        ValueError: A required log will not exist; the message lists those that will.
    """
    known = list(available)
    for callback in callbacks:
        if _may_add_logs(callback):
            return
        for name in callback.required_logs:
            if not may_be_logged(name):
                _check_log(callback, name, known, validates)
        known += callback.logs_added


def _check_log(callback: Callback, name: str, known: list[str], validates: bool) -> None:
    """Raise a ValueError if the log `name` is not `known`, nor one of the values of a known metric."""
    if name in known or any(name.startswith((f"{one}_", f"{one}/")) for one in known):
        return  # a metric of several values logs each as name_part
    if name.startswith("val_") and not validates and name.removeprefix("val_") in known:
        verb = "monitors" if name == callback.monitor else "needs"
        raise ValueError(f"{type(callback).__name__} {verb} {name!r}, but no validation data was given.")
    raise ValueError(f"{type(callback).__name__}: {unknown('metric', name, known)}")
