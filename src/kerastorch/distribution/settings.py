"""The settings of `compile(distribution=...)`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from kerastorch.core.errors import check_int, mismatch, unknown
from kerastorch.core.serialization import Configurable


@dataclass(frozen=True)
class DataParallel(Configurable):
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


@dataclass(frozen=True)
class FullyShard(Configurable):
    """Each process has a part of all weights, of their gradients and of the state of the optimizer (FSDP).

    A block of the model gathers its weights when it is called, and each process computes a part of each batch. A
    training is the same as with `DataParallel`.

    Args:
        shard: Blocks that gather their weights by themselves: patterns of module names, such as `["blocks.*"]`; or an
            integer, for modules of at least that many parameters. Default: the model's children, and the items of its
            `ModuleList`s. All other weights are gathered while the model runs.
        precision: `"bf16"` to compute in bfloat16; weights and the sums of gradients stay float32. Default: the dtype
            of the weights.
        offload: Whether the parts are in main memory while they are not used.
        reshard: Whether a block frees the weights after its forward pass and gathers them again for the backward pass.
            `False` saves time, and takes the memory of all weights.
        shard_data: As in `DataParallel`.

    Raises:
        TypeError: `shard` is no list of patterns and no integer.
        ValueError: An argument is out of its bounds.

    >>> import kerastorch as kt
    >>> kt.distribution.FullyShard(shard=["blocks.*"], precision="bf16").shard
    ('blocks.*',)
    """

    shard: Sequence[str] | int | None = None
    precision: str | None = None
    offload: bool = False
    reshard: bool = True
    shard_data: bool = True

    def __post_init__(self) -> None:
        shard: Any = self.shard
        if isinstance(shard, (list, tuple)) and shard and all(isinstance(one, str) for one in shard):
            object.__setattr__(self, "shard", tuple(shard))  # frozen, so that settings can be compared
        elif isinstance(shard, bool) or not (shard is None or isinstance(shard, int)):
            raise TypeError(
                f"shard must be a list of patterns of module names, such as ['blocks.*'], or a number of parameters, "
                f"got {shard!r}."
            )
        elif shard is not None:
            check_int("shard", shard, 1)
        if self.precision not in (None, "bf16"):
            raise mismatch("precision", self.precision, "None or 'bf16'")


@dataclass(frozen=True)
class TensorParallel(Configurable):
    """Each process computes a part of the units of some layers, for all rows.

    Args:
        plan: How layers are divided, by pattern of module names. `"column"` divides the units of a `Dense` or
            `nn.Linear`, or the vectors of an `Embedding`; `"row"` divides the inputs of a `Dense`, or the rows of an
            `Embedding`. A `"row"` layer takes the output of a `"column"` layer without communication in between; where
            another layer with weights takes it, it is gathered. A sum of it and of other tensors is an error of torch:
            end each block with a `"row"` layer.

    Raises:
        TypeError: `plan` is no dict of texts.
        ValueError: It is empty, or a value is another one.

    >>> import kerastorch as kt
    >>> kt.distribution.TensorParallel({"*.q": "column", "*.o": "row"}).plan["*.o"]
    'row'
    """

    plan: Mapping[str, str]

    def __post_init__(self) -> None:
        if not isinstance(self.plan, Mapping) or not all(isinstance(pattern, str) for pattern in self.plan):
            raise TypeError(
                f"TensorParallel takes a dict by pattern of module names, such as {{'*.q': 'column', '*.o': 'row'}}, "
                f"got {self.plan!r}."
            )
        if not self.plan:
            raise ValueError("TensorParallel: the plan is empty. Write {'<pattern of names>': 'column' or 'row'}.")
        for pattern, how in self.plan.items():
            if how not in ("column", "row"):
                raise mismatch(f"TensorParallel: the value of {pattern!r}", how, "'column' or 'row'")


def check_distribution(given: Any) -> Any:
    """Return the argument `distribution` of `compile`: settings, `"auto"` or `None`.

    Raises:
        ValueError: It is another name.
        TypeError: It is something else.
    """
    if given is None or isinstance(given, (DataParallel, FullyShard, TensorParallel)) or given == "auto":
        return given
    if isinstance(given, str):
        raise ValueError(unknown("distribution", given, ["auto"]))
    raise TypeError(
        f"distribution must be 'auto', None or settings of kerastorch.distribution, such as DataParallel(), got "
        f"{given!r}."
    )
