"""What a recording must leave as it was: modules, and random numbers that are not torch's."""

from __future__ import annotations

import random
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
from torch import nn

from kerastorch.training.jit.errors import UntraceableError
from kerastorch.tree import modules


@contextmanager
def watched(model: nn.Module, losses: list[nn.Module]) -> Iterator[None]:
    """Refuse a step that keeps something between calls, or draws from Python's or NumPy's random numbers.

    A graph would not: it is put back, and said.
    """
    watched = [*modules(model), *(child for loss in losses for child in loss.modules())]
    before = [(module, {key: (value, _copy(value)) for key, value in vars(module).items()}) for module in watched]
    drawn = random.getstate(), np.random.get_state()
    causes = []
    try:
        yield
    finally:
        for module, kept in before:
            for key, value in list(vars(module).items()):
                if key in ("_flat_weights", "_flat_weight_refs"):  # torch's RNNs follow their weights there
                    continue
                if key not in kept or value is not kept[key][0] or not _same(value, kept[key][1]):
                    causes.append(f"{type(module).__name__} changes its attribute {key!r} in each call")
            _put_back(module, kept)
        if random.getstate() != drawn[0] or str(np.random.get_state()) != str(drawn[1]):
            causes.append("forward draws random numbers from Python or NumPy; draw them from torch")
            random.setstate(drawn[0])
            np.random.set_state(drawn[1])
    if causes:
        raise UntraceableError(causes[0])


def _copy(value: Any) -> Any:
    return value.copy() if type(value) in (list, dict, set) else None


def _same(value: Any, copied: Any) -> bool:
    if copied is None:
        return True
    if len(value) != len(copied):
        return False
    if isinstance(value, dict):
        return all(key in copied and copied[key] is one for key, one in value.items())
    return isinstance(value, set) or all(a is b for a, b in zip(value, copied, strict=True))


def _put_back(module: nn.Module, kept: dict[str, tuple[Any, Any]]) -> None:
    own = vars(module)
    for key in set(own) - set(kept):
        del own[key]
    for key, (value, copied) in kept.items():
        own[key] = value
        if copied is not None and not _same(value, copied):
            value.clear()
            (value.extend if isinstance(value, list) else value.update)(copied)
