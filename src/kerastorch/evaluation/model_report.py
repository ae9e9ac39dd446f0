"""`report`: evaluate a model, and report on its predictions."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, cast

from torch import nn

from kerastorch.callbacks.base import Callback
from kerastorch.callbacks.progress_bar import Verbose
from kerastorch.core.channel_tracking import known_channel_axes
from kerastorch.core.errors import unknown
from kerastorch.core.traceback_filter import public_api
from kerastorch.data.loader_checks import check_keeps_order
from kerastorch.evaluation.array_report import check_from_logits, columns_of, report_on_estimator
from kerastorch.evaluation.build_report import ReportOptions, build_report, check_names, check_task
from kerastorch.evaluation.collect import CollectsOutputs, collect_outputs
from kerastorch.evaluation.evaluation_report import Report, Reports
from kerastorch.evaluation.from_outputs import Outputs, to_predictions
from kerastorch.evaluation.row_inputs import row_inputs
from kerastorch.evaluation.score_reader import OutputFacts
from kerastorch.evaluation.slices import find_groups
from kerastorch.training.fused_activation import final_activations
from kerastorch.training.trainer import Trainer


@public_api
def report(
    model: object,
    x: Any = None,
    y: Any = None,
    batch_size: int | None = None,
    verbose: Verbose = 0,
    sample_weight: Any = None,
    steps: int | None = None,
    callbacks: Sequence[Callback] | Callback | None = None,
    *,
    by: Any = None,
    class_names: Any = None,
    task: Any = None,
    from_logits: Any = None,
    threshold: float = 0.5,
    confidence: float = 0.95,
    n_bootstrap: int | None = None,
    seed: int = 0,
    n_bins: int = 15,
    level: float = 0.9,
    n_worst: int = 5,
    min_rows: int = 30,
    check_finite: bool = True,
    workers: int = 0,
) -> Report:
    """Evaluate a model, and report on its predictions: metrics with intervals, tables, curves, slices, worst rows.

    The task, and what the outputs are, follow from the loss that the model was compiled with: logits become
    probabilities as the loss defines it. Pass rows that the model was not trained on.

    Args:
        model: A compiled model; an ensemble, whose mean prediction is meant; or an estimator of scikit-learn, with
            `predict_proba` or `predict`.
        x: Inputs, or data that yield them with their targets, as for `evaluate`.
        y: Targets, one row for each row of `x`; not given if `x` yields them.
        batch_size: As for `evaluate`.
        verbose: As for `evaluate`. Default 0: no progress bar.
        sample_weight: A weight for each row, in the loss and in all metrics. Default: 1 each.
        steps: As for `evaluate`.
        callbacks: As for `evaluate`.
        by: Groups of rows to evaluate on their own: the name of a column of the table or dict `x`, or a list of names;
            an array with a label for each row; or a dict or table of such arrays. Numbers with more than 10 different
            values are cut into quarters. Default: none.
        class_names: Names of classes 0, 1, ...; of the labels of a multilabel task, or of the columns of values. For
            several outputs a dict by output. Default: the numbers, or the columns of a table `y`.
        task: `"binary"`, `"multiclass"`, `"multilabel"` or `"regression"`, if neither loss nor targets tell it. For
            several outputs also a dict.
        from_logits: Whether outputs are logits, if the loss does not tell it. For several outputs also a dict.
        threshold: Probability above which the second class, or a label, is predicted. Default 0.5.
        confidence: Probability of the bootstrap intervals. Default 0.95.
        n_bootstrap: Number of resamples of the rows for these intervals; 0 for none. Default 1000, fewer for more than
            100 000 probabilities or values, but at least 100.
        seed: Seed of the resamples. Default 0.
        n_bins: Number of bins of equal width of the calibration. Default 15.
        level: Probability of the prediction intervals of a regression. Default 0.9.
        n_worst: Largest number of worst rows. Default 5.
        min_rows: Number of rows below which a slice is marked as small. Default 30.
        check_finite: As for `evaluate`.
        workers: As for `evaluate`.

    Returns:
        The report. For a model of several outputs, `Reports`: a mapping from the name of each output that has a loss
        to its report.

    Raises:
        RuntimeError: The model is not compiled.
        ValueError: Outputs contain NaN, or are neither probabilities nor known to be logits; the task is unknown; the
            labels of `by` do not fit; an option is out of its range.

    >>> import kerastorch as kt
    >>> model = kt.Sequential([kt.layers.Dense(1, kernel_initializer="ones")])
    >>> model.compile("sgd", "mse")
    >>> found = report(model, [[1.0], [2.0], [3.0]], [[1.0], [2.0], [5.0]], n_bootstrap=0)
    >>> found.task, round(found.metrics["mae"], 4), found.worst[0].index
    ('regression', 0.6667, 2)
    """
    options = ReportOptions.of(threshold, confidence, n_bootstrap, seed, n_bins, level, n_worst, min_rows)
    if by is not None:
        check_keeps_order(x, "report")
    arguments = (x, y, batch_size, verbose, sample_weight, steps, callbacks)
    more: dict[str, Any] = {"check_finite": check_finite, "workers": workers}
    if isinstance(model, CollectsOutputs):  # an ensemble
        trainer, collected, logs = model.collect_outputs(*arguments, **more)
    elif isinstance(model, nn.Module):
        evaluate = _evaluation(model)
        trainer, collected, logs = collect_outputs(model, x, lambda: evaluate(*arguments, return_dict=True, **more))
    else:
        return report_on_estimator(model, x, y, sample_weight, options, by, class_names, task)
    for argument, value in (("class_names", class_names), ("task", task), ("from_logits", from_logits)):
        _check_outputs(argument, value, list(collected))
    reports = {}
    for name, one in collected.items():
        facts = _facts(
            trainer,
            name,
            y,
            _of_output(class_names, name),
            _of_output(task, name),
            _of_output(from_logits, name),
            options.threshold,
        )
        reports[name] = _report_on(name, one, facts, options, (x, by), logs)
    if set(reports) == {""}:
        return reports[""]
    return cast("Report", Reports(reports, logs))


def _evaluation(model: nn.Module) -> Any:
    """Return `evaluate` of a model.

    Raises:
        TypeError: It is a module without this method.
    """
    evaluate = getattr(model, "evaluate", None)
    if not callable(evaluate) or not hasattr(model, "_trainer"):
        raise TypeError(
            f"model must be a compiled model of kerastorch, got a {type(model).__name__}. Write kt.Model(module) and "
            "compile it; or pass its predictions to kt.evaluation.report_from_predictions(y, predictions)."
        )
    return evaluate


def _check_outputs(argument: str, value: Any, outputs: list[str]) -> None:
    """Check that an argument that is a dict by output has the names of outputs.

    Raises:
        ValueError: The model has no output of a name, or one output alone.
    """
    if not isinstance(value, Mapping) or set(value) <= set(outputs):
        return
    if outputs == [""]:
        kind = f"{argument} is a dict with {', '.join(map(repr, value))}"
        raise ValueError(f"{kind}, and the model has one output. Pass the value for it alone.")
    name = next(name for name in value if name not in outputs)
    raise unknown(f"output in {argument}", str(name), outputs)


def _of_output(value: Any, name: str) -> Any:
    """Return an argument for one output."""
    return value.get(name) if isinstance(value, Mapping) else value


def _facts(
    trainer: Trainer, name: str, y: Any, class_names: Any, task: Any, from_logits: Any, threshold: float
) -> OutputFacts:
    """Return what is known about an output.

    Args:
        trainer: Parts of the model.
        name: Name of the output.
        y: The targets as they were given.
        class_names: As for `report`.
        task: As for `report`.
        from_logits: As for `report`.
        threshold: As for `report`.
    """
    return OutputFacts(
        trainer.compiled_loss.metric_inputs.loss_of(name),
        final_activations(trainer.model).get(name),
        known_channel_axes(trainer.model).get(name),
        check_task(task),
        check_from_logits(from_logits),
        threshold,
        check_names(class_names) or columns_of(y),
    )


def _report_on(
    name: str,
    groups: Sequence[Outputs],
    facts: OutputFacts,
    options: ReportOptions,
    data: tuple[Any, Any],
    logs: Mapping[str, float],
) -> Report:
    """Return the report on one output.

    Args:
        name: Name of the output.
        groups: Its outputs and targets.
        facts: What is known about it.
        options: Options of the report.
        data: `x` and `by`.
        logs: Loss and metrics of `compile`.
    """
    x, by = data
    found, notes = to_predictions(groups, facts)
    return build_report(
        found,
        options,
        find_groups(by, x, found.n_rows),
        inputs=row_inputs(x, found.n_rows),
        notes=notes,
        logs=logs if not name else None,
        name=name,
    )
