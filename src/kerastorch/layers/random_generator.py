"""Random numbers for layers, with a seed or without: the same code for calls and for compiled graphs."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import torch
from torch import Tensor

from kerastorch.core.errors import check_int
from kerastorch.core.torch_private import standard_gamma


class RandomGenerator:
    """Draws from torch's global generator, or with a seed from numbers of its own.

    With a seed, draw number `n` is a pure function of the seed and `n`, on each device another. torch traces no
    generator, so that such a draw is an operator of its own, which counts the draws in a tensor: it compiles whole,
    and compiled or not the numbers are the same.

    Args:
        seed: an integer >= 0, or `None`.

    >>> draws = RandomGenerator(3)
    >>> bool(torch.equal(draws.uniform(torch.empty(2)), draws.uniform(torch.empty(2))))
    False
    """

    def __init__(self, seed: int | None) -> None:
        self.seed = None if seed is None else check_int("seed", seed, 0)
        # the seed, and how many draws there were; always on the CPU, where reading waits for nothing
        self.count = None if self.seed is None else torch.tensor([self.seed % 2**63, 0], device="cpu")

    def uniform(self, like: Tensor) -> Tensor:
        """From 0 to 1, without 1."""
        return self._drawn("uniform", like)

    def normal(self, like: Tensor) -> Tensor:
        """Of mean 0 and standard deviation 1."""
        return self._drawn("normal", like)

    def gamma(self, alpha: Tensor) -> Tensor:
        """From Gamma(alpha, 1), for each element."""
        return self._drawn("gamma", alpha)

    def order(self, size: int, like: Tensor) -> Tensor:
        """The numbers below `size` in random order, on the device of `like`."""
        return self.uniform(like.new_empty(size, dtype=torch.float64)).argsort()

    def bernoulli_mask(self, shape: Sequence[int], rate: float, like: Tensor) -> Tensor:
        """0 with probability `rate`, else 1; of `shape`, in the dtype and on the device of `like`."""
        return (self.uniform(like.new_empty(shape, dtype=at_least_float32(like.dtype))) < 1 - rate).to(like.dtype)

    def dropout(self, shape: Sequence[int], rate: float, like: Tensor) -> Tensor:
        """0 with probability `rate`, else `1 / (1 - rate)`."""
        return self.bernoulli_mask(shape, rate, like) / (1 - rate)

    def _drawn(self, kind: str, like: Tensor) -> Tensor:
        if self.count is None:
            return _KINDS[kind](like.detach(), None)
        found: Tensor = _seeded(self.count, kind, like.detach())
        return found


def at_least_float32(dtype: torch.dtype) -> torch.dtype:
    """float32, or float64 where `dtype` is: narrower ones have too few different numbers to draw."""
    return torch.promote_types(dtype, torch.float32)


_KINDS: dict[str, Callable[[Tensor, torch.Generator | None], Tensor]] = {
    "uniform": lambda like, generator: torch.empty_like(like).uniform_(generator=generator),
    "normal": lambda like, generator: torch.empty_like(like).normal_(generator=generator),
    "gamma": lambda alpha, generator: standard_gamma(alpha, generator=generator),
}


@torch.library.custom_op("kerastorch::seeded", mutates_args={"count"})
def _seeded(count: Tensor, kind: str, like: Tensor) -> Tensor:
    seed = np.random.SeedSequence(count.tolist()).generate_state(1, np.uint64)
    count[1] += 1
    return _KINDS[kind](like, torch.Generator(like.device).manual_seed(int(seed[0])))


@_seeded.register_fake
def _traced(count: Tensor, kind: str, like: Tensor) -> Tensor:  # noqa: ARG001
    return torch.empty_like(like)
