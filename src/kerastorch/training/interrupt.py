"""Ctrl-C: the first ends training after the running batch, the second at once."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType


class Interrupt:
    """Whether Ctrl-C was pressed."""

    def __init__(self) -> None:
        self.pending = False

    @contextmanager
    def watch(self) -> Iterator[None]:
        """Take SIGINT over, where Python's own handler has it and this is the main thread; give it back afterwards."""
        self.pending = False
        if (
            threading.current_thread() is not threading.main_thread()
            or signal.getsignal(signal.SIGINT) is not signal.default_int_handler
        ):
            yield
            return
        signal.signal(signal.SIGINT, self._handle)
        try:
            yield
        finally:
            signal.signal(signal.SIGINT, signal.default_int_handler)

    @contextmanager
    def first(self) -> Iterator[None]:
        """What fails because of Ctrl-C, as workers of a loader do, is a `KeyboardInterrupt` too."""
        try:
            yield
        except Exception as error:
            if self.pending:
                raise KeyboardInterrupt from error
            raise

    def _handle(self, number: int, frame: FrameType | None) -> None:
        self.pending = True
        signal.signal(signal.SIGINT, signal.default_int_handler)
