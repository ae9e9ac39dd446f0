"""Writer, reader and planner of `torch.distributed.checkpoint` for the files of `shard_files`.

torch's own `FileSystemWriter` pickles its metadata; here it is JSON. torch gathers the plans of all ranks, chooses one
rank for each tensor that several of them hold, and finds which pieces a tensor with other placements needs.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from torch import Size, Tensor
from torch.distributed.checkpoint.default_planner import DefaultSavePlanner
from torch.distributed.checkpoint.metadata import (
    ChunkStorageMetadata,
    Metadata,
    MetadataIndex,
    TensorProperties,
    TensorStorageMetadata,
)
from torch.distributed.checkpoint.planner import (
    LoadPlan,
    LoadPlanner,
    SavePlan,
    SavePlanner,
    TensorWriteData,
    WriteItem,
    WriteItemType,
)
from torch.distributed.checkpoint.storage import StorageReader, StorageWriter, WriteResult
from torch.futures import Future

from kerastorch.checkpoint.shard_files import (
    Piece,
    Shard,
    StoredPiece,
    read_piece,
    whole_tensors,
    write_index,
    write_shard,
)


class PiecePlanner(DefaultSavePlanner):
    """Plans the save of a dict of `Piece`s; those with the same name and offsets are written by one rank."""

    def __init__(self) -> None:
        super().__init__(flatten_state_dict=False, flatten_sharded_tensors=False)

    def create_local_plan(self) -> SavePlan:
        self.plan = SavePlan([_write_item(name, piece) for name, piece in self.state_dict.items()])
        return self.plan

    def resolve_data(self, write_item: WriteItem) -> Tensor:
        tensor: Tensor = self.state_dict[write_item.index.fqn].tensor
        return tensor


class ShardWriter(StorageWriter):
    """Writes the files of one rank, and on rank 0 the index.

    Args:
        folder: Folder of the checkpoint, which exists.
        rank: Number of this rank.
        state: State of this rank as JSON.
        names: The name that each tensor in `state` is stored under.
        pieces: The tensors of this rank, by these names.
    """

    def __init__(self, folder: Path, rank: int, state: Any, names: dict[str, str], pieces: dict[str, Piece]) -> None:
        self._folder, self._rank = folder, rank
        self._state, self._names, self._pieces = state, names, pieces

    def reset(self, checkpoint_id: str | os.PathLike[str] | None = None) -> None:
        """Do nothing: an instance writes one checkpoint."""

    def set_up_storage_writer(self, is_coordinator: bool, *args: Any, **kwargs: Any) -> None:
        """Do nothing: the folder exists."""

    def prepare_local_plan(self, plan: SavePlan) -> SavePlan:
        return plan

    def prepare_global_plan(self, plans: list[SavePlan]) -> list[SavePlan]:
        return plans

    def write_data(self, plan: SavePlan, planner: SavePlanner) -> Future[list[WriteResult]]:
        """Write the pieces that the plan has left to this rank."""
        pieces = {item.index.fqn: self._pieces[item.index.fqn] for item in plan.items}
        digest = write_shard(self._folder, self._rank, self._state, self._names, pieces)
        result = WriteResult(MetadataIndex(str(self._rank)), 0, (self._rank, digest))
        return _finished([result])

    def finish(self, metadata: Metadata, results: list[list[WriteResult]]) -> None:
        """Write the index, on rank 0."""
        digests = dict(result.storage_data for of_rank in results for result in of_rank)
        write_index(self._folder, [digests[rank] for rank in sorted(digests)])

    @classmethod
    def validate_checkpoint_id(cls, checkpoint_id: str | os.PathLike[str]) -> bool:
        return True


class ShardReader(StorageReader):
    """Reads pieces of tensors, verified.

    Args:
        shards: What each rank wrote.
    """

    def __init__(self, shards: Sequence[Shard]) -> None:
        self._shards = shards

    def reset(self, checkpoint_id: str | os.PathLike[str] | None = None) -> None:
        """Do nothing: an instance reads one checkpoint."""

    def read_metadata(self) -> Metadata:
        """Return the shapes, dtypes and pieces of all stored tensors."""
        stored = [
            (MetadataIndex(name, piece.offsets), piece)
            for shard in self._shards
            for name, piece in shard.pieces.items()
        ]
        about: dict[str, TensorStorageMetadata] = {
            name: TensorStorageMetadata(TensorProperties(entry.dtype), Size(entry.shape), [])
            for name, entry in whole_tensors(self._shards).items()
        }
        for index, piece in stored:
            about[index.fqn].chunks.append(ChunkStorageMetadata(Size(piece.offsets), Size(piece.entry.shape)))
        return Metadata({**about}, storage_data=dict(stored))

    def set_up_storage_reader(self, metadata: Metadata, is_coordinator: bool, *args: Any, **kwargs: Any) -> None:
        self._stored: dict[MetadataIndex, StoredPiece] = metadata.storage_data

    def prepare_local_plan(self, plan: LoadPlan) -> LoadPlan:
        return plan

    def prepare_global_plan(self, plans: list[LoadPlan]) -> list[LoadPlan]:
        return plans

    def read_data(self, plan: LoadPlan, planner: LoadPlanner) -> Future[None]:
        """Copy what the plan asks for into the tensors of this rank."""
        for item in plan.items:
            values = read_piece(item.storage_index.fqn, self._stored[item.storage_index])
            for axis, (offset, length) in enumerate(zip(item.storage_offsets, item.lengths, strict=True)):
                values = values.narrow(axis, offset, length)
            target = planner.resolve_tensor(item).detach()
            target.copy_(values)
            planner.commit_tensor(item, target)
        return _finished(None)

    @classmethod
    def validate_checkpoint_id(cls, checkpoint_id: str | os.PathLike[str]) -> bool:
        return True


def _write_item(name: str, piece: Piece) -> WriteItem:
    data = TensorWriteData(
        ChunkStorageMetadata(Size(piece.offsets), piece.tensor.shape),
        TensorProperties(piece.tensor.dtype),
        Size(piece.shape),
    )
    return WriteItem(MetadataIndex(name, piece.offsets), WriteItemType.SHARD, tensor_data=data)


def _finished(value: Any) -> Future[Any]:
    future: Future[Any] = Future()
    future.set_result(value)
    return future
