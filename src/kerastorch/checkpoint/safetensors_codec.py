"""Tensors by name as safetensors bytes, and back: an 8-byte length, a JSON header, the numbers.

The format is that of https://huggingface.co/docs/safetensors; `safetensors.torch.load` reads what is written here.
"""

from __future__ import annotations

import json
import math
import sys
from collections.abc import Mapping
from typing import Any, NamedTuple

import torch
from torch import Tensor

from kerastorch.core.errors import CheckpointError, damaged_file

DTYPES = {
    "BOOL": torch.bool, "U8": torch.uint8, "I8": torch.int8, "I16": torch.int16, "U16": torch.uint16,
    "I32": torch.int32, "U32": torch.uint32, "I64": torch.int64, "U64": torch.uint64, "F16": torch.float16,
    "BF16": torch.bfloat16, "F32": torch.float32, "F64": torch.float64, "F8_E4M3": torch.float8_e4m3fn,
    "F8_E5M2": torch.float8_e5m2, "C64": torch.complex64,
}  # fmt: skip
_NAMES = {dtype: name for name, dtype in DTYPES.items()}
HEADER = 100_000_000  # bytes a header may have, as in the format's own reader; a text of ours, too
MEMORY = 2**28  # bytes that a text may take once it is read: a file could make dicts of three bytes each
_TAKES = {b"{": 400, b"[": 140, b",": 70}  # the most that what begins there takes, in the JSON and out of it
AXES = 64  # a tensor may have
METADATA = "__metadata__"


class Decoded(NamedTuple):
    """What a safetensors part holds."""

    tensors: dict[str, Tensor]
    metadata: dict[str, str]


def encode(tensors: Mapping[str, Tensor], metadata: Mapping[str, str] | None = None) -> list[memoryview]:
    """The parts of a file; those of the tensors are views of their memory where it is in order.

    Raises:
        CheckpointError: more tensors than would be read again.
        TypeError: a tensor that is sparse, or of a dtype that the format has not.
    """
    if METADATA in tensors:
        raise TypeError(f"no tensor can be saved under the name {METADATA!r}.")
    header: dict[str, Any] = {METADATA: dict(metadata)} if metadata else {}
    parts = []
    at = 0
    for name, tensor in tensors.items():
        numbers = _bytes(name, tensor)
        header[name] = {
            "dtype": _NAMES[tensor.dtype],
            "shape": list(tensor.shape),
            "data_offsets": [at, at + len(numbers)],
        }
        at += len(numbers)
        parts.append(numbers)
    written = text(header)
    return [memoryview(len(written).to_bytes(8, "little") + written), *parts]


def _bytes(name: str, tensor: Tensor) -> memoryview:
    if tensor.layout != torch.strided or tensor.is_quantized or tensor.is_nested:
        raise TypeError(f"{name} is a sparse, quantized or nested tensor, which cannot be saved; make it dense first.")
    if tensor.is_meta:
        raise TypeError(f"{name} is on the meta device: it has no numbers to save.")
    if tensor.dtype not in _NAMES:
        raise TypeError(f"{name} has dtype {tensor.dtype}, which cannot be saved.")
    if sys.byteorder != "little":
        raise TypeError("saving needs a machine whose numbers are little-endian.")
    plain = tensor.detach().resolve_conj().resolve_neg().cpu().contiguous()
    if not plain.numel():
        return memoryview(b"")
    numbers: Any = plain.reshape(-1).view(torch.uint8).numpy()
    return memoryview(numbers)


def decode(data: memoryview, name: str) -> Decoded:
    """The tensors of a part: views of `data`, which must be writable. Every byte of it belongs to one of them.

    Args:
        data: the part.
        name: of the file, for messages.

    Raises:
        CheckpointCorruptError: it is not safetensors.
    """
    header, numbers = _header(data, name)
    metadata = header.pop(METADATA, {})
    if not isinstance(metadata, dict) or not all(isinstance(value, str) for value in metadata.values()):
        raise damaged_file(name, "its metadata is not text")
    found, spans = {}, []
    for key, about in header.items():
        dtype, shape, begin, end = _about(key, about, name)
        spans.append((begin, end))
        if end > len(numbers):
            raise damaged_file(name, f"{key!r} lies beyond its end")
        found[key] = _tensor(numbers[begin:end], dtype, shape, key, name)
    at = 0
    for begin, end in sorted(spans):
        if begin != at:
            raise damaged_file(name, "its tensors overlap or leave gaps")
        at = end
    if at != len(numbers):
        raise damaged_file(name, f"{len(numbers) - at} bytes belong to no tensor")
    return Decoded(found, metadata)


def _header(data: memoryview, name: str) -> tuple[dict[str, Any], memoryview]:
    if len(data) < 8:
        raise damaged_file(name, "it is too short")
    size = int.from_bytes(data[:8], "little")
    if size > min(HEADER, len(data) - 8):
        raise damaged_file(name, f"its header should have {size} bytes")
    return parse(data[8 : 8 + size], name), data[8 + size :]


def _about(key: str, about: Any, name: str) -> tuple[torch.dtype, list[int], int, int]:
    if not isinstance(about, dict) or set(about) != {"dtype", "shape", "data_offsets"}:
        raise damaged_file(name, f"{key!r} is not described")
    dtype, shape, offsets = about["dtype"], about["shape"], about["data_offsets"]
    if not isinstance(dtype, str) or dtype not in DTYPES:
        raise damaged_file(name, f"{key!r} has the dtype {dtype!r}")
    if not _sizes(shape) or len(shape) > AXES or not _sizes(offsets) or len(offsets) != 2:
        raise damaged_file(name, f"{key!r} has no proper shape and offsets")
    begin, end = offsets
    if begin > end or math.prod(shape) * DTYPES[dtype].itemsize != end - begin:
        raise damaged_file(name, f"{key!r} of shape {shape} cannot have {end - begin} bytes")
    return DTYPES[dtype], shape, begin, end


def _sizes(value: Any) -> bool:
    return isinstance(value, list) and all(type(size) is int and 0 <= size < 2**63 for size in value)


def _tensor(numbers: memoryview, dtype: torch.dtype, shape: list[int], key: str, name: str) -> Tensor:
    try:
        if not len(numbers):
            return torch.empty(shape, dtype=dtype)
        held = torch.frombuffer(numbers, dtype=torch.uint8)
        if dtype == torch.bool and held.max() > 1:
            raise damaged_file(name, f"{key!r} holds numbers that are neither true nor false")
        if held.data_ptr() % dtype.itemsize:
            held = held.clone()  # numbers begin at a multiple of their size in memory, in a file anywhere
        return held.view(dtype).view(shape)
    except (RuntimeError, ValueError, OverflowError) as error:
        raise damaged_file(name, f"{key!r}: {error}") from error


def text(value: dict[str, Any]) -> bytes:
    """JSON as `parse` reads it, a multiple of 8 bytes.

    Raises:
        CheckpointError: it would not be read again.
    """
    try:
        written = json.dumps(value, ensure_ascii=False, separators=(",", ":"), allow_nan=False).encode()
    except RecursionError:
        raise CheckpointError("What is to be saved is nested too deeply, or holds itself.") from None
    _limit(written, "What is to be saved")
    return written + b" " * (-len(written) % 8)


def _limit(written: bytes | memoryview, name: str) -> None:
    if len(written) > HEADER:
        raise CheckpointError(f"{name} has a text of {len(written)} bytes; at most {HEADER} are read.")
    held = bytes(written)
    if sum(size * held.count(sign) for sign, size in _TAKES.items()) > MEMORY:
        raise CheckpointError(
            f"{name} has a text of too many values: it could take more than {MEMORY} bytes of memory."
        )


def parse(data: memoryview, name: str) -> dict[str, Any]:
    """A JSON object, no key twice, no number that is none.

    Raises:
        CheckpointCorruptError: it is not that.
        CheckpointError: it is longer than any that is written.
    """
    _limit(data, name)
    try:
        found = json.loads(str(data, "utf-8"), object_pairs_hook=_once, parse_constant=_refuse)
    except (ValueError, RecursionError) as error:  # bad UTF-8 is a ValueError too
        raise damaged_file(name, f"its text cannot be read: {error}") from error
    if not isinstance(found, dict):
        raise damaged_file(name, "its text is no JSON object")
    return found


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        raise ValueError("a name comes twice")
    return found


def _refuse(word: str) -> Any:
    raise ValueError(f"{word} is no number")
