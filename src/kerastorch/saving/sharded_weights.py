"""Weights in several safetensors files, which an index lists: `model.safetensors.index.json`.

The index is that of Hugging Face: `weight_map` has the file of each weight. It is replaced after all new files are
written, under names that no old file has, and only then the old files are deleted: at any time the index belongs to
either the old weights or the new ones.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from torch import Tensor

from kerastorch.checkpoint import atomic_file
from kerastorch.checkpoint.bounded_json import parse_json
from kerastorch.checkpoint.state_json import pack
from kerastorch.core.errors import CheckpointError, check_float, damaged_file, mismatch
from kerastorch.saving import weights_file
from kerastorch.version import VERSION_KEY, __version__

INDEX_SUFFIX = weights_file.SUFFIX + ".index.json"
_UNITS = {"B": 1, "KB": 10**3, "MB": 10**6, "GB": 10**9, "TB": 10**12,
          "KIB": 2**10, "MIB": 2**20, "GIB": 2**30, "TIB": 2**40}  # fmt: skip
_SIZE = re.compile(r"\s*(\d+(?:\.\d+)?)\s*([A-Za-z]+)\s*")


class WrittenFile(NamedTuple):
    """A file with a part of the entries of a state dict: its name, its SHA-256, and the names of the entries."""

    name: str
    sha: str
    entries: list[str]


def parse_shard_size(value: Any) -> int | None:
    """Return `max_shard_size` in bytes; `None` is no limit.

    >>> parse_shard_size(2), parse_shard_size("500MB"), parse_shard_size("1.5 GiB")
    (2000000000, 500000000, 1610612736)

    Raises:
        ValueError: The value is neither a positive number of GB nor a text such as `"500MB"`.
    """
    if value is None:
        return None
    if not isinstance(value, str):
        return max(1, int(check_float("max_shard_size", value, above=0) * _UNITS["GB"]))
    found = _SIZE.fullmatch(value)
    if found is None or found[2].upper() not in _UNITS or float(found[1]) <= 0:
        raise mismatch("max_shard_size", value, "a number of GB, or a text with a unit, such as '500MB' or '2GB'")
    return max(1, int(float(found[1]) * _UNITS[found[2].upper()]))


def index_path(path: Path) -> Path:
    """Return the path of the index for the path of the weights in one file."""
    return path.with_name(f"{path.name[: -len(weights_file.SUFFIX)]}{INDEX_SUFFIX}")


def is_index(path: Path) -> bool:
    """Return whether a path has the name of an index."""
    return path.name.endswith(INDEX_SUFFIX)


def write(path: Path, state: Mapping[str, Any], max_bytes: int | None) -> None:
    """Write the entries of a state dict: to `path` if they fit into one file, else to several and their index.

    Args:
        path: Path of the only file; the names of the others are derived from it.
        state: Entries by name.
        max_bytes: Largest size of the tensors in one file. A tensor that is larger has a file of its own.

    Raises:
        TypeError: The format cannot hold an entry; the message names it.
    """
    index = index_path(path)
    old = _files_of(index)
    if max_bytes is None or size_of(state) <= max_bytes or len(state) == 1:
        weights_file.write(path, state)
        index.unlink(missing_ok=True)
    else:
        write_index(index, state, write_files(path, state, max_bytes))
        path.unlink(missing_ok=True)
    for one in old:
        one.unlink(missing_ok=True)


def write_files(path: Path, state: Mapping[str, Any], max_bytes: int) -> list[WrittenFile]:
    """Write the entries of a state dict to files under names that no file has; return them in order.

    Args:
        path: Path that one file would have; the names of the files are derived from it.
        state: Entries by name.
        max_bytes: Largest size of the tensors in one file. A tensor that is larger has a file of its own.
    """
    groups = _divide(state, max_bytes)
    names = _free_names(path, len(groups))
    return [
        WrittenFile(name, weights_file.write(path.with_name(name), {entry: state[entry] for entry in group}), group)
        for name, group in zip(names, groups, strict=True)
    ]


def write_index(index: Path, state: Mapping[str, Any], files: Iterable[WrittenFile]) -> None:
    """Write the index of the files that have the entries of a state dict.

    Args:
        index: Path of the index.
        state: Entries by name.
        files: The files.
    """
    listed = {entry: file.name for file in files for entry in file.entries}
    metadata = {"total_size": size_of(state), VERSION_KEY: __version__}
    content = json.dumps({"metadata": metadata, "weight_map": listed}, ensure_ascii=False, indent=2)
    atomic_file.write(index, [content.encode()])


def read(index: Path) -> dict[str, Any]:
    """Return the entries of all files that an index lists.

    Raises:
        CheckpointCorruptError: The index or a file is damaged.
        CheckpointError: A file is missing, or lacks a weight that the index lists.
        FileNotFoundError: There is no index.
    """
    listed = _read_index(index)
    state: dict[str, Any] = {}
    for name in dict.fromkeys(listed.values()):
        path = index.with_name(name)
        if not path.exists():
            raise CheckpointError(f"{index} lists {name}, which is missing.")
        for entry, value in weights_file.read(path).items():
            if listed.get(entry) == name:
                state[entry] = value
    if missing := [entry for entry in listed if entry not in state]:
        raise CheckpointError(f"{index}: {missing[0]!r} is not in {listed[missing[0]]}, which should hold it.")
    return {entry: state[entry] for entry in listed}


def _read_index(index: Path) -> dict[str, str]:
    """Return the name of the file of each weight."""
    listed = parse_json(atomic_file.read(index, follow_symlinks=True), str(index)).get("weight_map")
    if not isinstance(listed, dict) or not all(isinstance(name, str) for name in listed.values()):
        raise damaged_file(str(index), "it has no 'weight_map'")
    for name in set(listed.values()):
        check_file_name(index, name)
    return listed


def check_file_name(index: Path, name: str) -> None:
    """Raise an error unless the name in an index is that of a safetensors file beside it.

    Raises:
        CheckpointError: It is another name.
    """
    if Path(name).name != name or "\\" in name or not name.endswith(weights_file.SUFFIX):
        raise CheckpointError(f"{index} lists {name!r}; only safetensors files beside the index are read.")


def _files_of(index: Path) -> list[Path]:
    """Return the files that an index lists; none if it cannot be read."""
    try:
        return [index.with_name(name) for name in set(_read_index(index).values())]
    except (CheckpointError, OSError):
        return []


def _divide(state: Mapping[str, Any], max_bytes: int) -> list[list[str]]:
    """Return the names of the entries of each file, in their order."""
    groups: list[list[str]] = []
    filled = 0
    for name, value in state.items():
        size = _size(name, value)
        if not groups or filled + size > max_bytes:
            groups.append([])
            filled = 0
        groups[-1].append(name)
        filled += size
    return groups


def size_of(state: Mapping[str, Any]) -> int:
    """Return the bytes of the tensors in a state dict."""
    return sum(_size(name, value) for name, value in state.items())


def _size(name: str, value: Any) -> int:
    """Return the bytes of the tensors in an entry."""
    tensors = [value] if isinstance(value, Tensor) else pack({name: value}).tensors.values()
    return sum(tensor.numel() * tensor.element_size() for tensor in tensors)


def _free_names(path: Path, number: int) -> list[str]:
    """Return names for the files, none of which exists."""
    stem = path.name[: -len(weights_file.SUFFIX)]
    attempt = 1
    while True:
        start = stem if attempt == 1 else f"{stem}-{attempt}"
        names = [f"{start}-{at:05d}-of-{number:05d}{weights_file.SUFFIX}" for at in range(1, number + 1)]
        if not any(path.with_name(name).exists() for name in names):
            return names
        attempt += 1
