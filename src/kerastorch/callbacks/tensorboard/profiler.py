"""Window: torch's profiler over some batches of a training."""

from __future__ import annotations

from typing import Any

from kerastorch.core.errors import check_int, mismatch, warn


class Window:
    """Profiles the batches from `first` to `last`, counted from 1 over all epochs, once in a training.

    Args:
        batches: both in a pair or as `"10,20"`; one number for one batch; 0: none.
        folder: where the trace is written, as `*.pt.trace.json`.
    """

    def __init__(self, batches: Any, folder: str) -> None:
        self.first, self.last = _ends(batches)
        self._folder = folder
        self._profiler: Any = None
        self.begin(0)

    def begin(self, done: int) -> None:
        """Of a training of which so many batches are done."""
        self.over = self.last == 0 or done >= self.last

    def before(self, step: int) -> None:
        """Batch `step` comes."""
        if self.over or step < self.first or self._profiler is not None:
            return
        from torch.profiler import profile, tensorboard_trace_handler

        profiler = profile(on_trace_ready=tensorboard_trace_handler(self._folder))
        try:
            profiler.start()
        except RuntimeError as error:  # the user's own is at work
            self.over = True
            warn(f"TensorBoard: profile_batch: the profiler did not start: {error}")
            return
        self._profiler = profiler

    def after(self, step: int) -> None:
        """Batch `step` was the last so far."""
        if self._profiler is not None and step >= self.last:
            self.end()

    def end(self) -> None:
        """Write what was seen, if anything."""
        if self._profiler is not None:
            profiler, self._profiler, self.over = self._profiler, None, True
            profiler.stop()


def _ends(batches: Any) -> tuple[int, int]:
    expected = "a number of a batch >= 1, two of them (first, last), or 0 for none"
    try:
        given = [int(one) for one in batches.split(",")] if isinstance(batches, str) else batches
        first, last = given if isinstance(given, (tuple, list)) and len(given) == 2 else (given, given)
        first, last = check_int("profile_batch", first, 0), check_int("profile_batch", last, 0)
    except ValueError:
        raise mismatch("profile_batch", batches, expected) from None
    if last < first or (first == 0 and last > 0):
        raise mismatch("profile_batch", batches, expected)
    return first, last
