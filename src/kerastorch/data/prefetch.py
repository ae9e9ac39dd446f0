"""Ahead: the next item of an iterator is made in a background thread while the current one is used."""

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
    """The same items in the same order.

    Each is made by a thread of its own that ends with it: however the loop over the items ends, no thread is left
    waiting. An error is raised where its item would have come.
    """
    coming: _PendingItem[T] | None = _PendingItem(items)
    try:
        while coming is not None and coming.wait():
            current, coming = coming, None
            coming = _PendingItem(items)
            yield current.item
    finally:
        if coming is not None:
            coming.thread.join()


class _PendingItem(Generic[T]):
    """One item on its way."""

    item: T

    def __init__(self, items: Iterator[T]) -> None:
        self._items = items
        self._error: BaseException | None = None
        self._over = False
        self.thread = threading.Thread(target=self._fetch, name="kerastorch-ahead", daemon=True)
        self.thread.start()

    def _fetch(self) -> None:
        try:
            self.item = next(self._items)
        except StopIteration:
            self._over = True
        except BaseException as error:
            self._error = error

    def wait(self) -> bool:
        """Wait for it: whether there was one."""
        self.thread.join()
        if self._error is not None:
            raise self._error
        return not self._over


Prefetcher = Callable[[Iterator[Any]], Iterator[Any]]


def device_prefetcher(device: torch.device) -> Prefetcher | None:
    """What brings pieces to `device`; `None` where pinned memory is of no use: there batches are copied."""
    return partial(prefetch_to_device, device=device, pin=Tensor.pin_memory) if device.type in ("cuda", "xpu") else None


def prefetch_to_device(
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

    for piece in prefetch(map_structure(pinned, piece) for piece in pieces):
        yield map_structure(copied, piece)
