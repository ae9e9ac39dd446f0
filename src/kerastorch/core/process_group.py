"""The process group: the rank of this process, how the group is joined, and what must not wait for other ranks."""

from __future__ import annotations

import atexit
import os
import sys
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from datetime import timedelta
from typing import Any

import torch
from torch import distributed, nn

from kerastorch.core.errors import mismatch, warn

_LAUNCHED = ("RANK", "WORLD_SIZE", "MASTER_ADDR", "MASTER_PORT")  # what torchrun sets in the environment
_alone: ContextVar[bool] = ContextVar("alone", default=False)


def rank() -> int:
    """Return the rank of this process in torch's default process group, or 0 if there is no group."""
    return distributed.get_rank() if has_process_group() else 0


def world_size() -> int:
    """Return the number of processes in torch's default process group, or 1 if there is no group."""
    return distributed.get_world_size() if has_process_group() else 1


def is_distributed() -> bool:
    """Return whether this process is one of several in torch's default process group."""
    return has_process_group() and distributed.get_world_size() > 1


def has_process_group() -> bool:
    """Return whether torch's default process group is initialised."""
    return distributed.is_available() and distributed.is_initialized()


def is_launched() -> bool:
    """Return whether torchrun, or another launcher that sets its variables, has started several processes."""
    return launched_processes() > 1 and all(name in os.environ for name in _LAUNCHED)


def launched_processes() -> int:
    """Return the number of processes that the environment variable `WORLD_SIZE` says, or 1."""
    given = os.environ.get("WORLD_SIZE", "1")
    return int(given) if given.isdecimal() else 1


def initialize(backend: str | None = None, timeout: float | timedelta | None = None) -> None:
    """Join the processes that torchrun has started to torch's default process group, and choose the GPU of this one.

    `fit`, `evaluate` and `predict` do this themselves; call it first only for another backend or timeout. If there is a
    group already, nothing happens; without torchrun neither.

    Args:
        backend: Backend of `torch.distributed`, such as `"gloo"`. Default: gloo for tensors on the CPU, and NCCL for
            those on CUDA GPUs.
        timeout: Seconds, or a `timedelta`, after which a process that waits for the others raises an error. Default:
            that of torch, 30 minutes for gloo and 10 for NCCL.

    Raises:
        ValueError: The timeout is no positive number.

    >>> import kerastorch as kt
    >>> kt.distribution.initialize()  # without torchrun, this is one process alone
    >>> kt.distribution.rank(), kt.distribution.world_size()
    (0, 1)
    """
    if timeout is not None and not isinstance(timeout, timedelta):
        is_number = isinstance(timeout, (int, float)) and not isinstance(timeout, bool)
        if not is_number or timeout <= 0:
            raise mismatch("timeout", timeout, "a number of seconds > 0, or a timedelta")
        timeout = timedelta(seconds=timeout)
    if has_process_group() or not is_launched():
        return
    options: dict[str, Any] = {} if timeout is None else {"timeout": timeout}
    if torch.cuda.is_available() and "LOCAL_RANK" in os.environ:
        torch.cuda.set_device(int(os.environ["LOCAL_RANK"]) % torch.cuda.device_count())
    distributed.init_process_group(backend, **options, **_own_store())
    atexit.register(_leave, distributed.group.WORLD)


def _leave(world: Any) -> None:
    """Leave a process group at the end of the script, unless it is left already, or an error ends the script.

    After an error other ranks may still be waiting for this one, and leaving could wait for them.
    """
    if has_process_group() and distributed.group.WORLD is world and getattr(sys, "last_value", None) is None:
        distributed.destroy_process_group()


def _own_store() -> dict[str, Any]:
    """Return a store for processes that torchrun has started again, in which no addresses of the former ones are.

    torchrun on one machine gives all attempts the same store. A new process would find the address of a killed one
    there and could not connect. On several machines, the numbers of their attempts differ, and torch decides.
    """
    attempt = os.environ.get("TORCHELASTIC_RESTART_COUNT", "0")
    if attempt == "0" or os.environ.get("GROUP_WORLD_SIZE") != "1":
        return {}
    from torch.distributed.rendezvous import rendezvous  # torch may have been built without it

    store, rank, world = next(iter(rendezvous("env://")))
    own = distributed.PrefixStore(f"attempt {attempt}", store)  # type: ignore[attr-defined]
    return {"store": own, "rank": rank, "world_size": world}


@contextmanager
def alone() -> Iterator[None]:
    """Let this process work without the others within the block: nothing waits for them, and no data are cut."""
    token = _alone.set(True)
    try:
        yield
    finally:
        _alone.reset(token)


def is_alone() -> bool:
    """Return whether a block of `alone` runs."""
    return _alone.get()


def warn_if_not_joined() -> None:
    """Warn if several processes were launched, and the environment has not what joins them to a group.

    Warns:
        UserWarning: The environment variable `WORLD_SIZE` is above 1, and there is no process group.
    """
    world = launched_processes()
    if world > 1 and not has_process_group():
        missing = [name for name in _LAUNCHED if name not in os.environ]
        why = f"; {', '.join(missing)} are not set" if missing else ""
        warn(
            f"WORLD_SIZE is {world}, as torchrun sets it, but there is no process group{why}: each of the {world} "
            "processes works alone, on all rows, and writes the same files. Start the script with torchrun, or call "
            "torch.distributed.init_process_group() before compile()."
        )


@contextmanager
def without_buffer_sync(parts: Iterable[nn.Module]) -> Iterator[None]:
    """Disable the synchronisation of buffers, so that one process can evaluate alone.

    Args:
        parts: The modules of a model; those of type `DistributedDataParallel` are changed within the block.
    """
    wrappers = (
        [wrapper for wrapper in parts if isinstance(wrapper, nn.parallel.DistributedDataParallel)]
        if has_process_group()
        else []
    )
    before = [wrapper.require_forward_param_sync for wrapper in wrappers]
    try:
        for wrapper in wrappers:
            wrapper.require_forward_param_sync = False
        yield
    finally:
        for wrapper, value in zip(wrappers, before, strict=True):
            wrapper.require_forward_param_sync = value
