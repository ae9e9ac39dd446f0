"""Files of models that several processes train together: rank 0 writes them, and the other ranks wait for them.

All ranks have the same weights, so rank 0 needs nothing from the others. It tells them by the store of the process
group, and never waits: a script may save on rank 0 alone.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

from torch import distributed, nn

from kerastorch.core.distributed_tensors import is_distributed_tensor
from kerastorch.core.errors import CheckpointError
from kerastorch.core.process_group import is_distributed
from kerastorch.core.rank_failures import LOOK_SECONDS, check
from kerastorch.core.torch_private import default_store
from kerastorch.training.trainer import Trainer

WAIT_SECONDS = 1800  # as long as gloo waits for a message
_WRITTEN = "written"


def write_on_first_rank(module: nn.Module, path: Path, write: Callable[[], None]) -> None:
    """Call a function that writes a file: on rank 0 alone if several ranks train the model, else in this process.

    Weights that are divided among the ranks are gathered by all of them, so all call the function then.

    Args:
        module: The model.
        path: Path of the file, the same on all ranks.
        write: Writes it.

    Raises:
        CheckpointError: On the other ranks, if rank 0 could not write the file, or has not in time.
    """
    trainer: Trainer | None = vars(module).get("_trainer")
    is_joint = trainer is not None and trainer.find_ranks().is_joint and is_distributed()
    if not is_joint or any(map(is_distributed_tensor, module.parameters())):
        write()
        return
    if distributed.get_rank() == 0:
        _write_and_tell(path, write)
    else:
        _wait_for_first(path)


def _write_and_tell(path: Path, write: Callable[[], None]) -> None:
    outcome = "Rank 0 was interrupted."
    try:
        write()
        outcome = _WRITTEN
    except Exception as error:
        outcome = f"Rank 0: {type(error).__name__}: {error}"
        raise
    finally:
        default_store().set(_key(path), outcome)


def _wait_for_first(path: Path) -> None:
    key = _key(path)
    until = time.monotonic() + WAIT_SECONDS
    while not _is_there(key, min(WAIT_SECONDS, LOOK_SECONDS)):
        check()
        if time.monotonic() > until:
            raise CheckpointError(
                f"{path} was not written by rank 0 within {WAIT_SECONDS} seconds. Only rank 0 writes the files of a "
                "model that several processes train: save the same file on all ranks, or on rank 0 alone."
            )
    outcome = default_store().get(key).decode()
    if outcome != _WRITTEN:
        raise CheckpointError(f"{path} could not be written. {outcome}")


def _is_there(key: str, seconds: float) -> bool:
    """Return whether a key is in the store, for which up to some seconds are waited."""
    try:
        default_store().wait([key], timedelta(seconds=seconds))
    except RuntimeError:  # of one of torch's classes; which one depends on the kind of store
        return False
    return True


def _key(path: Path) -> str:
    """Return the key in the store for this save: the path, and how often this rank has saved to it."""
    name = f"kerastorch/saved/{os.fspath(path)}"
    return f"{name}/{default_store().add(f'{name}/of rank {distributed.get_rank()}', 1)}"
