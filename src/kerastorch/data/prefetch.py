"""Ahead: the next item of an iterator is made in a background thread while the current one is used."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from typing import Generic, TypeVar

T = TypeVar("T")


def ahead(items: Iterator[T]) -> Iterator[T]:
    """The same items in the same order.

    Each is made by a thread of its own that ends with it: however the loop over the items ends, no thread is left
    waiting. An error is raised where its item would have come.
    """
    coming: _Coming[T] | None = _Coming(items)
    try:
        while coming is not None and coming.arrives():
            current, coming = coming, None
            coming = _Coming(items)
            yield current.item
    finally:
        if coming is not None:
            coming.thread.join()


class _Coming(Generic[T]):
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

    def arrives(self) -> bool:
        """Wait for it: whether there was one."""
        self.thread.join()
        if self._error is not None:
            raise self._error
        return not self._over
