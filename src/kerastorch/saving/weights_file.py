"""Read and write weights as safetensors; files of kerastorch have a SHA-256 of names, dtypes, shapes and values.

The names are those of torch's `state_dict`, so that any tool which reads safetensors can open the file.
"""

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
from kerastorch.version import VERSION_KEY, __version__

SUFFIX, KERAS_SUFFIX = ".safetensors", ".weights.h5"
_FOREIGN = (  # first bytes of other files; safetensors begins with the length of its header, which is never so large
    (b"PK\x03\x04", "a zip file, as torch.save and Keras write; the pickle in torch's is never read"),
    (b"\x80\x02", "a pickle, which is never read"),
    (b"\x89HDF", "an HDF5 file"),
    (b"\x89kerastorch", "an archive of kerastorch"),
)
_SHA, _EXTRA = "sha256", "extra_state"


def check_weights_path(filepath: str | os.PathLike[str]) -> Path:
    """Return the path of a file of weights.

    Raises:
        TypeError: `filepath` is not a path.
        ValueError: The name ends neither in `.safetensors` nor in `.weights.h5`.
    """
    path = parse_path("filepath", filepath)
    if path.name.endswith(".index.json"):
        raise ValueError(
            f"{path} has the name of an index of several files, of which those that end in {SUFFIX}.index.json are "
            f"read. To write one, give the name {path.name.partition('.')[0] + SUFFIX!r} and max_shard_size."
        )
    if path.suffix.lower() != SUFFIX and not is_of_keras(path):
        name = path.name.removesuffix(path.suffix).removesuffix(".weights") + ".weights" + SUFFIX
        advice = f"Files of weights are safetensors: name it as {name!r}."
        if path.suffix == ".kt":
            advice += " A .kt file holds a whole model: see Model.save and kerastorch.load_model."
        if path.suffix.lower() in (".pt", ".pth", ".bin", ".pkl", ".ckpt"):
            advice += " Pickles are never read."
        raise mismatch("filepath", str(path), f"a file name that ends in {SUFFIX} or {KERAS_SUFFIX}", advice)
    return path


def is_of_keras(path: Path) -> bool:
    """Return whether a file has the name of weights of Keras."""
    return path.name.lower().endswith(KERAS_SUFFIX)


def is_of_keras_2(path: Path) -> bool:
    """Return whether a file has the name of weights of Keras 2, which are read and not written."""
    return path.suffix.lower() in (".h5", ".hdf5") and not is_of_keras(path)


def write(path: Path, state: Mapping[str, Any]) -> str:
    """Write the entries of a state dict; extra states of modules, which are not tensors, go into the metadata.

    Returns:
        The SHA-256 that the file has in its metadata.

    Raises:
        TypeError: The format cannot hold a tensor or an extra state; the message names it.
    """
    named = {name: _on_cpu(name, value) for name, value in state.items() if isinstance(value, Tensor)}
    metadata = {"format": "pt", VERSION_KEY: __version__}
    extra = {name: value for name, value in state.items() if not isinstance(value, Tensor)}
    if extra:
        packed = pack(extra)
        metadata[_EXTRA] = json.dumps(packed.json, ensure_ascii=False, allow_nan=False)
        named |= {name: _on_cpu(name, value) for name, value in packed.tensors.items()}
    metadata[_SHA] = _sha(named, metadata)
    atomic_file.write(path, safetensors_codec.encode(named, metadata))
    return metadata[_SHA]


def read(path: Path, sha: str | None = None) -> dict[str, Any]:
    """Return the entries of a safetensors file; the checksum of a file that kerastorch wrote is verified.

    Args:
        path: Path of the file.
        sha: What `write` returned for it. Default: any file is read.

    Raises:
        CheckpointCorruptError: The file is damaged, or is not safetensors.
        CheckpointError: It is a file of another kind, or not a regular file, or not the one with that SHA-256.
        FileNotFoundError: The file does not exist.
    """
    data = atomic_file.read(path, follow_symlinks=True)
    for begin, what in _FOREIGN:
        if data[: len(begin)] == begin:
            raise CheckpointError(f"{path} is no safetensors, whatever its name says, but {what}.")
    named, metadata = safetensors_codec.decode(data, str(path))
    if sha is None and not {VERSION_KEY, _SHA} & set(metadata):  # another library wrote the file
        return {**named}
    # one of the two keys without the other is damage, not a file of another library
    if VERSION_KEY not in metadata or metadata.get(_SHA) != _sha(named, metadata):
        raise CheckpointCorruptError(f"{path} is damaged: it does not have the SHA-256 that was written.")
    if sha is not None and metadata[_SHA] != sha:
        raise CheckpointError(f"{path} is the file of another save; copy all files of a save together.")
    if _EXTRA not in metadata:
        return {**named}
    written = parse_json(memoryview(metadata[_EXTRA].encode()), str(path))
    extra: dict[str, Any] = unpack(written, named, str(path))
    prefixes = tuple(f"{name}." for name in extra)  # tensors within an extra state have names that begin with its own
    return {name: value for name, value in named.items() if not name.startswith(prefixes)} | extra


def _on_cpu(name: str, tensor: Tensor) -> Tensor:
    """Return a contiguous copy of a tensor on the CPU, or the tensor itself if it is one."""
    if tensor.is_meta:
        raise TypeError(f"{name} is on the meta device and has no numbers to be saved.")
    return tensor.detach().cpu().contiguous() if tensor.layout == torch.strided else tensor


def _sha(named: Mapping[str, Tensor], metadata: Mapping[str, str]) -> str:
    """Return the SHA-256 of metadata, names, dtypes, shapes and values.

    The order of the tensors in the file does not matter, so that other tools may rewrite it in another order.
    """
    about = {key: value for key, value in metadata.items() if key != _SHA}
    order = sorted(named)
    listed = [[name, str(named[name].dtype), list(named[name].shape)] for name in order]
    digest = hashlib.sha256(json.dumps([about, listed], sort_keys=True).encode())
    for piece in safetensors_codec.encode({name: named[name] for name in order})[1:]:
        digest.update(piece)
    return digest.hexdigest()
