"""Methods that all ranks must call, because each holds a part of what they return."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from torch import Tensor, distributed

from kerastorch.core import collectives
from kerastorch.core.distributed_tensors import check_not_alone, device_mesh, is_distributed_tensor
from kerastorch.core.rank_failures import remind_of_call, shared


@contextmanager
def called_by_all(verb: str, held: Sequence[Tensor]) -> Iterator[None]:
    """Surround a method that gathers tensors: it begins once all ranks have called it, and ends on all if one fails.

    A rank that waits for others names them after some seconds. If no tensor is divided among all ranks, none waits.

    Args:
        verb: The method, for messages.
        held: The tensors, of which some may be divided.

    Raises:
        RuntimeError: Other ranks have called another method, or a callback of one rank alone has called this one.
        DistributedError: Another rank has stopped.
    """
    divided = next(filter(is_distributed_tensor, held), None)
    if divided is None or device_mesh(divided).size() < distributed.get_world_size():  # type: ignore[attr-defined]
        yield
        return
    check_not_alone()
    with shared(verb):
        gather_calls(verb)
        yield


def gather_calls(verb: str, value: Any = None) -> list[Any]:
    """Wait until all ranks have called a method, and return a value of each, by rank.

    Args:
        verb: The method with its arguments.
        value: The value of this rank.

    Raises:
        RuntimeError: The ranks have called different methods, or with different arguments.
    """
    told = collectives.gather((verb, value), remind_of_call)
    if len({one for one, _ in told}) > 1:
        names = ", ".join(f"rank {number}: {one}" for number, (one, _) in enumerate(told))
        raise RuntimeError(f"all processes must call the same methods with the same arguments, and they call {names}.")
    return [value for _, value in told]
