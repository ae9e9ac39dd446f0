"""AsyncWriter: writes files in a thread while training continues."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any


class AsyncWriter:
    """Thread that runs functions, one at a time; the next method call raises their errors."""

    def __init__(self) -> None:
        self._thread: threading.Thread | None = None
        self._error: BaseException | None = None

    def run(self, function: Callable[[], Any]) -> None:
        """Start a function in a thread, after the previous one has ended.

        Raises:
            Exception: The previous function has raised it; the new one is not started.
        """
        self.wait()
        self._thread = threading.Thread(target=self._run_and_catch, args=(function,), name="kerastorch-save")
        self._thread.start()

    def wait(self) -> None:
        """Wait until no function runs.

        Raises:
            Exception: The last function has raised it.
        """
        if self._thread is not None:
            self._thread.join()
            self._thread = None
        error, self._error = self._error, None
        if error is not None:
            raise error

    def _run_and_catch(self, function: Callable[[], Any]) -> None:
        try:
            function()
        except BaseException as error:
            self._error = error
