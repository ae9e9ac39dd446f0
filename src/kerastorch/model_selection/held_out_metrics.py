"""The argument `metrics` of cross-validation: scorers of scikit-learn and functions, computed on predictions."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from kerastorch.core.errors import shown, suggest, unknown
from kerastorch.core.nested import map_structure
from kerastorch.losses.base import Loss
from kerastorch.metrics.base import Metric as BaseMetric
from kerastorch.metrics.task import TaskSpec
from kerastorch.model import Model
from kerastorch.model_selection.labels import are_classes, class_labels, to_array
from kerastorch.training.fused_activation import final_activations

if TYPE_CHECKING:
    from sklearn.base import BaseEstimator

Array = np.ndarray[Any, Any]
# functions of scikit-learn take predicted classes, unless one of its scorers gives them something else
_RANKING = "sklearn.metrics._ranking"


@dataclass(frozen=True)
class HeldOutMetric:
    """A metric that is computed on predictions.

    Attributes:
        compute: Function of the model, the targets and the predictions.
        larger_is_better: Whether larger values are better; `None` if it is unknown.
    """

    compute: Callable[[Model, Any, Any], float]
    larger_is_better: bool | None = None


def parse_metrics(metrics: Any) -> dict[str, HeldOutMetric]:
    """Return the metrics to compute on predictions, by name.

    Args:
        metrics: A name of a scorer of scikit-learn, a scorer, or a function of targets and predictions; a list of
            these, or a dict of them by name.

    Raises:
        TypeError: Something is no metric.
        ValueError: A name is unknown, or two metrics have the same name.
    """
    if metrics is None:
        return {}
    if isinstance(metrics, Mapping):
        return {str(name): _parse(one) for name, one in metrics.items()}
    listed = metrics if isinstance(metrics, (list, tuple, set)) else [metrics]
    found: dict[str, HeldOutMetric] = {}
    for one in listed:
        name = _name_of(one)
        if name in found:
            raise ValueError(f"two metrics have the name {name!r}; pass a dict, metrics={{'name': metric}}.")
        found[name] = _parse(one)
    return found


def _name_of(metric: Any) -> str:
    if isinstance(metric, str):
        return metric
    function = getattr(metric, "_score_func", metric)  # of a scorer of scikit-learn
    while isinstance(function, partial):
        function = function.func
    name = str(getattr(function, "__name__", type(function).__name__))
    if name == "<lambda>":
        raise ValueError("a metric that is a lambda needs a name: metrics={'name': lambda y_true, y_pred: ...}.")
    return name


def _parse(metric: Any) -> HeldOutMetric:
    """Return one of the `metrics`."""
    from sklearn import metrics as sklearn_metrics

    if isinstance(metric, str):
        known = sklearn_metrics.get_scorer_names()
        if metric not in known:
            hint = f"{suggest(metric, known)} Metrics of kerastorch belong to the model: compile(metrics=[...])."
            raise unknown("metric", metric, known, hint.lstrip())
        metric = sklearn_metrics.get_scorer(metric)
    if isinstance(metric, (torch.nn.Module, BaseMetric, type)) or not callable(metric):
        raise TypeError(
            "metrics must be names of scikit-learn's scorers, scorers, or functions of targets and predictions, got "
            f"{shown(metric)}. Metrics of kerastorch belong to the model: compile(metrics=[...])."
        )
    if _is_scorer(metric):
        return HeldOutMetric(partial(_score, metric), True)  # scorers give the negative of an error
    if str(getattr(metric, "__module__", "")).startswith("sklearn.metrics."):
        return _of_function(metric)
    return HeldOutMetric(partial(_call, metric))


def _is_scorer(metric: Any) -> bool:
    """Return whether an object is called with an estimator, inputs and targets, as scorers of scikit-learn are."""
    if hasattr(metric, "_score_func"):
        return True
    try:
        names = list(inspect.signature(metric).parameters)
    except (TypeError, ValueError):
        return False
    return names[:1] == ["estimator"]


def _of_function(function: Any) -> HeldOutMetric:
    """Return a function of `sklearn.metrics` as a metric that gives it the kind of predictions that it takes."""
    from sklearn import metrics as sklearn_metrics

    scorers = map(sklearn_metrics.get_scorer, sklearn_metrics.get_scorer_names())
    known = next((one for one in scorers if getattr(one, "_score_func", None) is function), None)
    default = ("decision_function", "predict_proba") if function.__module__ == _RANKING else "predict"
    method = getattr(known, "_response_method", default)
    scorer = sklearn_metrics.make_scorer(function, response_method=method)
    sign = getattr(known, "_sign", None)
    return HeldOutMetric(partial(_score, scorer), None if sign is None else sign > 0)


def _call(function: Callable[[Any, Any], Any], _: Model, y: Any, predictions: Any) -> float:
    """Return the value of a function of targets and predictions, which are NumPy arrays."""
    targets = map_structure(to_array, y)
    value = _as_number(function(targets, predictions))
    if isinstance(targets, np.ndarray) and isinstance(predictions, np.ndarray):
        _check_no_broadcasting(function, value, targets, predictions)
    return value


def _check_no_broadcasting(function: Callable[[Any, Any], Any], value: float, y: Array, predictions: Array) -> None:
    """Raise an error if a function pairs each of the targets `(n,)` with each of the predictions `(n, 1)`.

    It does so if it has one value for arrays of the same shape, be it `(n,)` or `(n, 1)`, and another one for these.
    """
    if y.size != predictions.size or y.shape == predictions.shape or y.size < 2:
        return
    try:
        flat = _as_number(function(y.ravel(), predictions.ravel()))
        column = _as_number(function(y.reshape(-1, 1), predictions.reshape(-1, 1)))
    except Exception:  # it requires the shapes that it was given
        return
    if np.isclose(flat, column, rtol=1e-4, atol=1e-6) and not np.isclose(flat, value, rtol=1e-4, atol=1e-6):
        raise ValueError(
            f"y_true has the shape {y.shape} and y_pred {predictions.shape}, so NumPy pairs each target with each "
            f"prediction: the function gives {value:g}, and {flat:g} for arrays of one shape. Bring both to one shape "
            "in it: y_true.reshape(y_pred.shape)."
        )


def _score(scorer: Any, model: Model, y: Any, predictions: Any) -> float:
    """Return the value of a scorer of scikit-learn."""
    if not isinstance(predictions, np.ndarray):
        raise ValueError("scorers take the predictions of one output; pass a function of targets and predictions.")
    estimator, y_true = estimator_of(model, to_array(y), predictions)
    rows = np.arange(len(y_true))[:, None]
    return _as_number(_with_all_labels(scorer, estimator)(estimator, rows, y_true))


def _with_all_labels(scorer: Any, estimator: Any) -> Any:
    """Return a scorer of probabilities that knows all classes, since a fold may have no row of some."""
    from sklearn.metrics import make_scorer

    classes, function = getattr(estimator, "classes_", None), getattr(scorer, "_score_func", None)
    method, options = getattr(scorer, "_response_method", "predict"), getattr(scorer, "_kwargs", {})
    if function is None or method == "predict" or "labels" in options or not isinstance(classes, np.ndarray):
        return scorer
    if "labels" not in inspect.signature(function).parameters:
        return scorer
    is_better = scorer._sign > 0
    return make_scorer(function, response_method=method, greater_is_better=is_better, labels=classes, **options)


def estimator_of(model: Model, y: Array, predictions: Array) -> tuple[BaseEstimator, Array]:
    """Return an estimator of scikit-learn that predicts what a model has predicted, and the targets in its form.

    Args:
        model: The model, whose loss and last activation tell what its outputs are.
        y: Targets, `(rows, ...)`.
        predictions: Outputs of the model, `(rows, ...)`.
    """
    from kerastorch.model_selection.predicted_estimators import PredictedClasses, PredictedLabels, PredictedValues

    loss = _only_loss(model)
    outputs, targets = torch.from_numpy(predictions), torch.from_numpy(y)
    if not _classifies(loss, y):
        return PredictedValues(_without_column(predictions)), _without_column(y)
    ends = list(final_activations(model).values())
    spec = TaskSpec.of(loss, outputs, targets, True, ends[0] if len(ends) == 1 else None).for_labels(targets)
    if spec.link == "unknown":
        raise ValueError(
            "it is not known whether the outputs are probabilities; compile the model with a loss by name, or pass a "
            "function of targets and predictions."
        )
    probabilities = spec.probabilities(outputs.double()).numpy()
    if spec.kind == "multilabel":
        return PredictedLabels(probabilities), (y > 0.5).astype(int)
    if spec.kind == "binary":
        second = probabilities.reshape(len(probabilities), -1)
        labels = np.array([-1, 1] if spec.signed else [0, 1])
        return PredictedClasses(np.concatenate([1 - second, second], 1), labels), _without_column(y).astype(int)
    found = class_labels(y)
    if predictions.ndim != 2 or found is None:
        raise ValueError("scorers take one class for each row; pass a function of targets and predictions.")
    probabilities /= probabilities.sum(1, keepdims=True)  # exactly one, as scikit-learn requires of float64
    return PredictedClasses(probabilities, np.arange(spec.classes)), found.astype(int)


def _only_loss(model: Model) -> Loss | None:
    losses = list(model.trainer.compiled_loss.losses.values())
    return losses[0] if len(losses) == 1 else None


def _classifies(loss: Loss | None, y: Array) -> bool:
    """Return whether a model predicts classes: its loss says so, or it is unknown and the targets are classes."""
    if loss is not None and loss.task is not None:
        return loss.task in ("binary", "multiclass")
    labels = class_labels(y)
    return labels is not None and are_classes(labels, 2)


def _without_column(array: Array) -> Array:
    return array[:, 0] if array.ndim == 2 and array.shape[1] == 1 else array


def _as_number(value: Any) -> float:
    try:
        return float(value)
    except (TypeError, ValueError):
        raise TypeError(f"a metric must return one number, got {shown(value)}.") from None
