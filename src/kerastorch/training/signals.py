"""Ctrl-C and SIGTERM: the first ends training after the running batch, the second at once."""

from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from types import FrameType
from typing import Any, NoReturn

from kerastorch.core.errors import warn

_OWN: dict[int, Any] = {signal.SIGINT: signal.default_int_handler, signal.SIGTERM: signal.SIG_DFL}
AGAIN = 1.0  # seconds: a SIGTERM as soon after the first was sent to the group of processes, too


class InterruptHandler:
    """Whether somebody wants the process to end.

    Attributes:
        pending: Ctrl-C was pressed, or SIGTERM has come, and nobody has heeded it.
    """

    def __init__(self) -> None:
        self.pending = False
        self._signal: int | None = None  # the first one
        self._at = 0.0
        self._process = os.getpid()

    @contextmanager
    def watch(self) -> Iterator[None]:
        """Take both over where nobody else has, in the main thread; give them back afterwards.

        Raises:
            KeyboardInterrupt: at the end, of what nobody has heeded, and in place of an error of what fails meanwhile;
                `SystemExit` for SIGTERM.
        """
        self.pending, self._signal = False, None
        if threading.current_thread() is not threading.main_thread():
            yield
            return
        self._process = os.getpid()
        with ExitStack() as stack:
            for number, own in _OWN.items():
                if signal.getsignal(number) is own:
                    stack.callback(signal.signal, number, own)
                    signal.signal(number, self._handle)
            try:
                yield
            except Exception as error:
                self._heed(error)
                raise
        self._heed()

    def _heed(self, cause: BaseException | None = None) -> None:
        if self.pending:
            if cause is not None and self._signal == signal.SIGTERM:  # whose exit shows no cause
                warn(f"SIGTERM has come, and what ran failed: {cause!r}")
            self.end(cause)

    def end(self, cause: BaseException | None = None) -> NoReturn:
        """End as the process was asked to: `KeyboardInterrupt`, or `SystemExit(143)` for SIGTERM."""
        self.pending = False
        raise (SystemExit(128 + signal.SIGTERM) if self._signal == signal.SIGTERM else KeyboardInterrupt()) from cause

    def _handle(self, number: int, frame: FrameType | None) -> None:
        child = os.getpid() != self._process  # forked while training ran
        if self._signal is None and not child:
            self.pending, self._signal, self._at = True, number, time.monotonic()
        elif child or number == signal.SIGINT or time.monotonic() - self._at > AGAIN:
            signal.signal(number, _OWN[number])
            os.kill(os.getpid(), number)
