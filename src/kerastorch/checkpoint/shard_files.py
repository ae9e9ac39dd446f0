"""The files of a sharded checkpoint: two of each rank, and an index that is written last.

    rank-00000.safetensors   the tensors that rank 0 wrote: whole ones, and its pieces of those that are divided
    rank-00000.json          the state of rank 0 as JSON; the shape, offsets, position and SHA-256 of its tensors
    index.json               the SHA-256 of each of the JSON files, and of itself

A folder without an index is that of a process which was killed while it wrote. Other tools read the safetensors files:
their metadata has the offsets under the key that `torch.distributed.checkpoint.HuggingFaceStorageReader` expects.
"""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import Tensor

from kerastorch.checkpoint import atomic_file, safetensors_codec
from kerastorch.checkpoint.bounded_json import encode_json, parse_json
from kerastorch.checkpoint.safetensors_codec import DTYPE_NAMES, DTYPES, MAX_AXES, TensorEntry, are_sizes
from kerastorch.core.errors import CheckpointError, damaged_file
from kerastorch.version import VERSION_KEY, __version__

INDEX = "index.json"
FORMAT = 1
MAX_RANKS = 100_000
_OFFSETS_KEY = "DCP_SHARDING_INFO"  # of torch.distributed.checkpoint


class Piece(NamedTuple):
    """A part of a tensor, or a whole one.

    Attributes:
        tensor: The values of the part.
        shape: Shape of the whole tensor.
        offsets: Index of the first value of the part in the whole tensor.
        is_divided: Whether other ranks hold other parts.
    """

    tensor: Tensor
    shape: tuple[int, ...]
    offsets: tuple[int, ...]
    is_divided: bool


class StoredPiece(NamedTuple):
    """Where a piece of a tensor is stored.

    Attributes:
        path: Path of the file.
        entry: Dtype and shape of the piece, and the range of its bytes in the file.
        shape: Shape of the whole tensor.
        offsets: Index of the first value of the piece in the whole tensor.
        sha256: SHA-256 of its bytes.
    """

    path: Path
    entry: TensorEntry
    shape: tuple[int, ...]
    offsets: tuple[int, ...]
    sha256: str


class Shard(NamedTuple):
    """What one rank wrote.

    Attributes:
        state: The state of the rank as JSON, in which tensors are names.
        names: The name that each of those tensors is stored under, by this rank or another one.
        pieces: The tensors, and pieces of tensors, that the rank wrote, by the name that they are stored under.
    """

    state: Any
    names: dict[str, str]
    pieces: dict[str, StoredPiece]


def write_shard(folder: Path, rank: int, state: Any, names: Mapping[str, str], pieces: Mapping[str, Piece]) -> str:
    """Write the two files of a rank.

    Args:
        folder: Folder of the checkpoint.
        rank: Number of the rank.
        state: State of the rank as JSON.
        names: The name that each tensor in `state` is stored under.
        pieces: What this rank stores, by these names.

    Returns:
        The SHA-256 of the JSON file.

    Raises:
        TypeError: A tensor cannot be saved; the message names it.
        OSError: The system refuses to write, for example because the disk is full.
    """
    offsets = {name: {"saved_offsets": list(piece.offsets)} for name, piece in pieces.items()}
    metadata = {"format": "pt", _OFFSETS_KEY: json.dumps(offsets, ensure_ascii=False)}
    encoded = safetensors_codec.encode({name: piece.tensor for name, piece in pieces.items()}, metadata)
    atomic_file.write(folder / _tensor_file(rank), encoded)
    position, listed = len(encoded[0]), []
    for (name, piece), data in zip(pieces.items(), encoded[1:], strict=True):
        listed.append([
            name, DTYPE_NAMES[piece.tensor.dtype], list(piece.tensor.shape), list(piece.shape), list(piece.offsets),
            position, hashlib.sha256(data).hexdigest(),
        ])  # fmt: skip
        position += len(data)
    content = encode_json({"state": state, "names": dict(names), "pieces": listed})
    atomic_file.write(folder / _json_file(rank), [content])
    return hashlib.sha256(content).hexdigest()


def write_index(folder: Path, digests: Sequence[str]) -> None:
    """Make a checkpoint valid, after all ranks have written their files.

    Args:
        folder: Folder of the checkpoint.
        digests: What `write_shard` returned, by rank.

    Raises:
        CheckpointError: A file of another rank is not in the folder.
    """
    for rank in range(len(digests)):
        for name in (_tensor_file(rank), _json_file(rank)):
            if not (folder / name).is_file():
                raise CheckpointError(
                    f"{folder / name} was written by rank {rank} and is not there on rank 0. All processes must see "
                    "the same folder: choose one on a disk that the machines share."
                )
    index = {"format": FORMAT, VERSION_KEY: __version__, "torch": str(torch.__version__), "ranks": list(digests)}
    sha256 = hashlib.sha256(encode_json(index)).hexdigest()
    atomic_file.write(folder / INDEX, [encode_json({**index, "sha256": sha256})])


def read_index(folder: Path) -> list[str]:
    """Return the SHA-256 of the JSON file of each rank.

    Raises:
        CheckpointCorruptError: The index is damaged.
        CheckpointError: It has a newer format, or there is none.
    """
    name = str(folder / INDEX)
    try:
        index = parse_json(atomic_file.read(folder / INDEX), name)
    except FileNotFoundError:
        raise CheckpointError(
            f"{folder} holds no whole checkpoint: it has no {INDEX}, which is written last."
        ) from None
    if hashlib.sha256(encode_json({key: value for key, value in index.items() if key != "sha256"})).hexdigest() != (
        index.get("sha256")
    ):
        raise damaged_file(name, "it does not have the SHA-256 that was written")
    if index.get("format") != FORMAT:
        raise CheckpointError(
            f"{name} has format {index.get('format')}; this kerastorch reads up to {FORMAT}. Upgrade kerastorch."
        )
    digests = index.get("ranks")
    if not isinstance(digests, list) or not 0 < len(digests) <= MAX_RANKS:
        raise damaged_file(name, "it lists no ranks")
    return digests


def read_shards(folder: Path) -> list[Shard]:
    """Return what each rank wrote; the values of tensors are not read yet.

    Raises:
        CheckpointCorruptError: A file is damaged.
        CheckpointError: A file is missing.
    """
    digests = read_index(folder)
    return [_read_shard(folder, rank, len(digests), digest) for rank, digest in enumerate(digests)]


def read_piece(name: str, piece: StoredPiece) -> Tensor:
    """Return the values of a piece, after its bytes were verified.

    Raises:
        CheckpointCorruptError: A byte differs from what was written.
        CheckpointError: The file is missing.
    """
    try:
        data = atomic_file.read_range(piece.path, piece.entry.begin, piece.entry.end)
    except FileNotFoundError:
        raise CheckpointError(f"{piece.path} is missing.") from None
    if hashlib.sha256(data).hexdigest() != piece.sha256:
        raise damaged_file(str(piece.path), f"{name!r} does not have the SHA-256 that was written")
    return safetensors_codec.decode_tensor(data, piece.entry, name, str(piece.path))


def whole_tensors(shards: Iterable[Shard]) -> dict[str, TensorEntry]:
    """Return dtype and whole shape of each stored tensor, by the name that it is stored under.

    Raises:
        CheckpointCorruptError: Pieces do not make a whole tensor.
    """
    whole: dict[str, TensorEntry] = {}
    volumes: dict[str, int] = {}
    for shard in shards:
        for name, piece in shard.pieces.items():
            entry = whole.setdefault(name, TensorEntry(piece.entry.dtype, list(piece.shape), 0, 0))
            if entry.dtype != piece.entry.dtype or entry.shape != list(piece.shape):
                raise damaged_file(str(piece.path), f"{name!r} is another tensor in the file of another rank")
            volumes[name] = volumes.get(name, 0) + math.prod(piece.entry.shape)
            if volumes[name] > math.prod(entry.shape):
                raise damaged_file(str(piece.path), f"{name!r} overlaps a piece in the file of another rank")
    for name, entry in whole.items():
        if volumes[name] < math.prod(entry.shape):
            raise damaged_file("the checkpoint", f"pieces of {name!r} are missing")
    return whole


def _read_shard(folder: Path, rank: int, n_ranks: int, digest: Any) -> Shard:
    path = folder / _json_file(rank)
    try:
        data = atomic_file.read(path)
    except FileNotFoundError:
        raise CheckpointError(f"{path} is missing: the checkpoint has the files of {n_ranks} ranks.") from None
    if hashlib.sha256(data).hexdigest() != digest:
        raise damaged_file(str(path), "it does not have the SHA-256 that was written")
    content = parse_json(data, str(path))
    names, listed = content.get("names"), content.get("pieces")
    if "state" not in content or not isinstance(names, dict) or not isinstance(listed, list):
        raise damaged_file(str(path), "it holds no state and no list of tensors")
    pieces = dict(_parse_piece(entry, folder / _tensor_file(rank), str(path)) for entry in listed)
    return Shard(content["state"], names, pieces)


def _parse_piece(listed: Any, path: Path, name: str) -> tuple[str, StoredPiece]:
    """Return the stored name and the position of a piece that the JSON file `name` lists."""
    if not isinstance(listed, list) or len(listed) != 7:
        raise damaged_file(name, f"it lists {listed!r} as a tensor")
    key, dtype, sizes, shape, offsets, begin, sha256 = listed
    is_described = isinstance(key, str) and isinstance(dtype, str) and dtype in DTYPES
    axes = (sizes, shape, offsets)
    if not is_described or not all(map(are_sizes, axes)) or len({len(axis) for axis in axes}) != 1:
        raise damaged_file(name, f"it lists {listed!r} as a tensor")
    is_inside = all(offset + size <= n for offset, size, n in zip(offsets, sizes, shape, strict=True))
    if not is_inside or len(shape) > MAX_AXES or not are_sizes([begin]):
        raise damaged_file(name, f"it lists {listed!r} as a tensor")
    end = begin + math.prod(sizes) * DTYPES[dtype].itemsize
    return key, StoredPiece(path, TensorEntry(DTYPES[dtype], sizes, begin, end), tuple(shape), tuple(offsets), sha256)


def _tensor_file(rank: int) -> str:
    return f"rank-{rank:05d}.safetensors"


def _json_file(rank: int) -> str:
    return f"rank-{rank:05d}.json"
