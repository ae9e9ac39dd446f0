"""EvaluateMixin: `evaluate`, which returns loss and metrics, or a report on the predictions."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping, Sequence
from contextlib import nullcontext
from typing import TYPE_CHECKING, Any, Literal, overload

from kerastorch.callbacks.base import Callback
from kerastorch.callbacks.callback_list import CallbackList, to_list
from kerastorch.callbacks.progress_bar import Verbose, make_progress_callbacks
from kerastorch.core.errors import shown, unknown
from kerastorch.core.traceback_filter import public_api
from kerastorch.data.adaptive_batch_size import eval_batches
from kerastorch.data.batches import Batches
from kerastorch.data.loader_checks import check_keeps_all_rows
from kerastorch.runtime.model_lock import is_fitting, model_lock
from kerastorch.training import loops
from kerastorch.training.compile_mixin import CompileMixin
from kerastorch.training.fit_data import adapt
from kerastorch.training.log_names import in_keras_order
from kerastorch.training.preflight import check_columns
from kerastorch.training.row_axis import check_row_axis

if TYPE_CHECKING:
    from kerastorch.evaluation.evaluation_report import Report

_ARGUMENTS = ("check_finite", "workers")  # of a report that `evaluate` has itself


class EvaluateMixin(CompileMixin):
    """A model whose loss and metrics over data can be computed."""

    @overload
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
        workers: int = 0,
        report: Literal[True] | Mapping[str, Any],
    ) -> Report: ...

    @overload
    def evaluate(
        self,
        x: Any = None,
        y: Any = None,
        batch_size: int | None = None,
        verbose: Verbose = "auto",
        sample_weight: Any = None,
        steps: int | None = None,
        callbacks: Sequence[Callback] | Callback | None = None,
        *,
        return_dict: Literal[True],
        check_finite: bool = True,
        workers: int = 0,
    ) -> dict[str, float]: ...

    @overload
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
        workers: int = 0,
        report: bool | Mapping[str, Any] = False,
    ) -> Any: ...

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
        workers: int = 0,
        report: bool | Mapping[str, Any] = False,
    ) -> Any:
        """Return loss and metrics over data, in evaluation mode; they are the same for every batch size.

        Args:
            x: Inputs, or data that yield them, as for `fit`.
            y: Targets, one row for each row of `x`; not given if `x` yields them.
            batch_size: Rows of a batch. Default: 32 for the first batch, then as many as keep each tensor below 2 MiB,
                at most 4096; 32 for all batches if `steps` is given, in compiled modules, and if the loss is not known
                to be a mean over rows (functions, sums, an own `test_step` or `compute_loss`).
            verbose: 0 prints nothing, 2 a line; 1 and the default `"auto"` show a progress bar in terminals and
                notebooks, and print a line elsewhere.
            sample_weight: A weight for each row in the loss, shape `(rows,)`; for several outputs also a dict or list
                of them. Default: 1 each.
            steps: The largest number of batches. Default: all.
            callbacks: Callback instances, called in this order.
            return_dict: Whether to return a dict of values by name. Default `False`.
            check_finite: Whether NaN and infinity in arrays raise an error. Default `True`.
            workers: Number of processes that read the samples of a `Dataset`, as for `fit`. Default 0.
            report: Whether to return a report on the predictions, with metrics, intervals, tables and plots; or a dict
                of the options of `kerastorch.evaluation.report`, such as `{"by": "sex"}`. Default `False`.

        Returns:
            The loss as a float, or a list of floats `[loss, *metrics]` if there are metrics, in the order of
            `metrics_names`. With `return_dict=True`, a dict of them by name, which also has `data_loss`, the loss
            without penalties, if there are penalties. With `report`, an `evaluation.Report`; its attribute `logs` is
            this dict.

        Raises:
            RuntimeError: The model is not compiled.
            ValueError: There is no loss; the data are empty, not finite, or do not fit each other, the model or loss.

        >>> import kerastorch as kt
        >>> model = kt.Sequential([kt.layers.Dense(1, kernel_initializer="zeros")])
        >>> model.compile("sgd", "mse", metrics=["mae"])
        >>> model.evaluate([[1.0], [1.0]], [[2.0], [2.0]], verbose=0, return_dict=True)
        {'loss': 4.0, 'mae': 2.0}
        """
        if report is not False:
            from kerastorch.evaluation import model_report

            given = (x, y, batch_size, verbose, sample_weight, steps, callbacks)
            options = report_options(report, model_report.report)
            return model_report.report(self, *given, check_finite=check_finite, workers=workers, **options)
        trainer = self._compiled("evaluate", x, y)
        with trainer.joined(f"evaluate(batch_size={batch_size}, steps={steps})") as parallel:
            feed = trainer.batch_transfer()
            check_keeps_all_rows(x, "evaluate")
            reader = self._batch_reader(trainer, "test_step")
            source = adapt(
                x, y, sample_weight, feed, reader, finite=check_finite, workers=workers, shard=parallel.shard
            )
            parallel.check_data(source)
            check_columns(trainer.state.feature_names, source.columns)
            check_row_axis(feed.parts, source, batch_size)
            batches = eval_batches(source, batch_size, steps, grows=self._row_by_row, shard=parallel.shard)
            own = to_list(callbacks)
            listed = [*own, *make_progress_callbacks(verbose, "Evaluate")]
            told = CallbackList(listed, self, _steps(verbose, batches), shared=parallel.is_joint)
            with model_lock(self, "evaluate", alone=bool(own)):
                within_fit = is_fitting(self)  # a callback evaluates the whole: it may keep the numbers
                with nullcontext() if within_fit else trainer.interrupt.watch():
                    logs = loops.evaluate(trainer, batches, feed, told, interruptible=not within_fit)
                    if not within_fit:
                        parallel.is_interrupted(trainer.interrupt)  # by a signal to another rank
        return logs if return_dict else in_keras_order(logs)


def _steps(verbose: Verbose, batches: Batches) -> dict[str, Any]:
    return {"verbose": verbose, "epochs": 1, "steps": batches.steps()}


def report_options(given: Any, function: Callable[..., Any]) -> Mapping[str, Any]:
    """Return the options of a report that `evaluate(report=...)` was given.

    Args:
        given: `True`, or the options.
        function: Makes the report.

    Raises:
        TypeError: `report` is neither a bool nor a dict of options.
    """
    if given is True:
        return {}
    parameters = inspect.signature(function).parameters.values()
    known = [one.name for one in parameters if one.kind is one.KEYWORD_ONLY and one.name not in _ARGUMENTS]
    if not isinstance(given, Mapping):
        raise TypeError(f"report must be True, or a dict of the options {', '.join(known)}, got {shown(given)}.")
    for name in given:
        if name not in known:
            raise TypeError(str(unknown("option of a report", str(name), known)))
    return given
