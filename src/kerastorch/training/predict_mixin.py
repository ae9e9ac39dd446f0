"""PredictMixin: `predict`, `predict_on_batch` and `predict_iter`."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import nullcontext
from typing import Any, TypeAlias

import numpy as np

from kerastorch.callbacks.base import Callback
from kerastorch.callbacks.callback_list import CallbackList, to_list
from kerastorch.callbacks.progress_bar import Verbose, make_progress_callbacks
from kerastorch.core.module_tree import modules
from kerastorch.core.nested import holds_tensors, is_object
from kerastorch.core.traceback_filter import public_api
from kerastorch.data.adaptive_batch_size import can_be_measured, eval_batches
from kerastorch.data.arrays import have_several_lengths, is_array_like
from kerastorch.data.data_adapter import DataAdapter, limit_batches
from kerastorch.data.loader_checks import check_keeps_all_rows, check_keeps_order
from kerastorch.data.rank_turns import are_by_turns
from kerastorch.module.unregistered_modules import check_registered
from kerastorch.runtime.batch_transfer import BatchTransfer
from kerastorch.runtime.model_lock import model_lock
from kerastorch.training import loops
from kerastorch.training.compiled_loss import CompiledLoss
from kerastorch.training.fit_data import adapt
from kerastorch.training.monte_carlo_dropout import sampling
from kerastorch.training.predictions import PredictionCollector, to_arrays
from kerastorch.training.preflight import check_columns
from kerastorch.training.row_axis import check_row_axis
from kerastorch.training.step_mixin import StepMixin
from kerastorch.training.trainer import Trainer

# One array, as most models have one output; a model of several returns a tuple, list or dict of arrays, whose type
# checkers have no way to know, and `typing.cast` tells them.
Predictions: TypeAlias = "np.ndarray[Any, Any]"


class PredictMixin(StepMixin):
    """A model whose outputs for data are computed batch by batch, with or without `compile`."""

    @public_api
    def predict(
        self,
        x: Any,
        batch_size: int | None = None,
        verbose: Verbose = "auto",
        steps: int | None = None,
        callbacks: Sequence[Callback] | Callback | None = None,
        *,
        out: Any = None,
        workers: int = 0,
        mc_dropout: int | None = None,
    ) -> Predictions:
        """Return the outputs for data, in evaluation mode and without gradients, in the order of the data.

        Args:
            x: Inputs, or data that yield them, as for `fit`; targets in the data are ignored.
            batch_size: Rows of a batch. Default: 32 for the first batch, then as many as keep each tensor below 2 MiB,
                at most 4096; 32 for all batches if the outputs are not row by row.
            verbose: As for `evaluate`; the bar appears after one second.
            steps: The largest number of batches. Default: all.
            callbacks: Callback instances, called in this order.
            out: Array that the outputs are written into, of their shape and dtype, such as a `numpy.memmap` for
                outputs that do not fit into memory; a tuple, list or dict of arrays if the model returns one. Default:
                a new array.
            workers: Number of processes that read the samples of a `Dataset`, as for `fit`. Default 0.
            mc_dropout: Number of outputs for each input with active dropout, for Monte Carlo dropout (Gal & Ghahramani
                2016); every array has this axis in front: `(mc_dropout, rows, ...)`. All other layers stay in
                evaluation mode. `set_random_seed` makes the outputs reproducible. Default: one output, without dropout.

        Returns:
            A NumPy array of shape `(rows, ...)`, the outputs of all batches joined along their first axis; a tuple,
            list or dict of such arrays if the model returns one; `out`, if it was given. The loss of the model, `None`
            and objects that are no tensors are left out. An output whose batches have different lengths in another
            axis, or no row for each input, is a list with an array for each batch; if this is so for all outputs, the
            result is a list with the outputs of each batch, as `predict_iter` gives them.

        Raises:
            ValueError: The data are empty or do not fit the model; a `DataLoader` shuffles them, or drops rows; `out`
                has another shape, dtype or structure than the outputs; `mc_dropout` is not an integer >= 1, or the
                model has no dropout.

        >>> import kerastorch as kt
        >>> from torch import nn
        >>> kt.Model(nn.Flatten()).predict([[[1.0, 2.0], [3.0, 4.0]]], verbose=0)
        array([[1., 2., 3., 4.]], dtype=float32)
        """
        trainer = self._prediction_trainer()
        with trainer.joined(f"predict(batch_size={batch_size}, steps={steps})") as parallel:
            transfer, source = self._prediction_data(trainer, x, "predict", workers)
            check_row_axis(transfer.parts, source, batch_size)
            parallel.check_data(source)
            can_grow = lambda: can_be_measured(modules(self))  # noqa: E731
            batches = eval_batches(source, batch_size, steps, grows=can_grow, shard=parallel.shard)
            own = to_list(callbacks)
            params = {"verbose": verbose, "epochs": 1, "steps": batches.steps()}
            listed = [*own, *make_progress_callbacks(verbose, "Predict", 1.0)]
            told = CallbackList(listed, self, params, shared=parallel.is_joint)
            rows = batches.samples if parallel.shard is None else None
            drawn = sampling(mc_dropout)
            collected = PredictionCollector(rows) if out is None else drawn.writer(out, rows)
            alone = bool(own) or mc_dropout is not None  # other threads must not predict with active dropout
            with (
                model_lock(self, "predict", alone=alone, parts=transfer.parts),
                nullcontext() if mc_dropout is None else parallel.own_random_numbers(self),
                parallel.gathering(collected.add, by_turns=are_by_turns(batches)) as take,
            ):
                loops.predict(trainer, batches, transfer, told, take, drawn)
            outputs: Predictions = drawn.samples_first(collected.result())
        return outputs if out is None else out

    @public_api
    def predict_on_batch(self, x: Any, *, mc_dropout: int | None = None) -> Predictions:
        """Return the outputs for one batch of inputs as NumPy arrays, in evaluation mode and without gradients.

        Args:
            x: An array or tensor of shape `(batch, ...)`, a tuple, list or dict of them, or an object that the model
                takes. What is no array goes through `compile(prepare_batch=)` first, if there is such a function.
            mc_dropout: Number of outputs for each input with active dropout, as for `predict`. Default: one, without.
        """
        if (is_object(x) or holds_tensors(x)) and not isinstance(x, Mapping):
            return self.predict(lambda: [x], verbose=0, mc_dropout=mc_dropout)
        prepares = self._trainer is not None and self._trainer.reader.prepare is not None
        if prepares and not is_array_like(x):
            return self.predict(lambda: [x], verbose=0, mc_dropout=mc_dropout)
        if have_several_lengths(x):  # one batch without a common axis
            return self.predict(lambda: [(x,)], verbose=0, mc_dropout=mc_dropout)
        return self.predict(x, batch_size=2**62, verbose=0, mc_dropout=mc_dropout)

    @public_api
    def predict_iter(
        self,
        x: Any,
        batch_size: int | None = None,
        steps: int | None = None,
        *,
        workers: int = 0,
        mc_dropout: int | None = None,
    ) -> Iterator[Predictions]:
        """Return an iterator over the outputs of each batch, which computes a batch when it is asked for the next one.

        Only one batch of outputs is in memory. The model is in evaluation mode only while a batch is computed. Between
        two batches it has the modes of before, and may be trained or evaluated.

        Args:
            x: Inputs, or data that yield them, as for `predict`.
            batch_size: Rows of a batch. Default 32; not used if `x` yields batches.
            steps: The largest number of batches. Default: all.
            workers: Number of processes that read the samples of a `Dataset`, as for `fit`. Default 0.
            mc_dropout: Number of outputs for each input with active dropout, as for `predict`. Default: one, without.

        Returns:
            An iterator. Each item is a new NumPy array of shape `(rows of the batch, ...)`, in the order of the data;
            a tuple, list or dict of such arrays if the model returns one.

        Raises:
            ValueError: As for `predict`; the data are checked when this method is called.

        >>> import kerastorch as kt
        >>> from torch import nn
        >>> for outputs in kt.Model(nn.Flatten()).predict_iter([[1.0], [2.0], [3.0]], batch_size=2):
        ...     print(outputs.tolist())
        [[1.0], [2.0]]
        [[3.0]]
        """
        trainer = self._prediction_trainer()
        transfer, source = self._prediction_data(trainer, x, "predict_iter", workers)
        check_row_axis(transfer.parts, source, batch_size)
        batches = limit_batches(source.batches(batch_size), steps)
        drawn = sampling(mc_dropout)

        def compute() -> Iterator[Predictions]:
            # The contexts are entered for each batch: `torch.no_grad` and evaluation mode must not last while the
            # caller's code runs between two batches.
            stream = trainer.prepared(batches, transfer, 0)
            step = drawn.step(loops.prediction_step(trainer, transfer.device.type))
            is_empty = True
            while True:
                with model_lock(self, "predict", alone=mc_dropout is not None, parts=transfer.parts):
                    batch = next(stream, None)
                    if batch is None:
                        break
                    with loops.predicting(trainer, modules(self)), drawn.modes(self):
                        outputs = loops.predict_batch(trainer, step, transfer.inputs(batch.x))
                is_empty = False
                yield drawn.samples_first(to_arrays(outputs))
            if is_empty:
                raise ValueError("the data gave no batch.")

        return compute()

    def _prediction_trainer(self) -> Trainer:
        """Return the trainer, made now if the model is not compiled."""
        if self._trainer is None:
            check_registered(self)
        return self._trainer or Trainer(self, None, CompiledLoss(None), {}, {}, "auto")

    def _prediction_data(self, trainer: Trainer, x: Any, verb: str, workers: int) -> tuple[BatchTransfer, DataAdapter]:
        """Return what moves batches, and the checked data."""
        transfer = trainer.batch_transfer()
        check_keeps_order(x)
        check_keeps_all_rows(x, verb)
        reader = self._batch_reader(trainer, "predict_step", transfer.rows)
        source = adapt(x, None, None, transfer, reader, finite=False, workers=workers)
        check_columns(trainer.state.feature_names, source.columns)
        return transfer, source
