"""`get`, which makes the `MetricSpec` of a metric from what a user writes."""

from __future__ import annotations

import copy
import sys
from dataclasses import replace
from functools import partial
from types import FunctionType
from typing import Any

from kerastorch import losses
from kerastorch.core.name_lookup import public_name, snake_case
from kerastorch.core.ownership import is_from, is_own
from kerastorch.losses.argument_order import resolve_order
from kerastorch.metrics import accuracy, correlation, probabilistic, regression
from kerastorch.metrics.accumulators import KerasMetric, UserMetric
from kerastorch.metrics.built_in_metric import BuiltInMetric
from kerastorch.metrics.class_inputs import ClassInputs
from kerastorch.metrics.function_metric import FunctionMetric
from kerastorch.metrics.metric_spec import MetricSpec
from kerastorch.metrics.names import from_name, is_name
from kerastorch.metrics.reduction import Mean, MeanMetricWrapper, Sum
from kerastorch.metrics.task import InputFormat

# functions that the classes of this package are the means of
_CLASSES_OF_FUNCTIONS: dict[Any, Any] = {
    accuracy.binary_accuracy: accuracy.BinaryAccuracy,
    accuracy.categorical_accuracy: accuracy.CategoricalAccuracy,
    accuracy.sparse_categorical_accuracy: accuracy.SparseCategoricalAccuracy,
    accuracy.top_k_categorical_accuracy: accuracy.TopKCategoricalAccuracy,
    accuracy.sparse_top_k_categorical_accuracy: accuracy.SparseTopKCategoricalAccuracy,
    correlation.pearson_correlation: correlation.PearsonCorrelation,
    correlation.concordance_correlation: correlation.ConcordanceCorrelation,
    losses.mean_squared_error: regression.MeanSquaredError,
    losses.mean_absolute_error: regression.MeanAbsoluteError,
    losses.mean_absolute_percentage_error: regression.MeanAbsolutePercentageError,
    losses.mean_squared_logarithmic_error: regression.MeanSquaredLogarithmicError,
    losses.binary_crossentropy: probabilistic.BinaryCrossentropy,
    losses.categorical_crossentropy: probabilistic.CategoricalCrossentropy,
    losses.sparse_categorical_crossentropy: probabilistic.SparseCategoricalCrossentropy,
    losses.kl_divergence: probabilistic.KLDivergence,
    losses.poisson: probabilistic.Poisson,
    losses.hinge: probabilistic.Hinge,
    losses.squared_hinge: probabilistic.SquaredHinge,
    losses.categorical_hinge: probabilistic.CategoricalHinge,
}


def get(identifier: Any) -> MetricSpec:
    """Return the metric for a name, class, object or function.

    An object is a metric of torchmetrics, or has the methods `update`, `compute` and `reset`, or those of Keras. A
    function is called once, on all rows of an epoch. The names of its parameters decide whether in the order of Keras,
    `(y_true, y_pred)`, or of torch, `(input, target)`. A tuple `(name, metric)` gives a metric a name in the logs.

    Raises:
        ValueError: The name is unknown.
        TypeError: The object is no metric, or has only some of the methods of one.

    >>> get("acc").name
    'acc'
    >>> get("acuracy")
    Traceback (most recent call last):
    ValueError: Unknown metric 'acuracy'. Did you mean 'accuracy'? Known: ...
    """
    if isinstance(identifier, MetricSpec):
        return identifier
    if isinstance(identifier, str):
        return from_name(identifier)
    if is_named(identifier):
        return named(identifier[0], get(identifier[1]))
    if isinstance(identifier, FunctionType) and identifier in _CLASSES_OF_FUNCTIONS:
        identifier = _CLASSES_OF_FUNCTIONS[identifier]
    if isinstance(identifier, type) or (isinstance(identifier, partial) and isinstance(identifier.func, type)):
        identifier = _instance(identifier)
    if isinstance(identifier, BuiltInMetric) and _is_updated_as_built_in(type(identifier)):
        return _from_built_in(identifier)
    if _has_methods(identifier, "update", "compute", "reset"):
        return _from_update_object(identifier)
    if hasattr(identifier, "update_state") or hasattr(identifier, "result"):
        return _from_keras_object(identifier)
    if callable(identifier):
        name = public_name(identifier)
        order = resolve_order(identifier, name, "metric")
        return MetricSpec(name, lambda spec: FunctionMetric(identifier, order, name), input_format="raw")
    raise TypeError(f"A metric is a name, a torchmetrics metric or a function, got {identifier!r}.")


def get_weighted(identifier: Any) -> MetricSpec:
    """Return the metric for a name, class, object or function, which counts samples with their weights.

    A function `(y_true, y_pred)` returns a value for each sample, of which the weighted mean is computed.

    Args:
        identifier: As for `get`.

    Raises:
        ValueError: The name is unknown, or the metric has no weighted form.
        TypeError: The object takes no sample weights.
    """
    if isinstance(identifier, str):
        return from_name(identifier, is_weighted=True)
    if is_named(identifier):
        return named(identifier[0], get_weighted(identifier[1]))
    spec = get(identifier)
    if spec.user_object is not None:
        return replace(spec, is_weighted=True)
    if isinstance(identifier, FunctionType) and not spec.is_weighted:
        order = resolve_order(identifier, spec.name, "metric")
        fn = identifier if order == "keras" else _swapped(identifier)
        return replace(_from_built_in(MeanMetricWrapper(fn, spec.name)), is_weighted=True)
    if spec.is_weighted:
        return spec
    raise TypeError(
        f"weighted_metrics: {spec.name} takes no sample weights. Use a name, a class of kerastorch.metrics, or an "
        "object with update_state(y_true, y_pred, sample_weight); or give it in metrics=[...]."
    )


def named(name: str, spec: MetricSpec) -> MetricSpec:
    """Return a metric under another name in the logs.

    Raises:
        ValueError: The name is empty.
    """
    if not name:
        raise ValueError("the name of a metric must not be empty.")
    return replace(spec, name=name)


def is_named(value: Any) -> bool:
    """Return whether a value is a name in the logs with a metric, `(name, metric)`, and not two metrics."""
    if type(value) is not tuple or len(value) != 2 or not isinstance(value[0], str):
        return False
    if isinstance(value[1], str):
        return not is_name(value[0]) and is_name(value[1])
    return value[1] is not None and not isinstance(value[1], (list, tuple, dict))


def _swapped(function: Any) -> Any:
    """Return a function in Keras' order of one in torch's."""
    return lambda y_true, y_pred: function(y_pred, y_true)


def _instance(kind: Any) -> Any:
    """Return an instance of a class or partial.

    Raises:
        TypeError: The class has arguments without a default.
    """
    try:
        return kind()
    except TypeError as error:
        raise TypeError(f"metric: {public_name(kind)} needs arguments; pass an instance. {error}") from error


def _is_updated_as_built_in(kind: type) -> bool:
    """Return whether a class updates its state with a method that kerastorch defines."""
    return is_own(kind.update_state)  # type: ignore[attr-defined]


def _from_built_in(metric: BuiltInMetric) -> MetricSpec:
    """Return the `MetricSpec` of an instance of a built-in class."""
    if isinstance(metric, (Mean, Sum)) and type(metric).update_state in (Mean.update_state, Sum.update_state):
        raise TypeError(
            f"{type(metric).__name__} reduces values, it does not compare outputs with targets. Use MeanMetricWrapper "
            "of a function of both; or update it yourself, in a train_step of your own."
        )
    inputs = ClassInputs.of(metric)
    mixes_rows = getattr(metric, "axis", -1) == 0
    if mixes_rows:
        raise ValueError(
            f"metric {metric.name!r} has axis=0, the rows, so that its value would depend on the batch size. In "
            "compile() metrics=['pearson'] correlates over all rows; or update the metric by hand."
        )
    return MetricSpec(
        metric.name,
        lambda spec: KerasMetric(metric, metric.name),
        higher_is_better=metric.higher_is_better,
        is_classification=metric.output_format in ("scores", "probabilities"),
        if_unknown="check",
        class_inputs=inputs,
        user_object=metric,
    )


def _from_update_object(metric: Any) -> MetricSpec:
    """Return the `MetricSpec` of an object with `update`, `compute` and `reset`."""
    fresh = copy.deepcopy(metric)
    fresh.reset()
    name = snake_case(type(metric).__name__)
    owner = next((one for one in type(metric).__mro__ if "update" in vars(one)), type(metric))
    is_torchmetrics = is_from(owner, "torchmetrics")
    order = "torch" if is_torchmetrics else resolve_order(metric.update, f"{name}.update", "metric")
    members = _members(metric) if is_torchmetrics else [metric]
    inputs = {(_input_format(one), _ignore_index(one)) for one in members}
    if len(inputs) > 1:
        raise TypeError(f"{name} has metrics that need different outputs. List them: metrics=[*collection.values()].")
    input_format, ignore_index = inputs.pop()
    return MetricSpec(
        name,
        lambda spec: copy.deepcopy(fresh) if is_torchmetrics else UserMetric(copy.deepcopy(fresh), order),
        input_format=input_format,
        higher_is_better=getattr(metric, "higher_is_better", None),
        is_classification=any(".classification" in type(one).__module__ for one in members),
        ignore_index=ignore_index,
    )


def _members(metric: Any) -> list[Any]:
    """Return the metrics of a `torchmetrics.MetricCollection`, or the metric itself in a list."""
    torchmetrics = sys.modules.get("torchmetrics")  # imported already if the metric is of a class in it
    if torchmetrics is not None and isinstance(metric, torchmetrics.MetricCollection):
        return list(metric.values())
    return [metric]


def _ignore_index(metric: Any) -> int | None:
    index = getattr(metric, "ignore_index", None)
    return index if isinstance(index, int) else None


def _from_keras_object(metric: Any) -> MetricSpec:
    """Return the `MetricSpec` of an object with `update_state`, `result` and `reset_state`."""
    is_complete = _has_methods(metric, "update_state", "result")
    if not is_complete or not (_has_methods(metric, "reset_state") or _has_methods(metric, "reset_states")):
        raise TypeError(
            f"{type(metric).__name__} has some of Keras' methods of a metric; it needs update_state(y_true, y_pred), "
            "result() and reset_state()."
        )
    given = getattr(metric, "name", None)
    name = given if isinstance(given, str) and given else snake_case(type(metric).__name__)
    return MetricSpec(
        name,
        lambda spec: KerasMetric(metric, name),
        input_format="raw",
        higher_is_better=getattr(metric, "higher_is_better", None),
        by_batch=True,
        user_object=metric,
    )


def _has_methods(thing: Any, *names: str) -> bool:
    return all(callable(getattr(thing, name, None)) for name in names)


def _input_format(metric: Any) -> InputFormat:
    """Return the format that an object takes; unknown classes get raw outputs and targets."""
    if ".classification" in type(metric).__module__:
        return "classes" if type(metric).__name__.startswith("Multiclass") else "task"
    return "task" if ".regression" in type(metric).__module__ else "raw"
