"""ProgressBar: a tqdm bar in a terminal or notebook, and a line of text at the end of each epoch."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Mapping
from typing import Any, Literal

from kerastorch.callbacks.base import Callback, Logs
from kerastorch.callbacks.log_values import as_float
from kerastorch.core import interactive_logging

Verbose = int | Literal["auto"]
LONGEST = 40  # characters of an array that are printed; of a longer one, its shape
REFRESH = 0.1  # seconds between two updates of the bar
_FORMAT = "{desc}: {percentage:3.0f}%|{bar:10}| {n_fmt}/{total_fmt} [{elapsed}<{remaining}, {rate_fmt}] {postfix}"


def style(verbose: Verbose) -> Literal["none", "bar", "line"]:
    """Return how progress is shown for an argument `verbose`.

    Args:
        verbose: 0 shows nothing; 1 and `'auto'` show a bar if the output can draw one, else a line of text an epoch;
            2 shows a line of text an epoch.

    Raises:
        ValueError: Any other value.
    """
    if verbose not in (0, 1, 2, "auto", False, True):
        raise ValueError(f"verbose must be 0, 1, 2 or 'auto', got {verbose!r}.")
    if verbose != "auto" and not verbose:
        return "none"
    is_line = verbose == 2 or (verbose == "auto" and not interactive_logging.is_enabled())
    return "bar" if not is_line and (in_notebook() or in_terminal()) else "line"


def in_terminal() -> bool:
    """Return whether output goes to a terminal of known size, on which a bar can be drawn."""
    if not sys.stdout.isatty():
        return False
    try:
        return min(os.get_terminal_size(sys.stdout.fileno())) > 0
    except (OSError, ValueError):  # not a real file
        return True


def in_notebook() -> bool:
    """Return whether output goes to a Jupyter notebook."""
    shell = sys.modules.get("IPython")
    kernel = getattr(shell.get_ipython(), "kernel", None) if shell is not None else None
    return kernel is not None


def format_logs(logs: Mapping[str, Any]) -> str:
    """Return logs as one line of text, the loss first and those of the validation last.

    >>> format_logs({"accuracy": 0.91, "loss": 0.31})
    'loss: 0.3100 - accuracy: 0.9100'
    """
    order = sorted(logs, key=lambda name: (name.startswith("val_"), name.removeprefix("val_") != "loss"))
    return " - ".join(f"{name}: {format_value(logs[name])}" for name in order)


def format_value(value: Any) -> str:
    """Format a number with four digits after the point, or an exponent if that would hide it; others in one line."""
    number = as_float(value)
    if number is None:
        shape = getattr(value, "shape", None)
        text = " ".join(str(value).split())
        return text if shape is None or len(text) <= LONGEST else f"{type(value).__name__}{tuple(shape)}"
    return f"{number:.4f}" if number == 0 or 1e-3 <= abs(number) < 1e5 else f"{number:.4g}"


class ProgressBar(Callback):
    """A callback that shows the progress of `fit`, `evaluate` or `predict`: a bar, then a line with the logs.

    Args:
        verbose: 0 shows nothing; 1 and `'auto'` (default) show a bar if the output can draw one, else a line of text
            an epoch; 2 shows a line of text an epoch.
        what: Words before the bar of `evaluate` and `predict`. Default `"evaluate"`.
        delay: Seconds before the bar of `evaluate` or `predict` appears, so that short calls print nothing. Default
            0.

    Raises:
        ValueError: `verbose` is something else.
    """

    first_process_only = True

    def __init__(self, verbose: Verbose = "auto", what: str = "evaluate", delay: float = 0.0) -> None:
        self.verbose = verbose
        self.style = style(verbose)
        self.what, self.delay = what, delay
        self._bar: Any = None
        self._is_fitting = False

    def _open(self, words: str, delay: float = 0.0) -> None:
        """Start the clock and, if progress is shown as a bar, open it."""
        self._began = self._last_update = time.perf_counter()
        self._steps = 0
        if self.style == "bar":
            self._bar = _text_bar(words, delay, self.params.get("steps"))

    def _advance(self, batch: int, logs: Logs | None) -> None:
        """Count a batch, and update the bar if its last update was `REFRESH` seconds ago."""
        self._steps = batch + 1
        if self._bar is None:
            return
        now = time.perf_counter()
        if now - self._last_update >= REFRESH:
            self._last_update = now
            if logs is not None:
                self._bar.set_postfix_str(format_logs(_current_means(logs)), refresh=False)
            self._bar.update(self._steps - self._bar.n)

    def _close(self, words: str, logs: Mapping[str, Any] | None) -> None:
        """Close the bar and print the line of text."""
        text = format_logs(logs or {})
        self._close_bar(text)
        if self.style == "line" or text:
            seconds = time.perf_counter() - self._began
            pace = f"{seconds:.1f}s, {_pace(seconds / max(self._steps, 1))}"
            print(f"{words} - {self._steps} steps, {pace}{' - ' if text else ''}{text}", flush=True)

    def _print_sentence(self, sentence: str) -> None:
        """Print a sentence, on the bar if one is open."""
        if self._bar is None:
            print(sentence, flush=True)
        else:
            self._bar.set_postfix_str(sentence)

    def _close_bar(self, text: str) -> None:
        """Close the bar, if one is open, with its last count and text."""
        if self._bar is None:
            return
        self._bar.set_postfix_str(text, refresh=False)
        self._bar.update(self._steps - self._bar.n)
        self._bar.close()
        self._bar = None

    def on_train_begin(self, logs: Logs | None = None) -> None:
        self._is_fitting = True
        self._remove_listener = self.model.trainer.register_listener(self._print_sentence)

    def on_epoch_begin(self, epoch: int, logs: Logs | None = None) -> None:
        self._words = f"Epoch {epoch + 1}/{self.params['epochs']}"
        self._open(self._words)

    def on_train_batch_end(self, batch: int, logs: Logs | None = None) -> None:
        self._advance(batch, logs)

    def on_epoch_end(self, epoch: int, logs: Logs | None = None) -> None:
        self._close(self._words, logs)

    def on_train_end(self, logs: Logs | None = None) -> None:
        self._is_fitting = False
        self._remove_listener()
        self._close_bar("")  # open only if an epoch was interrupted

    def on_test_begin(self, logs: Logs | None = None) -> None:
        if not self._is_fitting:
            self._open(self.what, self.delay)

    def on_test_batch_end(self, batch: int, logs: Logs | None = None) -> None:
        if not self._is_fitting:
            self._advance(batch, logs)

    def on_test_end(self, logs: Logs | None = None) -> None:
        if not self._is_fitting:
            self._close(self.what, logs)

    def on_predict_begin(self, logs: Logs | None = None) -> None:
        self._open(self.what, self.delay)

    def on_predict_batch_end(self, batch: int, logs: Logs | None = None) -> None:
        self._advance(batch, None)

    def on_predict_end(self, logs: Logs | None = None) -> None:
        self._close(self.what, None)


def _text_bar(words: str, delay: float, steps: int | None) -> Any:
    """Open a text bar that is erased when it closes, so that the line of the final logs replaces it.

    Notebooks get the same bar, not the widget of `tqdm.notebook`: the widget needs ipywidgets, and is lost when a
    notebook is saved and opened again. A narrow terminal cuts off a bar, but wraps the line.
    """
    from tqdm import tqdm

    return tqdm(
        total=steps, desc=words, unit="batch", mininterval=REFRESH, delay=delay, file=sys.stdout, dynamic_ncols=True,
        leave=False, bar_format=_FORMAT,
    )  # fmt: skip


def make_progress_callbacks(verbose: Verbose, what: str = "Epoch", delay: float = 0.0) -> list[Callback]:
    """Return the progress bar for an argument `verbose`, in a list that is empty if nothing is shown.

    Args:
        verbose: As for `ProgressBar`.
        what: As for `ProgressBar`.
        delay: As for `ProgressBar`; if it is positive, there is a bar or nothing, but no line of text instead.
    """
    bar = ProgressBar(verbose, what, delay)
    return [] if bar.style == "none" or (bar.style == "line" and delay) else [bar]


def _current_means(logs: Any) -> Mapping[str, float]:
    """Return the current means if that needs no device synchronization, else the last known ones."""
    peek = getattr(logs, "peek", None)
    return peek() if peek is not None else dict(logs)


def _pace(seconds: float) -> str:
    """Format the time of a step."""
    return f"{seconds * 1e3:.1f}ms/step" if seconds < 1 else f"{seconds:.1f}s/step"
