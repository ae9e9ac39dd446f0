"""A module of torch's at the end of a model that is a softmax over one value: warned of."""

from __future__ import annotations

from torch import Tensor

from kerastorch.core.errors import warn
from kerastorch.layers.base import Layer
from kerastorch.training.fused_activation import FinalActivation


def warn_of_constant_end(tail: FinalActivation | None, y_pred: Tensor) -> None:
    """Warn if a model ends in `nn.Softmax` or `nn.LogSoftmax` along an axis of size 1; layers say it themselves.

    Args:
        tail: the activation that the model ends in.
        y_pred: what came out of it.
    """
    if tail is None or tail.kind not in ("softmax", "log_softmax") or isinstance(tail.module, Layer):
        return
    axis = (0 if y_pred.ndim in (0, 1, 3) else 1) if tail.axis is None else tail.axis  # as torch takes dim=None
    if -y_pred.ndim <= axis < y_pred.ndim and y_pred.shape[axis] == 1:
        warn(
            f"The model ends in {type(tail.module).__name__} along axis {axis}, and its output {tuple(y_pred.shape)} "
            "has one value there: it is constant and learns nothing. For one output, a probability, take a sigmoid."
        )
