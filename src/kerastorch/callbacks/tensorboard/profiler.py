"""ProfilerWindow: torch's profiler over some batches of a training."""

from __future__ import annotations

from typing import Any

from kerastorch.core.errors import check_int, mismatch, warn


class ProfilerWindow:
    """The batches of a training that torch's profiler records, once.

    Args:
        batches: First and last batch, counted from 1 over all epochs, as a pair or as text `"10,20"`; one number for
            one batch; 0 for none.
        folder: Folder for the trace, `*.pt.trace.json`.

    Attributes:
        first: Number of the first batch.
        last: Number of the last batch.
        is_over: Whether no batch is left to be profiled.

    Raises:
        ValueError: `batches` is something else.
    """

    def __init__(self, batches: Any, folder: str) -> None:
        self.first, self.last = _first_and_last(batches)
        self._folder = folder
        self._profiler: Any = None
        self.begin(0)

    def begin(self, done: int) -> None:
        """Prepare for a training of which `done` batches are over."""
        self.is_over = self.last == 0 or done >= self.last

    def before_batch(self, step: int) -> None:
        """Start the profiler if it is due at batch `step`, which is about to begin.

        Warns:
            UserWarning: The profiler cannot be started, for example because the user's own is running.
        """
        if self.is_over or step < self.first or self._profiler is not None:
            return
        from torch.profiler import profile, tensorboard_trace_handler

        profiler = profile(on_trace_ready=tensorboard_trace_handler(self._folder))
        try:
            profiler.start()
        except RuntimeError as error:
            self.is_over = True
            warn(f"TensorBoard: profile_batch: the profiler did not start: {error}")
            return
        self._profiler = profiler

    def after_batch(self, step: int) -> None:
        """Stop the profiler if batch `step`, which has ended, was the last to be profiled."""
        if self._profiler is not None and step >= self.last:
            self.end()

    def end(self) -> None:
        """Stop the profiler, if it is running, and write its trace."""
        if self._profiler is not None:
            profiler, self._profiler, self.is_over = self._profiler, None, True
            profiler.stop()


def _first_and_last(batches: Any) -> tuple[int, int]:
    """Return the first and last batch of an argument `profile_batch`; `(0, 0)` for none.

    Raises:
        ValueError: The argument is neither a batch nor two, or they are not in order.
    """
    expected = "a number of a batch >= 1, two of them (first, last), or 0 for none"
    try:
        ends = [int(one) for one in batches.split(",")] if isinstance(batches, str) else batches
        first, last = ends if isinstance(ends, (tuple, list)) and len(ends) == 2 else (ends, ends)
        first, last = check_int("profile_batch", first, 0), check_int("profile_batch", last, 0)
    except ValueError:
        raise mismatch("profile_batch", batches, expected) from None
    if last < first or (first == 0 and last > 0):
        raise mismatch("profile_batch", batches, expected)
    return first, last
