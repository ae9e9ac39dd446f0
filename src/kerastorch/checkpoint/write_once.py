"""One file of state that several processes hold together: all of them gather it, and the first one writes it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from torch import Tensor, nn

from kerastorch.core.distributed_tensors import full_tensor, is_distributed_tensor, is_true_everywhere
from kerastorch.core.errors import CheckpointError
from kerastorch.core.joint_calls import called_by_all
from kerastorch.core.process_group import rank
from kerastorch.core.torch_private import pytree


def write_once(state: Any, write: Callable[[Any], None], where: object) -> None:
    """Call a function that writes state to a file: in each process, or in the first one if they hold parts of tensors.

    With parts, all processes must call it, and they return when the file is written. Tensors are gathered one after the
    other, and only the first process keeps them, in main memory.

    Args:
        state: Nested state, which may have tensors of several processes.
        write: Function of the state, with whole tensors, that writes the file.
        where: Path of the file, for messages.

    Raises:
        CheckpointError: Another process could not write the file.
        RuntimeError: Another process has called another method.
    """
    shared = next(filter(is_distributed_tensor, pytree.tree_leaves(state)), None)
    if shared is None:
        write(state)
        return
    with called_by_all(f"save({str(where)!r})", [shared]):
        _write_gathered(state, write, where, shared)


def _write_gathered(state: Any, write: Callable[[Any], None], where: object, shared: Tensor) -> None:
    is_first = rank() == 0
    whole = pytree.tree_map(lambda value: _gather(value, keep=is_first), state)
    error: BaseException | None = None
    try:
        if is_first:
            write(whole)
    except BaseException as raised:
        error = raised
    is_written = is_true_everywhere(error is None, shared)
    if error is not None:
        raise error
    if not is_written:
        raise CheckpointError(f"{where} could not be written by rank 0, whose message has the reason.")


def _gather(value: Any, *, keep: bool) -> Any:
    """Return a value with all its elements; if it is not to be kept, take part in gathering it alone."""
    if not isinstance(value, Tensor) or not is_distributed_tensor(value) or nn.parameter.is_lazy(value):
        return value
    whole = full_tensor(value.detach())
    return whole.cpu() if keep else None
