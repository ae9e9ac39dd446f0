"""Random factors for dropout where one draw serves several times."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor


class Noise:
    """Draws factors: 0 with probability `rate`, else `1 / (1 - rate)`.

    Args:
        seed: draws from a generator of its own instead of torch's global one.
    """

    def __init__(self, seed: int | None) -> None:
        self._seed = seed
        self._generators: dict[torch.device, torch.Generator] = {}

    def __call__(self, shape: Sequence[int], rate: float, like: Tensor) -> Tensor:
        """Of `shape`, in the dtype and on the device of `like`."""
        keep = like.new_full(shape, 1 - rate)
        if self._seed is None:
            return torch.bernoulli(keep) / (1 - rate)
        if like.device not in self._generators:
            self._generators[like.device] = torch.Generator(like.device).manual_seed(self._seed)
        return torch.bernoulli(keep, generator=self._generators[like.device]) / (1 - rate)
