"""Model: a torch module with `compile`, `fit`, `evaluate` and `predict`."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import timedelta
from typing import Any

from kerastorch.callbacks.base import Callback
from kerastorch.callbacks.history import History
from kerastorch.callbacks.progress_bar import Verbose
from kerastorch.core.estimator_hint import EstimatorHint
from kerastorch.core.image_format import changed_formats
from kerastorch.core.keyword_hints import KeywordHints
from kerastorch.core.traceback_filter import public_api
from kerastorch.data.class_weight import ClassWeight
from kerastorch.evaluation.evaluate_mixin import EvaluateMixin
from kerastorch.export.export_mixin import ExportMixin
from kerastorch.inspection.summary_mixin import SummaryMixin
from kerastorch.model_check.check_mixin import CheckMixin
from kerastorch.runtime.activation_checkpointing import ActivationCheckpointingMixin
from kerastorch.runtime.model_lock import model_lock
from kerastorch.saving.saving_mixin import SavingMixin
from kerastorch.saving.weights_file_mixin import WeightsFileMixin
from kerastorch.training.find_lr_mixin import FindLRMixin
from kerastorch.training.fit_loop import fit_epochs
from kerastorch.training.predict_mixin import PredictMixin
from kerastorch.training.prepared_fit import FitArguments, PreparedFit, prepare_fit
from kerastorch.training.replay_mixin import ReplayMixin


class Model(
    EstimatorHint,
    ReplayMixin,
    ActivationCheckpointingMixin,
    CheckMixin,
    FindLRMixin,
    EvaluateMixin,
    PredictMixin,
    WeightsFileMixin,
    ExportMixin,
    SummaryMixin,
    SavingMixin,
    KeywordHints,
):
    """A functional model, a view of an existing module, or the base class of a model with its own `forward`.

    Args:
        inputs: For a functional model, what `Input(...)` returned, alone or in a tuple, list or dict. For a view, any
            `nn.Module`: the model has the same parameters, buffers and children under the same names, and a change of
            one is a change of the other. Left out by subclasses with layers of their own.
        outputs: For a functional model, what calls of layers on the inputs returned, alone or in a tuple, list or dict.
        name: The name of the model in other models and in messages. Default: none.

    Raises:
        TypeError: `outputs` is missing, or something among the inputs and outputs is not symbolic.
        ValueError: The outputs do not follow from the inputs; two layers have the same name.

    >>> from kerastorch import Input
    >>> from kerastorch.layers import Dense
    >>> x = Input(shape=(3,), name="features")
    >>> model = Model(x, Dense(2)(x))
    >>> print(model.code)
    def forward(self, features):
        dense = self.dense(features)
        return dense
    >>> from torch import nn
    >>> net = nn.Linear(3, 2)
    >>> Model(net)
    Model(Linear(in_features=3, out_features=2, bias=True))
    >>> list(Model(net).state_dict()) == list(net.state_dict())
    True
    """

    stop_training: bool = False
    history: History | None = None
    _sets_device = True  # its modules may be those of the user

    def __init__(self, inputs: Any = None, outputs: Any = None, name: str | None = None) -> None:
        super().__init__(inputs, outputs)
        if name is not None:
            self.name = name
        self.made_with_formats = changed_formats()

    def __getstate__(self) -> dict[str, Any]:
        # A copy or a pickle is the module alone: what compile() and fit() add refers to this model's own tensors.
        return {key: value for key, value in super().__getstate__().items() if key not in ("_trainer", "history")}

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
        class_weight: ClassWeight = None,
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
        max_time: float | str | timedelta | None = None,
        limit_batches: int | float | None = None,
        overfit_batches: int | float | None = None,
        nan_report: str | os.PathLike[str] | None = None,
        workers: int = 0,
    ) -> History:
        """Train for some epochs, with validation after each if there are validation data.

        Args:
            x: Inputs: arrays (NumPy, torch, pandas, SciPy sparse, nested lists) of shape `(rows, ...)`, also `(rows,)`
                for one feature; a tuple, list or dict of them for several inputs. Or data that yield batches `(x, y)`
                or `(x, y, sample_weight)`: a `DataLoader`, a generator, a function that returns an iterator. Or a
                `Dataset` of samples.
            y: Targets, one row for each row of `x`; not given if `x` yields them.
            batch_size: Rows of a batch. Default 32; not used if `x` yields batches.
            epochs: The number at which training ends: `epochs - initial_epoch` epochs are trained. Default 1.
            verbose: 0 prints nothing, 2 a line per epoch; 1 and the default `"auto"` show a progress bar per epoch in
                terminals and notebooks, and print lines elsewhere.
            callbacks: Callback instances, called in this order; `History` and the progress display come after them.
            validation_split: The fraction of rows used for validation, in [0, 1): the last rows, before shuffling.
                Default 0.
            validation_data: `(x, y)`, `(x, y, sample_weight)`, or any data that `x` can be.
            shuffle: Whether rows come in a new order in each epoch. `"batch"` shuffles within batches only. Default
                `True`; data that yield batches keep their own order.
            class_weight: Weights of the classes in the training loss: class number -> weight, 1 for classes that are
                left out; a list of the weights of all classes; or `"balanced"`, inversely proportional to the number
                of training rows. For several outputs a dict or list of these. Default: 1 each.
            sample_weight: A weight for each row in the training loss, shape `(rows,)`; for several outputs also a dict
                or list of them, `None` for an output whose rows count the same. Default: 1 each. With `class_weight`,
                the product counts.
            initial_epoch: The number of the first epoch, counted from 0. Default 0.
            steps_per_epoch: Batches per epoch; the next epoch continues where this one ended in the data. Default: all
                batches of the data.
            validation_steps: The largest number of validation batches. Default: all.
            validation_batch_size: Rows of a validation batch. Default: `batch_size`, or the choice of `evaluate` if
                that is not given either.
            validation_freq: Validate every n-th epoch, or after the epochs in a list, counted from 1. Default 1.
            validation_stratify: `True`, or a label for each row: both parts of `validation_split` get the same
                proportion of each class. Default: no stratification.
            validation_shuffle: Whether the rows for validation are drawn at random. Default `False`.
            validation_seed: Seed of that random choice. Default 0.
            check_finite: Whether NaN and infinity in arrays raise an error before training. Default `True`.
            resume: A folder for the state of the training (by `callbacks.BackupAndRestore`): a script whose process
                was killed resumes where it stopped when it is run again. Default: nothing is written.
            max_time: Seconds, text such as `"1h30m"`, or a `timedelta`: training stops after the batch in which this
                time is over. Validation and callbacks of that epoch still run. Default: no limit.
            limit_batches: For a quick trial: each epoch trains on the first batches of its order, and validates on the
                first validation batches. An integer is the number of batches, a float the fraction of them. Default:
                all batches.
            overfit_batches: To test whether the model can learn: each epoch trains on the same first batches, without
                shuffling, and validates on them. An integer or a float as for `limit_batches`. Default: all batches.
            nan_report: A folder for the first step whose loss or gradient is NaN or infinite: training stops before it
                with a `RuntimeError`, and `model.replay(folder)` repeats it in another process. With a
                `callbacks.TerminateOnNaN` that raises no error, a message is printed instead. Default: no folder.
            workers: Number of processes that read the samples of a `Dataset` while the model trains; those of a
                validation `Dataset` too. Threads, or processes, if `x` is a `utils.PyDataset`. Default 0: none.

        Returns:
            The logs of the epochs of this call: `history["loss"]` is a list of numbers. `model.history` has those of
            all calls of `fit` since the model was made.

        Raises:
            RuntimeError: The model is not compiled, or is being trained already; a step was not finite, with
                `nan_report`.
            ValueError: An argument is out of its range; the data are empty, contain NaN or infinity, or do not fit each
                other, the model or the loss; a callback monitors a log that will not exist.

        >>> import kerastorch as kt
        >>> model = kt.Sequential([kt.layers.Dense(1, kernel_initializer="zeros")])
        >>> model.compile(kt.optimizers.SGD(0.25), "mse")
        >>> history = model.fit([[1.0], [1.0]], [[1.0], [1.0]], epochs=2, verbose=0)
        >>> history.history["loss"]
        [1.0, 0.0]
        """
        given = FitArguments(
            x, y, batch_size, epochs, verbose, callbacks, validation_split, validation_data, shuffle, class_weight,
            sample_weight, initial_epoch, steps_per_epoch, validation_steps, validation_batch_size, validation_freq,
            validation_stratify, validation_shuffle, validation_seed, check_finite, resume, max_time, limit_batches,
            overfit_batches, nan_report, workers,
        )  # fmt: skip
        with self._compiled("fit", x, y).joined(str(given)):
            prepared = self._prepare_fit(given)
            with self._fitting(prepared):
                for _ in fit_epochs(*prepared.run):
                    pass  # nothing is yielded: all epochs are trained
        return prepared.history

    def _prepare_fit(self, given: FitArguments) -> PreparedFit:
        """Check the arguments of `fit`, and make data and callbacks of them; nothing is trained."""
        return prepare_fit(self, self._compiled("fit", given.x, given.y), given)

    @contextmanager
    def _fitting(self, prepared: PreparedFit) -> Iterator[None]:
        """Lock the model and add the epochs of a fit to its history; the block trains."""
        with model_lock(self, "fit"):
            earlier: object = self.history  # a subclass may have set another object under this name
            self.history = earlier if isinstance(earlier, History) else History()
            self.stop_training = False
            self.trainer.state.record_features(prepared.columns)
            with prepared.history.recorded_in(self.history, self.trainer.state):
                yield
