"""RandomGenerator: random numbers of layers, with or without a seed, in eager and in compiled code."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import torch
from torch import Tensor, nn

from kerastorch.core.errors import check_int
from kerastorch.core.rng_state import CountedGenerator
from kerastorch.core.torch_private import standard_gamma


class RandomGenerator(CountedGenerator):
    """Source of random numbers: torch's global generator, or a seeded sequence.

    With a seed, sample number `n` is a pure function of the seed, `n` and the kind of device. `torch.compile` cannot
    trace a `torch.Generator`. A seeded sample is therefore a custom operator that counts the samples in a tensor. It
    compiles without a graph break and gives the same numbers in eager and compiled code.

    A layer stores its generator in the attribute `_draws`. Checkpoints save `count` under this name, so it is fixed.

    Args:
        seed: An integer >= 0, or `None` for torch's global generator.

    Attributes:
        count: The seed and the number of samples taken, `(2,)`; `None` without a seed.

    >>> generator = RandomGenerator(3)
    >>> bool(torch.equal(generator.uniform(torch.empty(2)), generator.uniform(torch.empty(2))))
    False
    """

    def __init__(self, seed: int | None) -> None:
        self.seed = None if seed is None else check_int("seed", seed, 0)
        # The tensor stays on the CPU, so that reading it needs no device synchronisation.
        self.count = None if self.seed is None else torch.tensor([self.seed % 2**63, 0], device="cpu")

    def get_state(self) -> Tensor | None:
        """Return a copy of `count`."""
        return None if self.count is None else self.count.clone()

    def set_state(self, state: Tensor | None) -> None:
        """Set `count` in place, since compiled code refers to it."""
        if self.count is not None and state is not None:
            self.count.copy_(state)

    def uniform(self, like: Tensor) -> Tensor:
        """Return uniform numbers in [0, 1), of the shape, dtype and device of `like`."""
        return self._sample("uniform", like)

    def normal(self, like: Tensor) -> Tensor:
        """Return standard normal numbers, of the shape, dtype and device of `like`."""
        return self._sample("normal", like)

    def gamma(self, alpha: Tensor) -> Tensor:
        """Return a number from Gamma(alpha, 1) for each element of `alpha`."""
        return self._sample("gamma", alpha)

    def permutation(self, size: int, like: Tensor) -> Tensor:
        """Return the integers from 0 to `size - 1` in random order, `(size,)`, on the device of `like`."""
        return self.uniform(like.new_empty(size, dtype=torch.float64)).argsort()

    def bernoulli_mask(self, shape: Sequence[int], rate: float, like: Tensor) -> Tensor:
        """Return 0 with probability `rate`, else 1.

        Args:
            shape: Shape of the result.
            rate: Probability of 0, 0 to 1.
            like: Tensor with the dtype and device of the result.
        """
        return (self.uniform(like.new_empty(shape, dtype=at_least_float32(like.dtype))) < 1 - rate).to(like.dtype)

    def dropout(self, shape: Sequence[int], rate: float, like: Tensor) -> Tensor:
        """Return 0 with probability `rate`, else `1 / (1 - rate)`; arguments as in `bernoulli_mask`."""
        return self.bernoulli_mask(shape, rate, like) / (1 - rate)

    def _sample(self, distribution: str, like: Tensor) -> Tensor:
        if self.count is None:
            return _DISTRIBUTIONS[distribution](like.detach(), None)
        sample: Tensor = _seeded_sample(self.count, distribution, like.detach())
        return sample


def generators_in(module: nn.Module) -> list[RandomGenerator]:
    """Return the generators that are attributes of a module, without those of its children."""
    return [one for one in vars(module).values() if isinstance(one, RandomGenerator)]


def at_least_float32(dtype: torch.dtype) -> torch.dtype:
    """Return float64 for float64, else float32: narrower types have too few random numbers."""
    return torch.promote_types(dtype, torch.float32)


_DISTRIBUTIONS: dict[str, Callable[[Tensor, torch.Generator | None], Tensor]] = {
    "uniform": lambda like, generator: torch.empty_like(like).uniform_(generator=generator),
    "normal": lambda like, generator: torch.empty_like(like).normal_(generator=generator),
    "gamma": lambda alpha, generator: standard_gamma(alpha, generator=generator),
}


@torch.library.custom_op("kerastorch::seeded", mutates_args={"count"})
def _seeded_sample(count: Tensor, kind: str, like: Tensor) -> Tensor:
    """Return the next sample of the distribution `kind`, and count it in place."""
    seed = np.random.SeedSequence(count.tolist()).generate_state(1, np.uint64)
    count[1] += 1
    return _DISTRIBUTIONS[kind](like, torch.Generator(like.device).manual_seed(int(seed[0])))


@_seeded_sample.register_fake
def _fake_sample(count: Tensor, kind: str, like: Tensor) -> Tensor:  # noqa: ARG001
    return torch.empty_like(like)
