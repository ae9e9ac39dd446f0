"""`compile(prepare_batch=function)`: a function of the user's that reads what a loader yields."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Mapping
from typing import Any

from torch import Tensor

from kerastorch.core.errors import mismatch
from kerastorch.core.nested import is_object

PrepareBatch = Callable[[Any], Any]


def check_prepare_batch(function: Any) -> PrepareBatch | None:
    """Return `compile(prepare_batch=)`, checked.

    Raises:
        ValueError: It is no function.
        TypeError: It cannot be called with one argument.
    """
    if function is None:
        return None
    if not callable(function):
        raise mismatch("prepare_batch", function, "a function batch -> (x, y) or (x, y, sample_weight)")
    try:
        inspect.signature(function).bind(object())
    except TypeError as error:
        given = f"{name_of(function)}{inspect.signature(function)}"
        raise TypeError(f"prepare_batch must take one argument, the batch; {given} does not.") from error
    except ValueError:  # a builtin without a signature
        pass
    return function  # type: ignore[no-any-return]


def prepared_parts(function: PrepareBatch, item: Any, *, inputs_only: bool) -> tuple[Any, ...]:
    """Return the parts `(x,)`, `(x, y)` or `(x, y, sample_weight)` that the user's function makes of an item.

    Args:
        function: `compile(prepare_batch=)`.
        item: What the loader yields.
        inputs_only: Whether the batch is for `predict`, where `x` suffices.

    Raises:
        ValueError: The function failed, or returned something else.
    """
    name = name_of(function)
    try:
        found = function(item)
    except Exception as error:
        hint = " predict() needs x alone: return it if the target is missing." if inputs_only else ""
        raise ValueError(
            f"prepare_batch={name} failed on {describe(item)}: {type(error).__name__}: {str(error).rstrip('.')}.{hint}"
        ) from error
    expected = "(x, y) or (x, y, sample_weight)" + (", or x" if inputs_only else "")
    if found is None:
        raise ValueError(f"prepare_batch={name} returned None for {describe(item)}; return {expected}.")
    if not isinstance(found, (tuple, list)) or is_object(found):
        return (found,)
    if not 1 <= len(found) <= 3:
        raise ValueError(
            f"prepare_batch={name} returned {len(found)} items for {describe(item)}; return {expected}. Several inputs "
            "are ((a, b), y)."
        )
    return tuple(found)


def advice_for_an_object(x: Any) -> str:
    """Return what to write if data are an instance of a class, else nothing."""
    if not hasattr(x, "__dict__"):
        return ""
    line = "compile(..., prepare_batch=lambda batch: (batch, batch.y))"
    return f" If it is one batch for the model, pass lambda: [batch], and say where its target is: {line}."


def name_of(function: Any) -> str:
    """Return the name of a function as messages show it."""
    inner = function.func if isinstance(function, functools.partial) else function
    return str(getattr(inner, "__qualname__", type(inner).__name__)).rpartition("<locals>.")[2]


def describe(item: Any) -> str:
    """Return what an item is, for messages.

    >>> describe({"a": Tensor([1.0])}), describe((1, Tensor([1.0])))
    ("a dict with the keys 'a'", 'a tuple of int and a tensor (1,)')
    """
    kind = type(item).__name__
    if isinstance(item, Tensor):
        return "a nested tensor" if item.is_nested else f"a tensor {tuple(item.shape)}"
    if isinstance(item, Mapping):
        return f"a {kind} with the keys {', '.join(map(repr, item.keys()))}"
    if isinstance(item, (tuple, list)) and not is_object(item) and 0 < len(item) <= 8:
        return f"a {kind} of {', '.join(map(_short, item[:-1]))}{' and ' if len(item) > 1 else ''}{_short(item[-1])}"
    return f"a {kind}"


def _short(part: Any) -> str:
    return describe(part) if isinstance(part, Tensor) else type(part).__name__
