"""StepMixin: what a model does with one batch; override a method to train, evaluate or predict differently."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from torch import Tensor

from kerastorch.core.module_tree import modules
from kerastorch.data.adaptive_batch_size import can_be_measured
from kerastorch.data.batches import Batch
from kerastorch.functional.functional_model import Functional
from kerastorch.module.unregistered_modules import check_registered
from kerastorch.runtime.call_module import call_module
from kerastorch.training.auxiliary_losses import may_call_add_loss
from kerastorch.training.output_names import by_output, targets_by_output
from kerastorch.training.preflight import check_targets_are_given
from kerastorch.training.trainer import Trainer

STEPS = ("train_step", "test_step", "predict_step", "compute_loss", "compute_metrics")


class StepMixin(Functional):
    """A model whose steps on a batch can be overridden; they use the losses, metrics and optimizer of `compile`."""

    _trainer: Trainer | None = None

    def train_step(self, batch: Batch) -> Mapping[str, Any]:
        """Train on one batch; override this method to train differently.

        The default computes the outputs and the loss, makes one step of the optimizer, and updates the metrics.

        Args:
            batch: `(x, y, sample_weight)` on the model's device; `y` and `sample_weight` may be `None`.

        Returns:
            The logs of the batch, by name: numbers or scalar tensors, which `fit` averages over the samples of the
            epoch. Metrics are added to them at the end of the epoch.

        >>> import kerastorch as kt
        >>> class TenfoldLoss(kt.Sequential):
        ...     def train_step(self, batch):
        ...         x, y, sample_weight = batch
        ...         y_pred = self(x)
        ...         loss = 10 * self.compute_loss(x, y, y_pred, sample_weight)
        ...         self.trainer.backward_and_step(loss)  # backward, then one step of the optimizer
        ...         self.compute_metrics(x, y, y_pred, sample_weight)
        ...         return {"loss": loss}
        >>> model = TenfoldLoss([kt.layers.Dense(1, kernel_initializer="zeros")])
        >>> model.compile("sgd", "mse")
        >>> model.fit([[1.0], [1.0]], [[1.0], [1.0]], verbose=0).history["loss"]
        [10.0]
        """
        x, y, sample_weight = batch
        y_pred = call_module(self, x)
        loss = self.compute_loss(x, y, y_pred, sample_weight)
        self.trainer.backward_and_step(loss)
        self.compute_metrics(x, y, y_pred, sample_weight)
        return {"loss": loss, **self.trainer.context.loss_parts}

    def test_step(self, batch: Batch) -> Mapping[str, Any]:
        """Evaluate one batch, in `evaluate` and in the validation of `fit`; override this method to change both.

        The model is in evaluation mode, and no gradients are recorded.

        Args:
            batch: `(x, y, sample_weight)` on the model's device; `y` and `sample_weight` may be `None`.

        Returns:
            The logs of the batch, by name: numbers or scalar tensors, averaged over the samples of the pass.
        """
        x, y, sample_weight = batch
        y_pred = call_module(self, x)
        loss = self.compute_loss(x, y, y_pred, sample_weight)
        self.compute_metrics(x, y, y_pred, sample_weight)
        return {"loss": loss, **self.trainer.context.loss_parts}

    def predict_step(self, x: Any) -> Any:
        """Return the outputs for one batch of inputs, in `predict`; override this method to return something else.

        Args:
            x: The inputs on the model's device: a tensor, or a tuple, list or dict of tensors.

        Returns:
            A tensor of shape `(batch, ...)`, or a tuple, list or dict of such tensors.
        """
        return call_module(self, x)

    def compute_loss(self, x: Any = None, y: Any = None, y_pred: Any = None, sample_weight: Any = None) -> Tensor:
        """Return the loss of one batch: the compiled losses, weighted and summed, plus penalties and `add_loss`.

        Args:
            x: The inputs; they are used to find the masks of the outputs.
            y: The targets, in the structure of the outputs.
            y_pred: The outputs of the model.
            sample_weight: A weight for each sample, shape `(batch,)`; default: each sample counts the same.

        Returns:
            A scalar tensor, to be minimized.

        Raises:
            ValueError: The targets or outputs do not fit the losses given to `compile`.
        """
        trainer = self.trainer
        output = trainer.compiled_loss(y, y_pred, sample_weight, trainer.output_mask(x))
        return trainer.context.record_loss(output)

    def compute_metrics(self, x: Any, y: Any, y_pred: Any, sample_weight: Any = None) -> None:
        """Update the compiled metrics with one batch; each is computed once, at the end of the epoch.

        Args:
            x: The inputs; they are used to find the masks of the outputs.
            y: The targets, in the structure of the outputs.
            y_pred: The outputs of the model.
            sample_weight: Not used; it is here for overrides.

        Raises:
            ValueError: Metrics were given as a list, but the model returns a dict of outputs.
        """
        trainer = self.trainer
        if trainer.metrics:
            names = self._output_names
            predicted = by_output(y_pred, names)
            if "" in trainer.metrics and "" not in predicted:
                raise ValueError(
                    "metrics are a list, but the model returns its outputs by name; pass "
                    f"metrics={{{next(iter(predicted), 'name')!r}: [...]}}."
                )
            true = targets_by_output(y, y_pred, names, trainer.metrics)
            for name, mask in trainer.output_mask(x).items():
                predicted[name], true[name] = predicted[name][mask], true[name][mask]
            trainer.context.metrics.update(predicted, true)

    @property
    def trainer(self) -> Trainer:
        """The trainer that `compile` made; `trainer.backward_and_step(loss)` is backward and one step of the optimizer.

        Raises:
            RuntimeError: The model is not compiled.
        """
        return self._compiled("training")

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
        if verb in ("fit", "evaluate", "train_on_batch", "test_on_batch"):
            check_registered(self)
            step = "train_step" if verb in ("fit", "train_on_batch") else "test_step"
            own = overrides(self, step, "compute_loss") or may_call_add_loss(self)
            if not self._trainer.compiled_loss.any_loss and not own:
                raise ValueError(f"{verb}() needs a loss; call compile(loss=...).")
            if not own:
                check_targets_are_given(verb, x, y)
        return self._trainer

    def _row_by_row(self) -> bool:
        """Return whether logs are known to be means over rows, so that `evaluate` may choose the batch size."""
        own = overrides(self, "test_step", "compute_loss")
        return not own and self.trainer.compiled_loss.averages and can_be_measured(modules(self))


def overrides(model: StepMixin, *names: str) -> bool:
    """Return whether the class of a model has a method of its own for one of these steps."""
    return any(getattr(type(model), name) is not getattr(StepMixin, name) for name in names)
