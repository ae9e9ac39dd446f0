"""What layers change while they train, on several ranks: random numbers, and buffers such as running statistics."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import nn

from kerastorch.core import collectives
from kerastorch.core.distributed_tensors import is_distributed_tensor
from kerastorch.core.module_tree import modules
from kerastorch.core.process_group import rank
from kerastorch.layers.random_generator import generators_in

_STRIDE = 0x9E3779B97F4A7C15  # far apart from the seeds that users choose


@contextmanager
def own_random_numbers(model: nn.Module) -> Iterator[None]:
    """Let layers draw other random numbers on each rank, and end with the random states of rank 0.

    Args:
        model: Its seeded layers get other seeds within the block. The generator of torch does, too, unless the script
            has given each rank its own.
    """
    are_equal = len(set(collectives.gather(_state()))) == 1
    if are_equal and rank():
        torch.manual_seed(_seed_of_rank(torch.initial_seed()))
    counts = _seeded_counts(model)
    seeds = [int(count[0]) for count in counts]
    for count in counts if rank() else []:
        count[0] = _seed_of_rank(int(count[0]))
    try:
        yield
    finally:
        for count, seed in zip(counts, seeds, strict=True):
            count[0] = seed
    state, drawn = collectives.from_first((_state(), [int(count[1]) for count in counts]))
    if are_equal:
        torch.set_rng_state(torch.frombuffer(bytearray(state), dtype=torch.uint8))
    for count, number in zip(counts, drawn, strict=True):
        count[1] = number


def copy_buffers(model: nn.Module) -> None:
    """Give all ranks the buffers of rank 0, such as the running statistics of `BatchNorm`."""
    collectives.copy_from_first(buffer for buffer in model.buffers() if not is_distributed_tensor(buffer))


def _seed_of_rank(seed: int) -> int:
    return (seed + rank() * _STRIDE) % 2**63


def _seeded_counts(model: nn.Module) -> list[Any]:
    """Return the seeds and numbers of samples of the seeded layers, tensors `(2,)`."""
    found = {id(one): one for part in modules(model) for one in generators_in(part)}  # layers may share one
    return [one.count for one in found.values() if one.count is not None]


def _state() -> bytes:
    return torch.get_rng_state().numpy().tobytes()
