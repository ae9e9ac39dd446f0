"""Metrics by name: each means the metric of the task that the loss implies."""

from __future__ import annotations

from functools import partial
from typing import Any

import torch

from kerastorch.core.name_lookup import advice_by_name, look_up, spellings
from kerastorch.losses import registry as loss_registry
from kerastorch.losses import regression as regression_losses
from kerastorch.metrics import confusion_matrix
from kerastorch.metrics.accumulators import (
    Accuracy,
    KerasMetric,
    LargestColumnAccuracy,
    LossMean,
    TransformedMetric,
    WideMetric,
)
from kerastorch.metrics.accuracy import SparseTopKCategoricalAccuracy
from kerastorch.metrics.built_in_metric import BuiltInMetric
from kerastorch.metrics.class_inputs import ClassInputs
from kerastorch.metrics.confusion import FalseNegatives, FalsePositives, TrueNegatives, TruePositives
from kerastorch.metrics.confusion_matrix import ConfusionMatrix, LossObjectMean, WeightedRanking
from kerastorch.metrics.correlation import ConcordanceCorrelation, PearsonCorrelation
from kerastorch.metrics.crossentropy_mean import CrossentropyMean
from kerastorch.metrics.metric_spec import MetricSpec
from kerastorch.metrics.regression import R2Score
from kerastorch.metrics.task import InputFormat, TaskSpec

# torchmetrics is imported inside functions: its import takes longer than a short training

# name -> class of torchmetrics.classification, without its prefix Binary, Multiclass or Multilabel
_CLASSIFICATION = {
    "accuracy": "Accuracy", "acc": "Accuracy", "binary_accuracy": "Accuracy", "categorical_accuracy": "Accuracy",
    "sparse_categorical_accuracy": "Accuracy", "precision": "Precision", "recall": "Recall", "f1": "F1Score",
    "f1_score": "F1Score", "auc": "AUROC", "auroc": "AUROC", "roc_auc": "AUROC",
    "average_precision": "AveragePrecision", "specificity": "Specificity", "cohen_kappa": "CohenKappa",
    "matthews_corrcoef": "MatthewsCorrCoef", "iou": "JaccardIndex", "jaccard": "JaccardIndex",
    "calibration_error": "CalibrationError", "hinge_loss": "HingeLoss", "fbeta": "F1Score", "fbeta_score": "F1Score",
    "f_beta_score": "F1Score",
}  # fmt: skip
_TOP_K = {
    "top_k_categorical_accuracy": 5, "sparse_top_k_categorical_accuracy": 5, "top5": 5, "top_5": 5,
    "top_5_accuracy": 5, "top3": 3, "top_3": 3, "top_3_accuracy": 3, "top2": 2, "top_2": 2, "top_2_accuracy": 2,
}  # fmt: skip
# names that are also losses: the metric is the mean of the loss
_LOSS_NAMES: dict[str, Any] = regression_losses.table() | {"log_cosh_error": regression_losses.LogCosh}
# name -> class of torchmetrics.regression
_REGRESSION = {
    "r2": "R2Score", "r2_score": "R2Score", "explained_variance": "ExplainedVariance",
    "pearson": "PearsonCorrCoef", "spearman": "SpearmanCorrCoef",
}  # fmt: skip
_ROOT_NAMES = ("root_mean_squared_error", "rmse")
# name -> the task that the name of a crossentropy says, if any; whether outputs are logits follows from the loss
_CROSSENTROPIES: dict[str, str | None] = {
    "crossentropy": None, "ce": None, "categorical_crossentropy": "multiclass",
    "sparse_categorical_crossentropy": "multiclass", "cross_entropy": "multiclass", "cross_entropy_loss": "multiclass",
    "binary_crossentropy": "binary", "bce": "binary", "bce_loss": "binary", "binary_cross_entropy": "binary",
    "bce_with_logits": "binary", "bce_with_logits_loss": "binary", "binary_cross_entropy_with_logits": "binary",
}  # fmt: skip
_MEAN_IOU = ("mean_iou", "mean_io_u", "one_hot_mean_io_u")
# name -> class that takes no argument
_CLASSES: dict[str, type[BuiltInMetric]] = {
    "true_positives": TruePositives, "false_positives": FalsePositives, "true_negatives": TrueNegatives,
    "false_negatives": FalseNegatives, "pearson_correlation": PearsonCorrelation,
    "concordance_correlation": ConcordanceCorrelation,
}  # fmt: skip
_TASK_NAMES = (
    *_CLASSIFICATION, *_TOP_K, *_LOSS_NAMES, *_ROOT_NAMES, *_REGRESSION, *_CROSSENTROPIES, *_MEAN_IOU, *_CLASSES,
)  # fmt: skip
_OTHER_LOSSES = tuple(name for name in loss_registry.NAMES if name not in _TASK_NAMES)
NAMES = (*_TASK_NAMES, *_OTHER_LOSSES)

_ADVICE = advice_by_name({
    "It needs a bound: pass an instance such as metrics.PrecisionAtRecall(0.5).":
        "precision_at_recall recall_at_precision sensitivity_at_specificity specificity_at_sensitivity",
    "It needs arguments: pass an instance such as metrics.IoU(num_classes=3, target_class_ids=[0]).":
        "io_u iou_score binary_io_u binary_iou one_hot_io_u one_hot_iou",
    "It reduces values and compares no targets: update an instance yourself, in a train_step of your own.": "mean sum",
})  # fmt: skip

# name -> number that is made of a weighted confusion matrix
_MATRIX_VALUES = {
    "Precision": confusion_matrix.precision, "Recall": confusion_matrix.recall, "F1Score": confusion_matrix.f1,
    "Specificity": confusion_matrix.specificity, "JaccardIndex": confusion_matrix.iou,
    "CohenKappa": confusion_matrix.cohen_kappa, "MatthewsCorrCoef": confusion_matrix.matthews_corrcoef,
}  # fmt: skip

# classes of torchmetrics that take the number of outputs
_TAKES_NUM_OUTPUTS = ("PearsonCorrCoef", "SpearmanCorrCoef")
# names that read outputs as margins, whichever activation the loss applies
_MARGIN_NAMES = ("categorical_hinge", "hinge", "squared_hinge")
# classes of torchmetrics.classification that add up probabilities or margins
_WIDE = ("CalibrationError", "HingeLoss")
# names of classification metrics that are better if lower
_LOWER_IS_BETTER = ("calibration_error", "hinge_loss")
# names that depend only on the order of the outputs
_RANK_NAMES = ("auc", "auroc", "roc_auc", "average_precision")
# classes of torchmetrics, and names, that have no weighted form
_UNWEIGHTED = ("CalibrationError", "HingeLoss", "explained_variance", "pearson", "spearman")


def is_name(name: str) -> bool:
    """Return whether `from_name` knows a name."""
    return any(spelling in NAMES for spelling in spellings(name))


def from_name(name: str, is_weighted: bool = False) -> MetricSpec:
    """Return the `MetricSpec` of a name in `NAMES`.

    Args:
        name: The name, in any spelling.
        is_weighted: Whether the metric counts samples with their weights.

    Raises:
        ValueError: The name is unknown; or the metric has no weighted form.
    """
    key = look_up("metric", name, {known: known for known in NAMES}, _ADVICE)
    if key in _CROSSENTROPIES:
        return _crossentropy(name, key, is_weighted)
    if key in _CLASSES:
        return _class_by_name(name, key, is_weighted)
    if key in _OTHER_LOSSES:
        return _other_loss(name, key, is_weighted)
    if is_weighted and (key in _UNWEIGHTED or _CLASSIFICATION.get(key) in _UNWEIGHTED):
        raise ValueError(f"metric {name!r} has no weighted form; give it in metrics=[...].")
    is_error = key in _LOSS_NAMES or key in _ROOT_NAMES
    is_regression = is_error or key in _REGRESSION
    return MetricSpec(
        name,
        partial(_make_accumulator, key, is_weighted),
        input_format=_input_format_of_name(key),
        higher_is_better=key == "cosine_similarity" or not (is_error or key in _LOWER_IS_BETTER),
        is_classification=not is_regression,
        if_unknown="raw" if is_regression else "sigmoid" if key in _RANK_NAMES else "ask",
        is_weighted=is_weighted,
    )


def _crossentropy(name: str, key: str, is_weighted: bool) -> MetricSpec:
    """Return the mean crossentropy of the task."""
    return MetricSpec(
        name,
        lambda spec: CrossentropyMean(name, spec, _CROSSENTROPIES[key]),
        higher_is_better=False,
        is_classification=True,
        if_unknown="ask",
        class_inputs=ClassInputs(name, "probabilities", takes_logits=True, has_axis=False),
        is_weighted=is_weighted,
    )


def _class_by_name(name: str, key: str, is_weighted: bool) -> MetricSpec:
    """Return a metric of a built-in class; class numbers are compared as one-hot targets."""
    kind = _CLASSES[key]
    return MetricSpec(
        name,
        lambda spec: KerasMetric(kind(), name),
        higher_is_better=not key.startswith("false"),
        is_classification=kind.output_format == "probabilities",
        if_unknown="ask" if kind.output_format == "probabilities" else "raw",
        class_inputs=ClassInputs(name, kind.output_format, takes_logits=False, has_axis=False, one_hot=True),
        is_weighted=is_weighted,
    )


def _other_loss(name: str, key: str, is_weighted: bool) -> MetricSpec:
    """Return the mean of a loss that is given by its name.

    The metric raises an error for outputs that are probabilities if the loss takes logits.
    """
    loss = loss_registry.get(key)

    def make(spec: TaskSpec) -> LossObjectMean:
        if loss.from_logits and loss.task is not None and spec.link is None:
            raise ValueError(f"metric {name!r} takes logits, and the outputs are probabilities.")
        return LossObjectMean(loss_registry.get(key))

    return MetricSpec(
        name,
        make,
        input_format="values" if loss.link is not None and not loss.from_logits else "raw",
        higher_is_better=False,
        is_classification=loss.task in ("binary", "multiclass"),
        if_unknown="ask" if loss.link is not None else "raw",
        is_weighted=is_weighted,
    )


def _input_format_of_name(key: str) -> InputFormat:
    if key in _MARGIN_NAMES:
        return "margins"
    if key in _LOSS_NAMES or key in _ROOT_NAMES:
        return "values"
    return "elements" if key == "binary_accuracy" else "order" if key in _RANK_NAMES else "task"


def _make_accumulator(key: str, is_weighted: bool, spec: TaskSpec) -> Any:
    """Return a new accumulator of a metric for one task.

    Args:
        key: Name in `NAMES`.
        is_weighted: Whether it takes sample weights.
        spec: The task of the output.

    Raises:
        ValueError: The metric is not defined for the task.
    """
    if key in _LOSS_NAMES or key in _ROOT_NAMES or key in _REGRESSION:
        return _make_regression_accumulator(key, is_weighted, spec)
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
    if key in _MEAN_IOU:
        return ConfusionMatrix(spec.kind, spec.classes, confusion_matrix.mean_iou)
    if key in _TOP_K and (spec.kind != "multiclass" or spec.classes <= _TOP_K[key]):
        raise ValueError(f"metric {key!r} needs more than {_TOP_K[key]} classes, the model has {spec.classes}.")
    if is_weighted:
        return _make_weighted(key, spec)
    from torchmetrics import classification

    if key in _TOP_K:
        return classification.MulticlassAccuracy(spec.classes, top_k=_TOP_K[key], average="micro", validate_args=False)
    kind = getattr(classification, f"{'Binary' if is_binary else spec.kind.capitalize()}{suffix}", None)
    if kind is None:
        raise ValueError(f"metric {key!r} is not defined for {spec.kind} outputs.")
    metric = kind(*([] if is_binary else [spec.classes]), validate_args=False)
    return WideMetric(metric) if suffix in _WIDE else metric


def _make_weighted(key: str, spec: TaskSpec) -> Any:
    """Return a new accumulator of a classification metric that takes sample weights."""
    if key in _TOP_K:
        return KerasMetric(SparseTopKCategoricalAccuracy(_TOP_K[key]), key)
    if key in _RANK_NAMES:
        return WeightedRanking("average_precision" if key == "average_precision" else "auc")
    if key in ("cohen_kappa",) and spec.kind == "multilabel":
        raise ValueError(f"metric {key!r} is not defined for multilabel outputs.")
    return ConfusionMatrix(spec.kind, spec.classes, _MATRIX_VALUES[_CLASSIFICATION[key]])


def _make_column_accuracy(key: str, spec: TaskSpec) -> LargestColumnAccuracy:
    """Return the accuracy of the largest column, for outputs that are yes-or-no questions.

    Raises:
        ValueError: There is one column, or targets are class numbers.
    """
    if spec.classes == 1 or key == "sparse_categorical_accuracy":
        columns = "one column" if spec.classes == 1 else "columns that are yes-or-no questions"
        raise ValueError(f"metric {key!r} compares classes, the outputs have {columns}. Use 'binary_accuracy'.")
    return LargestColumnAccuracy()


def _make_regression_accumulator(key: str, is_weighted: bool, spec: TaskSpec) -> Any:
    """Return a new accumulator of a metric of values; of a loss's name, the mean of that loss."""
    if spec.kind in ("multiclass", "multilabel") and key in _REGRESSION:
        raise ValueError(f"metric {key!r} is for values, the loss is for classes. Use 'accuracy', 'f1', 'auc', ...")
    if key in _ROOT_NAMES:
        return TransformedMetric(LossMean(regression_losses.MeanSquaredError()), torch.sqrt)
    if key in _LOSS_NAMES:
        loss = _LOSS_NAMES[key]()
        mean = LossMean(loss.on_axis(spec.class_axis) if loss.has_class_axis and spec.class_axis != -1 else loss)
        # as in Keras, the loss is minus the cosine and the metric is the cosine
        return TransformedMetric(mean, torch.neg) if key == "cosine_similarity" else mean
    if is_weighted:
        return KerasMetric(R2Score(), key)
    from torchmetrics import regression

    kind = _REGRESSION[key]
    arguments = {"num_outputs": spec.classes} if kind in _TAKES_NUM_OUTPUTS and spec.classes > 1 else {}
    return WideMetric(getattr(regression, kind)(**arguments))
