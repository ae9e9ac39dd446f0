"""The file of a History: JSON that people and other programs can read, written completely or not at all."""

from __future__ import annotations

import itertools
import json
import math
import os
from collections.abc import Iterable, Mapping
from dataclasses import is_dataclass
from types import UnionType
from typing import Any, Union, get_args, get_origin, get_type_hints

import torch
from torch import Tensor

from kerastorch.callbacks.epoch_meter import RESOURCES
from kerastorch.checkpoint import atomic_file
from kerastorch.checkpoint.state_json import KIND, VALUE, pack, unpack
from kerastorch.core.errors import CheckpointCorruptError, CheckpointError, damaged_file, mismatch
from kerastorch.core.path_checks import check_exists, check_writable, parse_path
from kerastorch.diagnosis.settings import FitSettings
from kerastorch.version import VERSION_KEY, __version__

FORMAT, VERSION = "kerastorch.History", 1
_MOST_EPOCHS = 2**31
_TABLES = (".csv", ".tsv", ".xlsx", ".parquet")


def write(path: str | os.PathLike[str], state: Mapping[str, Any]) -> None:
    """Write the state of a history to a file.

    Args:
        path: Path of the file; its folder is created.
        state: Dict with `epoch`, `history`, `epochs_of_logs`, `fits`, `resources`, `params`, `metric_directions` and
            `settings`.

    Raises:
        TypeError: A log holds an object that is no number, text, array, tensor, list, tuple or dict.
        ValueError: The name does not end in `.json`; the values of a log and its epochs do not fit each other.
        OSError: The file cannot be written.
    """
    file = parse_path("path", path)
    if file.suffix.lower() != ".json" and not file.is_dir():
        advice = " history.frame().to_csv(path) writes a table." if file.suffix.lower() in _TABLES else ""
        raise mismatch("path", os.fspath(file), "a name that ends in .json", f"History.save writes JSON.{advice}")
    try:
        _check(state)
        packed = pack(state)
        tensors = {name: _encode_tensor(name, tensor) for name, tensor in packed.tensors.items()}
    except TypeError as error:
        raise TypeError(f"History.save: {error} Take it out of history.history, or log numbers.") from None
    except ValueError as error:
        raise ValueError(f"History.save: {error}.") from None
    content = {"format": FORMAT, "version": VERSION, VERSION_KEY: __version__, **packed.json}
    text = json.dumps({**content, "tensors": tensors} if tensors else content, allow_nan=False)
    check_writable(file)
    atomic_file.write(file, [text.encode()])


def read(path: str | os.PathLike[str]) -> dict[str, Any]:
    """Return the state that `write` has written, checked whole.

    Raises:
        FileNotFoundError: There is no such file.
        CheckpointError: The file is of a later release.
        CheckpointCorruptError: The file is damaged, or is none of a history.
    """
    file = parse_path("path", path)
    check_exists(file)
    name, data = os.fspath(file), bytes(atomic_file.read(file, follow_symlinks=True))
    try:
        content = json.loads(data)
    except (ValueError, RecursionError) as error:
        if data.lstrip()[:1] != b"{":
            raise _not_a_history(name) from None
        raise damaged_file(name, f"its JSON cannot be read: {error}") from None
    if not isinstance(content, dict) or content.get("format") != FORMAT:
        raise _not_a_history(name)
    version = content.get("version")
    if type(version) is int and version > VERSION:
        release = content.get(VERSION_KEY)
        raise CheckpointError(f"{name} was written by kerastorch {release}, whose format is newer: upgrade kerastorch.")
    try:
        tensors = {key: _decode_tensor(value, name) for key, value in content.get("tensors", {}).items()}
        state = {key: unpack(content[key], tensors, name) for key in _KEYS}
        _check(state)
        state["settings"] = FitSettings.from_dict(state["settings"])
        if not _has_type(state["settings"], FitSettings):
            raise ValueError("the settings have a value of another kind")
    except (KeyError, TypeError, ValueError, AttributeError, RuntimeError, OverflowError) as error:
        raise damaged_file(name, str(error) or repr(error)) from error
    return state


_KEYS = ("epoch", "history", "epochs_of_logs", "fits", "resources", "params", "metric_directions", "settings")


def _not_a_history(name: str) -> CheckpointCorruptError:
    return CheckpointCorruptError(f"{name} is no file of a history. history.save(path) writes such files.")


def _encode_tensor(name: str, tensor: Tensor) -> dict[str, Any]:
    """Return a tensor as JSON."""
    if tensor.layout is not torch.strided or tensor.is_quantized:
        raise TypeError(f"{name} is a sparse or quantized tensor, which cannot be saved.")
    numbers = torch.view_as_real(tensor.detach().resolve_conj()) if tensor.is_complex() else tensor.detach()
    if numbers.is_floating_point() and numbers.dtype is not torch.float64:
        numbers = numbers.float()
    values = [
        one if not isinstance(one, float) or math.isfinite(one) else str(one) for one in numbers.flatten().tolist()
    ]
    return {"dtype": str(tensor.dtype).removeprefix("torch."), "shape": list(tensor.shape), "values": values}


def _decode_tensor(encoded: Mapping[str, Any], name: str) -> Tensor:
    """Return the tensor of JSON that `_encode_tensor` has returned.

    Args:
        encoded: The JSON.
        name: Name of the file, for error messages.
    """
    dtype = unpack({KIND: "dtype", VALUE: encoded["dtype"]}, {}, name)
    if str(dtype).startswith("torch.q"):
        raise ValueError(f"{dtype} is the dtype of a quantized tensor")
    if dtype.is_complex:
        flat = torch.tensor([float(one) for one in encoded["values"]], dtype=torch.float64)
        return torch.view_as_complex(flat.reshape(-1, 2)).to(dtype).reshape(encoded["shape"])
    values = [float(one) if isinstance(one, str) else one for one in encoded["values"]]
    return torch.tensor(values, dtype=dtype).reshape(encoded["shape"])


def _check(state: Mapping[str, Any]) -> None:
    """Raise a ValueError unless the parts of a state fit each other."""
    epoch, history, epochs_of_logs = state["epoch"], state["history"], state["epochs_of_logs"]
    _check_numbers("epoch", epoch)
    if not all(isinstance(one, dict) for one in (history, epochs_of_logs, *(state[key] for key in _KEYS[4:]))):
        raise ValueError("a dict was expected")
    for name, values in history.items():
        epochs = epochs_of_logs.get(name, epoch)
        _check_numbers(f"the epochs of {name!r}", epochs)
        if not isinstance(values, list) or len(values) != len(epochs):
            raise ValueError(f"{name!r} has not one value for each of its epochs")
    fits = state["fits"]
    _check_numbers("fits", fits)
    if bool(fits) != bool(epoch) or (fits and (fits[0] != 0 or fits[-1] >= len(epoch))):
        raise ValueError("fits do not begin at epochs")
    for name in RESOURCES:
        values = state["resources"].get(name, [])
        if not isinstance(values, list) or (values and len(values) != len(epoch)) or not all(map(_is_known, values)):
            raise ValueError(f"{name!r} has not one number for each epoch")
    if not all(isinstance(one, bool) for one in state["metric_directions"].values()):
        raise ValueError("the direction of a metric must be true or false")


def _has_type(value: Any, kind: Any) -> bool:
    """Return whether a value has a type as it is written in annotations; the fields of a dataclass are checked, too."""
    outer, inner = get_origin(kind), get_args(kind)
    if outer in (Union, UnionType):
        return any(_has_type(value, one) for one in inner)
    if outer is tuple:
        return isinstance(value, tuple) and all(_has_type(one, inner[0]) for one in value)
    if outer is Mapping:
        return isinstance(value, dict) and all(
            _has_type(k, inner[0]) and _has_type(v, inner[1]) for k, v in value.items()
        )
    if kind in (int, float):
        return isinstance(value, (int, kind)) and not isinstance(value, bool)
    if isinstance(kind, type) and is_dataclass(kind):
        hints = get_type_hints(kind)
        return isinstance(value, kind) and all(_has_type(getattr(value, name), hints[name]) for name in hints)
    return isinstance(value, kind)


def _check_numbers(what: str, numbers: Any) -> None:
    """Raise a ValueError unless these are integers >= 0 in ascending order."""
    if not isinstance(numbers, list) or not all(type(one) is int and 0 <= one < _MOST_EPOCHS for one in numbers):
        raise ValueError(f"{what} must be a list of integers >= 0")
    if not _ascends(numbers):
        raise ValueError(f"{what} must be in ascending order")


def _ascends(numbers: Iterable[int]) -> bool:
    return all(one < following for one, following in itertools.pairwise(numbers))


def _is_known(value: Any) -> bool:
    return value is None or (isinstance(value, (int, float)) and not isinstance(value, bool))
