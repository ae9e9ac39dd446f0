"""`Progbar`: a progress bar for a loop of one's own."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterable
from typing import Any

import numpy as np

from kerastorch.callbacks.log_values import as_float
from kerastorch.callbacks.progress_bar import format_value, style
from kerastorch.core.process_group import rank
from kerastorch.ops.core.tensors import convert_to_numpy


class Progbar:
    """A progress bar with means of values, for a loop of one's own; tqdm draws it.

    Args:
        target: Number of steps; `None` if it is unknown.
        width: Characters of the bar. Default 20.
        verbose: 0 shows nothing; 1 (default) a bar if the output can draw one, and a line of text at the end; 2 a line
            of text at the end.
        interval: Seconds between two updates of the bar. Default 0.05.
        stateful_metrics: Names of values that are shown as they are, not as means. Default none.
        stateless_metrics: Names of the only values that are shown as means. Default: all but `stateful_metrics`.
        unit_name: What a step is called. Default `"step"`.

    Raises:
        ValueError: Both lists of names are given; `verbose` is something else.

    >>> bar = Progbar(2, verbose=0)
    >>> for loss in (3.0, 1.0):
    ...     bar.add(1, values=[("loss", loss)])
    >>> bar.means()
    {'loss': 2.0}
    """

    def __init__(
        self,
        target: int | None,
        width: int = 20,
        verbose: int = 1,
        interval: float = 0.05,
        stateful_metrics: Iterable[str] | None = None,
        stateless_metrics: Iterable[str] | None = None,
        unit_name: str = "step",
    ) -> None:
        if stateful_metrics is not None and stateless_metrics is not None:
            raise ValueError("Give stateful_metrics or stateless_metrics, not both: each says which the others are.")
        self.target, self.width, self.interval, self.unit_name = target, width, interval, unit_name
        self.verbose = verbose
        self._style = style(verbose) if not rank() else "none"
        self._stateful = frozenset(stateful_metrics or ())
        self._stateless = None if stateless_metrics is None else frozenset(stateless_metrics)
        self._sums: dict[str, tuple[float, float]] = {}  # sum and number of steps
        self._seen = 0
        self._start = time.perf_counter()
        self._bar: Any = None

    def update(
        self, current: int, values: Iterable[tuple[str, Any]] | None = None, finalize: bool | None = None
    ) -> None:
        """Show that a number of steps are done.

        Args:
            current: The number of steps, from the beginning.
            values: Pairs of a name and a value, which counts for the steps since the last update. A value of a call
                without new steps takes the place of the mean, as at the end of an epoch. Default none.
            finalize: Whether this is the end. Default: whether `current` has reached the target.
        """
        new = current - self._seen
        for name, value in values or ():
            number = _number(value)
            if self._is_stateful(name) or new <= 0:
                self._sums[name] = (number, 1)
            else:
                total, steps = self._sums.get(name, (0.0, 0.0))
                self._sums[name] = (total + number * new, steps + new)
        self._seen = current
        is_end = (self.target is not None and current >= self.target) if finalize is None else finalize
        if self._style == "bar":
            self._draw()
        if is_end:
            self._finish()

    def add(self, n: int, values: Iterable[tuple[str, Any]] | None = None) -> None:
        """Show that more steps are done.

        Args:
            n: Number of new steps.
            values: Pairs of a name and a value, as in `update`. Default none.
        """
        self.update(self._seen + n, values)

    def means(self) -> dict[str, float]:
        """Return the values that are shown, by name."""
        return {name: total / steps for name, (total, steps) in self._sums.items()}

    def _is_stateful(self, name: str) -> bool:
        return name in self._stateful if self._stateless is None else name not in self._stateless

    def _text(self) -> str:
        return "".join(f" - {name}: {format_value(value)}" for name, value in self.means().items())

    def _draw(self) -> None:
        """Draw the bar at its place, unless it was drawn within the interval."""
        if self._bar is None:
            from tqdm import tqdm

            self._bar = tqdm(
                total=self.target, unit=self.unit_name, mininterval=self.interval, file=sys.stdout, leave=False,
                dynamic_ncols=True, bar_format="{n_fmt}/{total_fmt} {bar:" + str(self.width) + "} {remaining}{postfix}",
            )  # fmt: skip
        self._bar.set_postfix_str(self._text().removeprefix(" - "), refresh=False)
        self._bar.update(self._seen - self._bar.n)

    def _finish(self) -> None:
        """Close the bar and print the line of text."""
        if self._bar is not None:
            self._bar.close()
            self._bar = None
        if self._style != "none":
            seconds = time.perf_counter() - self._start
            steps = f"{self._seen}/{'unknown' if self.target is None else self.target}"
            print(f"{steps} - {seconds:.1f}s, {_pace(seconds / max(self._seen, 1))}/{self.unit_name}{self._text()}")
            sys.stdout.flush()


def _number(value: Any) -> float:
    """Return a value as a number, that of an array as its mean."""
    number = as_float(value)
    return float(np.mean(convert_to_numpy(value))) if number is None else number


def _pace(seconds: float) -> str:
    return f"{seconds:.1f}s" if seconds >= 1 else f"{seconds * 1e3:.1f}ms"
