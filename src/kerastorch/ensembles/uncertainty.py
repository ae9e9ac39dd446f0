"""Uncertainty: how sure several models are of their mean prediction, and how far they agree."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from kerastorch.core.optional_dependency import require_package
from kerastorch.ensembles.combination import Array


@dataclass(frozen=True, eq=False)
class Uncertainty:
    """How sure the members of an ensemble are of each prediction, and how far they agree.

    For classes, uncertainty is the entropy in nats, from 0 to the logarithm of the number of classes. The total, the
    entropy of the mean probabilities, is the sum of two parts: the mean of the members' entropies, which more data do
    not reduce (aleatoric), and the disagreement of the members, the mutual information (epistemic). For values there is
    the spread of the members alone.

    Attributes:
        mean: Mean of the members' probabilities or values, `(rows, ...)`.
        std: Standard deviation of the members, with `n - 1` in the denominator; the same shape.
        total: Entropy of the mean probabilities, `(rows, ...)` without the axis of the classes; `None` for values.
        aleatoric: Mean of the members' entropies; `None` for values.
        epistemic: `total - aleatoric`, >= 0; for values the standard deviation.
    """

    mean: Array
    std: Array
    total: Array | None
    aleatoric: Array | None
    epistemic: Array

    @classmethod
    def of(cls, members: Array, link: str | None, class_axis: int = -1) -> Uncertainty:
        """Return the uncertainty of the predictions of several models.

        Args:
            members: Their probabilities or values, `(models, rows, ...)`.
            link: `"softmax"` for probabilities of classes, `"sigmoid"` for probabilities each of its own, `None` for
                values.
            class_axis: Axis of the classes of a softmax.
        """
        mean = members.mean(0)
        std = members.std(0, ddof=1) if len(members) > 1 else np.zeros_like(mean)
        if link is None:
            return cls(mean, std, None, None, std)
        if link == "sigmoid":
            members = members[..., 0] if members.ndim > 2 and members.shape[-1] == 1 else members
            members, class_axis = np.stack([1 - members, members], -1), -1
        total = entropy(members.mean(0, keepdims=True), class_axis)[0]
        aleatoric = entropy(members, class_axis).mean(0)
        return cls(mean, std, total, aleatoric, np.maximum(total - aleatoric, 0.0))

    def frame(self) -> Any:
        """Return the uncertainty of each row as a pandas DataFrame; of several numbers of a row, their mean."""
        require_package("Uncertainty.frame", "pandas")
        import pandas as pd

        parts = {"total": self.total, "aleatoric": self.aleatoric, "epistemic": self.epistemic}
        return pd.DataFrame(
            {name: part.reshape(len(part), -1).mean(1) for name, part in parts.items() if part is not None}
        )

    def __str__(self) -> str:
        parts = {"total": self.total, "aleatoric": self.aleatoric, "epistemic": self.epistemic}
        means = ", ".join(f"{name} {part.mean():.4g}" for name, part in parts.items() if part is not None)
        return f"Uncertainty of {len(self.mean)} rows, mean: {means}"

    __repr__ = __str__


def entropy(probabilities: Array, class_axis: int) -> Array:
    """Return entropies in nats, without the axis of the classes."""
    logarithms = np.log(np.where(probabilities > 0, probabilities, 1.0))
    found: Array = -(probabilities * logarithms).sum(class_axis)
    return found
