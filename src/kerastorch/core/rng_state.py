"""Capturing and restoring random states: of the global generators, and of generators that objects hold."""

from __future__ import annotations

import functools
import random
from abc import ABC, abstractmethod
from collections import deque
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from types import FunctionType, MethodType, ModuleType
from typing import Any

import numpy as np
import torch
from torch import Tensor

from kerastorch.core.errors import warn

MAX_OBJECTS = 20_000  # the search for generators visits no more objects: further ones are data
MAX_ITEMS = 1000  # longer lists and dicts are data and are not searched


class RandomStates:
    """The states of all generators that a training draws from: global ones, and those that its parts hold.

    A dataset, sampler or transform may hold a generator of its own, often in a closure, and has no interface to
    report it. Therefore generators are searched.

    Args:
        wanted: Whether a checkpoint will be written; if not, nothing is searched, and `capture` returns an empty dict.
        parts: Data, model, losses and callbacks by name. Generators of torch, NumPy and Python are searched in their
            attributes, lists, dicts and closures. Each capture searches again, since some are created on first use.
    """

    def __init__(self, wanted: bool = True, **parts: Any) -> None:
        self._wanted, self._parts = wanted, parts

    def capture(self) -> dict[str, Any]:
        """Return the current states."""
        if not self._wanted:
            return {}
        return {
            **capture_rng_states(),
            "held": {place: _generator_state(one) for place, one in _find_generators(self._parts).items()},
        }

    def restore(self, state: Mapping[str, Any]) -> None:
        """Restore what `capture` returned.

        Warns:
            UserWarning: A generator is missing or has not been created yet.
        """
        restore_rng_states(state)
        held = _find_generators(self._parts)
        for place, saved in state["held"].items():
            if place in held:
                _restore_generator(held[place], saved)
            else:
                warn(
                    f"{place[1:]}: the random generator of the checkpoint is not here, or not yet, "
                    "and starts from its initial state. "
                    "Make it before fit, not when it is first drawn from."
                )


def capture_rng_states() -> dict[str, Any]:
    """Return the states of the global generators of Python, NumPy and torch on each device.

    >>> before = capture_rng_states()
    >>> first = torch.rand(3)
    >>> restore_rng_states(before)
    >>> torch.equal(torch.rand(3), first)
    True
    """
    found = {**capture_host_rng_states(), "torch": torch.get_rng_state()}
    if torch.cuda.is_available() and torch.cuda.is_initialized():
        found["cuda"] = torch.cuda.get_rng_state_all()
    if torch.backends.mps.is_available():
        found["mps"] = torch.mps.get_rng_state()
    return found


def restore_rng_states(state: Mapping[str, Any]) -> None:
    """Restore what `capture_rng_states` returned; devices that this machine lacks are skipped."""
    restore_host_rng_states(state)
    torch.set_rng_state(state["torch"])
    if "cuda" in state and torch.cuda.is_available() and len(state["cuda"]) == torch.cuda.device_count():
        torch.cuda.set_rng_state_all(state["cuda"])
    if "mps" in state and torch.backends.mps.is_available():
        torch.mps.set_rng_state(state["mps"])


@contextmanager
def preserved_rng_states() -> Iterator[None]:
    """Restore the global generators of Python, NumPy and torch at the end of the block.

    >>> with preserved_rng_states():
    ...     first = torch.rand(3)
    >>> torch.equal(torch.rand(3), first)
    True
    """
    before = capture_rng_states()
    try:
        yield
    finally:
        restore_rng_states(before)


def capture_host_rng_states() -> dict[str, Any]:
    """Return the states of the global generators of Python and NumPy."""
    return {"python": random.getstate(), "numpy": np.random.get_state()}


def restore_host_rng_states(state: Mapping[str, Any]) -> None:
    """Restore what `capture_host_rng_states` returned."""
    random.setstate(state["python"])
    np.random.set_state(state["numpy"])


def host_rng_states_changed(since: Mapping[str, Any]) -> bool:
    """Return whether the generators of Python or NumPy were drawn from since their capture."""
    now = capture_host_rng_states()
    return bool(now["python"] != since["python"]) or str(now["numpy"]) != str(since["numpy"])


class CountedGenerator(ABC):
    """Base of random generators that are no objects of torch, NumPy or Python, such as those of seeded layers."""

    @abstractmethod
    def get_state(self) -> Any:
        """Return the state."""

    @abstractmethod
    def set_state(self, state: Any) -> None:
        """Restore what `get_state` returned."""


_GENERATOR_TYPES = (torch.Generator, np.random.Generator, np.random.RandomState, random.Random, CountedGenerator)
_LEAF_TYPES = (int, float, complex, str, bytes, type(None), type, ModuleType, Tensor, np.ndarray, np.generic)


def _find_generators(parts: dict[str, Any]) -> dict[str, Any]:
    """Return the generators within `parts` by their path, those of the shortest paths first."""
    found: dict[str, Any] = {}
    seen: dict[int, Any] = {}  # by id; holding the objects prevents the reuse of an id
    due = deque(("." + name, part) for name, part in parts.items())
    while due and len(seen) < MAX_OBJECTS:
        place, value = due.popleft()
        if isinstance(value, _LEAF_TYPES) or id(value) in seen:
            continue
        seen[id(value)] = value
        if isinstance(value, _GENERATOR_TYPES):
            if _is_captured(value, place):
                found[place] = value
            continue
        due.extend((f"{place}.{name}", one) for name, one in _children(value))
    return found


def _is_captured(generator: Any, place: str) -> bool:
    """Return whether a generator has a state that nothing else captures.

    A `SystemRandom` has no state. Those of layers are part of the state of the model, except in layers within data.
    """
    if isinstance(generator, CountedGenerator):
        return place.startswith((".data.", ".validation."))
    return not isinstance(generator, random.SystemRandom)


def _children(value: Any) -> Iterator[tuple[Any, Any]]:
    """Yield the name and value of each item, attribute or captured variable of an object."""
    if isinstance(value, (list, tuple)):
        return iter(enumerate(value) if len(value) <= MAX_ITEMS else ())
    if isinstance(value, dict):
        return ((_key(key, number), one) for number, (key, one) in enumerate(_short_items(value)))
    if isinstance(value, (FunctionType, MethodType, functools.partial)):
        return enumerate(_function_contents(value))
    slots = [name for part in type(value).__mro__ for name in _names(vars(part).get("__slots__", ()))]
    own = {**{name: getattr(value, name, None) for name in slots}, **getattr(value, "__dict__", {})}
    return ((name, one) for name, one in own.items() if name not in _SKIPPED_ATTRIBUTES)


def _key(key: Any, number: int) -> str:
    """Return a name for the key of a dict that is the same in another process.

    The `repr` of an object may contain its address, and that of a tensor is slow.
    """
    return repr(key) if isinstance(key, (str, int)) else f"key {number}"


def _short_items(value: dict[Any, Any]) -> list[tuple[Any, Any]]:
    return list(value.items()) if len(value) <= MAX_ITEMS else []


def _names(slots: Any) -> list[str]:
    names = [slots] if isinstance(slots, str) else list(slots)
    return [name for name in names if name not in ("__dict__", "__weakref__")]


def _function_contents(function: Any) -> list[Any]:
    """Return the arguments of a partial, or the closure variables and defaults of a function."""
    if isinstance(function, functools.partial):
        return [function.func, function.args, function.keywords]
    if isinstance(function, MethodType):
        return [function.__self__, function.__func__]
    cells = [cell.cell_contents for cell in function.__closure__ or () if _has_value(cell)]
    return [cells, function.__defaults__, function.__kwdefaults__]


def _has_value(cell: Any) -> bool:
    try:
        return cell.cell_contents is not None
    except ValueError:  # the variable has no value yet
        return False


# weights, the workers of a loader, and what a model knows of its training: none holds a generator of the user
_SKIPPED_ATTRIBUTES = {"_parameters", "_buffers", "_iterator", "_trainer", "history"}


def _generator_state(generator: Any) -> Any:
    if isinstance(generator, np.random.Generator):
        return generator.bit_generator.state
    return generator.getstate() if isinstance(generator, random.Random) else generator.get_state()


def _restore_generator(generator: Any, state: Any) -> None:
    if isinstance(generator, np.random.Generator):
        generator.bit_generator.state = state
    elif isinstance(generator, random.Random):
        generator.setstate(state)
    else:
        generator.set_state(state)
