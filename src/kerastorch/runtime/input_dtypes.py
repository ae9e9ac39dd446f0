"""Which inputs of a model become floats, and which stay integers: decided for each by itself, by a call of a copy."""

from __future__ import annotations

import copy
import itertools
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from weakref import WeakKeyDictionary

import torch
from torch import Tensor, nn

from kerastorch.core.errors import warn
from kerastorch.core.module_tree import is_built, is_compiled, modules
from kerastorch.core.nested import leaves, map_structure
from kerastorch.core.rng_state import preserved_rng_states
from kerastorch.core.train_mode import evaluation_mode
from kerastorch.functional.functional_model import Functional
from kerastorch.layers.embedding import Embedding
from kerastorch.runtime.call_module import call_module
from kerastorch.runtime.first_layers import EMBEDDINGS, Kind, declared, first_with_weights, within

LARGE = 2**30  # bytes of weights: a larger model is not copied for a trial
TRIALS = 64  # at most
_NARROW = (torch.uint8, torch.int8, torch.int16)  # arithmetic on these overflows, and embeddings do not take them


def kinds(model: nn.Module, x: Any, dtype: torch.dtype) -> tuple[Kind, ...]:
    """Decide for each tensor in `x`, in its order; once for a model and inputs of these dtypes.

    Args:
        model: built or not; it is left as it is.
        x: a batch of inputs on the model's device.
        dtype: what floats are computed in.

    Warns:
        UserWarning: integers of few bits are taken as they are, and the model gives other outputs where they do not
            overflow.
    """
    given = tensors_in(x)
    key = (
        tuple(map(id, modules(model))),
        type(x),
        tuple((name, one.dtype) for name, one in leaves(x) if isinstance(one, Tensor)),
    )
    known = _KNOWN.setdefault(model, {})
    if key not in known:
        known[key] = _by_symbols(model, x, given) or _tried(model, x, given, dtype)
    return known[key]


_KNOWN: WeakKeyDictionary[nn.Module, dict[Any, tuple[Kind, ...]]] = WeakKeyDictionary()


def tensors_in(x: Any) -> list[Tensor]:
    """All tensors of `x`, in the order in which `map_structure` meets them."""
    found: list[Tensor] = []
    map_structure(lambda one: found.append(one) if isinstance(one, Tensor) else None, x)
    return found


def _by_symbols(model: nn.Module, x: Any, given: list[Tensor]) -> tuple[Kind, ...] | None:
    found = declared(model)
    if found is None:
        return None
    plan: Any = model._plan
    try:
        arranged = plan.bind((x,), {})
    except ValueError:
        return None  # the call of the model will say what is wrong
    of = {id(tensor): kind for tensor, kind in zip(arranged, found, strict=True)}
    return tuple(of.get(id(one), "integers") for one in given)


def _tried(model: nn.Module, x: Any, given: list[Tensor], dtype: torch.dtype) -> tuple[Kind, ...]:
    """The fewest changes with which a copy of the model can be called on the batch; none if it never can."""
    as_given: tuple[Kind, ...] = tuple("floats" if one.is_floating_point() else "integers" for one in given)
    looks_up = any(isinstance(part, EMBEDDINGS) for part in modules(model))
    for choice in itertools.islice(_choices(given, looks_up), TRIALS):
        outputs = _outputs(model, x, given, choice, dtype)
        if outputs is not None:
            _warn_of_overflow(model, x, given, choice, dtype, outputs)
            return choice
    first = first_with_weights(modules(model)) if len(given) == 1 else None
    return as_given if first is None else (first,)


def _choices(given: list[Tensor], looks_up: bool) -> Iterator[tuple[Kind, ...]]:
    """All ways to take the inputs, those with the fewest changes first, and bools as what they are while possible.

    Args:
        given: the inputs.
        looks_up: the model has embeddings, which floats may be meant for.
    """

    def options(one: Tensor) -> tuple[Kind, ...]:
        if one.is_floating_point():
            return ("floats", "indices") if looks_up else ("floats",)
        return ("integers", "floats", "indices") if one.dtype in _NARROW else ("integers", "floats")

    def changes(choice: tuple[Kind, ...]) -> tuple[int, int]:
        changed = [
            one
            for one, kind in zip(given, choice, strict=True)
            if kind != ("floats" if one.is_floating_point() else "integers")
        ]
        return sum(one.dtype == torch.bool for one in changed), len(changed)

    if len(given) <= 6:
        yield from sorted(itertools.product(*map(options, given)), key=changes)
        return
    whole: tuple[Kind, ...] = tuple("floats" if one.is_floating_point() else "integers" for one in given)
    yield whole
    for at, one in enumerate(given):
        if not one.is_floating_point():
            yield (*whole[:at], "floats", *whole[at + 1 :])
    yield tuple("integers" if one.dtype == torch.bool else "floats" for one in given)


def cast(tensor: Tensor, kind: Kind, dtype: torch.dtype) -> Tensor:
    """`tensor` as an input of this kind, for a model that computes floats in `dtype`.

    Raises:
        ValueError: numbers that are not whole, to be looked up.
    """
    if kind == "indices":
        return _whole(tensor)
    changes = tensor.dtype != dtype and (kind == "floats" or tensor.is_floating_point())
    return tensor.to(dtype) if changes else tensor


def _whole(tensor: Tensor) -> Tensor:
    if tensor.dtype in (torch.int64, torch.int32):
        return tensor
    if tensor.is_floating_point():
        broken = tensor != tensor.round()
        if bool(broken.any()):
            raise ValueError(f"x goes into an embedding and must hold whole numbers, got {float(tensor[broken][0]):g}.")
    return tensor.to(torch.int64)


def _outputs(model: nn.Module, x: Any, given: list[Tensor], choice: tuple[Kind, ...], dtype: torch.dtype) -> Any:
    """What a copy of the model returns for inputs taken like this; `None` where it raises."""
    try:
        changed = iter([cast(one, kind, dtype).clone() for one, kind in zip(given, choice, strict=True)])
        with _unseen(model):
            twin = _copied(model)
            with evaluation_mode(twin), torch.no_grad(), _no_floats_looked_up(twin):
                return call_module(
                    twin, map_structure(lambda one: next(changed) if isinstance(one, Tensor) else one, x)
                )
    except Exception:  # the call that follows will say what is wrong, if anything is
        return None


@contextmanager
def _no_floats_looked_up(twin: nn.Module) -> Iterator[None]:
    """Embeddings of kerastorch refuse floats meanwhile, as torch's do; otherwise they cut them to integers."""

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
def _unseen(model: nn.Module) -> Iterator[None]:
    """Random numbers drawn meanwhile are put back, nothing is compiled, nothing is said."""
    with preserved_rng_states(), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        if not any(map(is_compiled, modules(model))):
            yield
            return
        with torch.compiler.set_stance("force_eager"):
            yield


def _copied(model: nn.Module) -> nn.Module:
    """A copy to be called, whose buffers may change; the model itself where it is large, or cannot be copied."""
    inner = within(model)
    while inner is not model and type(model).forward is not Functional.forward:
        model, inner = inner, within(inner)
    size = sum(weight.nbytes for weight in model.parameters()) if is_built(model) else 0
    if size > LARGE:
        return model
    try:
        return copy.deepcopy(model)
    except Exception:
        if is_built(model):
            return model
        raise


def _warn_of_overflow(
    model: nn.Module, x: Any, given: list[Tensor], choice: tuple[Kind, ...], dtype: torch.dtype, outputs: Any
) -> None:
    """Integers of few bits on which the model computes something else than on the same numbers in more bits."""
    narrow = [at for at, one in enumerate(given) if one.dtype in _NARROW and choice[at] == "integers"]
    if not narrow:
        return
    found = [outputs]
    for kind in ("indices", "floats"):
        wider: Any = tuple(kind if at in narrow else one for at, one in enumerate(choice))
        found.append(_outputs(model, x, given, wider, dtype))
    as_given, as_long, as_floats = (None if one is None else tensors_in(one) for one in found)
    if as_given and as_long and as_floats and _equal(as_long, as_floats) and not _equal(as_given, as_long):
        name = str(given[narrow[0]].dtype).removeprefix("torch.")
        warn(
            f"x is {name} and goes into the model as it is, where its arithmetic overflows: on the same numbers as "
            "floats the outputs are others. Pass x as floats, x.astype('float32') or x.float()."
        )


def _equal(first: list[Tensor], second: list[Tensor]) -> bool:
    return len(first) == len(second) and all(
        one.shape == other.shape and torch.allclose(one.double(), other.double(), rtol=1e-4, atol=1e-5, equal_nan=True)
        for one, other in zip(first, second, strict=True)
    )
