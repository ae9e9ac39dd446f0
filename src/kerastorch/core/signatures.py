"""Parameters of functions and methods, each read once: to read a signature takes longer than to run a small layer."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from types import FunctionType, MethodType
from typing import Any
from weakref import WeakKeyDictionary

import torch

_Known = WeakKeyDictionary[FunctionType, Mapping[str, inspect.Parameter]]
_of_functions: _Known = WeakKeyDictionary()
_of_methods: _Known = WeakKeyDictionary()  # by the function of the class; without its first parameter


def parameters_of(call: Callable[..., Any]) -> Mapping[str, inspect.Parameter]:
    """Return the parameters of a function or bound method by name, in order, as `inspect.signature` does.

    Raises:
        TypeError: It cannot be called.
        ValueError: It has no signature, as some functions that are not written in Python.
    """
    known, function = (_of_methods, call.__func__) if isinstance(call, MethodType) else (_of_functions, call)
    if not isinstance(function, FunctionType) or torch.compiler.is_compiling():
        return inspect.signature(call).parameters
    found = known.get(function)
    if found is None:
        found = known[function] = inspect.signature(call).parameters
    return found
