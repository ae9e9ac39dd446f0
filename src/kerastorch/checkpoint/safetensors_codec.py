"""Encoding of tensors by name in the safetensors format, and decoding.

The bytes are the length of the header in 8 bytes, the header as JSON, and the tensors. The format is that of
https://huggingface.co/docs/safetensors; `safetensors.torch.load` reads what is written here.

The package `safetensors` is not used, so that the tensors are views of the very bytes whose checksum was verified.
"""

from __future__ import annotations

import math
import sys
from collections.abc import Mapping
from typing import Any, NamedTuple

import torch
from torch import Tensor

from kerastorch.checkpoint.bounded_json import MAX_BYTES, encode_json, parse_json
from kerastorch.core.errors import damaged_file

DTYPES = {
    "BOOL": torch.bool, "U8": torch.uint8, "I8": torch.int8, "I16": torch.int16, "U16": torch.uint16,
    "I32": torch.int32, "U32": torch.uint32, "I64": torch.int64, "U64": torch.uint64, "F16": torch.float16,
    "BF16": torch.bfloat16, "F32": torch.float32, "F64": torch.float64, "F8_E4M3": torch.float8_e4m3fn,
    "F8_E5M2": torch.float8_e5m2, "C64": torch.complex64,
}  # fmt: skip
METADATA = "__metadata__"  # key of the header that names no tensor
MAX_AXES = 64  # of a tensor
DTYPE_NAMES = {dtype: name for name, dtype in DTYPES.items()}


class Decoded(NamedTuple):
    """Content of safetensors bytes: tensors by name, and metadata."""

    tensors: dict[str, Tensor]
    metadata: dict[str, str]


class TensorEntry(NamedTuple):
    """Entry for one tensor, with the range of its bytes: after the header, or in the file."""

    dtype: torch.dtype
    shape: list[int]
    begin: int
    end: int


def encode(tensors: Mapping[str, Tensor], metadata: Mapping[str, str] | None = None) -> list[memoryview]:
    """Return the bytes of a file in pieces: the header, then each tensor.

    Pieces of contiguous tensors on the CPU are views of their memory.

    Args:
        tensors: Dense tensors by name.
        metadata: Text by name, stored in the header.

    Raises:
        CheckpointError: There are more tensors than `decode` accepts.
        TypeError: A tensor is not dense, has no values, or has a dtype that the format does not support.
    """
    if METADATA in tensors:
        raise TypeError(f"no tensor can be saved under the name {METADATA!r}.")
    header: dict[str, Any] = {METADATA: dict(metadata)} if metadata else {}
    pieces = []
    begin = 0
    for name, tensor in tensors.items():
        piece = _tensor_bytes(name, tensor)
        end = begin + len(piece)
        header[name] = {
            "dtype": DTYPE_NAMES[tensor.dtype],
            "shape": list(tensor.shape),
            "data_offsets": [begin, end],
        }
        begin = end
        pieces.append(piece)
    encoded = encode_json(header)
    return [memoryview(len(encoded).to_bytes(8, "little") + encoded), *pieces]


def _tensor_bytes(name: str, tensor: Tensor) -> memoryview:
    if tensor.layout != torch.strided or tensor.is_quantized or tensor.is_nested:
        raise TypeError(f"{name} is a sparse, quantized or nested tensor, which cannot be saved; make it dense first.")
    if tensor.is_meta:
        raise TypeError(f"{name} is on the meta device: it has no numbers to save.")
    if hasattr(tensor, "__tensor_flatten__"):  # torch's protocol of tensors that consist of others
        kind, package = type(tensor).__name__, type(tensor).__module__.partition(".")[0]
        raise TypeError(
            f"{name} has the class {kind} of {package}, which consists of other tensors and cannot be saved as one; "
            "save the model before its weights are quantized or split, or use torch.save(model.state_dict(), path)."
        )
    if tensor.dtype not in DTYPE_NAMES:
        raise TypeError(f"{name} has dtype {tensor.dtype}, which cannot be saved.")
    if sys.byteorder != "little":
        raise TypeError("saving needs a machine whose numbers are little-endian.")
    plain = tensor.detach().resolve_conj().resolve_neg().cpu().contiguous()
    if not plain.numel():
        return memoryview(b"")
    array: Any = plain.reshape(-1).view(torch.uint8).numpy()
    return memoryview(array)


def decode(data: memoryview, name: str) -> Decoded:
    """Return the tensors and the metadata in safetensors bytes.

    Args:
        data: All bytes, writable; tensors are views of them. Each byte after the header must belong to one tensor.
        name: Name of the file, for error messages.

    Raises:
        CheckpointCorruptError: The bytes are not safetensors.
    """
    header, tensor_bytes = _split_header(data, name)
    metadata = header.pop(METADATA, {})
    if not isinstance(metadata, dict) or not all(isinstance(value, str) for value in metadata.values()):
        raise damaged_file(name, "its metadata is not text")
    tensors, spans = {}, []
    for key, description in header.items():
        entry = _parse_entry(key, description, name)
        spans.append((entry.begin, entry.end))
        if entry.end > len(tensor_bytes):
            raise damaged_file(name, f"{key!r} lies beyond its end")
        tensors[key] = decode_tensor(tensor_bytes[entry.begin : entry.end], entry, key, name)
    _check_spans(spans, len(tensor_bytes), name)
    return Decoded(tensors, metadata)


def _split_header(data: memoryview, name: str) -> tuple[dict[str, Any], memoryview]:
    """Return the header and the bytes after it."""
    if len(data) < 8:
        raise damaged_file(name, "it is too short")
    size = int.from_bytes(data[:8], "little")
    if size > min(MAX_BYTES, len(data) - 8):
        raise damaged_file(name, f"its header should have {size} bytes")
    return parse_json(data[8 : 8 + size], name), data[8 + size :]


def _parse_entry(key: str, description: Any, name: str) -> TensorEntry:
    if not isinstance(description, dict) or set(description) != {"dtype", "shape", "data_offsets"}:
        raise damaged_file(name, f"{key!r} is not described")
    dtype, shape, offsets = description["dtype"], description["shape"], description["data_offsets"]
    if not isinstance(dtype, str) or dtype not in DTYPES:
        raise damaged_file(name, f"{key!r} has the dtype {dtype!r}")
    if not are_sizes(shape) or len(shape) > MAX_AXES or not are_sizes(offsets) or len(offsets) != 2:
        raise damaged_file(name, f"{key!r} has no proper shape and offsets")
    begin, end = offsets
    if begin > end or math.prod(shape) * DTYPES[dtype].itemsize != end - begin:
        raise damaged_file(name, f"{key!r} of shape {shape} cannot have {end - begin} bytes")
    return TensorEntry(DTYPES[dtype], shape, begin, end)


def are_sizes(value: Any) -> bool:
    """Return whether a value is a list of integers from 0 to 2**63 - 1."""
    return isinstance(value, list) and all(type(size) is int and 0 <= size < 2**63 for size in value)


def decode_tensor(data: memoryview, entry: TensorEntry, key: str, name: str) -> Tensor:
    """Return a tensor as a view of its bytes, or a copy if they are not aligned.

    Args:
        data: The bytes of the tensor alone, writable.
        entry: Its dtype and shape.
        key: Its name, for error messages.
        name: Name of the file, for error messages.

    Raises:
        CheckpointCorruptError: The bytes are no such tensor.
    """
    try:
        if not len(data):
            return torch.empty(entry.shape, dtype=entry.dtype)
        flat = torch.frombuffer(data, dtype=torch.uint8)
        if entry.dtype == torch.bool and flat.max() > 1:
            raise damaged_file(name, f"{key!r} holds numbers that are neither true nor false")
        if flat.data_ptr() % entry.dtype.itemsize:
            flat = flat.clone()
        return flat.view(entry.dtype).view(entry.shape)
    except (RuntimeError, ValueError, OverflowError) as error:
        raise damaged_file(name, f"{key!r}: {error}") from error


def _check_spans(spans: list[tuple[int, int]], size: int, name: str) -> None:
    """Raise an error unless the tensors cover all bytes exactly once."""
    position = 0
    for begin, end in sorted(spans):
        if begin != position:
            raise damaged_file(name, "its tensors overlap or leave gaps")
        position = end
    if position != size:
        raise damaged_file(name, f"{size - position} bytes belong to no tensor")
