"""Small helps."""

from __future__ import annotations

import random

import numpy as np
import torch

from kerastorch.errors import whole
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
