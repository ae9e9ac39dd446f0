"""Metrics: names -> torchmetrics for the task that the loss implies; torchmetrics objects and functions as they are.

A metric sees every row of an epoch, whatever the batch size, and is computed once from them: `f1` is that of the
whole set, not a mean of batches'. Names mean:

- binary (one output, or two classes): the second class is the positive one, the threshold 0.5 on probabilities;
- several classes: `accuracy` over all rows, `precision`, `recall`, `f1`, `auc` the mean over classes ("macro");
- several yes-or-no outputs: `accuracy` and `matthews_corrcoef` over all elements, the others the mean over outputs;
- values: over all elements; `r2` the mean over outputs, `pearson` and `spearman` one number for each.
"""

from kerastorch.metrics.metric import NAMES, Metric, get

__all__ = ["NAMES", "Metric", "get"]


def __dir__() -> list[str]:
    return __all__
