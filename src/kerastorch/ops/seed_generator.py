"""SeedGenerator: the source of random numbers that Keras' scripts pass as `seed=`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Self

import torch
from torch import Tensor

from kerastorch.core.errors import mismatch
from kerastorch.layers.random_generator import RandomGenerator


class SeedGenerator(RandomGenerator):
    """A source of random numbers with a state: two calls with one generator give different numbers.

    Checkpoints hold the state of a generator that is an attribute of a layer or model, so that a resumed training
    continues its sequence. `torch.compile` compiles what uses it.

    Args:
        seed: An integer. Default: a random one, from torch's global generator.
        name: No effect; the name of the generator.

    >>> generator = SeedGenerator(1337)
    >>> generator.next().tolist(), generator.next().tolist()
    ([1337, 0], [1337, 1])
    """

    def __init__(self, seed: int | None = None, name: str | None = None) -> None:
        self.name = name
        super().__init__(_checked(torch.randint(2**31, (), device="cpu").item() if seed is None else seed))

    @property
    def state(self) -> Tensor:
        """The seed and the number of calls, `(2,)`."""
        assert self.count is not None
        return self.count

    def next(self, ordered: bool = True) -> Tensor:  # Keras' argument, for other backends
        """Return the state, and count a call."""
        found = self.state.clone()
        self.state[1] += 1
        return found

    def get_config(self) -> dict[str, Any]:
        """Return the arguments of the constructor."""
        return {"seed": self.seed, "name": self.name}

    @classmethod
    def from_config(cls, config: Mapping[str, Any]) -> Self:
        """Create a generator from what `get_config` returned."""
        return cls(**config)


def _checked(seed: Any) -> int:
    if isinstance(seed, bool) or not hasattr(seed, "__index__"):
        raise mismatch("seed", seed, "an integer, a SeedGenerator or None")
    return int(seed) % 2**63


def as_generator(seed: Any) -> RandomGenerator:
    """Return the source of random numbers for `seed=`.

    Args:
        seed: An integer for the same numbers in each call; a `SeedGenerator` for further ones in each call; `None` for
            torch's global generator.
    """
    if isinstance(seed, RandomGenerator):
        return seed
    return RandomGenerator(None if seed is None else _checked(seed))
