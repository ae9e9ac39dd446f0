"""Model: a torch module that also knows compile, fit, evaluate and predict."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from contextlib import nullcontext
from typing import Any

import torch
from torch import Tensor

from kerastorch import optimizers
from kerastorch.callbacks.backup_and_restore import BackupAndRestore
from kerastorch.callbacks.base import Callback, CallbackList, check_monitors, listed
from kerastorch.callbacks.history import History
from kerastorch.callbacks.progress_bar import Verbose, progress
from kerastorch.core.errors import warn
from kerastorch.core.module_tree import modules
from kerastorch.core.path_checks import parse_path
from kerastorch.core.process_group import warn_if_no_process_group
from kerastorch.core.traceback_filter import public_api
from kerastorch.data.adaptive_batch_size import can_be_measured, eval_batches
from kerastorch.data.batches import Batch, Batches
from kerastorch.data.class_weight import class_weights
from kerastorch.data.data_adapter import DataAdapter, check_keeps_all_rows, check_keeps_order
from kerastorch.export.export_mixin import ExportMixin
from kerastorch.inspection.summary_mixin import SummaryMixin
from kerastorch.module.unregistered_modules import check_registered, warn_unregistered
from kerastorch.runtime.call_module import call_module
from kerastorch.runtime.model_lock import is_fitting, model_lock
from kerastorch.saving.saving_mixin import SavingMixin
from kerastorch.saving.weights_file_mixin import WeightsFileMixin
from kerastorch.training import loops
from kerastorch.training.auxiliary_losses import may_call_add_loss
from kerastorch.training.compile_options import CompileOptions
from kerastorch.training.compiled_loss import CompiledLoss
from kerastorch.training.fit_data import Split, assemble, validation_source
from kerastorch.training.fit_loop import fit
from kerastorch.training.log_names import in_keras_order, listed_names, log_names, metrics_by_output
from kerastorch.training.memory_format import MemoryFormat
from kerastorch.training.output_names import by_output, targets_by_output
from kerastorch.training.predictions import PredictionCollector
from kerastorch.training.preflight import check_columns, check_frequency, check_outputs_are_known, epoch_numbers
from kerastorch.training.trainer import Trainer


class Model(WeightsFileMixin, ExportMixin, SummaryMixin, SavingMixin):
    """A functional model, a view of an existing module, or the base of one with its own `__init__` and `forward`.

    Args:
        inputs: what `Input(...)` returned, alone or in a list or dict; or any `nn.Module` to be viewed: the model has
            the same parameters, buffers and children under the same names, and what is done to one is done to the
            other.
        outputs: what calls on the inputs returned, alone or in a list or dict.
        name: a name of its own, for where it is a part of another model.

    >>> from kerastorch import Input
    >>> from kerastorch.layers import Dense
    >>> x = Input(shape=(3,), name="features")
    >>> model = Model(x, Dense(2)(x))
    >>> print(model.code)
    def forward(self, features):
        dense = self.dense(features)
        return dense
    >>> net = torch.nn.Linear(3, 2)
    >>> list(Model(net).state_dict()) == list(net.state_dict())
    True
    """

    stop_training: bool = False
    history: History | None = None
    _trainer: Trainer | None = None

    def __init__(self, inputs: Any = None, outputs: Any = None, name: str | None = None) -> None:
        super().__init__(inputs, outputs)
        self.name = name

    def __getstate__(self) -> dict[str, Any]:
        # a copy or a pickle is the module; what compile() and fit() know stays behind
        return {key: value for key, value in super().__getstate__().items() if key not in ("_trainer", "history")}

    # --- the verbs --------------------------------------------------------------------------------------------

    @public_api
    def compile(
        self,
        optimizer: Any = "rmsprop",
        loss: Any = None,
        loss_weights: Any = None,
        metrics: Any = None,
        *,
        regularizers: Mapping[str, Any] | None = None,
        device: Any = "auto",
        data_device: Any = "auto",
        memory_format: Any = "auto",
        jit_compile: bool | str = "auto",
        steps_per_execution: int | str = 1,
    ) -> None:
        """Say how the model learns.

        Args:
            optimizer: a name, class, instance or partial, of `kerastorch.optimizers` or `torch.optim`; an
                optimizer that holds the model's parameters is used as it is.
            loss: a name, class, instance or callable, of Keras' kind or torch's; a list or dict of them for
                several outputs.
            loss_weights: how much each of several losses counts.
            metrics: a list of names, torchmetrics metrics and functions; a dict of lists for several outputs.
            regularizers: penalties by parameter name, `{"*.weight": L2(1e-4)}`, patterns as for file names.
            device: where to compute; `'auto'` is where the model is, or an accelerator if there is one.
            data_device: where arrays in memory are kept while `fit`, `evaluate` or `predict` runs; `'auto'` is with the
                model where that is an accelerator and they take less than a quarter of its free memory, else where
                they are: then the next piece is gathered while the model works on this one.
            memory_format: of images on their way into the model, `'channels_last'`, `'contiguous'` or torch's
                constants; `'auto'` is channels-last where a convolutional model on the CPU gains by it and gives the
                same outputs up to rounding, `'contiguous'` gives the bits of a plain loop. The user's arrays, the
                weights and what `predict` returns stay as they are.
            jit_compile: `True` compiles the training step, optimizer included, with TorchInductor; what cannot be
                compiled, gives something else, or is slower goes on uncompiled, with a warning. `'auto'` is `False`.
            steps_per_execution: batches between two calls of the batch hooks; up to 8 of them are one graph where
                steps are compiled. `'auto'`: as many as one graph takes, 1 where a callback of yours looks at batches.

        Raises:
            ValueError: an unknown name, with the nearest right one; another memory format; a `data_device` that is
                not here; layers in a plain list, which torch does not see; a metric by name that must know whether a
                single output is a probability or a logit, and a loss that does not say it.
        """
        check_registered(self)
        warn_unregistered(self)
        objective = CompiledLoss(loss, loss_weights, self._output_names)
        settings = optimizers.get(optimizer)
        execution = CompileOptions.of(jit_compile, steps_per_execution)
        layout = MemoryFormat(self, memory_format, own_steps=_overrides(self, *_STEPS))
        penalised, scored = regularizers or {}, metrics_by_output(metrics, self._output_names)
        check_outputs_are_known(self, scored.get("", ()), objective.loss_of(""))
        fits = 0 if self._trainer is None else self._trainer.completed_fits
        self._trainer = Trainer(self, settings, objective, scored, penalised, device, layout, data_device, execution)
        self._trainer.completed_fits = fits
        self._trainer.compile_args = {
            "optimizer": optimizer, "loss": loss, "loss_weights": loss_weights, "metrics": metrics,
            "regularizers": regularizers, "memory_format": memory_format, "jit_compile": jit_compile,
            "steps_per_execution": steps_per_execution,
        }  # fmt: skip

    @public_api
    def fit(
        self,
        x: Any = None,
        y: Any = None,
        batch_size: int | None = None,
        epochs: int = 1,
        verbose: Verbose = "auto",
        callbacks: Sequence[Callback] | Callback | None = None,
        validation_split: float = 0.0,
        validation_data: Any = None,
        shuffle: bool | str = True,
        class_weight: Mapping[int, float] | None = None,
        sample_weight: Any = None,
        initial_epoch: int = 0,
        steps_per_epoch: int | None = None,
        validation_steps: int | None = None,
        validation_batch_size: int | None = None,
        validation_freq: int | Sequence[int] = 1,
        *,
        validation_stratify: Any = None,
        validation_shuffle: bool = False,
        validation_seed: int | None = None,
        check_finite: bool = True,
        resume: str | os.PathLike[str] | None = None,
    ) -> History:
        """Train.

        Args:
            x: arrays (NumPy, torch, pandas, nested lists; a tuple or dict of them for several inputs), a
                `Dataset`, a `DataLoader`, a generator, or a function that returns one.
            y: targets beside arrays.
            batch_size: rows of a batch, 32 if `None`.
            epochs: the number of the last epoch: `epochs - initial_epoch` are trained.
            verbose: 0 nothing, 1 a bar an epoch, 2 a line an epoch, `'auto'` a bar where one can be drawn.
            callbacks: told of what happens.
            validation_split: the share of rows kept to validate, in [0, 1): the last ones, before shuffling.
            validation_data: `(x, y)`, `(x, y, sample_weight)`, or anything `x` can be.
            shuffle: a new order of rows each epoch; `'batch'` only within batches.
            class_weight: class number -> weight, in training.
            sample_weight: a weight for each row.
            initial_epoch: the number of the first epoch, from 0.
            steps_per_epoch: batches an epoch; the next epoch goes on where this one ended.
            validation_steps: at most so many batches of validation.
            validation_batch_size: `batch_size` if `None`; where that is `None` too, as for `evaluate`.
            validation_freq: validate every so many epochs, or after the epochs listed, from 1.
            validation_stratify: `True`, or labels: both parts of `validation_split` get every class in proportion.
            validation_shuffle: draw the validation rows at random.
            validation_seed: of that draw; 0 if `None`.
            check_finite: refuse NaN and infinity in arrays.
            resume: a folder for `callbacks.BackupAndRestore`: a training that was killed goes on when the same script
                is run again.

        Returns:
            The curves; also at `model.history`.
        """
        trainer = self._compiled("fit")
        warn_if_no_process_group()
        numbers = epoch_numbers(initial_epoch, epochs)
        check_frequency(validation_freq)
        feed = trainer.feed(class_weights(class_weight, sample_weight))
        plain = trainer.feed()
        source = DataAdapter(
            x, y, sample_weight, finite=check_finite, cast=plain.convert_arrays, prefetcher=plain.prefetcher
        )
        kept = [] if resume is None else [BackupAndRestore(parse_path("resume", resume))]
        own = [*listed(callbacks), *kept]
        data = assemble(
            self,
            source,
            validation_source(validation_data, plain, check_finite, validation_steps),
            Split(validation_split, validation_stratify, validation_shuffle, validation_seed),
            batch_size=batch_size,
            shuffle=shuffle,
            steps=steps_per_epoch,
            validation_batch_size=validation_batch_size,
            validation_steps=validation_steps,
            grows=self._row_by_row,
            drawing={"model": self, "losses": trainer.objective, "callbacks": own},
            kept=any(getattr(one, "keeps_states", False) for one in own),
        )
        history = History()
        params = {"verbose": verbose, "epochs": epochs, "steps": data.training.steps()}
        told = CallbackList([*own, history, *progress(verbose)], self, params)
        if not _overrides(self, "train_step", "test_step"):
            validates = data.validation is not None
            check_monitors(told.callbacks, log_names(self, trainer, validates), validates)
        with model_lock(self, "fit"):
            self.history, self.stop_training, trainer.columns = history, False, source.columns
            fit(trainer, data, told, numbers, feed=feed, validation_feed=plain, frequency=validation_freq)
        return history

    @public_api
    def evaluate(
        self,
        x: Any = None,
        y: Any = None,
        batch_size: int | None = None,
        verbose: Verbose = "auto",
        sample_weight: Any = None,
        steps: int | None = None,
        callbacks: Sequence[Callback] | Callback | None = None,
        return_dict: bool = False,
        *,
        check_finite: bool = True,
    ) -> Any:
        """Loss and metrics over data, in evaluation mode: the same for every batch size.

        Args:
            x: as for `fit`.
            y: as for `fit`.
            batch_size: rows of a batch. `None`: 32 for the first, for those after it as many as make no tensor of more
                than 2 MiB, up to 4096; 32 for all where `steps` is given, where the loss is not known to be a mean
                over rows (functions, sums, a `test_step` or `compute_loss` of your own), and in compiled modules.
            verbose: as for `fit`.
            sample_weight: as for `fit`.
            steps: at most so many batches.
            callbacks: told of what happens.
            return_dict: a dict by name.
            check_finite: as for `fit`.

        Returns:
            The loss, or where there are metrics a list `[loss, *metrics]`: `metrics_names` names its parts. The
            dict has `data_loss`, the loss without penalties, too.
        """
        trainer = self._compiled("evaluate")
        warn_if_no_process_group()
        feed = trainer.feed()
        check_keeps_all_rows(x, "evaluate")
        source = DataAdapter(
            x, y, sample_weight, finite=check_finite, cast=feed.convert_arrays, prefetcher=feed.prefetcher
        )
        check_columns(trainer.columns, source.columns)
        batches = eval_batches(source, batch_size, steps, grows=self._row_by_row)
        own = listed(callbacks)
        told = CallbackList([*own, *progress(verbose, "Evaluate")], self, _steps(verbose, batches))
        with model_lock(self, "evaluate", alone=bool(own)):
            within_fit = is_fitting(self)  # a callback evaluates the whole: it may keep the numbers
            with nullcontext() if within_fit else trainer.interrupt.watch():
                logs = loops.evaluate(trainer, batches, feed, told, interruptible=not within_fit)
        return logs if return_dict else in_keras_order(logs)

    @public_api
    def predict(
        self,
        x: Any,
        batch_size: int | None = None,
        verbose: Verbose = "auto",
        steps: int | None = None,
        callbacks: Sequence[Callback] | Callback | None = None,
    ) -> Any:
        """The outputs for data, in evaluation mode, in the data's order.

        Args:
            x: as for `fit`; targets that a loader yields are passed over.
            batch_size: as for `evaluate`, whatever the loss; 32 where outputs are not row by row.
            verbose: as for `fit`; a bar appears only where it takes longer than a second.
            steps: at most so many batches.
            callbacks: told of what happens.

        Returns:
            A NumPy array `(rows, ...)`, or the structure of them that the model returns.
        """
        if self._trainer is None:
            check_registered(self)
        trainer = self._trainer or Trainer(self, None, CompiledLoss(None), {}, {}, "auto")
        feed = trainer.feed()
        check_keeps_order(x)
        check_keeps_all_rows(x, "predict")
        source = DataAdapter(x, cast=feed.convert_arrays, prefetcher=feed.prefetcher, finite=False, inputs_only=True)
        check_columns(trainer.columns, source.columns)
        batches = eval_batches(source, batch_size, steps, grows=lambda: can_be_measured(modules(self)))
        own = listed(callbacks)
        told = CallbackList([*own, *progress(verbose, "Predict", 1.0)], self, _steps(verbose, batches))
        collected = PredictionCollector(batches.samples)
        with model_lock(self, "predict", alone=bool(own), parts=feed.parts):
            loops.predict(trainer, batches, feed, told, collected.add)
        return collected.result()

    @public_api
    def train_on_batch(
        self,
        x: Any,
        y: Any = None,
        sample_weight: Any = None,
        class_weight: Mapping[int, float] | None = None,
        return_dict: bool = False,
    ) -> Any:
        """One step on one batch, which is not searched for NaN; its loss and metrics, as `evaluate` returns them."""
        trainer = self._compiled("train_on_batch")
        feed = trainer.feed(class_weights(class_weight, sample_weight))
        batch = DataAdapter(x, y, sample_weight, finite=False).batches(2**62)
        with model_lock(self, "train_on_batch"):
            logs = loops.train_on_batch(trainer, batch, feed)
        return logs if return_dict else in_keras_order(logs)

    @public_api
    def test_on_batch(self, x: Any, y: Any = None, sample_weight: Any = None, return_dict: bool = False) -> Any:
        """Loss and metrics of one batch, in evaluation mode, as `evaluate` returns them."""
        trainer = self._compiled("test_on_batch")
        batch = DataAdapter(x, y, sample_weight, finite=False).batches(2**62)
        with model_lock(self, "evaluate"):
            logs = loops.evaluate(trainer, batch, trainer.feed(), CallbackList([], self, {}))
        return logs if return_dict else in_keras_order(logs)

    @public_api
    def predict_on_batch(self, x: Any) -> Any:
        """The outputs for one batch, in evaluation mode, as NumPy."""
        return self.predict(x, batch_size=2**62, verbose=0)

    # --- what to override to learn differently ----------------------------------------------------------------

    def train_step(self, batch: Batch) -> Mapping[str, Any]:
        """One step of learning; override it to learn differently.

        Args:
            batch: `(x, y, sample_weight)` on the device; the last two may be `None`.

        Returns:
            Numbers for the logs, each averaged over the samples of the epoch.
        """
        x, y, sample_weight = batch
        y_pred = call_module(self, x)
        loss = self.compute_loss(x, y, y_pred, sample_weight)
        self.trainer.minimize(loss)
        self.compute_metrics(x, y, y_pred, sample_weight)
        return {"loss": loss, **self.trainer.objective.parts}

    def test_step(self, batch: Batch) -> Mapping[str, Any]:
        """As `train_step`, without learning: what `evaluate` and validation do with a batch."""
        x, y, sample_weight = batch
        y_pred = call_module(self, x)
        loss = self.compute_loss(x, y, y_pred, sample_weight)
        self.compute_metrics(x, y, y_pred, sample_weight)
        return {"loss": loss, **self.trainer.objective.parts}

    def predict_step(self, x: Any) -> Any:
        """What `predict` does with a batch of inputs."""
        return call_module(self, x)

    def compute_loss(self, x: Any = None, y: Any = None, y_pred: Any = None, sample_weight: Any = None) -> Tensor:
        """The scalar to be minimised: the compiled losses plus penalties."""
        trainer = self.trainer
        return trainer.objective(y, y_pred, sample_weight, trainer.output_mask(x))

    def compute_metrics(self, x: Any, y: Any, y_pred: Any, sample_weight: Any = None) -> None:
        """Hand a batch to the compiled metrics; they are computed over the whole epoch."""
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
            trainer.meter.update(predicted, true)

    # --- what is known ----------------------------------------------------------------------------------------

    def _compiled(self, verb: str) -> Trainer:
        if self._trainer is None:
            raise RuntimeError(
                f"call compile(loss=..., optimizer=...) before {verb}{'' if verb == 'training' else '()'}."
            )
        if verb in ("fit", "evaluate", "train_on_batch", "test_on_batch"):
            check_registered(self)
            step = "train_step" if verb in ("fit", "train_on_batch") else "test_step"
            own = _overrides(self, step, "compute_loss") or may_call_add_loss(self)
            if not self._trainer.objective.any_loss and not own:
                raise ValueError(f"{verb}() needs a loss; call compile(loss=...).")
        return self._trainer

    def _row_by_row(self) -> bool:
        """Whether `evaluate` may take as many rows at once as it likes: what it finds is known to be means of rows."""
        own = _overrides(self, "test_step", "compute_loss")
        return not own and self.trainer.objective.averages and can_be_measured(modules(self))

    @property
    def trainer(self) -> Trainer:
        """What `compile` made: `trainer.minimize(loss)` steps the optimizer in a `train_step` of your own."""
        return self._compiled("training")

    @property
    def optimizer(self) -> torch.optim.Optimizer | None:
        """The `torch.optim` optimizer: there after `compile` as soon as the model is built, before that `None`.

        `model.optimizer.learning_rate` reads and sets the rate of all its groups, if `compile` was given a name,
        settings, a class or a partial. On an optimizer of your own set `'lr'` in its `param_groups`.
        """
        return self.trainer.optimizer_if_built()

    @property
    def metrics_names(self) -> list[str]:
        """The names of what `evaluate` returns, in its order: those that the last evaluation logged.

        Before the first one since `compile`, in `fit` or by itself, they are those of the compiled losses and metrics.
        A `test_step` of your own may return others, and a metric of several values has a name for each: these are
        known only afterwards.

        Warns:
            UserWarning: there was no evaluation yet, and `test_step` is your own.
        """
        trainer = self.trainer
        if trainer.evaluated:
            return listed_names(trainer.evaluated)
        if _overrides(self, "test_step"):
            warn(
                "metrics_names: what a test_step of your own returns is known after the first evaluation. Until then "
                "these are the names of the compiled losses and metrics; call evaluate() or test_on_batch() first."
            )
        return log_names(self, trainer, False, listed=True)

    @property
    def metric_directions(self) -> dict[str, bool]:
        """Name in the logs -> whether larger is better, for the metrics that know."""
        return {
            f"{output}_{metric.name}" if output else metric.name: metric.higher_is_better
            for output, some in self.trainer.metrics.items()
            for metric in some
            if metric.higher_is_better is not None
        }


_STEPS = ("train_step", "test_step", "predict_step", "compute_loss", "compute_metrics")


def _overrides(model: Model, *names: str) -> bool:
    return any(getattr(type(model), name) is not getattr(Model, name) for name in names)


def _steps(verbose: Verbose, batches: Batches) -> dict[str, Any]:
    return {"verbose": verbose, "epochs": 1, "steps": batches.steps()}
