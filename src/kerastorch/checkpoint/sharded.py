"""Checkpoints that several processes write and read together, each of them its own part.

`stage` copies the state of a rank, so that training can continue; `write` then stores it, in a thread if wanted. What
is equal on all ranks is stored once, what is divided (`DTensor`) in pieces, and what differs for each rank. `read`
gives a rank its own state again. If there are more ranks than there were, the others get that of rank 0.
"""

from __future__ import annotations

import hashlib
import warnings
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, NamedTuple, TypeVar, cast

import torch
from torch import Tensor, distributed
from torch.distributed.checkpoint.api import CheckpointException
from torch.distributed.checkpoint.default_planner import DefaultLoadPlanner
from torch.distributed.checkpoint.state_dict_loader import load
from torch.distributed.checkpoint.state_dict_saver import save
from torch.distributed.tensor import DTensor

from kerastorch.checkpoint import safetensors_codec
from kerastorch.checkpoint.shard_files import Piece, read_shards, whole_tensors
from kerastorch.checkpoint.shard_storage import PiecePlanner, ShardReader, ShardWriter
from kerastorch.checkpoint.state_json import pack, unpack
from kerastorch.core.errors import CheckpointCorruptError, CheckpointError

T = TypeVar("T")
Group = distributed.ProcessGroup
Place = Callable[[str, torch.Size], "DTensor | None"]


class StagedState(NamedTuple):
    """A copy of the state of one rank, on the CPU.

    Attributes:
        json: The state as JSON, in which tensors are names.
        pieces: The values that this rank has of each tensor.
    """

    json: Any
    pieces: dict[str, Piece]


class LoadedState(NamedTuple):
    """The state of a rank.

    Attributes:
        state: What was given to `stage`.
        world_size: The number of ranks that saved it.
    """

    state: Any
    world_size: int


def stage(state: Mapping[str, Any]) -> StagedState:
    """Copy the state of this rank; of a `DTensor`, the values that it holds.

    Args:
        state: Nested state, as `state_json.pack` takes it.

    Raises:
        CheckpointError: A `DTensor` holds partial sums.
        TypeError: A value cannot be saved; the message has its path.
    """
    packed = pack(state)
    return StagedState(packed.json, {name: _stage_tensor(name, tensor) for name, tensor in packed.tensors.items()})


def write(folder: Path, staged: StagedState, group: Group) -> None:
    """Write a checkpoint; called on all ranks of a group, which wait for each other.

    A folder without `index.json`, which rank 0 writes last, is no checkpoint.

    Args:
        folder: An empty folder that all ranks see.
        staged: The state of this rank.
        group: A group of processes with a backend for the CPU. If training continues meanwhile, it must use another.

    Raises:
        CheckpointError: A rank could not write; the message has its reason.
    """
    rank = distributed.get_rank(group)
    shared = _equal_on_all_ranks(staged, group)
    names = {name: name if name in shared else f"rank {rank}: {name}" for name in staged.pieces}
    pieces = {names[name]: piece for name, piece in staged.pieces.items()}
    writer = ShardWriter(folder, rank, staged.json, names, pieces)
    try:
        save(pieces, storage_writer=writer, planner=PiecePlanner(), process_group=group)
    except CheckpointException as error:
        raise _in_words(error, f"{folder} could not be written") from error


def read(folder: Path, group: Group | None = None, place: Place = lambda name, shape: None) -> LoadedState:
    """Read the state of this rank; called on all ranks of a group, or in one process.

    Args:
        folder: Folder of a checkpoint.
        group: The group; `None` in a process that has none.
        place: Is given the name and the shape of a tensor in the state, and returns a `DTensor` with the mesh and the
            placements that it should have; `None` for a whole tensor. Default: all are whole.

    Raises:
        CheckpointCorruptError: A byte differs from what was written.
        CheckpointError: A file is missing, or has a newer format. All ranks raise it.
    """
    shards = together(lambda: read_shards(folder), group)
    rank = 0 if group is None else distributed.get_rank(group)
    own = shards[rank if rank < len(shards) else 0]
    stored = whole_tensors(shards)
    if missing := [name for name in own.names.values() if name not in stored]:
        raise CheckpointCorruptError(f"{folder}: no file has the tensor {missing[0]!r}.")
    tensors = {name: _empty(name, stored[of], place) for name, of in own.names.items()}
    targets = {of: tensors[name] for name, of in own.names.items()}
    try:
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", "torch.distributed is disabled", UserWarning)  # one process is meant
            load(
                targets, storage_reader=ShardReader(shards), process_group=group, no_dist=group is None,
                planner=DefaultLoadPlanner(flatten_state_dict=False, flatten_sharded_tensors=False),
            )  # fmt: skip
    except CheckpointException as error:
        raise _in_words(error, f"{folder} could not be read") from error
    return LoadedState(unpack(own.state, tensors, str(folder)), len(shards))


def together(function: Callable[[], T], group: Group | None) -> T:
    """Call a function that reads files on each rank; if one rank cannot, all ranks raise its error.

    Args:
        function: What to call.
        group: A group of processes; `None` in a process that has none.
    """
    result, error = None, None
    try:
        result = function()
    except (CheckpointError, OSError) as first:
        error = first
    errors: list[Exception | None] = [error]
    if group is not None:
        errors *= distributed.get_world_size(group)
        distributed.all_gather_object(errors, error, group=group)
    for one in errors:
        if one is not None:
            raise one
    return cast(T, result)


def _stage_tensor(name: str, tensor: Tensor) -> Piece:
    """Copy the values that this rank has of a tensor."""
    if not isinstance(tensor, DTensor):
        shape = tuple(tensor.shape)
        return Piece(_copy(tensor), shape, (0,) * len(shape), is_divided=False)
    if any(placement.is_partial() for placement in tensor.placements):
        raise CheckpointError(f"{name} is a DTensor that holds partial sums; redistribute it before it is saved.")
    (chunk,) = tensor.__create_chunk_list__()
    return Piece(_copy(tensor.to_local()), tuple(tensor.shape), tuple(chunk.offsets), is_divided=True)


def _copy(tensor: Tensor) -> Tensor:
    return tensor.detach().to("cpu", copy=True)


def _equal_on_all_ranks(staged: StagedState, group: Group) -> set[str]:
    """Return the names of the tensors that are divided, or have the same values on all ranks."""
    digests = {name: _digest(name, piece) for name, piece in staged.pieces.items()}
    of_first: list[Any] = [digests if distributed.get_rank(group) == 0 else None]
    distributed.broadcast_object_list(of_first, group=group, group_src=0)
    names = list(of_first[0])
    is_equal = torch.tensor([digests.get(name) == of_first[0][name] for name in names], dtype=torch.uint8)
    distributed.all_reduce(is_equal, distributed.ReduceOp.MIN, group=group)
    return {name for name, equal in zip(names, is_equal.tolist(), strict=True) if equal}


def _digest(name: str, piece: Piece) -> str:
    """Return a text that is equal for equal tensors; for those that are divided, whatever their values are."""
    about = f"{piece.tensor.dtype} {piece.shape}"
    if piece.is_divided:
        return about
    digest = hashlib.sha256(about.encode())
    for data in safetensors_codec.encode({name: piece.tensor})[1:]:
        digest.update(data)
    return digest.hexdigest()


def _empty(name: str, entry: safetensors_codec.TensorEntry, place: Place) -> Tensor:
    """Return a tensor for the values that are read."""
    like = place(name, torch.Size(entry.shape))
    if like is None:
        return torch.empty(entry.shape, dtype=entry.dtype)
    return torch.empty_like(like, dtype=entry.dtype, requires_grad=False)


def _in_words(error: CheckpointException, what: str) -> CheckpointError:
    """Return the error that the ranks raise for one of torch, which has the failures by rank."""
    reasons = [f"rank {rank}: {_reason(cause)}" for rank, (cause, _) in sorted(error.failures.items())]
    is_corrupt = any(isinstance(cause, CheckpointCorruptError) for cause, _ in error.failures.values())
    kind = CheckpointCorruptError if is_corrupt else CheckpointError
    return kind(f"{what}. {' '.join(reasons)}")


def _reason(cause: BaseException) -> str:
    return str(cause) if isinstance(cause, (CheckpointError, OSError)) else f"{type(cause).__name__}: {cause}"
