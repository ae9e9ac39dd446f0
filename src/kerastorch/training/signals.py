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
AGAIN = 1.0  # seconds: a second SIGTERM that comes sooner is the first one, sent to the whole process group


class InterruptHandler:
    """Turns Ctrl-C and SIGTERM into errors that are raised between two batches.

    Attributes:
        pending: One of them has come, and no error was raised for it yet.
    """

    def __init__(self) -> None:
        self.pending = False
        self._signal: int | None = None  # the first one
        self._at = 0.0
        self._process = os.getpid()

    @contextmanager
    def watch(self) -> Iterator[None]:
        """Handle both signals in the main thread, unless the user has handlers; restore them afterwards.

        Raises:
            KeyboardInterrupt: A signal is pending at the end, or an error has ended the block, which is then its cause.
            SystemExit: The same for SIGTERM.
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
                self._raise_if_pending(error)
                raise
        self._raise_if_pending()

    def _raise_if_pending(self, cause: BaseException | None = None) -> None:
        if self.pending:
            if cause is not None and self._signal == signal.SIGTERM:  # a SystemExit shows no cause
                warn(f"SIGTERM has come, and what ran failed: {cause!r}")
            self.raise_interrupt(cause)

    @property
    def signal(self) -> int:
        """Number of the signal that is pending, or 0."""
        return int(self._signal or 0) if self.pending else 0

    def adopt(self, number: int) -> None:
        """Let a signal be pending here that another rank has received.

        Args:
            number: Its number.
        """
        self.pending, self._signal = True, number

    def raise_interrupt(self, cause: BaseException | None = None) -> NoReturn:
        """Raise `KeyboardInterrupt`, or `SystemExit(143)` for SIGTERM."""
        self.pending = False
        raise (SystemExit(128 + signal.SIGTERM) if self._signal == signal.SIGTERM else KeyboardInterrupt()) from cause

    def _handle(self, number: int, frame: FrameType | None) -> None:
        child = os.getpid() != self._process  # forked while training ran
        if self._signal is None and not child:
            self.pending, self._signal, self._at = True, number, time.monotonic()
        elif child or number == signal.SIGINT or time.monotonic() - self._at > AGAIN:
            signal.signal(number, _OWN[number])
            os.kill(os.getpid(), number)
