"""Every "no" that several rooms say is worded here: what was given, what was expected, what to do."""

from __future__ import annotations

import difflib
import math
import numbers
import sys
import warnings
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any

from kerastorch.core.ownership import PACKAGE


def suggest(name: str, known: Iterable[str]) -> str:
    """`" Did you mean 'mse'?"` when a known name is near, else an empty string."""
    near = difflib.get_close_matches(name.lower(), sorted(known), n=1, cutoff=0.6)
    return f" Did you mean {near[0]!r}?" if near else ""


def unknown(kind: str, name: str, known: Iterable[str]) -> ValueError:
    """The error for a name nobody knows, with the nearest right one and the full choice.

    >>> print(unknown("loss", "msee", ["mae", "mse"]))
    Unknown loss 'msee'. Did you mean 'mse'? Known: mae, mse.
    """
    known = sorted(known)
    return ValueError(f"Unknown {kind} {name!r}.{suggest(name, known)} Known: {', '.join(known)}.")


def mismatch(what: str, given: Any, expected: str, advice: str = "") -> ValueError:
    """The error for a value of the wrong kind: `what must be expected, got given. advice`."""
    return ValueError(f"{what} must be {expected}, got {given!r}.{' ' + advice if advice else ''}")


def check_choice(what: str, given: Any, choice: Iterable[str]) -> str:
    """`given` in lower case, one of `choice`.

    >>> one_of("padding", "SAME", ["valid", "same"])
    'same'
    """
    choice = list(choice)
    if not isinstance(given, str):
        raise mismatch(what, given, "one of " + ", ".join(map(repr, choice)))
    if given.lower() not in choice:
        raise unknown(what, given, choice)
    return given.lower()


def check_int(name: str, value: Any, least: int = 1) -> int:
    """`value` as an int >= `least`; NumPy integers pass, bools, floats and strings do not.

    >>> whole("batch_size", 0)
    Traceback (most recent call last):
    ValueError: batch_size must be an integer >= 1, got 0.
    """
    if isinstance(value, bool) or not isinstance(value, numbers.Integral) or value < least:
        raise mismatch(name, value, f"an integer >= {least}")
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
    """`value` as a finite float inside the given bounds (`above`, `below` exclusive; `least`, `most` inclusive)."""
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


_given: ContextVar[set[str] | None] = ContextVar("sentences that `warn` has given", default=None)


@contextmanager
def deduplicate_warnings() -> Iterator[None]:
    """Give each sentence passed to `warn` only once while this runs; one within another counts as the outer one."""
    if _given.get() is not None:
        yield
        return
    token = _given.set(set())
    try:
        yield
    finally:
        _given.reset(token)


def warn(sentence: str) -> None:
    """Give a `UserWarning` that points at the user's own line, once within `each_warning_once`."""
    given = _given.get()
    if given is not None:
        if sentence in given:
            return
        given.add(sentence)
    frame, level = sys._getframe(1), 2
    while frame.f_back is not None and str(frame.f_globals.get("__name__")).partition(".")[0] in _INSIDE:
        frame, level = frame.f_back, level + 1
    warnings.warn(sentence, stacklevel=level)


_INSIDE = (PACKAGE, "torch", "contextlib")


class CheckpointError(Exception):
    """A file that was saved, or should be, cannot be used; the message names it and says why."""


class CheckpointCorruptError(CheckpointError):
    """The bytes of a file are not those that were written: it was cut off, damaged, or is something else."""


class ExportError(Exception):
    """A model cannot be exported, or what was exported does not give what the model gives; no file was written."""


_LONGEST_REASON = 300  # characters: a reason may quote what stands in the file


def damaged_file(name: str, why: str) -> CheckpointCorruptError:
    """Return the error `name is damaged, or not what it should be: why.`."""
    why = why if len(why) <= _LONGEST_REASON else f"{why[:_LONGEST_REASON]}..."
    return CheckpointCorruptError(f"{name} is damaged, or not what it should be: {why}.")
