"""Progress: a tqdm bar for each epoch in a terminal or notebook, and a line of text when it ends."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Mapping
from typing import Any, Literal

from kerastorch.callbacks.base import Callback, Logs
from kerastorch.callbacks.log_values import as_float

Verbose = int | Literal["auto"]
LONGEST = 40  # characters of an array that are printed; of a longer one, its shape
REFRESH = 0.1  # seconds between two looks at the running numbers
_FORMAT = "{desc}: {percentage:3.0f}%|{bar:10}| {n_fmt}/{total_fmt} [{elapsed}<{remaining}, {rate_fmt}] {postfix}"


def style(verbose: Verbose) -> Literal["none", "bar", "line"]:
    """What `verbose` asks for: 0 nothing, 2 a line an epoch, 1 and `'auto'` a bar where one can be drawn.

    Raises:
        ValueError: any other value.
    """
    if verbose not in (0, 1, 2, "auto", False, True):
        raise ValueError(f"verbose must be 0, 1, 2 or 'auto', got {verbose!r}.")
    if verbose != "auto" and not verbose:
        return "none"
    return "bar" if verbose != 2 and (in_notebook() or in_terminal()) else "line"


def in_terminal() -> bool:
    """Whether output goes to a terminal that a bar can be drawn on: one that knows its size."""
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


def numbers(logs: Mapping[str, Any]) -> str:
    """`loss: 0.3100 - accuracy: 0.9100`, the loss first and `val_` last."""
    order = sorted(logs, key=lambda name: (name.startswith("val_"), name.removeprefix("val_") != "loss"))
    return " - ".join(f"{name}: {short(logs[name])}" for name in order)


def short(value: Any) -> str:
    """Format a number with four digits after the point, or an exponent if that would hide it; others in one line."""
    number = as_float(value)
    if number is None:
        shape = getattr(value, "shape", None)
        text = " ".join(str(value).split())
        return text if shape is None or len(text) <= LONGEST else f"{type(value).__name__}{tuple(shape)}"
    return f"{number:.4f}" if number == 0 or 1e-3 <= abs(number) < 1e5 else f"{number:.4g}"


class ProgressBar(Callback):
    """Shows how `fit`, `evaluate` or `predict` gets on: a bar while it runs, a line of its numbers when it ends.

    Args:
        verbose: see `style`.
        what: the words before the bar of `evaluate` and `predict`.
        delay: seconds before the bar of these appears, so that short calls stay quiet.
    """

    first_process_only = True

    def __init__(self, verbose: Verbose = "auto", what: str = "evaluate", delay: float = 0.0) -> None:
        self.style = style(verbose)
        self.what, self.delay = what, delay
        self._bar: Any = None
        self._fitting = False

    def _open(self, words: str, delay: float = 0.0) -> None:
        self._began = self._looked = time.perf_counter()
        self._steps = 0
        if self.style == "bar":
            self._bar = _text_bar(words, delay, self.params.get("steps"))

    def _advance(self, batch: int, logs: Logs | None) -> None:
        self._steps = batch + 1
        if self._bar is None:
            return
        now = time.perf_counter()
        if now - self._looked >= REFRESH:
            self._looked = now
            if logs is not None:
                self._bar.set_postfix_str(numbers(_peek(logs)), refresh=False)
            self._bar.update(self._steps - self._bar.n)

    def _close(self, words: str, logs: Mapping[str, Any] | None) -> None:
        text = numbers(logs or {})
        self._end_bar(text)
        if self.style == "line" or text:
            seconds = time.perf_counter() - self._began
            pace = f"{seconds:.1f}s, {_pace(seconds / max(self._steps, 1))}"
            print(f"{words} - {self._steps} steps, {pace}{' - ' if text else ''}{text}", flush=True)

    def _show(self, sentence: str) -> None:
        """Show a notification on the bar, or as a line if there is none."""
        if self._bar is None:
            print(sentence, flush=True)
        else:
            self._bar.set_postfix_str(sentence)

    def _end_bar(self, text: str) -> None:
        if self._bar is None:
            return
        self._bar.set_postfix_str(text, refresh=False)
        self._bar.update(self._steps - self._bar.n)
        self._bar.close()
        self._bar = None

    def on_train_begin(self, logs: Logs | None = None) -> None:
        self._fitting = True
        self._remove_listener = self.model.trainer.register_listener(self._show)

    def on_epoch_begin(self, epoch: int, logs: Logs | None = None) -> None:
        self._words = f"Epoch {epoch + 1}/{self.params['epochs']}"
        self._open(self._words)

    def on_train_batch_end(self, batch: int, logs: Logs | None = None) -> None:
        self._advance(batch, logs)

    def on_epoch_end(self, epoch: int, logs: Logs | None = None) -> None:
        self._close(self._words, logs)

    def on_train_end(self, logs: Logs | None = None) -> None:
        self._fitting = False
        self._remove_listener()
        self._end_bar("")  # interrupted within an epoch

    def on_test_begin(self, logs: Logs | None = None) -> None:
        if not self._fitting:
            self._open(self.what, self.delay)

    def on_test_batch_end(self, batch: int, logs: Logs | None = None) -> None:
        if not self._fitting:
            self._advance(batch, logs)

    def on_test_end(self, logs: Logs | None = None) -> None:
        if not self._fitting:
            self._close(self.what, logs)

    def on_predict_begin(self, logs: Logs | None = None) -> None:
        self._open(self.what, self.delay)

    def on_predict_batch_end(self, batch: int, logs: Logs | None = None) -> None:
        self._advance(batch, None)

    def on_predict_end(self, logs: Logs | None = None) -> None:
        self._close(self.what, None)


def _text_bar(words: str, delay: float, steps: int | None) -> Any:
    """Open a bar of text that is wiped away at its end, so that a line of the final numbers takes its place.

    Notebooks get the same bar, not the widget of `tqdm.notebook`. That one needs ipywidgets, and nothing of it is left
    when a notebook is saved and opened again. A narrow terminal cuts a bar off, but wraps the line.
    """
    from tqdm import tqdm

    return tqdm(
        total=steps, desc=words, unit="batch", mininterval=REFRESH, delay=delay, file=sys.stdout, dynamic_ncols=True,
        leave=False, bar_format=_FORMAT,
    )  # fmt: skip


def progress(verbose: Verbose, what: str = "Epoch", delay: float = 0.0) -> list[Callback]:
    """The bar that `verbose` asks for, if any; where a bar may be late (`delay`), no line stands in for it."""
    bar = ProgressBar(verbose, what, delay)
    return [] if bar.style == "none" or (bar.style == "line" and delay) else [bar]


def _peek(logs: Any) -> Mapping[str, float]:
    """The running numbers as they are at hand, where the logs can tell without catching up."""
    peek = getattr(logs, "peek", None)
    return peek() if peek is not None else dict(logs)


def _pace(seconds: float) -> str:
    return f"{seconds * 1e3:.1f}ms/step" if seconds < 1 else f"{seconds:.1f}s/step"
