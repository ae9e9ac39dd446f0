"""The arguments of `fit`, and what is made of them before training begins."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, NamedTuple

from kerastorch.callbacks.backup_and_restore import BackupAndRestore
from kerastorch.callbacks.base import Callback
from kerastorch.callbacks.callback_list import CallbackList, check_monitors, to_list
from kerastorch.callbacks.history import History
from kerastorch.callbacks.progress_bar import make_progress_callbacks
from kerastorch.callbacks.time_budget import TimeBudget
from kerastorch.core.duration import parse_duration
from kerastorch.core.path_checks import parse_path
from kerastorch.data.class_weight import class_weights
from kerastorch.data.data_adapter import DataAdapter
from kerastorch.runtime.batch_transfer import BatchTransfer
from kerastorch.training.failed_step import nan_report_callbacks
from kerastorch.training.fit_data import FitData, Split, adapt, assemble, check_limits, validation_source
from kerastorch.training.fit_settings import record_settings
from kerastorch.training.log_names import log_names, may_be_logged
from kerastorch.training.preflight import check_frequency, epoch_numbers
from kerastorch.training.step_mixin import StepMixin, overrides
from kerastorch.training.trainer import Trainer
from kerastorch.training.unscaled_pixels import warn_of_unscaled_pixels


class FitArguments(NamedTuple):
    """The arguments of `Model.fit`, under their names and in their order."""

    x: Any
    y: Any
    batch_size: int | None
    epochs: int
    verbose: Any
    callbacks: Sequence[Callback] | Callback | None
    validation_split: float
    validation_data: Any
    shuffle: bool | str
    class_weight: Any
    sample_weight: Any
    initial_epoch: int
    steps_per_epoch: int | None
    validation_steps: int | None
    validation_batch_size: int | None
    validation_freq: int | Sequence[int]
    validation_stratify: Any
    validation_shuffle: bool
    validation_seed: int | None
    check_finite: bool
    resume: Any
    max_time: Any
    limit_batches: int | float | None
    overfit_batches: int | float | None
    nan_report: Any
    workers: int

    def __str__(self) -> str:
        """Return the call, with the arguments that must be the same on all ranks, unless they are the defaults."""
        given = {name: repr(getattr(self, name)) for name in ("batch_size", "epochs", *_SAME_ON_ALL_RANKS)}
        told = {name: value for name, value in given.items() if value != repr(_SAME_ON_ALL_RANKS.get(name))}
        return f"fit({', '.join(f'{name}={value}' for name, value in told.items())})"


_SAME_ON_ALL_RANKS = {
    "validation_split": 0.0, "shuffle": True, "class_weight": None, "initial_epoch": 0, "steps_per_epoch": None,
    "validation_steps": None, "validation_batch_size": None, "validation_freq": 1, "validation_shuffle": False,
    "validation_seed": None, "limit_batches": None, "overfit_batches": None,
}  # fmt: skip


class FitRun(NamedTuple):
    """The arguments of `fit_loop.fit_epochs`."""

    trainer: Trainer
    data: FitData
    callbacks: CallbackList
    epochs: range
    transfer: BatchTransfer
    validation_transfer: BatchTransfer
    frequency: Any
    when_ready: Callable[[], None]


class PreparedFit(NamedTuple):
    """A fit whose arguments are checked.

    Attributes:
        run: What `fit_epochs` is called with.
        history: Callback that collects the logs.
        columns: Names of the columns of a DataFrame, else `None`.
        data_kind: Kind of the training data, such as `"arrays"`.
    """

    run: FitRun
    history: History
    columns: list[Any] | None
    data_kind: str


def prepare_fit(model: StepMixin, trainer: Trainer, given: FitArguments) -> PreparedFit:
    """Check the arguments of `fit`, and make data and callbacks of them.

    Args:
        model: The model.
        trainer: Parts that train it.
        given: The arguments.

    Raises:
        ValueError: An argument is out of its range, or the data do not fit each other, the model or the loss.
    """
    epochs = epoch_numbers(given.initial_epoch, given.epochs)
    check_frequency(given.validation_freq)
    weights = class_weights(given.class_weight, trainer.compiled_loss.outputs)
    transfer = trainer.batch_transfer(weights)
    unweighted = trainer.batch_transfer()  # without class weights
    source = adapt(
        given.x, given.y, given.sample_weight, unweighted, model._batch_reader(trainer, "train_step"),
        finite=given.check_finite, workers=given.workers, shard=trainer.parallel.shard,
    )  # fmt: skip
    own_callbacks = to_list(given.callbacks)
    callbacks = _all_callbacks(given, own_callbacks)
    data = _data(model, trainer, given, source, unweighted, callbacks)
    if weights is not None:
        weights.count(data.targets, source.kind)
    warn_of_unscaled_pixels(model, given.x)
    history = History()
    params = {"verbose": given.verbose, "epochs": given.epochs, "steps": data.training.steps()}
    listed = CallbackList(
        [*callbacks, history, *make_progress_callbacks(given.verbose)], model, params, shared=trainer.parallel.is_joint
    )
    if not overrides(model, "train_step", "test_step"):
        names = log_names(model, trainer, data.validation is not None)
        may_come = partial(may_be_logged, trainer, known=names)
        check_monitors(listed.of_all_ranks, names, data.validation is not None, may_come)
    weighting = given.class_weight, given.sample_weight
    record = partial(record_settings, history, trainer, data, weighting, own_callbacks)
    run = FitRun(trainer, data, listed, epochs, transfer, unweighted, given.validation_freq, record)
    return PreparedFit(run, history, source.columns, source.kind)


def _all_callbacks(given: FitArguments, own: list[Callback]) -> list[Callback]:
    """Return the callbacks of the user, and those that other arguments of `fit` stand for."""
    budget = [] if given.max_time is None else [TimeBudget(parse_duration("max_time", given.max_time))]
    checkpointers = [] if given.resume is None else [BackupAndRestore(parse_path("resume", given.resume))]
    return [*nan_report_callbacks(given.nan_report, own), *own, *budget, *checkpointers]


def _data(
    model: StepMixin,
    trainer: Trainer,
    given: FitArguments,
    source: DataAdapter,
    transfer: BatchTransfer,
    callbacks: Sequence[Callback],
) -> FitData:
    """Return the batches for training and validation.

    Args:
        model: The model.
        trainer: Parts that train it.
        given: The arguments of `fit`.
        source: Training data.
        transfer: Converts arrays to the dtypes of the model, without class weights.
        callbacks: The callbacks of the fit.
    """
    limits = check_limits(given.steps_per_epoch, given.validation_steps, given.limit_batches, given.overfit_batches)
    reader = model._batch_reader(trainer, "test_step")
    validation = None if given.overfit_batches else given.validation_data
    return assemble(
        model,
        source,
        validation_source(
            validation,
            transfer,
            given.check_finite,
            limits.largest_validation,
            reader,
            source.workers,
            trainer.parallel.shard,
        ),
        Split(given.validation_split, given.validation_stratify, given.validation_shuffle, given.validation_seed),
        limits,
        batch_size=given.batch_size,
        shuffle=given.shuffle,
        validation_batch_size=given.validation_batch_size,
        can_grow=model._row_by_row,
        generators_in={"model": model, "losses": trainer.compiled_loss},
        callbacks=callbacks,
        validation_reader=reader,
        parallel=trainer.parallel,
    )
