"""Random states: of the generators that everybody draws from, and of those that objects hold."""

from __future__ import annotations

import random
from collections.abc import Iterator, Mapping
from types import ModuleType
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.utils.data import DataLoader

DEPTH = 4  # attributes of attributes of ... are looked at
ITEMS = 64  # longer lists hold data


class Randomness:
    """All generators that a training draws from: those of everybody, and those that its parts hold.

    Args:
        parts: a model, datasets, loaders and their samplers: what is looked through for generators of torch, NumPy and
            Python, each time, as some are made when they are first drawn from.
    """

    def __init__(self, **parts: Any) -> None:
        self._parts = parts

    def capture(self) -> dict[str, Any]:
        """As they are now."""
        return {**capture(), "held": {place: _state(one) for place, one in self._held().items()}}

    def restore(self, state: Mapping[str, Any]) -> None:
        """Put them back; what is not here any more is passed over."""
        restore(state)
        held = self._held()
        for place, saved in state["held"].items():
            if place in held:
                _put_back(held[place], saved)

    def _held(self) -> dict[str, Any]:
        found: dict[int, tuple[str, Any]] = {}
        for place, generator in _walk(self._parts, "", DEPTH + 1, set()):
            found.setdefault(id(generator), (place, generator))
        return dict(found.values())


def capture() -> dict[str, Any]:
    """The generators of everybody, as they are now: Python's, NumPy's and torch's on every device.

    >>> before = capture()
    >>> first = torch.rand(3)
    >>> restore(before)
    >>> torch.equal(torch.rand(3), first)
    True
    """
    found = {"python": random.getstate(), "numpy": np.random.get_state(), "torch": torch.get_rng_state()}
    if torch.cuda.is_available() and torch.cuda.is_initialized():
        found["cuda"] = torch.cuda.get_rng_state_all()
    if torch.backends.mps.is_available():
        found["mps"] = torch.mps.get_rng_state()
    return found


def restore(state: Mapping[str, Any]) -> None:
    """Put them back; a device that is not here any more is passed over."""
    random.setstate(state["python"])
    np.random.set_state(state["numpy"])
    torch.set_rng_state(state["torch"])
    if "cuda" in state and torch.cuda.is_available() and len(state["cuda"]) == torch.cuda.device_count():
        torch.cuda.set_rng_state_all(state["cuda"])
    if "mps" in state and torch.backends.mps.is_available():
        torch.mps.set_rng_state(state["mps"])


_KINDS = (torch.Generator, np.random.Generator, np.random.RandomState, random.Random)
_TORCHS = ("_parameters", "_buffers", "_modules", "_non_persistent_buffers_set")


def _walk(value: Any, place: str, depth: int, seen: set[int]) -> Iterator[tuple[str, Any]]:
    if isinstance(value, _KINDS):
        if not isinstance(value, random.SystemRandom):  # which has no state
            yield place, value
        return
    if depth == 0 or id(value) in seen or isinstance(value, (type, ModuleType, Tensor, np.ndarray)):
        return
    seen.add(id(value))
    if isinstance(value, nn.Module):
        for name, part in value.named_modules():
            for key, one in vars(part).items():
                if key not in _TORCHS:
                    yield from _walk(one, f"{place}.{name}.{key}", 1, seen)
        return
    for key, one in _inside(value):
        yield from _walk(one, f"{place}.{key}", depth - 1, seen)


def _inside(value: Any) -> list[tuple[Any, Any]]:
    if isinstance(value, DataLoader):
        names = ("generator", "batch_sampler", "sampler", "dataset", "collate_fn")
        return [(name, getattr(value, name, None)) for name in names]
    if isinstance(value, (list, tuple)):
        return list(enumerate(value)) if len(value) <= ITEMS else []
    if isinstance(value, dict):
        return list(value.items()) if len(value) <= ITEMS else []
    return list(vars(value).items()) if hasattr(value, "__dict__") else []


def _state(generator: Any) -> Any:
    if isinstance(generator, np.random.Generator):
        return generator.bit_generator.state
    return generator.getstate() if isinstance(generator, random.Random) else generator.get_state()


def _put_back(generator: Any, state: Any) -> None:
    if isinstance(generator, np.random.Generator):
        generator.bit_generator.state = state
    elif isinstance(generator, random.Random):
        generator.setstate(state)
    else:
        generator.set_state(state)
