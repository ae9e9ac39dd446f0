"""Archive format: named sections of state in one file.

All parts are verified by SHA-256 before any of them is decoded. The bytes are:

    magic, 12 bytes | format, 4 | length of the header, 8 | header | SHA-256 of all that, 32 | parts, end to end

The header is JSON: the name, size and SHA-256 of each part. A section is a part `name.json` and, if it has tensors, a
part `name.safetensors`. Numbers are little-endian. Each part begins at a multiple of 8 bytes, so that tensors can be
views of the bytes of the file.

There is one file, so that a crash cannot combine the weights of one moment with the optimizer of another. A zip file
has bytes that no checksum covers, and `torch.load` unpickles and verifies no checksum. JSON and safetensors within the
archive are formats that other tools read.
"""

from __future__ import annotations

import hashlib
import os
import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import torch

from kerastorch.checkpoint import atomic_file, safetensors_codec
from kerastorch.checkpoint.bounded_json import encode_json, parse_json
from kerastorch.checkpoint.state_json import Packed, pack, unpack
from kerastorch.core.errors import CheckpointError, damaged_file
from kerastorch.version import VERSION_KEY, __version__

MAGIC = b"\x89kerastorch\n"
FORMAT = 1
_START_SIZE = len(MAGIC) + 12  # bytes before the header
_SHA_SIZE = 32
_PART_NAME = re.compile(r"[a-z_]{1,40}\.(json|safetensors)")
_OTHER_FORMATS = (
    (b"PK\x03\x04", "a zip file: a model of Keras, or what torch.save wrote"),
    (b"\x80", "a pickle, which is never read"),
    (b"\x89HDF", "an HDF5 file"),
)


def encode(sections: Mapping[str, Any]) -> list[atomic_file.Bytes]:
    """Return the bytes of an archive in pieces; those of tensors are views of their memory.

    Args:
        sections: Nested state by section name, as `pack` takes or returns it. A name has at most 40 characters from
            `a` to `z` and `_`.

    Raises:
        CheckpointError: The state is larger or more deeply nested than `read` accepts.
        TypeError: A value has a type that cannot be saved; the message has its path.
        ValueError: A section has another name.
    """
    parts: dict[str, list[atomic_file.Bytes]] = {}
    for name, state in sections.items():
        if not _PART_NAME.fullmatch(f"{name}.json"):
            raise ValueError(f"A section is named by at most 40 small letters and '_', got {name!r}.")
        packed = state if isinstance(state, Packed) else pack(state)
        parts[f"{name}.json"] = [encode_json({"state": packed.json})]
        if packed.tensors:
            parts[f"{name}.safetensors"] = [*safetensors_codec.encode(packed.tensors)]
    index = [{"name": name, "size": sum(map(len, pieces)), "sha256": _sha256(pieces)} for name, pieces in parts.items()]
    header = encode_json({VERSION_KEY: __version__, "torch": str(torch.__version__), "parts": index})
    start = MAGIC + FORMAT.to_bytes(4, "little") + len(header).to_bytes(8, "little") + header
    return [start, hashlib.sha256(start).digest(), *(piece for pieces in parts.values() for piece in pieces)]


def write(path: str | os.PathLike[str], sections: Mapping[str, Any]) -> None:
    """Write an archive atomically.

    Args:
        path: Path of the file, which is replaced if it exists.
        sections: Nested state by section name, as for `encode`.
    """
    atomic_file.write(Path(path), encode(sections))


def read(path: str | os.PathLike[str]) -> dict[str, Any]:
    """Return the sections of an archive, after all its bytes were verified.

    Raises:
        CheckpointCorruptError: A byte differs from what was written.
        CheckpointError: The file is no archive, or has a newer format.
        FileNotFoundError: The file does not exist.
    """
    return decode(atomic_file.read(Path(path)), os.fspath(path))


def decode(data: memoryview, name: str) -> dict[str, Any]:
    """Return the sections in the bytes of an archive.

    Args:
        data: All bytes, writable; tensors are views of them.
        name: Name of the file, for error messages.

    Raises:
        CheckpointCorruptError: A byte differs from what was written.
        CheckpointError: The bytes are no archive, or have a newer format.
    """
    parts = _split_parts(data, name)
    sections = {}
    for part, content in parts.items():
        section, _, kind = part.partition(".")
        if kind == "json":
            tensor_bytes = parts.get(f"{section}.safetensors")
            tensors = (
                {} if tensor_bytes is None else safetensors_codec.decode(tensor_bytes, f"{name} ({section})").tensors
            )
            sections[section] = unpack(_parse_state(content, f"{name} ({part})"), tensors, f"{name} ({part})")
        elif f"{section}.json" not in parts:
            raise damaged_file(name, f"the part {part} stands alone")
    return sections


def _parse_state(data: memoryview, name: str) -> Any:
    content = parse_json(data, name)
    if "state" not in content:
        raise damaged_file(name, "it holds no state")
    return content["state"]


def _split_parts(data: memoryview, name: str) -> dict[str, memoryview]:
    """Return the verified parts of an archive, by name."""
    if data[: len(MAGIC)] != MAGIC:
        raise _format_error(bytes(data[:_START_SIZE]), name)
    if len(data) < _START_SIZE + _SHA_SIZE:
        raise damaged_file(name, f"it has only {len(data)} bytes")
    number = int.from_bytes(data[len(MAGIC) : len(MAGIC) + 4], "little")
    if number == 0:
        raise damaged_file(name, "it has no format")
    if number > FORMAT:
        raise CheckpointError(f"{name} has format {number}; this kerastorch reads up to {FORMAT}. Upgrade kerastorch.")
    end = _START_SIZE + int.from_bytes(data[len(MAGIC) + 4 : _START_SIZE], "little")
    if end + _SHA_SIZE > len(data):
        raise damaged_file(name, "it was cut off")
    if hashlib.sha256(data[:end]).digest() != data[end : end + _SHA_SIZE]:
        raise damaged_file(name, "its header does not have the SHA-256 that was written")
    return _verify_parts(parse_json(data[_START_SIZE:end], name).get("parts"), data[end + _SHA_SIZE :], name)


def _verify_parts(index: Any, rest: memoryview, name: str) -> dict[str, memoryview]:
    """Split the bytes after the header as its index says, and compare the SHA-256 of each part."""
    if not isinstance(index, list) or not all(isinstance(entry, dict) for entry in index):
        raise damaged_file(name, "its parts are not listed")
    parts: dict[str, memoryview] = {}
    for entry in index:
        part, size, sha = entry.get("name"), entry.get("size"), entry.get("sha256")
        if not isinstance(part, str) or not _PART_NAME.fullmatch(part) or part in parts:
            raise damaged_file(name, f"it lists a part {part!r}")
        if type(size) is not int or not 0 <= size <= len(rest):
            raise damaged_file(name, f"it ends before its part {part} does")
        parts[part], rest = rest[:size], rest[size:]
        if _sha256([parts[part]]) != sha:
            raise damaged_file(name, f"its part {part} does not have the SHA-256 that was written")
    if len(rest):
        raise damaged_file(name, f"{len(rest)} bytes follow its last part")
    return parts


def _format_error(start: bytes, name: str) -> CheckpointError:
    """Return the error for a file of another format, which it names if it is known."""
    for magic, description in _OTHER_FORMATS:
        if start.startswith(magic):
            return CheckpointError(f"{name} is no archive of kerastorch but {description}.")
    return damaged_file(name, "it does not begin as an archive of kerastorch does")


def _sha256(pieces: Iterable[atomic_file.Bytes]) -> str:
    digest = hashlib.sha256()
    for piece in pieces:
        digest.update(piece)
    return digest.hexdigest()
