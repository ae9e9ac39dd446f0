"""Durations as arguments: numbers of seconds, `timedelta`s, and text such as `"1h30m"`."""

from __future__ import annotations

import datetime
import math
import numbers
import re
from typing import Any

from kerastorch.core.errors import mismatch

_SECONDS = {"d": 86400, "h": 3600, "m": 60, "min": 60, "s": 1}
_PART = re.compile(r"\s*(\d+(?:\.\d+)?)\s*(min|[dhms])\s*")


def parse_duration(name: str, value: Any) -> float:
    """Return a positive duration in seconds.

    Args:
        name: Name of the argument, for the message.
        value: A number of seconds, a `datetime.timedelta`, or text with the units d, h, m (or min) and s.

    Raises:
        ValueError: The value is none of these, or is not positive and finite.

    >>> parse_duration("max_time", "1h30m"), parse_duration("max_time", "1.5 min")
    (5400.0, 90.0)
    """
    seconds = math.nan
    if isinstance(value, datetime.timedelta):
        seconds = value.total_seconds()
    elif not isinstance(value, bool) and isinstance(value, numbers.Real):
        seconds = float(value)
    elif isinstance(value, str):
        seconds = _parse_text(value)
    if not (math.isfinite(seconds) and seconds > 0):
        raise mismatch(name, value, "a number of seconds > 0, a timedelta, or text such as '1h30m', '45m' or '90s'")
    return seconds


def _parse_text(text: str) -> float:
    """Return the seconds that a text means; NaN if it is no duration."""
    parts = [match.groups() for match in _PART.finditer(text)]
    if not parts or _PART.sub("", text):
        return math.nan
    units = [_SECONDS[unit] for _, unit in parts]
    if units != sorted(set(units), reverse=True):  # '30m1h' and '1h1h' are slips
        return math.nan
    return sum(float(number) * unit for (number, _), unit in zip(parts, units, strict=True))


def format_duration(seconds: float) -> str:
    """Return a duration as text with at most two units.

    >>> format_duration(5400), format_duration(0.25), format_duration(61.2)
    ('1h 30m', '0.25s', '1m 1s')
    """
    if seconds < 60:
        return f"{seconds:.3g}s"
    days, left = divmod(round(seconds), 86400)
    hours, left = divmod(left, 3600)
    minutes, left = divmod(left, 60)
    parts = [f"{number}{unit}" for number, unit in ((days, "d"), (hours, "h"), (minutes, "m"), (left, "s")) if number]
    return " ".join(parts[:2])
