"""Metrics: names -> torchmetrics for the task that the loss implies; torchmetrics objects and functions as they are.

A metric sees every row of an epoch, whatever the batch size, and is computed once from them: `f1` is that of the
whole set, not a mean of batches'. Names mean:

- binary (one output, or two classes): the second class is the positive one, the threshold 0.5 on probabilities;
- several classes: `accuracy` over all rows, `precision`, `recall`, `f1`, `auc` the mean over classes ("macro");
- several yes-or-no outputs: `accuracy` over all elements, the others the mean over outputs.
"""

from __future__ import annotations

import copy
import functools
import inspect
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Literal

import torch
from torch import Tensor

from kerastorch.errors import unknown
from kerastorch.losses.base import Loss
from kerastorch.names import public_name, snake_case

Kind = Literal["binary", "multiclass", "multilabel", "regression"]

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


@dataclass(frozen=True)
class Target:
    """What metrics must know of one output: the task, how many classes, and how to make probabilities of it."""

    kind: Kind
    classes: int
    link: Literal["sigmoid", "softmax"] | None  # what still has to be applied to the outputs
    class_axis: int

    @staticmethod
    def of(loss: Loss | None, y_pred: Tensor, y_true: Tensor) -> Target:
        """Read from the loss, and from the shapes where there is none."""
        width = y_pred.shape[-1] if y_pred.ndim > 1 else 1
        if loss is None or loss.task == "regression":
            return Target("regression", width, None, -1)
        link = loss.link if loss.from_logits else None
        if loss.task == "binary":
            same = y_true.ndim > 1 and width > 1
            return Target("multilabel" if same else "binary", width, link, -1)
        axis = loss.class_axis if y_pred.ndim > 1 else 0
        return Target("multiclass", y_pred.shape[axis], link, axis)

    def prepare(self, y_pred: Tensor, y_true: Tensor) -> tuple[Tensor, Tensor]:
        """Outputs as probabilities and targets as class numbers, in the shapes that torchmetrics takes."""
        if self.link == "sigmoid":
            y_pred = torch.sigmoid(y_pred)
        elif self.link == "softmax":
            y_pred = torch.softmax(y_pred, self.class_axis)
        if self.kind == "binary":
            return y_pred.flatten(), _labels(y_true.flatten())
        if self.kind == "multilabel":
            return y_pred, _labels(y_true)
        if self.kind == "multiclass":
            return self._classes(y_pred, y_true)
        if y_true.shape != y_pred.shape:
            y_true = y_true.reshape(y_pred.shape)
        y_true = y_true.to(y_pred.dtype)
        if y_pred.ndim == 2 and y_pred.shape[1] == 1:
            return y_pred.squeeze(1), y_true.squeeze(1)
        return y_pred, y_true

    def _classes(self, y_pred: Tensor, y_true: Tensor) -> tuple[Tensor, Tensor]:
        axis = self.class_axis % y_pred.ndim
        if y_true.shape == y_pred.shape:  # one-hot or probabilities
            y_true = y_true.argmax(axis)
        elif y_true.ndim == y_pred.ndim:
            y_true = y_true.squeeze(axis)
        y_true = y_true.long()
        if y_pred.ndim > 2:  # (batch, ..., classes) -> one row for each place
            y_pred = y_pred.movedim(axis, -1).flatten(0, -2)
            y_true = y_true.flatten()
        if self.classes == 2:
            return y_pred[:, 1], y_true
        return y_pred, y_true


def _labels(y_true: Tensor) -> Tensor:
    """Targets of yes-or-no questions as 0 and 1, smoothed ones rounded."""
    return (y_true.round() if y_true.is_floating_point() else y_true).long()


class Metric:
    """One metric of one output: how it is called, and its accumulator.

    Args:
        name: its name in the logs, without the output's.
        make: `Target -> torchmetrics metric`; called at the first batch.
        raw: give it outputs and targets as they are.
        higher: whether larger is better, where that is known.
    """

    def __init__(self, name: str, make: Callable[[Target], Any], raw: bool = False, higher: bool | None = None) -> None:
        self.name, self._make, self.raw, self.higher = name, make, raw, higher

    def renamed(self, name: str) -> Metric:
        """The same metric under another name."""
        return Metric(name, self._make, self.raw, self.higher)

    def build(self, target: Target, device: torch.device) -> Any:
        """A fresh accumulator: `update(y_pred, y_true)`, `compute()`, `reset()`."""
        return self._make(target).to(device)


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
        classifies = ".classification" in type(identifier).__module__
        fresh = copy.deepcopy(identifier)
        fresh.reset()
        return Metric(
            snake_case(type(identifier).__name__),
            lambda target: copy.deepcopy(fresh),
            raw=not classifies,
            higher=getattr(identifier, "higher_is_better", None),
        )
    if callable(identifier):
        return Metric(public_name(identifier), lambda target: WholeEpoch(identifier), raw=True)
    raise TypeError(f"A metric is a name, a torchmetrics metric or a function, got {identifier!r}.")


def _is_torchmetric(thing: Any) -> bool:
    return all(callable(getattr(thing, verb, None)) for verb in ("update", "compute", "reset"))


def _named(name: str) -> Metric:
    key = name if name in NAMES else snake_case(name) if snake_case(name) in NAMES else name.lower()
    if key not in NAMES:
        raise unknown("metric", name, NAMES)
    return Metric(name, functools.partial(_make, key), raw=False, higher=key not in _LOWER)


_LOWER = {
    name for name, (kind, _) in _REGRESSION.items() if "Error" in kind or "LogCosh" in kind
} | {"calibration_error", "hinge_loss"}  # fmt: skip


def _make(key: str, target: Target) -> Any:
    if key in _REGRESSION:
        from torchmetrics import regression

        kind, arguments = _REGRESSION[key]
        return getattr(regression, kind)(**arguments)
    if target.kind == "regression":
        raise ValueError(
            f"metric {key!r} is for classification, the loss is for regression. Use 'mae', 'mse', 'rmse', 'r2', ..."
        )
    from torchmetrics import classification

    if key in _TOP_K:
        if target.kind != "multiclass" or target.classes <= _TOP_K[key]:
            raise ValueError(f"metric {key!r} needs more than {_TOP_K[key]} classes, the model has {target.classes}.")
        return classification.MulticlassAccuracy(
            target.classes, top_k=_TOP_K[key], average="micro", validate_args=False
        )
    word = _CLASSIFICATION[key]
    binary = target.kind == "binary" or (target.kind == "multiclass" and target.classes == 2)
    wanted = getattr(classification, f"{'Binary' if binary else target.kind.capitalize()}{word}", None)
    if wanted is None:
        raise ValueError(f"metric {key!r} is not defined for {target.kind} outputs.")
    options: dict[str, Any] = {"average": "micro"} if word == "Accuracy" and not binary else {}
    return wanted(*([] if binary else [target.classes]), **options, validate_args=False)


class WholeEpoch:
    """A function of all rows as a metric: it keeps them and is called when the value is asked for."""

    def __init__(self, function: Callable[..., Any]) -> None:
        self.function = function
        parameters = _parameters(function)
        self.keras_order = parameters[:1] == ["y_true"]
        self.rows: list[tuple[Tensor, Tensor]] = []

    def to(self, device: torch.device) -> WholeEpoch:
        return self

    def update(self, y_pred: Tensor, y_true: Tensor) -> None:
        self.rows.append((y_pred, y_true))

    def compute(self) -> Tensor:
        y_pred = torch.cat([row[0] for row in self.rows])
        y_true = torch.cat([row[1] for row in self.rows])
        value = self.function(y_true, y_pred) if self.keras_order else self.function(y_pred, y_true)
        return torch.as_tensor(value).float().mean()

    def reset(self) -> None:
        self.rows = []


def _parameters(function: Callable[..., Any]) -> list[str]:
    try:
        return list(inspect.signature(function).parameters)
    except (TypeError, ValueError):
        return []


def values(name: str, value: Any) -> Mapping[str, Any]:
    """What one `compute` gave, as scalars: dicts and vectors are spread over `name_part`."""
    if isinstance(value, Mapping):
        return {f"{name}_{key}": part for key, part in value.items()}
    if isinstance(value, Tensor) and value.numel() > 1:
        return {f"{name}_{index}": part for index, part in enumerate(value.flatten())}
    return {name: value}
