"""Rehearsal: a copy of a model is tried on a few rows, to see whether another memory format changes what it does."""

from __future__ import annotations

import copy
import random
import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

from kerastorch.core.nested import leaves, map_structure
from kerastorch.runtime.call_module import call

ROWS = 4  # more than one, so that a view that folds channels into the batch is found out
# torch's functions that channels-last makes faster in training; convolutions alone gain little, or lose
_GAINS = {"max_pool2d", "max_pool3d", "avg_pool2d", "avg_pool3d", "batch_norm"}


def agrees(model: nn.Module, x: Any, arrange: Callable[[Any], Any]) -> bool:
    """Whether `model` does with `arrange(x)` what it does with `x`, and is likely to do it faster.

    A copy is called, in evaluation and in training mode, each time from the same random state, which is put back.
    Outputs must be the same up to rounding and lie in memory alike; a backward pass must work. Whatever goes wrong,
    the answer is no: where the model itself is at fault, it will say so when it is used.
    """
    rewind = _random_states()
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            few = map_structure(lambda leaf: leaf.detach()[torch.arange(ROWS) % len(leaf)].contiguous(), x)
            twin = copy.deepcopy(model)
            for training in (False, True):
                rewind()
                with _Called() as called:
                    expected = _outputs(twin, map_structure(torch.clone, few), training)
                if not called.names & _GAINS:
                    return False
                rewind()
                if not _alike(expected, _outputs(twin, arrange(map_structure(torch.clone, few)), training)):
                    return False
        return True
    except Exception:
        return False
    finally:
        rewind()


def _outputs(model: nn.Module, x: Any, training: bool) -> list[Tensor]:
    model.train(training)
    with torch.set_grad_enabled(training):
        found = [leaf for _, leaf in leaves(call(model, x))]
        learning = [leaf for leaf in found if leaf.requires_grad]
        if learning:
            torch.stack([leaf.sum() for leaf in learning]).sum().backward()
    return [leaf.detach() for leaf in found]


def _alike(first: list[Tensor], second: list[Tensor]) -> bool:
    return len(first) == len(second) and all(map(_close, first, second))


def _close(a: Tensor, b: Tensor) -> bool:
    if a.shape != b.shape or a.dtype != b.dtype or not (a.stride() == b.stride() or _contiguous(a, b)):
        return False
    size = float(a.abs().max()) if a.numel() else 0.0
    tolerance = 1e-4 if a.dtype == torch.float32 else 2e-2
    return torch.allclose(a, b, rtol=10 * tolerance, atol=tolerance * size, equal_nan=True)


def _contiguous(*tensors: Tensor) -> bool:
    return all(tensor.is_contiguous() for tensor in tensors)


class _Called(TorchFunctionMode):
    """The names of the torch functions called meanwhile."""

    def __init__(self) -> None:
        super().__init__()
        self.names: set[str] = set()

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        self.names.add(getattr(func, "__name__", ""))
        return func(*args, **(kwargs or {}))


def _random_states() -> Callable[[], None]:
    """A function that puts the random states back to what they are now: torch's, Python's and NumPy's."""
    states = torch.get_rng_state(), random.getstate(), np.random.get_state()

    def rewind() -> None:
        torch.set_rng_state(states[0])
        random.setstate(states[1])
        np.random.set_state(states[2])

    return rewind
