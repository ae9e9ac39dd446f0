"""Metric: one metric of one output; and from what a user wrote to one."""

from __future__ import annotations

import copy
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, Literal

import torch

from kerastorch.core.name_lookup import look_up, public_name, snake_case
from kerastorch.core.ownership import is_from
from kerastorch.losses import regression as regression_losses
from kerastorch.losses.argument_order import settled_order
from kerastorch.losses.base import Loss
from kerastorch.metrics.accumulators import (
    Accuracy,
    FunctionMetric,
    KerasProtocol,
    LargestClass,
    LossMean,
    TransformedMetric,
    UpdateProtocol,
    torchmetrics_in,
)
from kerastorch.metrics.task import InputFormat, TaskSpec

# name -> the class of torchmetrics, after Binary, Multiclass or Multilabel
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
# names that are losses, too: one formula
_LOSSES: dict[str, Any] = regression_losses.table()
# name -> class of torchmetrics.regression
_REGRESSION = {
    "r2": "R2Score", "r2_score": "R2Score", "explained_variance": "ExplainedVariance",
    "pearson": "PearsonCorrCoef", "spearman": "SpearmanCorrCoef",
}  # fmt: skip
_ROOTS = ("root_mean_squared_error", "rmse")
NAMES = (*_CLASSIFICATION, *_TOP_K, *_LOSSES, *_ROOTS, *_REGRESSION)

# these take the number of outputs
_BY_OUTPUT = ("PearsonCorrCoef", "SpearmanCorrCoef")
# these take the outputs as margins, whatever activation the loss applies
_MARGINS = ("categorical_hinge", "hinge", "squared_hinge")
# these compare whole rows, of which each output is a class
_OF_CLASSES = ("kl_divergence", "kld", "kullback_leibler_divergence", *_MARGINS)
# these are better when lower
_LOWER = ("calibration_error", "hinge_loss")
# these depend on the order of the outputs alone
_RANKS = ("auc", "auroc", "roc_auc", "average_precision")


@dataclass(frozen=True)
class Metric:
    """One metric of one output: its name, and how to make its accumulator.

    Attributes:
        name: its name in the logs, without the output's.
        make: `Target -> torchmetrics metric`; called at the first batch.
        input_format: how outputs and targets are prepared for it: see `Target.prepare`.
        higher_is_better: whether larger is better, if that is known.
        is_classification: it is about classes, not values.
        by_batch: it is given each batch as it comes, not many rows at once.
        if_unknown: what to do if outputs are probabilities or logits and nothing says which: `'ask'` raises an error;
            `'sigmoid'` treats them as logits, which changes nothing for a metric of their order; `'raw'` leaves it to
            the metric.
        left_out: a label whose rows it leaves out itself: `ignore_index` of a torchmetrics object.
    """

    name: str
    make: Callable[[TaskSpec], Any]
    input_format: InputFormat = "task"
    higher_is_better: bool | None = None
    is_classification: bool = False
    by_batch: bool = False
    if_unknown: Literal["ask", "sigmoid", "raw"] = "raw"
    left_out: int | None = None

    def settle(self, target: TaskSpec, loss: Loss | None) -> TaskSpec:
        """Return the target as this metric takes it if it is unknown whether outputs are probabilities or logits.

        Raises:
            ValueError: the metric needs to know it.
        """
        if self.left_out is not None:
            target = replace(target, left_out=self.left_out)
        if target.link != "unknown":
            return target
        if self.if_unknown == "ask":
            raise ValueError(unknown_outputs(self.name, loss))
        return replace(target, link="sigmoid" if self.if_unknown == "sigmoid" else None)

    def build(self, target: TaskSpec, device: torch.device) -> Any:
        """Return a fresh accumulator: `update(y_pred, y_true)`, `compute()`, `reset()`."""
        accumulator = self.make(target)
        accumulator.to(device)
        for _, part in torchmetrics_in(accumulator):
            # In a group of processes it would wait for the others, and give a number of all their rows beside a loss of
            # this process' rows.
            part.sync_on_compute = part._to_sync = False
        return accumulator


def unknown_outputs(metric: str, loss: Loss | None) -> str:
    """Return the sentence that asks what the outputs are."""
    given = "there is no loss that says it" if loss is None else f"the loss {loss.name!r} does not say"
    return (
        f"metric {metric!r} needs to know whether the outputs are probabilities or logits, and {given}. End the model "
        "in a sigmoid layer; or make the loss a subclass of kerastorch.losses.Loss with task = 'binary' and "
        "from_logits = True (or False); or pass an object such as torchmetrics.classification.BinaryAccuracy()."
    )


def get(identifier: Any) -> Metric:
    """Return a name, a torchmetrics metric, an object with Keras' methods or a function as a `Metric`.

    A function is called once, on all rows of an epoch, in the order that the names of its parameters say: Keras'
    `(y_true, y_pred)` or torch's `(input, target)`.

    >>> get("acc").name
    'acc'
    >>> get("acuracy")
    Traceback (most recent call last):
    ValueError: Unknown metric 'acuracy'. Did you mean 'accuracy'? Known: ...
    """
    if isinstance(identifier, Metric):
        return identifier
    if isinstance(identifier, str):
        return _named(identifier)
    if isinstance(identifier, type) or (isinstance(identifier, partial) and isinstance(identifier.func, type)):
        identifier = identifier()
    if _has_methods(identifier, "update", "compute", "reset"):
        return _with_methods_of_torchmetrics(identifier)
    if hasattr(identifier, "update_state") or hasattr(identifier, "result"):
        return _with_keras_methods(identifier)
    if callable(identifier):
        name = public_name(identifier)
        order = settled_order(identifier, name, "metric")
        return Metric(name, lambda target: FunctionMetric(identifier, order, name), input_format="raw")
    raise TypeError(f"A metric is a name, a torchmetrics metric or a function, got {identifier!r}.")


def _with_methods_of_torchmetrics(metric: Any) -> Metric:
    fresh = copy.deepcopy(metric)
    fresh.reset()
    name = snake_case(type(metric).__name__)
    owner = next((one for one in type(metric).__mro__ if "update" in vars(one)), type(metric))
    own = is_from(owner, "torchmetrics")
    order = "torch" if own else settled_order(metric.update, f"{name}.update", "metric")
    # a collection is prepared for as its members are
    members = list(metric.values()) if own and type(metric).__name__ == "MetricCollection" else [metric]
    ways = {(_sees(one), getattr(one, "ignore_index", None)) for one in members}
    if len(ways) > 1:
        raise TypeError(f"{name} has metrics that need different outputs. List them: metrics=[*collection.values()].")
    input_format, left_out = ways.pop()
    return Metric(
        name,
        lambda target: copy.deepcopy(fresh) if own else UpdateProtocol(copy.deepcopy(fresh), order),
        input_format=input_format,
        higher_is_better=getattr(metric, "higher_is_better", None),
        is_classification=any(".classification" in type(one).__module__ for one in members),
        left_out=left_out if isinstance(left_out, int) else None,
    )


def _with_keras_methods(metric: Any) -> Metric:
    complete = _has_methods(metric, "update_state", "result")
    if not complete or not (_has_methods(metric, "reset_state") or _has_methods(metric, "reset_states")):
        raise TypeError(
            f"{type(metric).__name__} has some of Keras' methods of a metric; it needs update_state(y_true, y_pred), "
            "result() and reset_state()."
        )
    given = getattr(metric, "name", None)
    name = given if isinstance(given, str) and given else snake_case(type(metric).__name__)
    return Metric(name, lambda target: KerasProtocol(metric, name), input_format="raw", by_batch=True)


def _has_methods(thing: Any, *names: str) -> bool:
    return all(callable(getattr(thing, name, None)) for name in names)


def _sees(metric: Any) -> InputFormat:
    """Return what an object is given; only those of torchmetrics' classification and regression get prepared rows."""
    if ".classification" in type(metric).__module__:
        return "classes" if type(metric).__name__.startswith("Multiclass") else "task"
    return "task" if ".regression" in type(metric).__module__ else "raw"


def _named(name: str) -> Metric:
    key = look_up("metric", name, {known: known for known in NAMES})
    of_values = key in _LOSSES or key in _ROOTS or key in _REGRESSION
    return Metric(
        name,
        partial(_make, key),
        input_format=_sees_named(key),
        higher_is_better=key == "cosine_similarity" or not (key in _LOSSES or key in _ROOTS or key in _LOWER),
        is_classification=not of_values,
        if_unknown="raw" if of_values else "sigmoid" if key in _RANKS else "ask",
    )


def _sees_named(key: str) -> InputFormat:
    if key in _MARGINS:
        return "margins"
    if key in _LOSSES or key in _ROOTS:
        return "values"
    return "elements" if key == "binary_accuracy" else "order" if key in _RANKS else "task"


def _make(key: str, target: TaskSpec) -> Any:
    if key in _LOSSES or key in _ROOTS or key in _REGRESSION:
        return _make_of_values(key, target)
    if target.kind == "regression":
        raise ValueError(
            f"metric {key!r} is for classification, the loss is for regression. Use 'mae', 'mse', 'rmse', 'r2', ..."
        )
    binary = target.kind == "binary" or (target.kind == "multiclass" and target.classes == 2)
    if key == "binary_accuracy":
        return Accuracy(classes=False)
    if key in ("categorical_accuracy", "sparse_categorical_accuracy") and target.kind != "multiclass":
        return _make_of_columns(key, target)
    word = _CLASSIFICATION.get(key)
    if word == "Accuracy":
        return Accuracy(classes=target.kind == "multiclass" and not binary)
    from torchmetrics import classification

    if key in _TOP_K:
        if target.kind != "multiclass" or target.classes <= _TOP_K[key]:
            raise ValueError(f"metric {key!r} needs more than {_TOP_K[key]} classes, the model has {target.classes}.")
        return classification.MulticlassAccuracy(
            target.classes, top_k=_TOP_K[key], average="micro", validate_args=False
        )
    wanted = getattr(classification, f"{'Binary' if binary else target.kind.capitalize()}{word}", None)
    if wanted is None:
        raise ValueError(f"metric {key!r} is not defined for {target.kind} outputs.")
    return wanted(*([] if binary else [target.classes]), validate_args=False)


def _make_of_columns(key: str, target: TaskSpec) -> LargestClass:
    """Return the accuracy of the largest column for outputs that are yes-or-no questions."""
    if target.classes == 1 or key == "sparse_categorical_accuracy":
        columns = "one column" if target.classes == 1 else "columns that are yes-or-no questions"
        raise ValueError(f"metric {key!r} compares classes, the outputs have {columns}. Use 'binary_accuracy'.")
    return LargestClass()


def _make_of_values(key: str, target: TaskSpec) -> Any:
    if target.kind in ("multiclass", "multilabel") and key not in _OF_CLASSES:
        raise ValueError(f"metric {key!r} is for values, the loss is for classes. Use 'accuracy', 'f1', 'auc', ...")
    if key in _ROOTS:
        return TransformedMetric(LossMean(regression_losses.MeanSquaredError()), torch.sqrt)
    if key in _LOSSES:
        loss = _LOSSES[key]()
        mean = LossMean(loss.on_axis(target.class_axis) if loss.has_class_axis and target.class_axis != -1 else loss)
        return (
            TransformedMetric(mean, torch.neg) if key == "cosine_similarity" else mean
        )  # as Keras: a metric is the cosine
    from torchmetrics import regression

    kind = _REGRESSION[key]
    arguments = {"num_outputs": target.classes} if kind in _BY_OUTPUT and target.classes > 1 else {}
    return getattr(regression, kind)(**arguments)
