"""`get`, which makes the `MetricSpec` of a metric from what a user writes; and the metrics by name."""

from __future__ import annotations

import copy
import sys
from functools import partial
from typing import Any

import torch

from kerastorch.core.name_lookup import look_up, public_name, snake_case
from kerastorch.core.ownership import is_from, is_own
from kerastorch.losses import regression as regression_losses
from kerastorch.losses.argument_order import resolve_order
from kerastorch.metrics.accumulators import (
    Accuracy,
    FunctionMetric,
    KerasMetric,
    LargestColumnAccuracy,
    LossMean,
    TransformedMetric,
    UserMetric,
)
from kerastorch.metrics.built_in_metric import BuiltInMetric
from kerastorch.metrics.class_inputs import ClassInputs
from kerastorch.metrics.metric_spec import MetricSpec
from kerastorch.metrics.reduction import Mean, Sum
from kerastorch.metrics.task import InputFormat, TaskSpec

# torchmetrics is imported inside functions: its import takes longer than a short training

# name -> class of torchmetrics.classification, without its prefix Binary, Multiclass or Multilabel
_CLASSIFICATION = {
    "accuracy": "Accuracy", "acc": "Accuracy", "binary_accuracy": "Accuracy", "categorical_accuracy": "Accuracy",
    "sparse_categorical_accuracy": "Accuracy", "precision": "Precision", "recall": "Recall", "f1": "F1Score",
    "f1_score": "F1Score", "auc": "AUROC", "auroc": "AUROC", "roc_auc": "AUROC",
    "average_precision": "AveragePrecision", "specificity": "Specificity", "cohen_kappa": "CohenKappa",
    "matthews_corrcoef": "MatthewsCorrCoef", "iou": "JaccardIndex", "jaccard": "JaccardIndex",
    "calibration_error": "CalibrationError", "hinge_loss": "HingeLoss",
}  # fmt: skip
_TOP_K = {
    "top_k_categorical_accuracy": 5, "sparse_top_k_categorical_accuracy": 5, "top5": 5, "top_5": 5,
    "top_5_accuracy": 5, "top3": 3, "top_3": 3, "top_3_accuracy": 3, "top2": 2, "top_2": 2, "top_2_accuracy": 2,
}  # fmt: skip
# names that are also losses: the metric is the mean of the loss
_LOSS_NAMES: dict[str, Any] = regression_losses.table()
# name -> class of torchmetrics.regression
_REGRESSION = {
    "r2": "R2Score", "r2_score": "R2Score", "explained_variance": "ExplainedVariance",
    "pearson": "PearsonCorrCoef", "spearman": "SpearmanCorrCoef",
}  # fmt: skip
_ROOT_NAMES = ("root_mean_squared_error", "rmse")
NAMES = (*_CLASSIFICATION, *_TOP_K, *_LOSS_NAMES, *_ROOT_NAMES, *_REGRESSION)

# classes of torchmetrics that take the number of outputs
_TAKES_NUM_OUTPUTS = ("PearsonCorrCoef", "SpearmanCorrCoef")
# names that read outputs as margins, whichever activation the loss applies
_MARGIN_NAMES = ("categorical_hinge", "hinge", "squared_hinge")
# names of losses that compare whole rows, in which each column is a class
_CLASS_LOSSES = ("kl_divergence", "kld", "kullback_leibler_divergence", *_MARGIN_NAMES)
# names of classification metrics that are better if lower
_LOWER_IS_BETTER = ("calibration_error", "hinge_loss")
# names that depend only on the order of the outputs
_RANK_NAMES = ("auc", "auroc", "roc_auc", "average_precision")


def get(identifier: Any) -> MetricSpec:
    """Return the metric for a name, class, object or function.

    An object is a metric of torchmetrics, or has the methods `update`, `compute` and `reset`, or those of Keras. A
    function is called once, on all rows of an epoch. The names of its parameters decide whether in the order of Keras,
    `(y_true, y_pred)`, or of torch, `(input, target)`.

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
        return _from_name(identifier)
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


def _from_name(name: str) -> MetricSpec:
    """Return the `MetricSpec` of a name in `NAMES`."""
    key = look_up("metric", name, {known: known for known in NAMES})
    is_error = key in _LOSS_NAMES or key in _ROOT_NAMES
    is_regression = is_error or key in _REGRESSION
    return MetricSpec(
        name,
        partial(_make_accumulator, key),
        input_format=_input_format_of_name(key),
        higher_is_better=key == "cosine_similarity" or not (is_error or key in _LOWER_IS_BETTER),
        is_classification=not is_regression,
        if_unknown="raw" if is_regression else "sigmoid" if key in _RANK_NAMES else "ask",
    )


def _input_format_of_name(key: str) -> InputFormat:
    if key in _MARGIN_NAMES:
        return "margins"
    if key in _LOSS_NAMES or key in _ROOT_NAMES:
        return "values"
    return "elements" if key == "binary_accuracy" else "order" if key in _RANK_NAMES else "task"


def _make_accumulator(key: str, spec: TaskSpec) -> Any:
    """Return a new accumulator of a metric for one task.

    Args:
        key: Name in `NAMES`.
        spec: The task of the output.

    Raises:
        ValueError: The metric is not defined for the task.
    """
    if key in _LOSS_NAMES or key in _ROOT_NAMES or key in _REGRESSION:
        return _make_regression_accumulator(key, spec)
    if spec.kind == "regression":
        raise ValueError(
            f"metric {key!r} is for classification, the loss is for regression. Use 'mae', 'mse', 'rmse', 'r2', ..."
        )
    is_binary = spec.kind == "binary" or (spec.kind == "multiclass" and spec.classes == 2)
    if key == "binary_accuracy":
        return Accuracy(classes=False)
    if key in ("categorical_accuracy", "sparse_categorical_accuracy") and spec.kind != "multiclass":
        return _make_column_accuracy(key, spec)
    suffix = _CLASSIFICATION.get(key)
    if suffix == "Accuracy":
        return Accuracy(classes=spec.kind == "multiclass" and not is_binary)
    from torchmetrics import classification

    if key in _TOP_K:
        if spec.kind != "multiclass" or spec.classes <= _TOP_K[key]:
            raise ValueError(f"metric {key!r} needs more than {_TOP_K[key]} classes, the model has {spec.classes}.")
        return classification.MulticlassAccuracy(spec.classes, top_k=_TOP_K[key], average="micro", validate_args=False)
    kind = getattr(classification, f"{'Binary' if is_binary else spec.kind.capitalize()}{suffix}", None)
    if kind is None:
        raise ValueError(f"metric {key!r} is not defined for {spec.kind} outputs.")
    return kind(*([] if is_binary else [spec.classes]), validate_args=False)


def _make_column_accuracy(key: str, spec: TaskSpec) -> LargestColumnAccuracy:
    """Return the accuracy of the largest column, for outputs that are yes-or-no questions.

    Raises:
        ValueError: There is one column, or targets are class numbers.
    """
    if spec.classes == 1 or key == "sparse_categorical_accuracy":
        columns = "one column" if spec.classes == 1 else "columns that are yes-or-no questions"
        raise ValueError(f"metric {key!r} compares classes, the outputs have {columns}. Use 'binary_accuracy'.")
    return LargestColumnAccuracy()


def _make_regression_accumulator(key: str, spec: TaskSpec) -> Any:
    """Return a new accumulator of a metric of values; of a loss's name, the mean of that loss."""
    if spec.kind in ("multiclass", "multilabel") and key not in _CLASS_LOSSES:
        raise ValueError(f"metric {key!r} is for values, the loss is for classes. Use 'accuracy', 'f1', 'auc', ...")
    if key in _ROOT_NAMES:
        return TransformedMetric(LossMean(regression_losses.MeanSquaredError()), torch.sqrt)
    if key in _LOSS_NAMES:
        loss = _LOSS_NAMES[key]()
        mean = LossMean(loss.on_axis(spec.class_axis) if loss.has_class_axis and spec.class_axis != -1 else loss)
        # as in Keras, the loss is minus the cosine and the metric is the cosine
        return TransformedMetric(mean, torch.neg) if key == "cosine_similarity" else mean
    from torchmetrics import regression

    kind = _REGRESSION[key]
    arguments = {"num_outputs": spec.classes} if kind in _TAKES_NUM_OUTPUTS and spec.classes > 1 else {}
    return getattr(regression, kind)(**arguments)
