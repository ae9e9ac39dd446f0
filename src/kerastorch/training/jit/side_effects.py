"""What a recording must leave as it was: modules, and random numbers that are not torch's."""

from __future__ import annotations

import copy
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np

from kerastorch.core.rng_state import capture_host_rng_states, host_rng_states_changed, restore_host_rng_states
from kerastorch.core.torch_private import RNN_WEIGHT_MIRRORS
from kerastorch.training.jit.errors import UntraceableError


@contextmanager
def forbid_side_effects(objects: Iterable[Any]) -> Iterator[None]:
    """Refuse a step that keeps something between calls, or draws from Python's or NumPy's random numbers.

    A graph would not: it is put back, and said.

    Args:
        objects: modules and losses.
    """
    before = [
        (one, {key: (value, _copy(value)) for key, value in vars(one).items()}) for one in objects if one is not None
    ]
    drawn = capture_host_rng_states()
    causes = []
    try:
        yield
    finally:
        for one, kept in before:
            for key, value in list(vars(one).items()):
                if key in RNN_WEIGHT_MIRRORS:  # torch's RNNs follow their weights there
                    continue
                if key not in kept or value is not kept[key][0] or not _same(value, kept[key][1]):
                    causes.append(f"{type(one).__name__} changes its attribute {key!r} in each call")
            _put_back(one, kept)
        if host_rng_states_changed(drawn):
            causes.append("forward draws random numbers from Python or NumPy; draw them from torch")
            restore_host_rng_states(drawn)
    if causes:
        raise UntraceableError(causes[0])


def _copy(value: Any) -> Any:
    return copy.copy(value) if isinstance(value, (list, dict, set, np.ndarray)) else None


def _same(value: Any, copied: Any) -> bool:
    if copied is None:
        return True
    if isinstance(value, np.ndarray):
        return np.array_equal(value, copied)
    if len(value) != len(copied):
        return False
    if isinstance(value, dict):
        return all(key in copied and copied[key] is one for key, one in value.items())
    return isinstance(value, set) or all(a is b for a, b in zip(value, copied, strict=True))


def _put_back(one: Any, kept: dict[str, tuple[Any, Any]]) -> None:
    own = vars(one)
    for key in set(own) - set(kept):
        del own[key]
    for key, (value, copied) in kept.items():
        own[key] = value
        if copied is None or _same(value, copied):
            continue
        if isinstance(value, np.ndarray):
            value[...] = copied
        else:
            value.clear()
            (value.extend if isinstance(value, list) else value.update)(copied)
