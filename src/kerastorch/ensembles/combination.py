"""Combining the outputs of several models: the mean of their probabilities or values."""

from __future__ import annotations

from typing import Any, Literal, NamedTuple

import numpy as np
from torch import nn

from kerastorch.losses.base import Loss
from kerastorch.losses.torch_losses import TorchLoss

Array = np.ndarray[Any, Any]
Kind = Literal["values", "sigmoid", "softmax", "logarithms"]
_TINY = float(np.finfo(np.float64).tiny)


class Combination(NamedTuple):
    """What one output of a model is.

    Attributes:
        kind: `"values"`, also for probabilities; logits of a `"sigmoid"` or a `"softmax"`; or `"logarithms"` of
            probabilities.
        axis: Axis of the classes of predictions with more than two axes.
        link: `"softmax"` if the output stands for probabilities of classes, `"sigmoid"` if each number stands for a
            probability of its own, `None` for values.
    """

    kind: Kind = "values"
    axis: int = -1
    link: Literal["sigmoid", "softmax"] | None = None

    @classmethod
    def of(cls, loss: Loss | None) -> Combination:
        """Return what the output is that a loss compares with targets."""
        if loss is None:
            return cls()
        axis = 1 if isinstance(loss, TorchLoss) else getattr(loss, "axis", None) or -1
        if isinstance(loss, TorchLoss) and isinstance(loss.function, nn.NLLLoss):
            return cls("logarithms", axis, "softmax")
        is_logits = loss.from_logits and loss.link is not None
        return cls(loss.link if is_logits else "values", axis, loss.link)  # type: ignore[arg-type]

    def probabilities(self, outputs: Array) -> Array:
        """Return the probabilities that outputs stand for, in float64; values as they are.

        Args:
            outputs: Outputs of one model or several, `(..., rows, ...)`; classes are counted from the last axis if
                there are two axes.

        Raises:
            ValueError: They are whole numbers in place of probabilities or logits.
        """
        if self.link is not None and outputs.dtype.kind != "f":
            raise ValueError(
                f"the members return {outputs.dtype}, such as class numbers, which have no mean. Let them return the "
                "logits or probabilities that their loss takes."
            )
        found: Array = outputs.astype(np.float64) if outputs.dtype.kind == "f" else outputs
        if self.kind == "logarithms":
            return np.exp(found)
        if self.kind == "sigmoid":
            return np.exp(-np.logaddexp(0, -found))
        if self.kind == "softmax":
            axis = self.class_axis(found.ndim)
            shifted = np.exp(found - found.max(axis, keepdims=True))
            found = shifted / shifted.sum(axis, keepdims=True)
        return found

    def class_axis(self, ndim: int) -> int:
        """Return the axis of the classes in the outputs of several models, `(models, rows, ...)`."""
        return self.axis + 1 if self.axis >= 0 and ndim > 3 else -1

    def outputs(self, probabilities: Array, dtype: Any) -> Array:
        """Return outputs of the kind of the model for probabilities: the inverse of `probabilities`.

        Logits of a softmax are logarithms of the probabilities, which are logits, too.
        """
        if self.kind == "values":
            return probabilities.astype(dtype)
        logarithms = np.log(np.maximum(probabilities, _TINY))
        if self.kind == "sigmoid":
            logarithms = logarithms - np.log(np.maximum(1 - probabilities, _TINY))
        return logarithms.astype(dtype)

    def mean(self, outputs: Array) -> Array:
        """Return the combined output of several models, `(models, rows, ...)` -> `(rows, ...)`."""
        dtype = outputs.dtype if outputs.dtype.kind == "f" else np.float64
        return self.outputs(self.probabilities(outputs).mean(0), dtype)

    def mean_probabilities(self, outputs: Array) -> Array:
        """Return the mean of probabilities or values of several models; probabilities of logits are float64."""
        mean: Array = self.probabilities(outputs).mean(0)
        return mean.astype(outputs.dtype) if self.kind == "values" and outputs.dtype.kind == "f" else mean
