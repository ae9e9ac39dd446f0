"""Starting the workers of a `DataLoader`, and explaining the errors when they are killed, raise or hang."""

from __future__ import annotations

import re
import signal
import threading
from collections.abc import Iterator
from types import FrameType
from typing import Any

from torch.utils.data import DataLoader

from kerastorch.core.torch_private import shut_down_workers, worker_processes


def iterate_with_worker_errors(loader: DataLoader[Any]) -> Iterator[Any]:
    """Return an iterator over a loader, whose errors say what to do if workers fail."""
    iterator = start_iterator(loader)
    return _iterate(iterator, loader) if loader.num_workers else iterator


def start_iterator(loader: DataLoader[Any]) -> Any:
    """Return the iterator of a loader, with workers that ignore Ctrl-C.

    Only this process handles the interrupt, so that the workers can still deliver the current batch.
    """
    if not loader.num_workers or not hasattr(signal, "pthread_sigmask"):
        return iter(loader)
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})  # workers inherit the mask
    try:
        return iter(loader)
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _iterate(iterator: Any, loader: DataLoader[Any]) -> Iterator[Any]:
    """Yield the items of a loader, and raise errors of its workers only while an item is waited for."""
    number = 0
    with _EXIT_HANDLER:
        while True:
            number += 1
            try:
                try:
                    _EXIT_HANDLER.raise_pending()
                    item = next(iterator)
                finally:
                    _EXIT_HANDLER.is_waiting = False
            except StopIteration:
                return
            except Exception as error:
                explained = _explain(error, iterator, loader, number)
                if explained is error:
                    raise
                raise explained from error
            yield item


class WorkerExitHandler:
    """A handler of SIGCHLD that defers torch's error about a dead worker to the next request for a batch.

    torch handles SIGCHLD by raising the error at whichever line is running. The deferred error does not interrupt a
    training step, so that a consistent checkpoint can be written.

    Attributes:
        is_waiting: Whether a batch is being waited for.
    """

    def __init__(self) -> None:
        self.is_waiting = False
        self._has_pending = False
        self._streams = 0
        self._torch_handler: Any = None

    def __enter__(self) -> None:
        self._streams += 1
        known = signal.getsignal(signal.SIGCHLD) if hasattr(signal, "SIGCHLD") else None
        if callable(known) and known != self._handle and threading.current_thread() is threading.main_thread():
            self._torch_handler = known  # torch's handler, which it installs permanently with its first workers
            signal.signal(signal.SIGCHLD, self._handle)

    def __exit__(self, *error: object) -> None:
        self._streams -= 1

    def raise_pending(self) -> None:
        """Raise the deferred error, if any, and let further ones be raised at once until the batch arrives.

        Raises:
            RuntimeError: Torch's error, which names the worker that died.
        """
        self.is_waiting = True
        if self._has_pending:
            self._has_pending = False
            self._torch_handler(signal.SIGCHLD, None)

    def _handle(self, number: int, frame: FrameType | None) -> None:
        if self.is_waiting or not self._streams:
            self._torch_handler(number, frame)
        else:
            self._has_pending = True


_EXIT_HANDLER = WorkerExitHandler()


def _explain(error: Exception, iterator: Any, loader: DataLoader[Any], number: int) -> Exception:
    """Return an error that says what to do, or the error itself if it is not about workers."""
    message = str(error).rstrip(".")
    if isinstance(error, (EOFError, ConnectionError)):  # the pipe to the worker was closed before the signal arrived
        message = next(
            (f"worker (pid {worker.pid}) is killed by signal {-code}" for worker, code in _killed_workers(iterator)),
            message,
        )
    if not loader.persistent_workers:
        shut_down_workers(iterator)  # otherwise they live as long as the traceback does
    if _OF_WORKER.match(message):
        _put_cause_first(error)
        error.add_note(f"It was raised for batch {number} by a worker of the DataLoader.")
        return error
    advice = _advice(message, loader) if isinstance(error, (RuntimeError, EOFError, ConnectionError)) else None
    if advice is not None:
        return RuntimeError(f"the DataLoader gave no batch {number}: {message}. {advice}")
    return error


_OF_WORKER = re.compile(r"Caught (\w+) in DataLoader worker process")  # the first words of torch's message


def _put_cause_first(error: Exception) -> None:
    """Begin the message of an error with what was raised in the worker; torch puts the traceback before it."""
    message: Any = error.args[0] if error.args else None
    found = _OF_WORKER.match(message) if isinstance(message, str) else None
    if found is None:
        return
    name = found[1]  # torch raises a RuntimeError if it cannot make an error of this class
    lines = list(re.finditer(rf"^(?:[\w.<>]+\.)?{name}(?:: |$)", message, re.MULTILINE))
    if lines:  # the last line of the traceback, and those that follow
        cause = message[lines[-1].end() :].strip()
        prefix = "" if type(error).__name__ == name and cause else f"{name}: " if cause else name
        text = f"{prefix}{cause}\n\n{message}"
        error.args = (type(message)(text), *error.args[1:])  # for a KeyError, torch has a str that prints its lines


def _killed_workers(iterator: Any) -> Iterator[tuple[Any, int]]:
    """Yield each worker that a signal killed, and the negative number of the signal."""
    for worker in worker_processes(iterator):
        worker.join(0.1)  # the exit code is available only shortly after the exit
        if worker.exitcode is not None and worker.exitcode < 0:
            yield worker, worker.exitcode


def _advice(message: str, loader: DataLoader[Any]) -> str | None:
    """Return what to do about an error of a worker, or `None` for other errors."""
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
