"""Background: one write at a time beside what goes on; its error is raised at the next one, or at the end."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any


class AsyncWriter:
    """Runs functions in a thread, one after the other."""

    def __init__(self) -> None:
        self._thread: threading.Thread | None = None
        self._error: BaseException | None = None

    def run(self, function: Callable[[], Any]) -> None:
        """Begin, once the last one has ended.

        Raises:
            Exception: what the last one raised.
        """
        self.wait()
        self._thread = threading.Thread(target=self._do, args=(function,), name="kerastorch-save")
        self._thread.start()

    def wait(self) -> None:
        """Until nothing is under way.

        Raises:
            Exception: what the last one raised.
        """
        if self._thread is not None:
            self._thread.join()
            self._thread = None
        error, self._error = self._error, None
        if error is not None:
            raise error

    def _do(self, function: Callable[[], Any]) -> None:
        try:
            function()
        except BaseException as error:
            self._error = error
