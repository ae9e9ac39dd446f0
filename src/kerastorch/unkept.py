"""What objects of the user's own remember in attributes that no checkpoint holds: noticed, so that it can be told."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

Seen = dict[str, Any]


def speaks(holder: Any, base: type, words: Collection[str]) -> bool:
    """Whether an object says itself what of it is kept: by its class, or by one of the words, which `base` has too."""
    if type(holder).__module__.partition(".")[0] in ("kerastorch", "torch"):
        return True
    said = [vars(holder), *(vars(part) for part in type(holder).__mro__ if part is not base)]
    return any(word in about for about in said for word in words)


def seen(holder: Any, but: Collection[str] = ()) -> Seen:
    """The attributes that may count something: numbers, text, and how long lists, sets and dicts are.

    >>> class Counter:
    ...     count, names = 0, ()
    >>> counter = Counter()
    >>> before = seen(counter)
    >>> counter.count += 1
    >>> changed(counter, before)
    ['count']
    """
    return {
        name: len(value) if isinstance(value, (list, set, dict)) else value
        for name, value in vars(holder).items()
        if isinstance(value, (int, float, str, type(None), list, set, dict)) and name not in but
    }


def changed(holder: Any, before: Seen, but: Collection[str] = ()) -> list[str]:
    """The names of those that are not as they were."""
    return [name for name, value in seen(holder, but).items() if name not in before or before[name] != value]
