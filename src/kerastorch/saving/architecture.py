"""Encode the architecture of a model, check that the model can be made again from it, and decode it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any
from weakref import WeakKeyDictionary

import torch
from torch import nn
from torch.overrides import TorchFunctionMode

from kerastorch.checkpoint.state_json import pack
from kerastorch.core.errors import CheckpointError, warn
from kerastorch.core.serialization import decode, encode, use_codec
from kerastorch.saving.deserializer import Reader, names_in
from kerastorch.saving.model_diff import changed_attributes, describe_difference, describe_misfit
from kerastorch.saving.registry import find
from kerastorch.saving.serializer import Writer
from kerastorch.symbolic.fake_tensors import fake_mode, is_data_dependent, mute_fake_tensor_logs


def describe(model: nn.Module) -> Any:
    """Return the encoded architecture of a model, after checking that decoding it makes an equal model.

    Raises:
        TypeError: The model cannot be encoded, or decoding makes a different model; the message gives the reason.

    Warns:
        UserWarning: An attribute of one of the user's modules has another value in the decoded model.
    """
    writer = Writer()
    try:
        with use_codec(writer):
            written = encode(model)
    except (AttributeError, ValueError, RecursionError) as error:
        raise TypeError(str(error)) from error
    try:
        other = _remake_on_fakes(model, written, writer.custom)
    except Exception as error:
        if is_data_dependent(error):
            return written  # its __init__ needs values of tensors, so it cannot be tried on fake tensors
        raise TypeError(f"it cannot be made again from its config: {error}") from error
    difference = describe_difference(model, other)
    if difference is not None:
        raise TypeError(difference)
    if lost := changed_attributes(model, other):
        warn(
            f"an attribute is not in the file: {lost[0]}, when the model is loaded. Make it an argument of "
            "__init__, or a buffer."
        )
    return written


# model -> the JSON of its last encoded architecture, and the model made from it
_cache: WeakKeyDictionary[nn.Module, tuple[Any, nn.Module]] = WeakKeyDictionary()


def _remake_on_fakes(model: nn.Module, written: Any, custom: Mapping[str, Any]) -> nn.Module:
    """Return the model made from an encoded architecture, on fake tensors; cached as long as the encoding stays."""
    packed = pack(written)
    if model in _cache and not packed.tensors and _cache[model][0] == packed.json:
        return _cache[model][1]
    with on_fake_tensors():
        other = _decode_module(written, custom)
    _cache[model] = packed.json, other
    return other


def rebuild(written: Any, weights: Mapping[str, Any], custom: Mapping[str, Any], where: str) -> nn.Module:
    """Return the model of an encoded architecture, with arbitrary weights.

    The model is made on fake tensors first, and its names and shapes are compared with `weights`. So a file cannot make
    a model take memory that its weights do not need.

    Args:
        written: An encoded architecture, possibly from an untrusted file.
        weights: The state dict in the file.
        custom: The user's classes and functions by name.
        where: The file, for messages.

    Raises:
        CheckpointError: A name is not known, the model cannot be made, or the weights do not fit it.
    """
    missing = sorted({name for name in names_in(written) if find(name, custom) is None})
    if missing:
        names = ", ".join(map(repr, missing))
        given = ", ".join(f"{name!r}: {name.rpartition('>')[2]}" for name in missing)
        raise CheckpointError(
            f"{where} uses {names}, which kerastorch does not know. Give load_model custom_objects={{{given}}}, or put "
            "@kerastorch.saving.register_keras_serializable() before the definition."
        )
    try:
        try:
            with on_fake_tensors():
                misfit = describe_misfit(_decode_module(written, custom), weights)
        except Exception as error:
            if not is_data_dependent(error):
                raise
            misfit = None
        if misfit is not None:
            raise CheckpointError(f"{where}: {misfit}")
        return _decode_module(written, custom)
    except CheckpointError:
        raise
    except Exception as error:
        raise CheckpointError(f"{where}: the architecture cannot be made: {error}") from error


@contextmanager
def on_fake_tensors() -> Iterator[None]:
    """Let tensors made meanwhile be fake: they have shapes but no values, and take no memory."""
    with fake_mode(), mute_fake_tensor_logs(), _DeepCopyOfFakes():
        yield


class _DeepCopyOfFakes(TorchFunctionMode):
    """A mode in which `copy.deepcopy` works for fake tensors; torch's own would read their values."""

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        if func is torch.Tensor.__deepcopy__:
            tensor, memo = args
            if id(tensor) not in memo:
                memo[id(tensor)] = tensor.detach().clone().requires_grad_(tensor.requires_grad)
            return memo[id(tensor)]
        return func(*args, **(kwargs or {}))


def _decode_module(written: Any, custom: Mapping[str, Any]) -> nn.Module:
    """Return the module of an encoded architecture; its shapes are in the encoding, its weights come later."""
    with use_codec(Reader(custom, complete=True)):
        made = decode(written)
    if not isinstance(made, nn.Module):
        raise ValueError(f"there is {type(made).__name__} in the place of a model.")
    return made
