"""Prefetching: a background thread prepares the next item of an iterator while the current one is used."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any, Generic, TypeVar

import torch
from torch import Tensor

from kerastorch.core.nested import map_structure

T = TypeVar("T")


def prefetch(items: Iterator[T]) -> Iterator[T]:
    """Yield the same items, each prepared by a background thread while the last one is used.

    A new thread prepares each item and ends with it, so that no thread is left behind when the loop ends early. An
    error in the iterator is raised in place of its item.
    """
    pending: _PendingItem[T] | None = _PendingItem(items)
    try:
        while pending is not None and pending.wait():
            current, pending = pending, None
            pending = _PendingItem(items)
            yield current.item
    finally:
        if pending is not None:
            pending.thread.join()


class _PendingItem(Generic[T]):
    """An item that a background thread is preparing."""

    item: T

    def __init__(self, items: Iterator[T]) -> None:
        self._items = items
        self._error: BaseException | None = None
        self._is_exhausted = False
        self.thread = threading.Thread(target=self._fetch, name="kerastorch-prefetch", daemon=True)
        self.thread.start()

    def _fetch(self) -> None:
        try:
            self.item = next(self._items)
        except StopIteration:
            self._is_exhausted = True
        except BaseException as error:
            self._error = error

    def wait(self) -> bool:
        """Wait for the item; return whether there is one, or raise the error of the iterator."""
        self.thread.join()
        if self._error is not None:
            raise self._error
        return not self._is_exhausted


Prefetcher = Callable[[Iterator[Any]], Iterator[Any]]


def device_prefetcher(device: torch.device) -> Prefetcher | None:
    """Return a function that prefetches pieces to a device.

    `None` if copies to the device are not faster from pinned memory.
    """
    return partial(prefetch_to_device, device=device, pin=Tensor.pin_memory) if device.type in ("cuda", "xpu") else None


def prefetch_to_device(
    pieces: Iterator[Any], *, device: torch.device, pin: Callable[[Tensor], Tensor] = lambda tensor: tensor
) -> Iterator[Any]:
    """Yield pieces on a device, gathered and pinned in the background.

    The thread that uses a piece starts its copy, which does not block: the copy is then on that thread's stream.

    Args:
        pieces: Tensors, nested in the structure of batches.
        device: Where the pieces are needed.
        pin: Copies a tensor into page-locked memory.
    """

    def pinned(tensor: Tensor | None) -> Tensor | None:
        return pin(tensor) if tensor is not None and tensor.device.type == "cpu" else tensor

    def copied(tensor: Tensor | None) -> Tensor | None:
        return None if tensor is None else tensor.to(device, non_blocking=True)

    for piece in prefetch(map_structure(pinned, piece) for piece in pieces):
        yield map_structure(copied, piece)
