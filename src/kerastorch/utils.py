"""Small helps."""

from __future__ import annotations

import random
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from kerastorch.errors import whole

if TYPE_CHECKING:
    from kerastorch.inspection.plot import plot_model

__all__ = ["plot_model", "set_random_seed"]


def set_random_seed(seed: int) -> None:
    """Seed Python, NumPy and torch: initial weights, dropout and the order of batches follow from it.

    Args:
        seed: an integer from 0 to 2^32 - 1.

    >>> set_random_seed(0)
    """
    random.seed(whole("seed", seed, 0))
    np.random.seed(seed)
    torch.manual_seed(seed)


def __getattr__(name: str) -> Any:
    if name == "plot_model":  # on first use: it is much to import, and seldom needed
        from kerastorch.inspection.plot import plot_model

        return plot_model
    raise AttributeError(f"module 'kerastorch.utils' has no attribute {name!r}")
