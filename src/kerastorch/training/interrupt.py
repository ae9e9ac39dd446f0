"""Ctrl-C and SIGTERM: the first ends training after the running batch, the second at once."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from types import FrameType
from typing import Any, NoReturn

_OWN: dict[int, Any] = {signal.SIGINT: signal.default_int_handler, signal.SIGTERM: signal.SIG_DFL}


class Interrupt:
    """Whether somebody wants the process to end.

    Attributes:
        pending: Ctrl-C was pressed, or SIGTERM has come.
    """

    def __init__(self) -> None:
        self.pending = False
        self._signal: int = signal.SIGINT
        self._process = os.getpid()

    @contextmanager
    def watch(self) -> Iterator[None]:
        """Take both over where nobody else has, in the main thread; give them back afterwards.

        Raises:
            KeyboardInterrupt: at the end, of what nobody has heeded; `SystemExit` for SIGTERM.
        """
        self.pending = False
        if threading.current_thread() is not threading.main_thread():
            yield
            return
        self._process = os.getpid()
        with ExitStack() as stack:
            for number, own in _OWN.items():
                if signal.getsignal(number) is own:
                    stack.callback(signal.signal, number, own)
                    signal.signal(number, self._handle)
            yield
        if self.pending:
            self.end()

    @contextmanager
    def first(self) -> Iterator[None]:
        """What fails because of it, as workers of a loader do, is how the process was asked to end too."""
        try:
            yield
        except Exception as error:
            if self.pending:
                raise self._exception() from error
            raise

    def end(self) -> NoReturn:
        """End as the process was asked to: `KeyboardInterrupt`, or `SystemExit(143)` for SIGTERM."""
        raise self._exception()

    def _exception(self) -> BaseException:
        return KeyboardInterrupt() if self._signal == signal.SIGINT else SystemExit(128 + self._signal)

    def _handle(self, number: int, frame: FrameType | None) -> None:
        signal.signal(number, _OWN[number])
        if os.getpid() != self._process:  # a child that was forked while training ran
            os.kill(os.getpid(), number)
            return
        self.pending, self._signal = True, number
