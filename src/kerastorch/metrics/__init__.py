"""Metrics by name, as torchmetrics objects or as functions.

A metric is computed once from all rows of an epoch: `f1` is that of the whole data set, not a mean over batches. A name
means the metric of torchmetrics for the task of the loss:

- Binary (one output, or two classes): the second class is positive, the threshold on probabilities is 0.5.
- Multiclass: `accuracy` is over all rows; `precision`, `recall`, `f1` and `auc` are the mean over classes ("macro").
- Several yes-or-no outputs: `accuracy` and `matthews_corrcoef` are over all elements, the others the mean over outputs.
- Regression: over all elements; `r2` is the mean over outputs, `pearson` and `spearman` are one number for each output.
"""

from typing import TYPE_CHECKING, NoReturn

from kerastorch.core.errors import absent_name
from kerastorch.metrics.metric import NAMES, Metric, get

__all__ = ["NAMES", "Metric", "get"]


def __dir__() -> list[str]:
    return __all__


_CLASSES = "Metrics are names, functions (y_true, y_pred), or objects of torchmetrics: compile(metrics=['accuracy'])."

if not TYPE_CHECKING:  # type checkers refuse the names themselves

    def __getattr__(name: str) -> NoReturn:
        raise absent_name(__name__, name, __all__, {name: _CLASSES} if name[:1].isupper() else {})
