"""The dtype that the network of an estimator computes in."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch

from kerastorch.model import Model

_FLOATS = (torch.float32, torch.float64)


def float_dtype(model: Model) -> torch.dtype:
    """Return the dtype of the floats of a built model."""
    tensors = [*model.parameters(), *model.buffers()]
    return next((one.dtype for one in tensors if one.is_floating_point()), torch.get_default_dtype())


def numpy_dtype(model: Model) -> Any:
    """Return the dtype of NumPy that the targets of a model have."""
    return np.float64 if float_dtype(model) is torch.float64 else np.float32


def outputs_in_dtype(model: Model, x: Any, dtype: torch.dtype, *, may_stay: bool) -> Any:
    """Cast a model to a dtype, and return its outputs for some rows, which build it.

    Args:
        model: The model, built or not.
        x: Some rows of inputs.
        dtype: The dtype. Models in half precision keep theirs.
        may_stay: Whether the model keeps its dtype if that is the wider one, or if it cannot compute in `dtype`, as a
            module that makes tensors in float32.
    """
    outputs = model.predict(x, verbose=0)
    present = float_dtype(model)
    is_wider = present is torch.float64 and dtype is torch.float32
    if present is dtype or present not in _FLOATS or (may_stay and is_wider):
        return outputs
    if not may_stay:
        model.to(dtype)
        return model.predict(x, verbose=0)
    try:
        model.to(dtype)
        return model.predict(x, verbose=0)
    except Exception:  # whatever the module of the user raises
        model.to(present)
        return outputs
