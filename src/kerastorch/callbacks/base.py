"""Callback: the base class whose hooks a user overrides."""

from __future__ import annotations

from collections.abc import Mapping, MutableMapping, Sequence
from typing import TYPE_CHECKING, Any, cast

from kerastorch.callbacks.callback_repr import constructor_call
from kerastorch.callbacks.renamed_attributes import RENAMED_ATTRIBUTES, RenamedAttribute, adopt_old_names
from kerastorch.core.keyword_hints import KeywordHints
from kerastorch.core.overridable_property import overridable_property

if TYPE_CHECKING:
    import torch

    from kerastorch.module.trainable_model import TrainableModel

Logs = MutableMapping[str, Any]


class Callback(KeywordHints):
    """Base class of all callbacks. Only the hooks that a subclass overrides are called.

    `logs` maps names to numbers. At the end of a batch they are the means over the epoch so far. At the end of an
    epoch they are the means of the whole epoch, with validation results as `val_...`; a callback may add entries,
    which the callbacks after it and the history receive.

    Attributes:
        model: Model that is trained, evaluated or used for prediction.
        params: `{"epochs", "steps", "verbose"}` of the running call; `steps` is `None` if it is unknown.
        monitor: Name of the log that this callback follows. `fit` checks it before the first epoch, unless this or an
            earlier callback of your own has `on_epoch_end`, which may add it. Default `None`.
        state_attributes: Names of the attributes that change during training, such as counts and best values.
            Checkpoints save them and a resumed training restores them. If a class does not declare
            `state_attributes`, changed attributes are detected, and a resumed training warns that they are lost.
        logs_added: Names of the logs that this callback adds at the end of each epoch, which later callbacks may
            monitor.
        modifies_training: Whether the batch hooks change how the next batch is trained on. Default `False`.
        replaces_weights: Whether this callback gives the model other weights at the end of epochs, such as an average;
            its hooks are called before those of the other callbacks. Default `False`.
        every_rank: Whether all processes run this callback if several train a model together, because it changes how
            the model is trained, or decides when training ends. Default `False`: rank 0 alone runs it, and meanwhile
            `evaluate` and `predict` work in this process alone. The logs of epochs are the same on all ranks; those of
            batches are of the rows of this process.
        first_process_only: Whether rank 0 alone runs this callback in a process group whose processes train models of
            their own, because it writes files or sends numbers. Default `False`.
        is_checkpointer: Whether this callback saves the states of the other callbacks; its hooks are called after
            theirs. Default `False`.

    The old names `kept`, `adds`, `needs`, `steers` and `keeps_states` of `state_attributes`, `logs_added`,
    `required_logs`, `modifies_training` and `is_checkpointer` work for this release, with a `DeprecationWarning`.

    >>> class CountBatches(Callback):
    ...     state_attributes = ("batches",)
    ...
    ...     def on_train_begin(self, logs=None):
    ...         self.batches = 0
    ...
    ...     def on_train_batch_end(self, batch, logs=None):
    ...         self.batches += 1
    """

    monitor: str | None = None
    state_attributes: tuple[str, ...] = ()
    every_rank: bool = False
    first_process_only: bool = False
    is_checkpointer: bool = False
    replaces_weights: bool = False
    logs_added: tuple[str, ...] = ()
    modifies_training: bool = False
    model: TrainableModel = cast("TrainableModel", None)
    params: Mapping[str, Any] = {}

    def __init_subclass__(cls, **options: Any) -> None:
        super().__init_subclass__(**options)
        adopt_old_names(cls, stacklevel=2)

    def __repr__(self) -> str:
        return constructor_call(self)

    def set_model(self, model: TrainableModel) -> None:
        """Set the attribute `model`; called once, before all hooks."""
        self.model = model

    def set_params(self, params: Mapping[str, Any]) -> None:
        """Set the attribute `params`; called once, after `set_model`."""
        self.params = params

    def state_dict(self) -> dict[str, Any]:
        """Return what a resumed training needs of this callback: by default the `state_attributes` and their values.

        Values may be numbers, text, tensors, arrays, and lists, tuples and dicts of them.
        """
        return {name: getattr(self, name) for name in self.state_attributes}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Restore what `state_dict` returned; called after `on_train_begin` and `on_epoch_begin`."""
        for name in self.state_attributes:
            setattr(self, name, state[name])

    @overridable_property
    def required_logs(self) -> Sequence[str]:
        """Names of the logs that this callback cannot work without; by default `monitor`, if it is set."""
        return [] if self.monitor is None else [self.monitor]

    def on_train_begin(self, logs: Logs | None = None) -> None:
        """Called before the first epoch; if training is resumed, before `load_state_dict`."""

    def on_train_end(self, logs: Logs | None = None) -> None:
        """Called after the last epoch, also after an interrupt or error.

        Args:
            logs: Logs of the last completed epoch.
        """

    def on_epoch_begin(self, epoch: int, logs: Logs | None = None) -> None:
        """Called before each epoch, counted from 0."""

    def on_epoch_end(self, epoch: int, logs: Logs | None = None) -> None:
        """Called after each epoch and its validation."""

    def on_train_batch_begin(self, batch: int, logs: Logs | None = None) -> None:
        """Called before each training batch, counted from 0 in its epoch."""

    def on_train_batch_end(self, batch: int, logs: Logs | None = None) -> None:
        """Called after each training batch; reading `logs` waits for the device."""

    def on_after_backward(self) -> None:
        """Called after each backward pass of `fit`; gradients are in `grad` of the weights.

        With float16 or `loss_scale_factor` they are still scaled. With `gradient_accumulation_steps` they may hold
        those of earlier batches, too. Not called if a step of your own calls `loss.backward()` itself.
        """

    def on_before_optimizer_step(self, optimizer: torch.optim.Optimizer) -> None:
        """Called before each step of an optimizer in `fit`, with unscaled gradients that are not clipped yet.

        It is not called for batches without a step: while gradients are accumulated, and if `TerminateOnNaN` refuses
        the step. Optimizers that compute the loss several times, such as `LBFGS`, do not call it. Changed gradients
        (`weight.grad`) are what the optimizer uses. With this hook or `on_after_backward`, `jit_compile` has no effect.

        Args:
            optimizer: The optimizer that makes the step.
        """

    def on_batch_begin(self, batch: int, logs: Logs | None = None) -> None:
        """Older name of `on_train_batch_begin`."""

    def on_batch_end(self, batch: int, logs: Logs | None = None) -> None:
        """Older name of `on_train_batch_end`."""

    def on_test_begin(self, logs: Logs | None = None) -> None:
        """Called before `evaluate`, and before the validation of an epoch."""

    def on_test_end(self, logs: Logs | None = None) -> None:
        """Called after `evaluate`, and after the validation of an epoch; names in `logs` have no `val_` here."""

    def on_test_batch_begin(self, batch: int, logs: Logs | None = None) -> None:
        """Called before each evaluation batch."""

    def on_test_batch_end(self, batch: int, logs: Logs | None = None) -> None:
        """Called after each evaluation batch."""

    def on_predict_begin(self, logs: Logs | None = None) -> None:
        """Called before `predict`."""

    def on_predict_end(self, logs: Logs | None = None) -> None:
        """Called after `predict`."""

    def on_predict_batch_begin(self, batch: int, logs: Logs | None = None) -> None:
        """Called before each batch of `predict`."""

    def on_predict_batch_end(self, batch: int, logs: Logs | None = None) -> None:
        """Called after each batch of `predict`; `logs["outputs"]` are the outputs of the batch."""


for _old in RENAMED_ATTRIBUTES:
    setattr(Callback, _old, RenamedAttribute(Callback, _old))

STEP_HOOKS = ("on_after_backward", "on_before_optimizer_step")  # within a training step; Keras has none of them
HOOKS = tuple(name for name in vars(Callback) if name.startswith("on_") and name not in STEP_HOOKS)
ALL_HOOKS = (*HOOKS, *STEP_HOOKS)
