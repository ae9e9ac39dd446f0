"""Workers of a `DataLoader`: begun, and where they are killed, raise or hang, an error that says what can be done."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from types import FrameType
from typing import Any

from torch.utils.data import DataLoader

from kerastorch.core.torch_private import shut_down_workers, worker_processes


def iterate_with_worker_errors(loader: DataLoader[Any]) -> Iterator[Any]:
    """The items of a loader; where its workers fail, the error says what can be done."""
    items = start_iterator(loader)
    return _told(items, loader) if loader.num_workers else items


def start_iterator(loader: DataLoader[Any]) -> Any:
    """The loader's iterator, with workers that leave Ctrl-C to this process: the batch that is due still comes."""
    if not loader.num_workers or not hasattr(signal, "pthread_sigmask"):
        return iter(loader)
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})  # what they are born with
    try:
        return iter(loader)
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _told(items: Any, loader: DataLoader[Any]) -> Iterator[Any]:
    number = 0
    with _EXIT_HANDLER:
        while True:
            number += 1
            try:
                try:
                    _EXIT_HANDLER.raise_pending()
                    item = next(items)
                finally:
                    _EXIT_HANDLER.asked = False
            except StopIteration:
                return
            except Exception as error:
                other = _explained(error, items, loader, number)
                if other is error:
                    raise
                raise other from error
            yield item


class WorkerExitHandler:
    """torch tells of a worker that dies by raising wherever we are. Here it is heard when a batch is asked for.

    A step is not broken off in the middle then, and what is known between two batches can be kept.

    Attributes:
        asked: whether a batch is being waited for.
    """

    def __init__(self) -> None:
        self.asked = False
        self._missed = False
        self._streams = 0
        self._tell: Any = None

    def __enter__(self) -> None:
        self._streams += 1
        known = signal.getsignal(signal.SIGCHLD) if hasattr(signal, "SIGCHLD") else None
        if callable(known) and known != self._handle and threading.current_thread() is threading.main_thread():
            self._tell = known  # torch's, which it sets for good with its first workers
            signal.signal(signal.SIGCHLD, self._handle)

    def __exit__(self, *error: object) -> None:
        self._streams -= 1

    def raise_pending(self) -> None:
        """A batch is asked for: who died since the last one is told now.

        Raises:
            RuntimeError: torch's, which names the worker.
        """
        self.asked = True
        if self._missed:
            self._missed = False
            self._tell(signal.SIGCHLD, None)

    def _handle(self, number: int, frame: FrameType | None) -> None:
        if self.asked or not self._streams:
            self._tell(number, frame)
        else:
            self._missed = True


_EXIT_HANDLER = WorkerExitHandler()


def _explained(error: Exception, items: Any, loader: DataLoader[Any], number: int) -> Exception:
    """In words that say what can be done, if they are torch's; else itself."""
    said = str(error).rstrip(".")
    if isinstance(error, (EOFError, ConnectionError)):  # the other end of a pipe is gone, before there was a signal
        said = next((f"worker (pid {one.pid}) is killed by signal {-code}" for one, code in _killed(items)), said)
    if not loader.persistent_workers:
        shut_down_workers(items)  # or they would live as long as somebody keeps the traceback
    advice = _advice(said, loader) if isinstance(error, (RuntimeError, EOFError, ConnectionError)) else None
    if advice is not None:
        return RuntimeError(f"the DataLoader gave no batch {number}: {said}. {advice}")
    if "in DataLoader worker process" in said:
        error.add_note(f"It was raised for batch {number} by a worker of the DataLoader.")
    return error


def _killed(items: Any) -> Iterator[tuple[Any, int]]:
    """The workers that a signal has killed, and its number below nothing."""
    for one in worker_processes(items):
        one.join(0.1)  # that it has ended is known a little later
        if one.exitcode is not None and one.exitcode < 0:
            yield one, one.exitcode


def _advice(message: str, loader: DataLoader[Any]) -> str | None:
    if "exited unexpectedly" in message or "is killed by signal" in message:
        return (
            f"One of its {loader.num_workers} workers was killed, as the system does where memory runs out: give it "
            "fewer workers or smaller batches; num_workers=0 shows an error in the dataset itself."
        )
    if "timed out" in message:
        return (
            f"No worker answered within its timeout of {loader.timeout:g} s: the dataset waits for something, or needs "
            "a longer timeout; num_workers=0 shows where."
        )
    return None
