"""Callback: what a user overrides to watch or steer training; CallbackList: what calls it."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable, Mapping, MutableMapping
from typing import TYPE_CHECKING, Any, cast

from kerastorch.core.errors import suggest, unknown, warn
from kerastorch.core.process_group import rank
from kerastorch.core.unsaved_attributes import changed_attributes, declares_state, snapshot

if TYPE_CHECKING:
    from kerastorch.module.trainable_model import TrainableModel

Logs = MutableMapping[str, Any]


class Callback:
    """Base of the callbacks. Override the hooks you need; only those are called.

    Attributes:
        model: the model being trained.
        params: `{"epochs", "steps", "verbose"}` of the running call; `steps` is `None` where unknown.
        monitor: the log this callback needs, checked before the first epoch; `None` if none.
        kept: the attributes that change while it is used, as counts and bests; a resumed training goes on with them.
            Of a class that says nothing of it, changes are noticed, and there is a warning when training goes on.
        adds: the logs this callback adds at the end of each epoch, for those after it to monitor.
        steers: whether its batch hooks change how the next batch is learned from.
        first_process_only: whether of several processes in a group only the first, of rank 0, has it, as it writes
            files or sends numbers.
        keeps_states: whether it keeps the states of the others, and so is told of everything after them.

    `logs` maps names to numbers: the running means at the end of a batch, those of the epoch (validation
    included, as `val_...`) at its end, where a callback may add entries for those after it.
    """

    monitor: str | None = None
    kept: tuple[str, ...] = ()
    first_process_only: bool = False
    keeps_states: bool = False
    adds: tuple[str, ...] = ()
    steers: bool = False
    model: TrainableModel = cast("TrainableModel", None)
    params: Mapping[str, Any] = {}

    def set_model(self, model: Any) -> None:
        """Called once before anything else."""
        self.model = model

    def set_params(self, params: Mapping[str, Any]) -> None:
        """Called once, after `set_model`."""
        self.params = params

    def state_dict(self) -> dict[str, Any]:
        """What a training that is resumed needs of this callback: the attributes named in `kept`.

        Numbers, text, tensors, arrays, and lists, tuples and dicts of them.
        """
        return {name: getattr(self, name) for name in self.kept}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on from what `state_dict` gave; called after `on_train_begin` and `on_epoch_begin`."""
        for name in self.kept:
            setattr(self, name, state[name])

    def needs(self) -> list[str]:
        """The logs without which this callback cannot do what it is for; `monitor`, if it has one."""
        return [] if self.monitor is None else [self.monitor]

    def on_train_begin(self, logs: Logs | None = None) -> None:
        """Before the first epoch; on a resumed training too, before `load_state_dict`."""

    def on_train_end(self, logs: Logs | None = None) -> None:
        """After the last epoch, on an interrupt or error too; `logs` are those of the last whole epoch."""

    def on_epoch_begin(self, epoch: int, logs: Logs | None = None) -> None:
        """Before an epoch, counted from 0."""

    def on_epoch_end(self, epoch: int, logs: Logs | None = None) -> None:
        """After an epoch and its validation."""

    def on_train_batch_begin(self, batch: int, logs: Logs | None = None) -> None:
        """Before a training batch, counted from 0 in its epoch."""

    def on_train_batch_end(self, batch: int, logs: Logs | None = None) -> None:
        """After a training batch; reading `logs` waits for the device, not reading costs nothing."""

    def on_batch_begin(self, batch: int, logs: Logs | None = None) -> None:
        """The older name of `on_train_batch_begin`."""

    def on_batch_end(self, batch: int, logs: Logs | None = None) -> None:
        """The older name of `on_train_batch_end`."""

    def on_test_begin(self, logs: Logs | None = None) -> None:
        """Before `evaluate`, and before the validation of an epoch."""

    def on_test_end(self, logs: Logs | None = None) -> None:
        """After it; `logs` have no `val_` here."""

    def on_test_batch_begin(self, batch: int, logs: Logs | None = None) -> None:
        """Before a batch of it."""

    def on_test_batch_end(self, batch: int, logs: Logs | None = None) -> None:
        """After a batch of it."""

    def on_predict_begin(self, logs: Logs | None = None) -> None:
        """Before `predict`."""

    def on_predict_end(self, logs: Logs | None = None) -> None:
        """After `predict`."""

    def on_predict_batch_begin(self, batch: int, logs: Logs | None = None) -> None:
        """Before a batch of `predict`."""

    def on_predict_batch_end(self, batch: int, logs: Logs | None = None) -> None:
        """After a batch of `predict`; `logs["outputs"]` are its outputs."""


HOOKS = tuple(name for name in vars(Callback) if name.startswith("on_"))
_GIVEN = ("model", "params")  # to each callback
_OLDER = {"on_train_batch_begin": "on_batch_begin", "on_train_batch_end": "on_batch_end"}


class CallbackList:
    """The callbacks of one call: each hook calls those that override it, in order.

    Args:
        callbacks: instances of `Callback`.
        model: what they are set to.
        params: what `callback.params` will be.

    Raises:
        TypeError: something that is no callback instance, or a misspelt hook.
    """

    def __init__(self, callbacks: Iterable[Callback], model: Any, params: Mapping[str, Any]) -> None:
        others = rank() > 0
        self.callbacks = [one for one in callbacks if not (others and getattr(one, "first_process_only", False))]
        for callback in self.callbacks:
            _check(callback)
        self.callbacks.sort(key=lambda callback: callback.keeps_states)
        self._hooks = {hook: [f for c in self.callbacks for f in _overridden(c, hook)] for hook in HOOKS}
        for callback in self.callbacks:
            callback.set_model(model)
            callback.set_params(params)
        self.snapshot_attributes()

    def snapshot_attributes(self) -> None:
        """Training begins: from now on what changes in callbacks is what would be lost with them."""
        self._seen = [snapshot(one, _GIVEN) for one in self.callbacks]

    def emit(self, hook: str, *args: Any) -> None:
        """Call `hook` of every callback that has it."""
        for function in self._hooks[hook]:
            function(*args)

    def emit_to_all(self, hook: str, *args: Any) -> None:
        """As `emit`, but an error of one keeps none of the others from being called; the first is raised at the end."""
        errors = []
        for function in self._hooks[hook]:
            try:
                function(*args)
            except Exception as error:
                errors.append(error)
        if errors:
            raise errors[0]

    def state_dict(self) -> list[dict[str, Any]]:
        """The state of each, in order, with the names of attributes that have changed and are not in it."""
        return [
            {
                "class": type(one).__name__,
                "state": one.state_dict(),
                "unkept": []
                if declares_state(one, Callback, ("kept", "state_dict"))
                else changed_attributes(one, before, _GIVEN),
            }
            for one, before in zip(self.callbacks, self._seen, strict=True)
        ]

    def load_state_dict(self, states: Iterable[Mapping[str, Any]]) -> None:
        """Hand states to the callbacks of the same classes, in order.

        Warns:
            UserWarning: there is none for a state; one has forgotten what it does not keep.
        """
        waiting = list(self.callbacks)
        for state in states:
            name = state["class"]
            callback = next((one for one in waiting if type(one).__name__ == name), None)
            if callback is None:
                if state["state"]:
                    warn(f"the checkpoint has the state of a {name}, which is not here.")
                continue
            waiting.remove(callback)
            if state["state"]:
                callback.load_state_dict(state["state"])
            if state["unkept"]:
                warn(
                    f"the callback {name} begins anew: the checkpoint has not kept its {', '.join(state['unkept'])}. "
                    "Name in `kept` what it is to go on with; `kept = ()` says that it is right to begin anew."
                )

    def has_hook(self, *hooks: str) -> bool:
        """Whether any callback has any of these hooks."""
        return any(self._hooks[hook] for hook in hooks)

    def steers(self, *hooks: str) -> bool:
        """Whether any of these hooks is of the user's own, which may change anything, or one that says it does."""
        functions = [function for hook in hooks for function in self._hooks[hook]]
        return any(
            not str(getattr(one, "__module__", None)).startswith("kerastorch.")
            or getattr(getattr(one, "__self__", None), "steers", False)
            for one in functions
        )


def listed(callbacks: Iterable[Callback] | Callback | None) -> list[Callback]:
    """What was given as `callbacks`: several, one, or none."""
    if callbacks is None:
        return []
    given: Any = callbacks
    return list(given) if isinstance(given, Iterable) and not isinstance(given, str) else [given]


def _overridden(callback: Callback, hook: str) -> list[Callable[..., None]]:
    names = [hook, _OLDER[hook]] if hook in _OLDER else [hook] if hook not in _OLDER.values() else []
    functions = [getattr(callback, name) for name in names]
    return [f for name, f in zip(names, functions, strict=True) if not _is_default(f, name)]


def _is_default(function: Any, name: str) -> bool:
    return getattr(function, "__func__", None) is getattr(Callback, name)


def _check(callback: Any) -> None:
    if inspect.isclass(callback):
        raise TypeError(f"callbacks: pass {callback.__name__}(), not the class {callback.__name__}.")
    if not isinstance(callback, Callback):
        raise TypeError(
            f"callbacks: {callback!r} is no kerastorch.callbacks.Callback. Pass instances of it, as "
            "callbacks=[kerastorch.callbacks.EarlyStopping(patience=3)]."
        )
    for name in dir(type(callback)):
        if name.startswith("on_") and name not in HOOKS and callable(getattr(callback, name, None)):
            raise TypeError(
                f"{type(callback).__name__}.{name} is no hook.{suggest(name, HOOKS)} Hooks: {', '.join(HOOKS)}."
            )


def _may_log(callback: Callback) -> bool:
    """Whether a callback is not one of ours, or made of functions that are not, and acts at the end of epochs."""
    ours = type(callback).__module__.startswith("kerastorch.") and "on_epoch_end" not in vars(callback)
    return not ours and bool(_overridden(callback, "on_epoch_end"))


def check_monitors(callbacks: Iterable[Callback], available: list[str], validates: bool) -> None:
    """Refuse a monitored name that no epoch will log; before the first epoch, with the names that will be.

    A callback of the user's own may log more names for those after it: then nothing is refused here.
    """
    known = list(available)
    for callback in callbacks:
        if _may_log(callback):
            return
        for name in callback.needs():
            _check_monitor(callback, name, known, validates)
        known += callback.adds


def _check_monitor(callback: Callback, name: str, known: list[str], validates: bool) -> None:
    if name in known or any(name.startswith((f"{one}_", f"{one}/")) for one in known):
        return  # a metric of several values logs each as name_part
    if name.startswith("val_") and not validates and name.removeprefix("val_") in known:
        verb = "monitors" if name == callback.monitor else "needs"
        raise ValueError(f"{type(callback).__name__} {verb} {name!r}, but no validation data was given.")
    raise ValueError(f"{type(callback).__name__}: {unknown('metric', name, known)}")
