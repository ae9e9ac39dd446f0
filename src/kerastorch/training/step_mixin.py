"""StepMixin: what a model does with one batch; override a method to train, evaluate or predict differently."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import nullcontext
from dataclasses import replace
from functools import partial
from typing import Any

from torch import Tensor

from kerastorch.core.call_mode import evaluates_by_default
from kerastorch.core.module_tree import modules
from kerastorch.core.overridable_property import overridable_property
from kerastorch.core.train_mode import mode_within_call
from kerastorch.data.adaptive_batch_size import can_be_measured
from kerastorch.data.batch_reader import BatchReader
from kerastorch.data.batches import Batch
from kerastorch.data.data_tuples import unpack_x_y_sample_weight
from kerastorch.functional.functional_model import Functional
from kerastorch.module.base_module import added_losses
from kerastorch.module.unregistered_modules import check_registered
from kerastorch.regularizers import collect_penalties
from kerastorch.runtime.call_module import call_module, forward_inputs
from kerastorch.runtime.input_rows import InputRows
from kerastorch.training import own_metrics
from kerastorch.training.auxiliary_losses import may_call_add_loss
from kerastorch.training.model_loss import NoLossReturnedError
from kerastorch.training.own_loss import recorded
from kerastorch.training.own_steps import CompiledMetrics, LossTracker
from kerastorch.training.own_steps import own_metrics as own_metrics_of
from kerastorch.training.preflight import check_targets_are_given
from kerastorch.training.trainer import Trainer

STEPS = ("train_step", "test_step", "predict_step", "compute_loss", "compute_metrics")


class StepMixin(Functional):
    """A model whose steps on a batch can be overridden; they use the losses, metrics and optimizer of `compile`."""

    _trainer: Trainer | None = None

    def __init_subclass__(cls, **options: Any) -> None:
        super().__init_subclass__(**options)
        if "compute_loss" in vars(cls):
            cls.compute_loss = recorded(cls.compute_loss)  # type: ignore[method-assign]

    def train_step(self, batch: Batch) -> Mapping[str, Any]:
        """Train on one batch; override this method to train differently.

        The default computes the outputs and the loss, makes one step of the optimizer, and updates the metrics.

        Args:
            batch: `(x, y, sample_weight)` on the model's device; `y` and `sample_weight` may be `None`. A method whose
                parameter is called `data` gets the structure of the data instead, as in Keras: `(x, y)`,
                `(x, y, sample_weight)`, or `x` alone.

        Returns:
            The logs of the batch, by name: numbers or scalar tensors, which `fit` averages over the samples of the
            epoch, and results of metric objects, of which the last one is logged. The compiled metrics are added.

        >>> import kerastorch as kt
        >>> class TenfoldLoss(kt.Sequential):
        ...     def train_step(self, data):
        ...         x, y = data
        ...         y_pred = self(x)
        ...         loss = 10 * self.compute_loss(x, y, y_pred)
        ...         self.trainer.backward_and_step(loss)  # backward, then one step of the optimizer
        ...         return self.compute_metrics(x, y, y_pred)  # the loss and the metrics
        >>> model = TenfoldLoss([kt.layers.Dense(1, kernel_initializer="zeros")])
        >>> model.compile("sgd", "mse")
        >>> model.fit([[1.0], [1.0]], [[1.0], [1.0]], verbose=0).history["loss"]
        [10.0]
        """
        x, y, sample_weight = batch if type(batch) is Batch else unpack_x_y_sample_weight(batch)
        with mode_within_call(self, True) if evaluates_by_default(self) else nullcontext():  # in a step of the user's
            y_pred = call_module(self, x)
        loss = self.compute_loss(x, y, y_pred, sample_weight, training=True)
        self.trainer.backward_and_step(loss)
        results = self.compute_metrics(x, y, y_pred, sample_weight)
        return {**(results or {}), "loss": loss, **self.trainer.context.loss_parts}

    def test_step(self, batch: Batch) -> Mapping[str, Any]:
        """Evaluate one batch, in `evaluate` and in the validation of `fit`; override this method to change both.

        The model is in evaluation mode, and no gradients are recorded, unless `compile` was given
        `gradients_in_evaluation=True`. A model that returns its loss in training mode only has no loss here.

        Args:
            batch: As for `train_step`.

        Returns:
            The logs of the batch, by name, as `train_step` returns them.
        """
        x, y, sample_weight = batch if type(batch) is Batch else unpack_x_y_sample_weight(batch)
        y_pred = call_module(self, x)
        try:
            logs: Mapping[str, Any] = {"loss": self.compute_loss(x, y, y_pred, sample_weight, training=False)}
        except NoLossReturnedError:
            if not self.trainer.metrics:
                raise
            self.trainer.compiled_loss.metric_inputs.say_no_loss(y_pred)
            logs = {}
        results = self.compute_metrics(x, y, y_pred, sample_weight)
        return {**(results or {}), **logs, **self.trainer.context.loss_parts}

    def predict_step(self, x: Any) -> Any:
        """Return the outputs for one batch of inputs, in `predict`; override this method to return something else.

        Args:
            x: The inputs on the model's device: a tensor, or a tuple, list or dict of tensors. A method whose parameter
                is called `data` gets several inputs within a tuple, `(x,)`, as in Keras.

        Returns:
            A tensor of shape `(batch, ...)`, or a tuple, list or dict of such tensors.
        """
        return call_module(self, x)

    def compute_loss(
        self,
        x: Any = None,
        y: Any = None,
        y_pred: Any = None,
        sample_weight: Any = None,
        training: bool = True,
    ) -> Tensor:
        """Return the loss of one batch: the compiled losses, weighted and summed, plus penalties and `add_loss`.

        Args:
            x: The inputs, from which the masks of the outputs are found. Default: those of the running batch.
            y: The targets, in the structure of the outputs.
            y_pred: The outputs of the model.
            sample_weight: A weight for each sample, shape `(batch,)`; or such weights by output. Default: each sample
                counts the same.
            training: Whether the loss is that of a training step. The default loss is the same in evaluation. An
                override may leave this parameter out.

        Returns:
            A scalar tensor, to be minimized.

        Raises:
            ValueError: The targets or outputs do not fit the losses given to `compile`.
        """
        trainer = self.trainer
        if x is None:
            x = trainer.context.x
        context = trainer.context
        masks = trainer.output_mask(x, y_pred)
        return context.record_loss(trainer.compiled_loss(y, y_pred, sample_weight, masks, context.global_weights))

    def compute_metrics(self, x: Any, y: Any, y_pred: Any, sample_weight: Any = None) -> Mapping[str, Any]:
        """Update the compiled metrics with one batch; return the loss and the results of all metrics, as in Keras.

        The results are computed when they are read: once, at the end of the epoch, if a step returns them.

        Args:
            x: The inputs, from which the masks of the outputs are found; `None` for those of the running batch.
            y: The targets, in the structure of the outputs.
            y_pred: The outputs of the model.
            sample_weight: Weights of the samples, for `weighted_metrics`.

        Returns:
            A dict by log name, with the loss of the step, the compiled metrics, and the metric objects that are
            attributes of the model. It is empty outside of a step of your own.

        Raises:
            ValueError: Metrics were given as a list, but the model returns a dict of outputs.
        """
        trainer = self.trainer
        loss = trainer.compiled_loss
        if trainer.metrics and not (self.training and loss.metric_inputs.are_missing(y_pred)):
            weight = sample_weight if trainer.has_weighted_metrics else None
            x = trainer.context.x if x is None else x
            masks = trainer.output_mask(x, y_pred)
            inputs = loss.metric_inputs(
                x, y, y_pred, masks, trainer.metrics, weight, shares_targets=loss.is_of_all_outputs
            )
            trainer.context.metrics.update(*inputs)
        return dict(trainer.context.results)

    def get_metrics_result(self) -> Mapping[str, Any]:
        """Return the loss and the results of all metrics in a step of your own, as `compute_metrics` does."""
        return dict(self.trainer.context.results)

    @overridable_property
    def metrics(self) -> list[Any]:
        """The metrics, as objects with `name`, `update_state`, `result` and `reset_state`, as in Keras.

        The first one, `"loss"`, logs a loss: `update_state(loss)`. The second one, `"compile_metrics"`, has all metrics
        of `compile`, if there are any: `update_state(y, y_pred)`. Then come the metric objects that are attributes of
        the model and its layers, whose states `fit` and `evaluate` reset before each pass over the data. A model that
        is not compiled has only these.
        """
        if self._trainer is None:
            return own_metrics.find_metrics(self, None)
        trainer = self._trainer
        compiled = CompiledMetrics(lambda: trainer.context, partial(StepMixin.compute_metrics, self, None))
        listed = [LossTracker(lambda: trainer.context), *([compiled] if trainer.metrics else [])]
        return [*listed, *own_metrics.find_metrics(self, trainer.compile_args.get("metrics"))]

    def reset_metrics(self) -> None:
        """Reset the metrics; `fit` calls it before each epoch, and `evaluate` before its pass."""
        own = own_metrics.find_metrics(self, None) if self._trainer is None else own_metrics_of(self._trainer)
        own_metrics.reset(own)

    @overridable_property
    def losses(self) -> list[Tensor]:
        """The terms that the model adds to the loss, as scalars: what `add_loss` was given, and the penalties.

        What was added in the last call in which a layer has added anything comes first; in a step, in all calls of this
        step. Then come the penalties of trainable weights, also those of `compile(regularizers=...)`. `compute_loss`
        includes all of them. Penalties of outputs, `activity_regularizer`, are there in a step of `fit` or `evaluate`
        only.

        Warns:
            UserWarning: A layer has an `activity_regularizer`, and no step is running.
        """
        patterns = {} if self._trainer is None else self._trainer.weight_regularizers
        return [*added_losses(self), *(one.compute() for one in collect_penalties(self, patterns))]

    @property
    def trainer(self) -> Trainer:
        """The trainer that `compile` made; `trainer.backward_and_step(loss)` is backward and one step of the optimizer.

        Raises:
            RuntimeError: The model is not compiled.
        """
        return self._trainer or self._compiled("training")

    def _compiled(self, verb: str, x: Any = None, y: Any = None) -> Trainer:
        """Return the trainer, or raise if the model is not ready for a method.

        Args:
            verb: Name of the method.
            x: Its inputs.
            y: Its targets.
        """
        if self._trainer is None:
            raise RuntimeError(
                f"call compile(loss=..., optimizer=...) before {verb}{'' if verb == 'training' else '()'}."
            )
        if verb in ("fit", "evaluate", "train_on_batch", "test_on_batch", "find_lr"):
            check_registered(self)
            step = "test_step" if verb in ("evaluate", "test_on_batch") else "train_step"
            own = overrides(self, step, "compute_loss") or may_call_add_loss(self)
            if not own and self._trainer.compiled_loss.outputs.needs_targets:
                check_targets_are_given(verb, x, y)
        return self._trainer

    def _batch_reader(self, trainer: Trainer, step: str, rows: InputRows | None = None) -> BatchReader:
        """Return what reads the items of data as batches.

        Args:
            trainer: Has the reader of `compile(prepare_batch=)`.
            step: Name of the method that a batch is given to.
            rows: The rows that the model takes, if the caller has found them already.
        """
        losses = trainer.compiled_loss.outputs
        is_own = overrides(self, "compute_loss")
        return replace(
            trainer.reader,
            forward=forward_inputs(self),
            inputs_only=step == "predict_step",
            keeps_items=overrides(self, step),
            row_axes=(rows or InputRows(self)).n_axes,
            needs_target=losses.needs_targets and not is_own,
            passes_target=not (losses.any_loss or is_own or overrides(self, step)),
        )

    def _row_by_row(self) -> bool:
        """Return whether logs are known to be means over rows, so that `evaluate` may choose the batch size."""
        own = overrides(self, "test_step", "compute_loss", "compute_metrics") or own_metrics.find_metrics(
            self, self.trainer.compile_args.get("metrics")
        )
        return not own and self.trainer.compiled_loss.outputs.averages and can_be_measured(modules(self))


def overrides(model: StepMixin, *names: str) -> bool:
    """Return whether the class of a model has a method of its own for one of these steps."""
    return any(getattr(type(model), name) is not getattr(StepMixin, name) for name in names)
