"""Workers of a `DataLoader` that are killed, that raise, that hang: errors that say what can be done."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from torch.utils.data import DataLoader

_KILLED = (
    "A worker was killed, as the system does where memory runs out: give the loader fewer workers or smaller batches; "
    "num_workers=0 shows an error in the dataset itself."
)


def told(loader: DataLoader[Any]) -> Iterator[Any]:
    """The items of a loader; where its workers fail, the error says what can be done."""
    items = iter(loader)
    return _told(items, loader) if loader.num_workers else items


def _told(items: Any, loader: DataLoader[Any]) -> Iterator[Any]:
    number = 0
    while True:
        number += 1
        try:
            item = next(items)
        except StopIteration:
            return
        except Exception as error:
            if not loader.persistent_workers:
                items._shutdown_workers()  # or they would live as long as somebody keeps the traceback
            advice = _advice(str(error), loader) if isinstance(error, RuntimeError) else None
            if advice is not None:
                said = str(error).rstrip(".")
                raise RuntimeError(f"the DataLoader gave no batch {number}: {said}. {advice}") from error
            error.add_note(f"It was raised for batch {number} by a worker of the DataLoader.")
            raise
        yield item


def _advice(message: str, loader: DataLoader[Any]) -> str | None:
    if "exited unexpectedly" in message or "is killed by signal" in message:
        return _KILLED
    if "timed out" in message:
        return (
            f"No worker answered within its timeout of {loader.timeout:g} s: the dataset waits for something, or needs "
            "a longer timeout; num_workers=0 shows where."
        )
    return None


@contextmanager
def heard() -> Iterator[None]:
    """Where torch hears of a killed worker by a signal it raises at once, in the midst of whatever runs: said there."""
    try:
        yield
    except RuntimeError as error:
        if by_signal(error) and _KILLED not in getattr(error, "__notes__", ()):
            error.add_note(_KILLED)
        raise


def by_signal(error: BaseException) -> bool:
    """Whether it is torch's of a killed worker, with no more said than that."""
    return isinstance(error, RuntimeError) and str(error).startswith("DataLoader worker (pid")
