"""The parts of a `.keras` file: a zip file with the config, the weights, and the vocabularies of lookup layers."""

from __future__ import annotations

import io
import json
import zipfile
import zlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from kerastorch.checkpoint import atomic_file
from kerastorch.checkpoint.bounded_json import encode_json, parse_json
from kerastorch.core.errors import CheckpointError, damaged_file
from kerastorch.saving.keras_format.weights_h5 import (
    FREE_EXPANSION,
    MOST_EXPANSION,
    Groups,
    decode_groups,
    encode_groups,
)

CONFIG, METADATA, WEIGHTS, ASSETS = "config.json", "metadata.json", "model.weights.h5", "assets/"
_DAMAGE = (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError, RuntimeError, OSError, ValueError, KeyError)


class KerasArchive(NamedTuple):
    """What a `.keras` file holds.

    Attributes:
        config: The config of the model, with those of its layers.
        groups: The arrays of each group of the weights.
        assets: Texts by name, such as `"layers/string_lookup/vocabulary.txt"`.
    """

    config: dict[str, Any]
    groups: Groups
    assets: dict[str, str]

    @property
    def compile_config(self) -> Any:
        """What `compile` was given; `None` or empty if it was not called."""
        return self.config.get("compile_config")


def read(path: Path) -> KerasArchive:
    """Return the parts of a `.keras` file; nothing in it is run.

    Raises:
        CheckpointCorruptError: The file is damaged, or is no zip file with a config and weights.
        CheckpointError: A part is larger than is read.
    """
    where = str(path)
    data = atomic_file.read(path, follow_symlinks=True)
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            names = _names(archive, where)
            _check_sizes([archive.getinfo(name) for name in names], len(data), where)
            parts = {name: _read_part(archive, name) for name in names}
    except CheckpointError:
        raise
    except _DAMAGE as error:
        raise damaged_file(where, f"it is no zip file that can be read: {error}") from error
    if METADATA in parts:
        version = parse_json(memoryview(parts.pop(METADATA)), where).get("keras_version")
        if str(version).startswith("2."):
            raise CheckpointError(
                f"{where} was written by Keras {version}. Save the model there as .h5, which is read."
            )
    config = parse_json(memoryview(parts[CONFIG]), where)
    assets = {name.removeprefix(ASSETS): _text(part, where) for name, part in parts.items() if name.startswith(ASSETS)}
    return KerasArchive(config, decode_groups(parts[WEIGHTS], where), assets)


def write(path: Path, archive: KerasArchive, about: Mapping[str, Any]) -> None:
    """Write a `.keras` file as a whole.

    Args:
        path: Path of the file.
        archive: Its parts.
        about: The metadata: the version of Keras whose format it is, and the date.
    """
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as made:  # not compressed, as Keras writes it
        made.writestr(METADATA, json.dumps(dict(about)))
        made.writestr(CONFIG, encode_json(archive.config).rstrip())
        for name, text in archive.assets.items():
            made.writestr(ASSETS + name, text)
        made.writestr(WEIGHTS, encode_groups(archive.groups))
    atomic_file.write(path, [buffer.getbuffer()])


def _names(archive: zipfile.ZipFile, where: str) -> list[str]:
    """Return the names of the parts that are read."""
    names = archive.namelist()
    if len(set(names)) < len(names):
        raise damaged_file(where, "several of its parts have the same name")
    if missing := [name for name in (CONFIG, WEIGHTS) if name not in names]:
        if CONFIG in names and any(name.startswith("model.weights") for name in names):
            raise CheckpointError(
                f"{where} has its weights in another format than {WEIGHTS}; save it with weights_format='h5' in Keras."
            )
        raise damaged_file(where, f"it has no {missing[0]}, which files of Keras 3 have")
    return [
        name for name in names if name in (CONFIG, METADATA, WEIGHTS) or (name.startswith(ASSETS) and name[-1] != "/")
    ]


def _check_sizes(parts: Sequence[zipfile.ZipInfo], size: int, where: str) -> None:
    """Raise `CheckpointError` if the parts of a file of some bytes would take much more memory than the file."""
    total = sum(one.file_size for one in parts)
    if total > MOST_EXPANSION * size + FREE_EXPANSION:
        largest = max(parts, key=lambda one: one.file_size)
        raise CheckpointError(f"{where}: {largest.filename} would become {largest.file_size} bytes from {size}.")


def _read_part(archive: zipfile.ZipFile, name: str) -> bytes:
    about = archive.getinfo(name)
    with archive.open(about) as part:
        return part.read(about.file_size + 1)


def _text(part: bytes, where: str) -> str:
    try:
        return part.decode()
    except UnicodeDecodeError as error:
        raise damaged_file(where, f"a vocabulary is no text: {error}") from error
