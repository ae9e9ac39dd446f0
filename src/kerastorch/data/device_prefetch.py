"""Carry: pieces of arrays on the CPU go to an accelerator without anybody waiting."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import torch
from torch import Tensor

from kerastorch.core.nested import map_structure
from kerastorch.data.prefetch import ahead

Carry = Callable[[Iterator[Any]], Iterator[Any]]


def carrier(device: torch.device) -> Carry | None:
    """What brings pieces to `device`; `None` where pinned memory is of no use: there batches are copied."""
    return partial(carried, device=device, pin=Tensor.pin_memory) if device.type in ("cuda", "xpu") else None


def carried(
    pieces: Iterator[Any], *, device: torch.device, pin: Callable[[Tensor], Tensor] = lambda tensor: tensor
) -> Iterator[Any]:
    """The pieces (tensors, nested as batches are) on `device`.

    The next is gathered and pinned by a background thread while this one is used; the copy itself is made by the
    thread that uses it, so that it lies on that thread's stream, and it does not block.
    """

    def pinned(tensor: Tensor | None) -> Tensor | None:
        return pin(tensor) if tensor is not None and tensor.device.type == "cpu" else tensor

    def copied(tensor: Tensor | None) -> Tensor | None:
        return None if tensor is None else tensor.to(device, non_blocking=True)

    for piece in ahead(map_structure(pinned, piece) for piece in pieces):
        yield map_structure(copied, piece)
