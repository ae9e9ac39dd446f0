"""Checks that the processes that train together were given the same model, data and arguments of `compile`.

With different ones, the weights of the processes would differ silently, or a message of another size would end them.
"""

from __future__ import annotations

import itertools
from collections.abc import Mapping

from torch import nn
from torch.nn.parameter import is_lazy

from kerastorch.core import collectives
from kerastorch.data.data_adapter import DataAdapter
from kerastorch.data.data_fingerprint import fingerprint
from kerastorch.data.finite_check import raise_nonfinite
from kerastorch.training.compile_settings import Settings


def check_weights(model: nn.Module) -> None:
    """Raise an error on all ranks unless their models have the same weights and buffers; all ranks must call it.

    Raises:
        ValueError: A weight has another shape or dtype on another rank, or does not exist there.
    """
    tensors = (*model.named_parameters(), *model.named_buffers())
    own = {
        name: f"{tuple(one.shape)} {str(one.dtype).removeprefix('torch.')}" for name, one in tensors if not is_lazy(one)
    }
    _compare(own, "The models of the processes differ: weight", "Build the same model in all processes.")


def check_settings(settings: Settings) -> None:
    """Raise an error on all ranks unless `compile` was given the same optimizer and losses; all ranks must call it.

    Raises:
        ValueError: A setting differs.
    """
    own = {name: value for part in settings.values() for name, value in part.items()}
    _compare(own, "The arguments of compile() differ between the processes:", "Pass the same ones in all processes.")


def check_data(source: DataAdapter, names: tuple[str, str, str]) -> None:
    """Raise an error on all ranks unless they were given the same data, without NaN or infinity; all must call it.

    Args:
        source: The data, of which each rank has searched some rows for NaN and infinity, or none.
        names: Names of inputs, targets and weights.

    Raises:
        ValueError: The data of two ranks differ, or a rank has found NaN or infinity.
    """
    given, found = zip(*collectives.gather((fingerprint(source, names), source.nonfinite)), strict=True)
    first, *others = given
    for number, other in enumerate(others, 1):
        for name in first | other:
            if first.get(name) != other.get(name):
                raise ValueError(
                    f"{name} differs between the processes: it is {first.get(name)} on rank 0, and {other.get(name)} "
                    f"on rank {number}. Each process takes its part of the same rows: seed random data and splits "
                    "alike. If each process has rows of its own, write compile(distribution="
                    "kerastorch.distribution.DataParallel(shard_data=False))."
                )
    raise_nonfinite(itertools.chain(*found))


def _compare(own: Mapping[str, str], start: str, advice: str) -> None:
    first, *others = collectives.gather(dict(own))
    for number, other in enumerate(others, 1):
        for name in first | other:
            here, there = first.get(name, "missing"), other.get(name, "missing")
            if here != there:
                raise ValueError(f"{start} {name} is {here} on rank 0, and {there} on rank {number}. {advice}")
