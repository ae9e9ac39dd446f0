"""A file of weights: safetensors, as everybody writes it, with a SHA-256 of all that is in ours."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from kerastorch.checkpoint import atomic_file, safetensors_codec
from kerastorch.checkpoint.bounded_json import parse_json
from kerastorch.checkpoint.state_json import pack, unpack
from kerastorch.core.errors import CheckpointCorruptError, CheckpointError, mismatch
from kerastorch.core.path_checks import parse_path
from kerastorch.version import __version__

SUFFIX = ".safetensors"
_FOREIGN = (  # none of these is a length that a header may have
    (b"PK\x03\x04", "a zip file, as torch.save and Keras write; the pickle in torch's is never read"),
    (b"\x80\x02", "a pickle, which is never read"),
    (b"\x89HDF", "an HDF5 file"),
    (b"\x89kerastorch", "an archive of kerastorch"),
)
_WRITER, _SHA, _EXTRA = "kerastorch", "sha256", "extra_state"


def path_of(filepath: str | os.PathLike[str]) -> Path:
    """`filepath` as a path.

    Raises:
        TypeError: no path.
        ValueError: it does not end in `.safetensors`.
    """
    path = parse_path("filepath", filepath)
    if path.name.endswith(".index.json"):
        raise ValueError(f"{path} lists the pieces of weights in several files, which are not read; join them to one.")
    if path.suffix.lower() != SUFFIX:
        name = path.name.removesuffix(path.suffix).removesuffix(".weights") + ".weights" + SUFFIX
        advice = f"Files of weights are safetensors: name it as {name!r}."
        if path.suffix == ".kt":
            advice += " A .kt file holds a whole model: see Model.save and kerastorch.load_model."
        if path.suffix.lower() in (".pt", ".pth", ".bin", ".pkl", ".ckpt"):
            advice += " Pickles are never read."
        raise mismatch("filepath", str(path), f"a file name that ends in {SUFFIX}", advice)
    return path


def write(path: Path, state: Mapping[str, Any]) -> None:
    """Write the entries of a `state_dict`; what is no tensor, the extra state of modules, goes into the metadata.

    Raises:
        TypeError: a tensor or an extra state that the format cannot hold, with its name.
    """
    named = {name: _on_cpu(name, value) for name, value in state.items() if isinstance(value, Tensor)}
    metadata = {"format": "pt", _WRITER: __version__}
    extra = {name: value for name, value in state.items() if not isinstance(value, Tensor)}
    if extra:
        packed = pack(extra)
        metadata[_EXTRA] = json.dumps(packed.json, ensure_ascii=False, allow_nan=False)
        named |= {name: _on_cpu(name, value) for name, value in packed.tensors.items()}
    metadata[_SHA] = _sha(named, metadata)
    atomic_file.write(path, safetensors_codec.encode(named, metadata))


def read(path: Path) -> dict[str, Any]:
    """The entries of a file, of anybody's; each byte of one that kerastorch wrote was checked before.

    Raises:
        CheckpointCorruptError: it is no safetensors, or a byte is not as it was written.
        CheckpointError: no regular file.
        FileNotFoundError: there is none.
    """
    data = atomic_file.read(path, follow_symlinks=True)
    for begin, what in _FOREIGN:
        if data[: len(begin)] == begin:
            raise CheckpointError(f"{path} is no safetensors, whatever its name says, but {what}.")
    named, metadata = safetensors_codec.decode(data, str(path))
    if not {_WRITER, _SHA} & set(metadata):  # another's
        return {**named}
    if _WRITER not in metadata or metadata.get(_SHA) != _sha(named, metadata):
        raise CheckpointCorruptError(f"{path} is damaged: it does not have the SHA-256 that was written.")
    if _EXTRA not in metadata:
        return {**named}
    written = parse_json(memoryview(metadata[_EXTRA].encode()), str(path))
    extra: dict[str, Any] = unpack(written, named, str(path))
    inside = tuple(f"{name}." for name in extra)
    return {name: value for name, value in named.items() if not name.startswith(inside)} | extra


def _on_cpu(name: str, tensor: Tensor) -> Tensor:
    if tensor.is_meta:
        raise TypeError(f"{name} is on the meta device and has no numbers to be saved.")
    return tensor.detach().cpu().contiguous() if tensor.layout == torch.strided else tensor


def _sha(named: Mapping[str, Tensor], metadata: Mapping[str, str]) -> str:
    """Of all that is said and all numbers; not of where they stand in the file."""
    about = {key: value for key, value in metadata.items() if key != _SHA}
    order = sorted(named)
    listed = [[name, str(named[name].dtype), list(named[name].shape)] for name in order]
    digest = hashlib.sha256(json.dumps([about, listed], sort_keys=True).encode())
    for part in safetensors_codec.encode({name: named[name] for name in order})[1:]:
        digest.update(part)
    return digest.hexdigest()
