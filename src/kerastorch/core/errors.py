"""Errors and warnings that several packages raise, and the checks of arguments that raise them."""

from __future__ import annotations

import difflib
import math
import numbers
import re
import sys
import warnings
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any

from kerastorch.core.ownership import PACKAGE


def suggest(name: str, known: Iterable[str]) -> str:
    """Return `" Did you mean 'mse'?"` if a known name is similar to `name`, else an empty string.

    Names with other numbers are different things: `'l1_loss'` is not suggested for `'l3_loss'`.
    """
    numbers_in = re.compile(r"\d+").findall
    same = [one for one in sorted(known) if not numbers_in(name) or numbers_in(one) == numbers_in(name)]
    candidates = {one.lower(): one for one in same}
    near = difflib.get_close_matches(name.lower(), candidates, n=1, cutoff=0.6)
    return f" Did you mean {candidates[near[0]]!r}?" if near else ""


def unknown(kind: str, name: str, known: Iterable[str], advice: str = "") -> ValueError:
    """Return the error for an unknown name, with advice or else the most similar known name, and all known names.

    >>> print(unknown("loss", "msee", ["mae", "mse"]))
    Unknown loss 'msee'. Did you mean 'mse'? Known: mae, mse.
    """
    known = sorted(known)
    hint = f" {advice}" if advice else suggest(name, known)
    return ValueError(f"Unknown {kind} {name!r}.{hint} Known: {', '.join(known)}.")


def mismatch(what: str, given: Any, expected: str, advice: str = "") -> ValueError:
    """Return the error for a value of the wrong kind.

    >>> print(mismatch("units", -1, "an integer >= 1"))
    units must be an integer >= 1, got -1.
    """
    return ValueError(f"{what} must be {expected}, got {shown(given)}.{' ' + advice if advice else ''}")


_LONGEST_VALUE = 120  # characters of a value in a message


def shown(value: Any) -> str:
    """Return a value as messages show it: arrays by their shape, other values by a `repr` of one line.

    >>> import torch
    >>> shown("relu"), shown(torch.zeros(2, 3)), shown((torch.zeros(2), 1))
    ("'relu'", 'a Tensor of shape (2, 3)', '(a Tensor of shape (2,), 1)')
    """
    if isinstance(value, (tuple, list)) and any(_has_array(one) for one in value[:_MOST_SHOWN]):
        inner = ", ".join(map(shown, value[:_MOST_SHOWN])) + (", ..." if len(value) > _MOST_SHOWN else "")
        return f"({inner})"
    if getattr(value, "ndim", 0) and hasattr(value, "shape"):
        kind = type(value).__name__
        return f"{'an array' if kind == 'ndarray' else f'a {kind}'} of shape {tuple(value.shape)}"
    if isinstance(value, Mapping) and value and all(hasattr(one, "shape") for one in value.values()):
        return "a dict with " + ", ".join(f"{key!r}: {shown(one)}" for key, one in value.items())
    text = " ".join(repr(value).split())
    return text if len(text) <= _LONGEST_VALUE else f"{text[:_LONGEST_VALUE]}..."


_MOST_SHOWN = 4  # items of a tuple


def _has_array(value: Any) -> bool:
    is_sequence = isinstance(value, (tuple, list))
    return hasattr(value, "shape") or (is_sequence and any(_has_array(one) for one in value[:_MOST_SHOWN]))


def check_choice(what: str, given: Any, choice: Iterable[str]) -> str:
    """Return `given` in lower case if it is one of `choice`, else raise.

    >>> check_choice("padding", "SAME", ["valid", "same"])
    'same'
    """
    choice = list(choice)
    if not isinstance(given, str):
        raise mismatch(what, given, "one of " + ", ".join(map(repr, choice)))
    if given.lower() not in choice:
        raise unknown(what, given, choice)
    return given.lower()


def check_int(name: str, value: Any, least: int = 1, advice: str = "") -> int:
    """Return `value` as an int that is at least `least`, else raise; `advice` ends the message.

    NumPy integers pass; bools, floats and strings do not.

    >>> check_int("batch_size", 0)
    Traceback (most recent call last):
    ValueError: batch_size must be an integer >= 1, got 0.
    """
    if isinstance(value, bool) or not isinstance(value, numbers.Integral) or value < least:
        raise mismatch(name, value, f"an integer >= {least}", advice)
    return int(value)


def check_float(
    name: str,
    value: Any,
    *,
    above: float = -math.inf,
    least: float = -math.inf,
    below: float = math.inf,
    most: float = math.inf,
    advice: str = "",
) -> float:
    """Return `value` as a finite float within the given bounds, else raise.

    Args:
        name: Name of the argument, for the message.
        value: A real number; bools and strings do not pass.
        above: Exclusive lower bound.
        least: Inclusive lower bound.
        below: Exclusive upper bound.
        most: Inclusive upper bound.
        advice: Sentence that ends the message.
    """
    words = [
        f"{sign} {bound:g}"
        for sign, bound in ((">", above), (">=", least), ("<", below), ("<=", most))
        if math.isfinite(bound)
    ]
    expected = "a finite number" + (" " + " and ".join(words) if words else "")
    if isinstance(value, bool) or not isinstance(value, numbers.Real):
        raise mismatch(name, value, expected, advice)
    given = float(value)
    if not (math.isfinite(given) and above < given < below and least <= given <= most):
        raise mismatch(name, value, expected, advice)
    return given


_emitted: ContextVar[set[str] | None] = ContextVar("messages that `warn` has emitted", default=None)


@contextmanager
def deduplicate_warnings() -> Iterator[None]:
    """Emit each message passed to `warn` only once within the block.

    A nested block belongs to the outermost one.
    """
    if _emitted.get() is not None:
        yield
        return
    token = _emitted.set(set())
    try:
        yield
    finally:
        _emitted.reset(token)


_screen: ContextVar[Callable[[str], str | None] | None] = ContextVar("decides about messages of `warn`", default=None)


@contextmanager
def screen_warnings(screen: Callable[[str], str | None]) -> Iterator[None]:
    """Let a function decide about each message passed to `warn` within the block.

    Args:
        screen: Function of a message that returns the message to emit, or `None` for none.
    """
    token = _screen.set(screen)
    try:
        yield
    finally:
        _screen.reset(token)


def warn(sentence: str) -> None:
    """Emit a `UserWarning` that points at the user's own line.

    Within `deduplicate_warnings`, each message is emitted only once.
    """
    emitted, screen = _emitted.get(), _screen.get()
    if emitted is not None:
        if sentence in emitted:
            return
        emitted.add(sentence)
    if screen is not None:
        screened = screen(sentence)
        if screened is None:
            return
        sentence = screened
    frame, level = sys._getframe(1), 2
    while frame.f_back is not None and str(frame.f_globals.get("__name__")).partition(".")[0] in _INTERNAL_PACKAGES:
        frame, level = frame.f_back, level + 1
    warnings.warn(sentence, stacklevel=level)


_INTERNAL_PACKAGES = (PACKAGE, "torch", "contextlib")


class CheckpointError(Exception):
    """Raised if a file cannot be written or loaded; the message names the file and the reason."""


class CheckpointCorruptError(CheckpointError):
    """Raised if a file is truncated, damaged or of a different format."""


class DistributedError(RuntimeError):
    """Raised if another process of those that train together has stopped; the message has its rank and its error."""


class ConversionError(Exception):
    """A model of Keras was converted, and the two models return different outputs."""


class ExportError(Exception):
    """Raised if a model cannot be exported, or the exported model computes different values.

    No file is written then.
    """


_LONGEST_REASON = 300  # characters; a longer reason is cut, as it may quote the content of the file


def damaged_file(name: str, why: str) -> CheckpointCorruptError:
    """Return the error `name is damaged, or not what it should be: why.`."""
    why = why if len(why) <= _LONGEST_REASON else f"{why[:_LONGEST_REASON]}..."
    return CheckpointCorruptError(f"{name} is damaged, or not what it should be: {why}.")
