"""Deciding for each input of a model whether it becomes floats or stays integers, by calling a copy of the model.

Integers become floats only if torch would raise an error otherwise. The same rule holds for arrays, datasets and
loaders, so that integers which work in a loop of your own reach the model as integers. The `Input`s of a functional
model declare what they take; other models show it only when they are called.
"""

from __future__ import annotations

import itertools
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from weakref import WeakKeyDictionary

import torch
from torch import Tensor, nn

from kerastorch.core.errors import warn
from kerastorch.core.lazy_build import copy_module
from kerastorch.core.module_tree import is_built, is_compiled, modules
from kerastorch.core.nested import copy_leaf, leaves, map_structure
from kerastorch.core.rng_state import preserved_rng_states
from kerastorch.core.train_mode import evaluation_mode
from kerastorch.functional.functional_model import Functional
from kerastorch.layers.embedding import Embedding
from kerastorch.runtime.call_module import call_module
from kerastorch.runtime.first_layers import (
    EMBEDDINGS,
    InputKind,
    declared_input_kinds,
    kind_of_first_weights,
    unwrap_once,
)

MAX_COPIED_BYTES = 2**30  # of weights: a larger model is not copied for a trial, but called itself
MAX_TRIALS = 64  # calls of a copy
_NARROW = (torch.uint8, torch.int8, torch.int16)  # arithmetic on these overflows, and embeddings do not take them


def input_kinds(model: nn.Module, x: Any, dtype: torch.dtype) -> tuple[InputKind, ...]:
    """Return the kind that each tensor in `x` is cast to.

    The result is cached for a model and the dtypes of its inputs.

    Args:
        model: A model, built or not; it is not changed.
        x: A batch of inputs on the model's device.
        dtype: Dtype of floats in the model.

    Warns:
        UserWarning: 8- or 16-bit integers are passed unchanged, and overflow within the model.
    """
    given = tensors_in(x)
    if not given:
        return ()
    key = (
        tuple(map(id, modules(model))),
        type(x),
        tuple((name, one.dtype) for name, one in leaves(x) if isinstance(one, Tensor)),
    )
    known = _CACHE.setdefault(model, {})
    if key not in known:
        known[key] = _by_symbols(model, x, given) or _by_trials(model, x, given, dtype)
    return known[key]


_CACHE: WeakKeyDictionary[nn.Module, dict[Any, tuple[InputKind, ...]]] = WeakKeyDictionary()


def tensors_in(x: Any) -> list[Tensor]:
    """Return all tensors of a structure, in the order of `map_structure`."""
    found: list[Tensor] = []
    map_structure(lambda one: found.append(one) if isinstance(one, Tensor) else None, x)
    return found


def _by_symbols(model: nn.Module, x: Any, given: list[Tensor]) -> tuple[InputKind, ...] | None:
    """Return the kinds that the `Input`s of a functional model declare, or `None` for other models."""
    found = declared_input_kinds(model)
    if found is None:
        return None
    plan: Any = model._plan
    try:
        arranged = plan.bind((x,), {})
    except ValueError:
        return None  # the call of the model raises the error
    kinds = {id(tensor): kind for tensor, kind in zip(arranged, found, strict=True)}
    return tuple(kinds.get(id(one), "integers") for one in given)


def _by_trials(model: nn.Module, x: Any, given: list[Tensor], dtype: torch.dtype) -> tuple[InputKind, ...]:
    """Return the kinds that need the fewest casts until a copy of the model can be called.

    If no call succeeds, the first module with weights decides for a single input, and others keep their dtypes.
    """
    as_given: tuple[InputKind, ...] = tuple(map(kind_of_dtype, given))
    looks_up = any(isinstance(part, EMBEDDINGS) for part in modules(model))
    for choice in itertools.islice(_choices(given, looks_up), MAX_TRIALS):
        outputs = _trial_outputs(model, x, given, choice, dtype)
        if outputs is not None:
            _warn_of_overflow(model, x, given, choice, dtype, outputs)
            return choice
    first = kind_of_first_weights(modules(model)) if len(given) == 1 else None
    return as_given if first is None else (first,)


def _choices(given: list[Tensor], looks_up: bool) -> Iterator[tuple[InputKind, ...]]:
    """Yield combinations of kinds, those with the fewest casts first, and casts of bools last.

    Args:
        given: The inputs.
        looks_up: Whether the model has embeddings, whose indices may come as floats.
    """

    def options(one: Tensor) -> tuple[InputKind, ...]:
        if one.is_floating_point():
            return ("floats", "indices") if looks_up else ("floats",)
        return ("integers", "floats", "indices") if one.dtype in _NARROW else ("integers", "floats")

    def changes(choice: tuple[InputKind, ...]) -> tuple[int, int]:
        changed = [one for one, kind in zip(given, choice, strict=True) if kind != kind_of_dtype(one)]
        return sum(one.dtype == torch.bool for one in changed), len(changed)

    if len(given) <= 6:
        yield from sorted(itertools.product(*map(options, given)), key=changes)
        return
    whole: tuple[InputKind, ...] = tuple(map(kind_of_dtype, given))
    yield whole
    for at, one in enumerate(given):
        if not one.is_floating_point():
            yield (*whole[:at], "floats", *whole[at + 1 :])
    yield tuple("integers" if one.dtype == torch.bool else "floats" for one in given)


def kind_of_dtype(tensor: Tensor) -> InputKind:
    """Return the kind that a tensor is by its own dtype."""
    return "floats" if tensor.is_floating_point() else "integers"


def cast_input(tensor: Tensor, kind: InputKind, dtype: torch.dtype) -> Tensor:
    """Cast a tensor to an input of a kind, for a model that computes with floats of `dtype`.

    Raises:
        ValueError: The kind is `"indices"`, and values have a fraction.
    """
    if kind == "indices":
        return _to_indices(tensor)
    changes = tensor.dtype != dtype and (kind == "floats" or tensor.is_floating_point())
    return tensor.to(dtype) if changes else tensor


def _to_indices(tensor: Tensor) -> Tensor:
    """Return a tensor as int64 or int32 indices."""
    if tensor.dtype in (torch.int64, torch.int32):
        return tensor
    if tensor.is_floating_point():
        broken = tensor != tensor.round()
        if bool(broken.any()):
            raise ValueError(f"x goes into an embedding and must hold whole numbers, got {float(tensor[broken][0]):g}.")
    return tensor.to(torch.int64)


def _trial_outputs(
    model: nn.Module, x: Any, given: list[Tensor], choice: tuple[InputKind, ...], dtype: torch.dtype
) -> Any:
    """Return the outputs of a copy of the model for inputs cast to these kinds.

    `None` if the call raises.
    """
    try:
        changed = iter([cast_input(one, kind, dtype).clone() for one, kind in zip(given, choice, strict=True)])
        with _without_traces(model):
            twin = _copy_to_call(model)
            with evaluation_mode(twin), torch.no_grad(), _no_floats_looked_up(twin):
                # objects are copied, too, since a model may write into them
                return call_module(
                    twin, map_structure(lambda one: next(changed) if isinstance(one, Tensor) else copy_leaf(one), x)
                )
    except Exception:  # if no cast helps, the real call raises the error
        return None


@contextmanager
def _no_floats_looked_up(twin: nn.Module) -> Iterator[None]:
    """Make the embeddings of kerastorch raise on floats within the block, as those of torch do.

    Outside of the block they truncate floats to integers.
    """

    def refuse(_: nn.Module, args: tuple[Any, ...]) -> None:
        if isinstance(args[0], Tensor) and args[0].is_floating_point():
            raise TypeError("an embedding is given floats")

    handles = [part.register_forward_pre_hook(refuse) for part in modules(twin) if isinstance(part, Embedding)]
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()


@contextmanager
def _without_traces(model: nn.Module) -> Iterator[None]:
    """Restore random states at the end of the block, and disable compilation and warnings within it."""
    with preserved_rng_states(), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        if not any(map(is_compiled, modules(model))):
            yield
            return
        with torch.compiler.set_stance("force_eager"):
            yield


def _copy_to_call(model: nn.Module) -> nn.Module:
    """Return a copy of a model, whose buffers may change.

    A large model, and one that cannot be copied, is returned itself.
    """
    inner = unwrap_once(model)
    while inner is not model and type(model).forward is not Functional.forward:
        model, inner = inner, unwrap_once(inner)
    size = sum(weight.nbytes for weight in model.parameters()) if is_built(model) else 0
    if size > MAX_COPIED_BYTES:
        return model
    try:
        return copy_module(model)
    except Exception:
        if is_built(model):
            return model
        raise


def _warn_of_overflow(
    model: nn.Module, x: Any, given: list[Tensor], choice: tuple[InputKind, ...], dtype: torch.dtype, outputs: Any
) -> None:
    """Warn if outputs for 8- or 16-bit integers differ from those for the same values in int64."""
    narrow = [at for at, one in enumerate(given) if one.dtype in _NARROW and choice[at] == "integers"]
    if not narrow:
        return
    found = [outputs]
    for kind in ("indices", "floats"):
        wider: Any = tuple(kind if at in narrow else one for at, one in enumerate(choice))
        found.append(_trial_outputs(model, x, given, wider, dtype))
    as_given, as_long, as_floats = (None if one is None else tensors_in(one) for one in found)
    if as_given and as_long and as_floats and _are_close(as_long, as_floats) and not _are_close(as_given, as_long):
        name = str(given[narrow[0]].dtype).removeprefix("torch.")
        warn(
            f"x is {name} and goes into the model as it is, where its arithmetic overflows: the outputs differ "
            "from those for the same numbers as floats. Pass x as floats, x.astype('float32') or x.float()."
        )


def _are_close(first: list[Tensor], second: list[Tensor]) -> bool:
    return len(first) == len(second) and all(
        one.shape == other.shape and torch.allclose(one.double(), other.double(), rtol=1e-4, atol=1e-5, equal_nan=True)
        for one, other in zip(first, second, strict=True)
    )
