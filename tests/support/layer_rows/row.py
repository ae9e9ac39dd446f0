"""A row of the table of layers: how it is made, what it is given, and what must come out."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch

from kerastorch.layers import Layer


def numbers(*shape: int, seed: int = 1) -> torch.Tensor:
    """Normal numbers, the same at each call."""
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


def integers(high: int, *shape: int, seed: int = 1) -> torch.Tensor:
    """Integers below `high`, the same at each call."""
    return torch.randint(high, shape, generator=torch.Generator().manual_seed(seed))


@dataclass(frozen=True)
class Row:
    """What each test of the table goes by.

    Args:
        make: the layer.
        inputs: makes the tuple of what it is called on: tensors, or a list of tensors; the first axis is the batch.
        oracle: `oracle(layer, *inputs)` in evaluation mode: plain torch with the layer's weights, or NumPy.
        training: the same in training mode where that is another formula; `"random"` where numbers are drawn (then
            the family's own tests say what comes out); `None` where it is the same.
        gradients: whether it has gradients to be compared.
        sizes_vary: whether `Input` may leave the axes after the batch open (`None`), all but the last.
        exports: whether `torch.export` must take it; `False` needs a reason beside the row.
        compiles: whether `torch.compile(fullgraph=True)` must take it; `False` needs a reason beside the row.
        casts: whether `.to(torch.float64)` makes it compute in float64.
    """

    make: Callable[[], Layer]
    inputs: Callable[[], tuple[Any, ...]]
    oracle: Callable[..., Any]
    training: Any = None
    gradients: bool = True
    sizes_vary: bool = False
    exports: bool = True
    compiles: bool = True
    casts: bool = True
    narrows: bool = True
