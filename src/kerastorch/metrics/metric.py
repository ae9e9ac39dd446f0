"""Metric: one metric of one output; and from what a user wrote to one."""

from __future__ import annotations

import copy
import functools
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from kerastorch.metrics.accumulators import Accuracy, Finished, WholeEpoch
from kerastorch.metrics.state import torchmetrics_in
from kerastorch.metrics.target import Sees, Target
from kerastorch.names import find, public_name, snake_case

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
# name -> (class of torchmetrics.regression, its arguments)
_REGRESSION: dict[str, tuple[str, dict[str, Any]]] = {
    "mean_squared_error": ("MeanSquaredError", {}), "mse": ("MeanSquaredError", {}),
    "root_mean_squared_error": ("MeanSquaredError", {"squared": False}),
    "rmse": ("MeanSquaredError", {"squared": False}),
    "mean_absolute_error": ("MeanAbsoluteError", {}), "mae": ("MeanAbsoluteError", {}),
    "mean_absolute_percentage_error": ("MeanAbsolutePercentageError", {}), "mape": ("MeanAbsolutePercentageError", {}),
    "mean_squared_logarithmic_error": ("MeanSquaredLogError", {}), "msle": ("MeanSquaredLogError", {}),
    "r2": ("R2Score", {}), "r2_score": ("R2Score", {}), "explained_variance": ("ExplainedVariance", {}),
    "cosine_similarity": ("CosineSimilarity", {"reduction": "mean"}), "log_cosh": ("LogCoshError", {}),
    "pearson": ("PearsonCorrCoef", {}), "spearman": ("SpearmanCorrCoef", {}),
}  # fmt: skip
NAMES = (*_CLASSIFICATION, *_TOP_K, *_REGRESSION)


# these take the number of outputs
_BY_OUTPUT = ("PearsonCorrCoef", "SpearmanCorrCoef", "LogCoshError")
# what is made of a value: Keras' percentage, one number of several outputs'
_AFTER: dict[str, Callable[[Tensor], Tensor]] = {
    "MeanAbsolutePercentageError": lambda value: 100 * value,
    "LogCoshError": torch.mean,
}


class Metric:
    """One metric of one output: how it is called, and its accumulator.

    Args:
        name: its name in the logs, without the output's.
        make: `Target -> torchmetrics metric`; called at the first batch.
        sees: how outputs and targets are prepared for it: see `Target.prepare`.
        higher: whether larger is better, where that is known.
        classifies: it is about classes, not values.
    """

    def __init__(
        self,
        name: str,
        make: Callable[[Target], Any],
        sees: Sees = "task",
        higher: bool | None = None,
        classifies: bool = False,
    ) -> None:
        self.name, self._make, self.sees, self.higher, self.classifies = name, make, sees, higher, classifies

    def renamed(self, name: str) -> Metric:
        """The same metric under another name."""
        return Metric(name, self._make, self.sees, self.higher, self.classifies)

    def build(self, target: Target, device: torch.device) -> Any:
        """A fresh accumulator: `update(y_pred, y_true)`, `compute()`, `reset()`."""
        accumulator = self._make(target).to(device)
        for _, part in torchmetrics_in(accumulator):
            # in a group of processes it would wait for the others to join in, and give a number of all their rows,
            # beside a loss of this process' rows
            part.sync_on_compute = part._to_sync = False
        return accumulator


def get(identifier: Any) -> Metric:
    """A name, a torchmetrics metric (object or class) or a function as a `Metric`.

    A function is called once, on all rows of an epoch: `(y_true, y_pred)` if its first parameter is named so,
    else torch's `(input, target)`.

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
    if isinstance(identifier, type):
        identifier = identifier()
    if _is_torchmetric(identifier):
        fresh = copy.deepcopy(identifier)
        fresh.reset()
        return Metric(
            snake_case(type(identifier).__name__),
            lambda target: copy.deepcopy(fresh),
            sees=_sees(identifier),
            higher=getattr(identifier, "higher_is_better", None),
            classifies=".classification" in type(identifier).__module__,
        )
    if callable(identifier):
        return Metric(public_name(identifier), lambda target: WholeEpoch(identifier), sees="raw")
    raise TypeError(f"A metric is a name, a torchmetrics metric or a function, got {identifier!r}.")


def _is_torchmetric(thing: Any) -> bool:
    return all(callable(getattr(thing, verb, None)) for verb in ("update", "compute", "reset"))


def _sees(metric: Any) -> Sees:
    """What a torchmetrics object is given: those of other rooms than these two know best themselves."""
    if ".classification" in type(metric).__module__:
        return "classes" if type(metric).__name__.startswith("Multiclass") else "task"
    return "task" if ".regression" in type(metric).__module__ else "raw"


def _named(name: str) -> Metric:
    key = find("metric", name, {known: known for known in NAMES})
    return Metric(name, functools.partial(_make, key), higher=key not in _LOWER, classifies=key not in _REGRESSION)


_LOWER = {
    name for name, (kind, _) in _REGRESSION.items() if "Error" in kind or "LogCosh" in kind
} | {"calibration_error", "hinge_loss"}  # fmt: skip


def _make(key: str, target: Target) -> Any:
    if key in _REGRESSION:
        from torchmetrics import regression

        if target.kind in ("multiclass", "multilabel"):
            raise ValueError(f"metric {key!r} is for values, the loss is for classes. Use 'accuracy', 'f1', 'auc', ...")
        kind, arguments = _REGRESSION[key]
        if kind in _BY_OUTPUT and target.classes > 1:
            arguments = {**arguments, "num_outputs": target.classes}
        metric = getattr(regression, kind)(**arguments)
        after = _AFTER.get(kind)
        return metric if after is None else Finished(metric, after)
    if target.kind == "regression":
        raise ValueError(
            f"metric {key!r} is for classification, the loss is for regression. Use 'mae', 'mse', 'rmse', 'r2', ..."
        )
    binary = target.kind == "binary" or (target.kind == "multiclass" and target.classes == 2)
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
