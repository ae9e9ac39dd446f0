"""Warning for a model that ends in a softmax over a single value."""

from __future__ import annotations

from torch import Tensor

from kerastorch.core.errors import warn
from kerastorch.layers.base import Layer
from kerastorch.training.fused_activation import FinalActivation


def warn_of_constant_output(last: FinalActivation | None, y_pred: Tensor) -> None:
    """Warn if a model ends in `nn.Softmax` or `nn.LogSoftmax` along an axis of size 1.

    Layers of kerastorch warn themselves, when they are built.

    Args:
        last: Activation that the model ends in.
        y_pred: Its output.
    """
    if last is None or last.kind not in ("softmax", "log_softmax") or isinstance(last.module, Layer):
        return
    axis = (0 if y_pred.ndim in (0, 1, 3) else 1) if last.axis is None else last.axis  # torch's rule for dim=None
    if -y_pred.ndim <= axis < y_pred.ndim and y_pred.shape[axis] == 1:
        warn(
            f"The model ends in {type(last.module).__name__} along axis {axis}, and its output {tuple(y_pred.shape)} "
            "has one value there: it is constant and learns nothing. For one output, a probability, take a sigmoid."
        )
