"""A model in several files: the `.kt` file, and safetensors files beside it with weights and optimizer state.

The `.kt` file lists the names and checksums of the others. It is replaced after all new files are written, under names
that no old file has, and only then the old files are deleted: at any time it is the old model or the new one. An index
as that of Hugging Face lists the files of the weights for other programs.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from kerastorch.checkpoint import archive_format
from kerastorch.checkpoint.bounded_json import parse_json
from kerastorch.checkpoint.state_json import pack, unpack
from kerastorch.core.errors import CheckpointError
from kerastorch.saving import sharded_weights, weights_file
from kerastorch.saving.sharded_weights import WrittenFile, size_of

SECTION = "shards"  # of the archive, which lists the other files
_OPTIMIZER = ".optimizer"  # in the names of files with the state of the optimizer
_ENDING = rf"({re.escape(_OPTIMIZER)})?(-\d+)?-\d{{5}}-of-\d{{5}}{re.escape(weights_file.SUFFIX)}"


def write(path: Path, sections: Mapping[str, Any], max_bytes: int | None) -> None:
    """Write the sections of a model to an archive, and their tensors to other files if they are too large for it.

    Args:
        path: Path of the archive.
        sections: The sections, among them `weights` and, of a compiled model, `optimizer`.
        max_bytes: Largest size of the tensors in one file. A tensor that is larger has a file of its own.

    Raises:
        TypeError: The formats cannot hold a value; the message names it.
    """
    old = _files_of(path)
    index = sharded_weights.index_path(_base(path))
    optimizer = pack(sections.get("optimizer"))
    weights = sections["weights"]
    if max_bytes is None or size_of(weights) + size_of(optimizer.tensors) <= max_bytes:
        archive_format.write(path, sections)
        index.unlink(missing_ok=True)
    else:
        files = sharded_weights.write_files(_base(path), weights, max_bytes)
        others = sharded_weights.write_files(_base(path, _OPTIMIZER), optimizer.tensors, max_bytes)
        kept = {name: section for name, section in sections.items() if name not in ("weights", "optimizer")}
        shards: dict[str, Any] = {"weights": _listed(files), "optimizer": _listed(others)}
        if "optimizer" in sections:
            shards["state"] = json.dumps({"optimizer": optimizer.json}, ensure_ascii=False, allow_nan=False)
        archive_format.write(path, kept | {SECTION: shards})
        sharded_weights.write_index(index, weights, files)
    for one in old:
        one.unlink(missing_ok=True)


def read(path: Path, sections: Mapping[str, Any]) -> dict[str, Any]:
    """Return the sections of a model with those that are in other files.

    Args:
        path: Path of the archive.
        sections: The sections in it.

    Raises:
        CheckpointCorruptError: A file is damaged.
        CheckpointError: A file is missing, or of another save.
    """
    if SECTION not in sections:
        return dict(sections)
    whole = {name: section for name, section in sections.items() if name != SECTION}
    shards = sections[SECTION]
    whole["weights"] = _read_files(path, shards["weights"])
    tensors = _read_files(path, shards["optimizer"])
    if "state" in shards:
        where = f"{path} (state of the optimizer)"
        written = parse_json(memoryview(shards["state"].encode()), where)
        whole["optimizer"] = unpack(written["optimizer"], tensors, where)
    return whole


def _read_files(path: Path, listed: Any) -> dict[str, Any]:
    """Return the entries of all files of a list."""
    entries: dict[str, Any] = {}
    for name, sha in listed:
        sharded_weights.check_file_name(path, name)
        file = path.with_name(name)
        if not file.exists():
            raise CheckpointError(
                f"{path} was saved with max_shard_size, and its file {name} is missing. Copy all files of the model "
                "into one folder."
            )
        entries |= weights_file.read(file, sha)
    return entries


def _listed(files: list[WrittenFile]) -> list[list[str]]:
    return [[file.name, file.sha] for file in files]


def _base(path: Path, part: str = "") -> Path:
    """Return the path from which the names of the files with a part of the state are derived."""
    return path.with_name(f"{path.name}{part}{weights_file.SUFFIX}")


def _files_of(path: Path) -> list[Path]:
    """Return the files beside an archive that have names derived from its own."""
    return [one for one in path.parent.iterdir() if re.fullmatch(re.escape(path.name) + _ENDING, one.name)]
