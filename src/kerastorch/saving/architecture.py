"""The architecture of a model: written, tried, and made again."""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any
from weakref import WeakKeyDictionary

import torch
from torch import nn
from torch.overrides import TorchFunctionMode

from kerastorch.checkpoint.state_json import pack
from kerastorch.core.errors import CheckpointError
from kerastorch.core.serialization import decode, encode, use_codec
from kerastorch.saving.deserializer import Reader, names_in
from kerastorch.saving.model_diff import describe_difference, misfit, reset
from kerastorch.saving.registry import find
from kerastorch.saving.serializer import Writer
from kerastorch.symbolic.fake_tensors import fake_mode, is_data_dependent, mute_fake_tensor_logs


def describe(model: nn.Module) -> Any:
    """A model as `encode` writes it, once it is known that the same comes out of it again.

    Raises:
        TypeError: it cannot be written, and why.
    """
    writer = Writer()
    try:
        with use_codec(writer):
            written = encode(model)
    except (AttributeError, ValueError, RecursionError) as error:
        raise TypeError(str(error)) from error
    try:
        other = _again(model, written, writer.custom)
    except Exception as error:
        if is_data_dependent(error):
            return written  # what its class computes when it is made needs numbers
        raise TypeError(f"it cannot be made again from its config: {error}") from error
    found = describe_difference(model, other)
    if found is not None:
        raise TypeError(found)
    if lost := reset(model, other):
        warnings.warn(
            f"an attribute is not in the file: {lost[0]}, when the model is loaded. Make it an argument of "
            "__init__, or a buffer.",
            stacklevel=6,
        )
    return written


_tried: WeakKeyDictionary[nn.Module, tuple[Any, nn.Module]] = WeakKeyDictionary()


def _again(model: nn.Module, written: Any, custom: Mapping[str, Any]) -> nn.Module:
    """The model that is made of what was written, without numbers; the last one, where the same was written then."""
    plain = pack(written)
    if model in _tried and not plain.tensors and _tried[model][0] == plain.json:
        return _tried[model][1]
    with _without_numbers():
        other = _made(written, custom)
    _tried[model] = plain.json, other
    return other


def rebuild(written: Any, weights: Mapping[str, Any], custom: Mapping[str, Any], where: str) -> nn.Module:
    """The model that was written; memory is taken for it when it is known that the weights are its own.

    Args:
        written: as `describe` wrote it, or as anybody may have.
        weights: the state dict in the file.
        custom: what a user's names stand for.
        where: the file, for messages.

    Raises:
        CheckpointError: names that nobody knows; weights that are not those of the model.
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
            with _without_numbers():
                wrong = misfit(_made(written, custom), weights)
        except Exception as error:
            if not is_data_dependent(error):
                raise
            wrong = None
        if wrong is not None:
            raise CheckpointError(f"{where}: {wrong}")
        return _made(written, custom)
    except CheckpointError:
        raise
    except Exception as error:
        raise CheckpointError(f"{where}: the architecture cannot be made: {error}") from error


@contextmanager
def _without_numbers() -> Iterator[None]:
    """Tensors have shapes alone, and take no memory."""
    with fake_mode(), mute_fake_tensor_logs(), _Copies():
        yield


class _Copies(TorchFunctionMode):
    """A deep copy of a tensor without numbers, which torch's own would read."""

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        if func is torch.Tensor.__deepcopy__:
            tensor, memo = args
            if id(tensor) not in memo:
                memo[id(tensor)] = tensor.detach().clone().requires_grad_(tensor.requires_grad)
            return memo[id(tensor)]
        return func(*args, **(kwargs or {}))


def _made(written: Any, custom: Mapping[str, Any]) -> nn.Module:
    with use_codec(Reader(custom, complete=True)):
        made = decode(written)
    if not isinstance(made, nn.Module):
        raise ValueError(f"there is {type(made).__name__} in the place of a model.")
    return made
