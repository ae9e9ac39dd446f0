"""The settings of `compile(distribution=...)`."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from kerastorch.core.errors import unknown


@dataclass(frozen=True)
class DataParallel:
    """Each process has the whole model and computes a part of each batch; gradients are averaged over the processes.

    `batch_size` is that of the whole batch. A training is the same as in one process, up to the order in which numbers
    are added; random numbers of layers, as in `Dropout`, differ.

    Args:
        shard_data: Whether all processes are given the same data, of which each takes its part. With `False`, the data
            of each process are its own: `batch_size` is that of a process, an epoch lasts until all processes have
            used their data, and `predict` returns the outputs for the data of the process.

    >>> import kerastorch as kt
    >>> model = kt.Sequential([kt.layers.Dense(1)])
    >>> model.compile("adam", "mse", distribution=kt.distribution.DataParallel())
    """

    shard_data: bool = True


def check_distribution(given: Any) -> Any:
    """Return the argument `distribution` of `compile`: settings, `"auto"` or `None`.

    Raises:
        ValueError: It is another name.
        TypeError: It is something else.
    """
    if given is None or isinstance(given, DataParallel) or given == "auto":
        return given
    if isinstance(given, str):
        raise ValueError(unknown("distribution", given, ["auto"]))
    raise TypeError(
        f"distribution must be 'auto', None or settings of kerastorch.distribution, such as DataParallel(), got "
        f"{given!r}."
    )
