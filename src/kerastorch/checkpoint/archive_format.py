"""One archive: sections of state in one file, each part with its SHA-256, all of them checked before any is decoded.

    magic, 12 bytes | format, 4 | length of the header, 8 | header | SHA-256 of all that, 32 | parts, end to end

The header is JSON: the name, size and SHA-256 of each part. A section is a part `name.json` and, where it has tensors,
a part `name.safetensors`. Numbers are little-endian. Each part begins at a multiple of 8 bytes, so that tensors can be
views of what was read.
"""

from __future__ import annotations

import hashlib
import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch

from kerastorch.checkpoint import atomic_file, safetensors_codec
from kerastorch.checkpoint.state_json import Packed, pack, unpack
from kerastorch.core.errors import CheckpointError, damaged_file
from kerastorch.version import VERSION_KEY, __version__

MAGIC = b"\x89kerastorch\n"
FORMAT = 1
_START = len(MAGIC) + 12
_SHA = 32
_NAME = re.compile(r"[a-z_]{1,40}\.(json|safetensors)")
_FOREIGN = (
    (b"PK\x03\x04", "a zip file: a model of Keras, or what torch.save wrote"),
    (b"\x80", "a pickle, which is never read"),
    (b"\x89HDF", "an HDF5 file"),
)


def encode(sections: Mapping[str, Any]) -> list[atomic_file.Bytes]:
    """The bytes of an archive, in pieces; those of tensors are views of their memory.

    Args:
        sections: name -> nested state, of what `pack` takes or has made; a name is of at most 40 small letters and `_`.

    Raises:
        CheckpointError: more, or more deeply nested, than would be read again.
        TypeError: something that cannot be saved, with its place.
        ValueError: a section of another name.
    """
    parts: dict[str, list[atomic_file.Bytes]] = {}
    for name, state in sections.items():
        if not _NAME.fullmatch(f"{name}.json"):
            raise ValueError(f"A section is named by at most 40 small letters and '_', got {name!r}.")
        packed = state if isinstance(state, Packed) else pack(state)
        parts[f"{name}.json"] = [safetensors_codec.text({"state": packed.json})]
        if packed.tensors:
            parts[f"{name}.safetensors"] = [*safetensors_codec.encode(packed.tensors)]
    listed = [{"name": name, "size": sum(map(len, pieces)), "sha256": _sha(pieces)} for name, pieces in parts.items()]
    header = safetensors_codec.text({VERSION_KEY: __version__, "torch": str(torch.__version__), "parts": listed})
    start = MAGIC + FORMAT.to_bytes(4, "little") + len(header).to_bytes(8, "little") + header
    return [start, hashlib.sha256(start).digest(), *(piece for pieces in parts.values() for piece in pieces)]


def write(path: str | os.PathLike[str], sections: Mapping[str, Any]) -> None:
    """Write an archive: `encode` says what, `disk.write` how."""
    atomic_file.write(Path(path), encode(sections))


def read(path: str | os.PathLike[str]) -> dict[str, Any]:
    """The sections of an archive; every byte was checked before.

    Raises:
        CheckpointCorruptError: a byte is not as it was written.
        CheckpointError: no archive, or one of a later format.
        FileNotFoundError: there is no such file.
    """
    return decode(atomic_file.read(Path(path)), os.fspath(path))


def decode(data: memoryview, name: str) -> dict[str, Any]:
    """The sections in the bytes of an archive.

    Args:
        data: all bytes, writable: tensors are views of them.
        name: of the file, for messages.
    """
    parts = _parts(data, name)
    sections = {}
    for part, held in parts.items():
        section, _, kind = part.partition(".")
        if kind == "json":
            numbers = parts.get(f"{section}.safetensors")
            named = {} if numbers is None else safetensors_codec.decode(numbers, f"{name} ({section})").tensors
            sections[section] = unpack(_state(held, f"{name} ({part})"), named, f"{name} ({part})")
        elif f"{section}.json" not in parts:
            raise damaged_file(name, f"the part {part} stands alone")
    return sections


def _state(data: memoryview, name: str) -> Any:
    found = safetensors_codec.parse(data, name)
    if "state" not in found:
        raise damaged_file(name, "it holds no state")
    return found["state"]


def _parts(data: memoryview, name: str) -> dict[str, memoryview]:
    """The parts, once each has the SHA-256 that it should have."""
    if data[: len(MAGIC)] != MAGIC:
        _refuse_foreign(bytes(data[:_START]), name)
    if len(data) < _START + _SHA:
        raise damaged_file(name, f"it has only {len(data)} bytes")
    number = int.from_bytes(data[len(MAGIC) : len(MAGIC) + 4], "little")
    if number == 0:
        raise damaged_file(name, "it has no format")
    if number > FORMAT:
        raise CheckpointError(f"{name} has format {number}; this kerastorch reads up to {FORMAT}. Upgrade kerastorch.")
    end = _START + int.from_bytes(data[len(MAGIC) + 4 : _START], "little")
    if end + _SHA > len(data):
        raise damaged_file(name, "it was cut off")
    if hashlib.sha256(data[:end]).digest() != data[end : end + _SHA]:
        raise damaged_file(name, "its header does not have the SHA-256 that was written")
    return _checked(safetensors_codec.parse(data[_START:end], name).get("parts"), data[end + _SHA :], name)


def _checked(listed: Any, rest: memoryview, name: str) -> dict[str, memoryview]:
    if not isinstance(listed, list) or not all(isinstance(one, dict) for one in listed):
        raise damaged_file(name, "its parts are not listed")
    found: dict[str, memoryview] = {}
    for one in listed:
        part, size, sha = one.get("name"), one.get("size"), one.get("sha256")
        if not isinstance(part, str) or not _NAME.fullmatch(part) or part in found:
            raise damaged_file(name, f"it lists a part {part!r}")
        if type(size) is not int or not 0 <= size <= len(rest):
            raise damaged_file(name, f"it ends before its part {part} does")
        found[part], rest = rest[:size], rest[size:]
        if _sha([found[part]]) != sha:
            raise damaged_file(name, f"its part {part} does not have the SHA-256 that was written")
    if len(rest):
        raise damaged_file(name, f"{len(rest)} bytes follow its last part")
    return found


def _refuse_foreign(start: bytes, name: str) -> None:
    known = next((what for begin, what in _FOREIGN if start.startswith(begin)), None)
    if known is not None:
        raise CheckpointError(f"{name} is no archive of kerastorch but {known}.")
    raise damaged_file(name, "it does not begin as an archive of kerastorch does")


def _sha(pieces: list[atomic_file.Bytes] | list[memoryview]) -> str:
    digest = hashlib.sha256()
    for piece in pieces:
        digest.update(piece)
    return digest.hexdigest()
