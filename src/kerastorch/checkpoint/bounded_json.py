"""JSON objects as bytes, with limits so that a malicious file cannot exhaust the memory."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from kerastorch.core.errors import CheckpointError, damaged_file

MAX_BYTES = 100_000_000  # of an encoded object; the safetensors library has the same limit for headers
MAX_MEMORY = 2**28  # bytes that a parsed object may take: three bytes of a file can become a dict
# upper bounds in bytes for the object that each character begins, both as JSON and as decoded state
_MEMORY_PER_CHARACTER = {b"{": 400, b"[": 140, b",": 70}


def encode_json(value: Mapping[str, Any]) -> bytes:
    """Return an object as JSON, padded with spaces to a multiple of 8 bytes.

    Raises:
        CheckpointError: `parse_json` would refuse the result, or the object is nested too deeply.
    """
    try:
        data = json.dumps(value, ensure_ascii=False, separators=(",", ":"), allow_nan=False).encode()
    except RecursionError:
        raise CheckpointError("What is to be saved is nested too deeply, or holds itself.") from None
    _check_limits(data, "What is to be saved")
    return data + b" " * (-len(data) % 8)


def parse_json(data: memoryview, name: str) -> dict[str, Any]:
    """Return the object that bytes encode; duplicate keys, NaN and infinity are errors.

    Args:
        data: UTF-8 bytes.
        name: Name of the file, for error messages.

    Raises:
        CheckpointCorruptError: The bytes are no such object.
        CheckpointError: They exceed a limit.
    """
    _check_limits(data, name)
    try:
        value = json.loads(str(data, "utf-8"), object_pairs_hook=_unique_keys, parse_constant=_refuse_constant)
    except (ValueError, RecursionError) as error:  # invalid UTF-8 is a ValueError, too
        raise damaged_file(name, f"its text cannot be read: {error}") from error
    if not isinstance(value, dict):
        raise damaged_file(name, "its text is no JSON object")
    return value


def _check_limits(data: bytes | memoryview, name: str) -> None:
    if len(data) > MAX_BYTES:
        raise CheckpointError(f"{name} has a text of {len(data)} bytes; at most {MAX_BYTES} are read.")
    text = bytes(data)
    if sum(size * text.count(character) for character, size in _MEMORY_PER_CHARACTER.items()) > MAX_MEMORY:
        raise CheckpointError(
            f"{name} has a text of too many values: it could take more than {MAX_MEMORY} bytes of memory."
        )


def _unique_keys(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    value = dict(pairs)
    if len(value) < len(pairs):
        raise ValueError("a name comes twice")
    return value


def _refuse_constant(word: str) -> None:
    raise ValueError(f"{word} is no number")
