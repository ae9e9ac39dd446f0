"""Reading the pickles within datasets without executing anything.

`imdb.npz` and `reuters.npz` hold arrays of lists, which NumPy can only store as pickles; the batches of CIFAR are
pickles of dicts. A pickle names functions that are called while it is read, so a forged one can run any program. Here
only the names that arrays need are known, and each stands for an object that records its arguments; every other name
is refused. NumPy's own functions are not called either, because a forged dtype or shape could make them access memory
that is not theirs. Arrays are made from the records afterwards, with checks.
"""

from __future__ import annotations

import math
import pickle
import re
from collections.abc import Callable
from typing import IO, Any

import numpy as np

Array = np.ndarray[Any, Any]

_NUMERIC = re.compile(r"[biuf][1248]")


class _Constructor:
    """A name in a pickle: calling it returns a record.

    `__setstate__` keeps the instruction BUILD, which sets attributes of any object, from changing this one.
    """

    __slots__ = ("_make",)

    def __init__(self, make: Callable[..., Any]) -> None:
        self._make = make

    def __call__(self, *args: Any) -> Any:
        return self._make(*args)

    def __setstate__(self, state: Any) -> None:
        raise pickle.UnpicklingError("it sets attributes of a function")


class _DtypeRecord:
    """Arguments and state of a pickled `numpy.dtype`."""

    __slots__ = ("byte_order", "name")

    def __init__(self, name: Any, *flags: Any) -> None:
        self.name = name.decode("latin1") if isinstance(name, bytes) else name
        self.byte_order: Any = "|"

    def __setstate__(self, state: Any) -> None:
        byte_order = state[1]
        self.byte_order = byte_order.decode("latin1") if isinstance(byte_order, bytes) else byte_order

    def to_numpy(self) -> np.dtype[Any]:
        if (
            not isinstance(self.name, str)
            or not _NUMERIC.fullmatch(self.name)
            or self.byte_order not in ("<", ">", "|")
        ):
            raise pickle.UnpicklingError(f"it holds an array of dtype {self.name!r}")
        dtype: np.dtype[Any] = np.dtype(self.byte_order + self.name)
        return dtype


class ArrayRecord:
    """State of a pickled array: shape, dtype, order of the axes, and the bytes or objects in it."""

    __slots__ = ("_data", "_dtype", "_is_fortran", "_shape")

    def __init__(self) -> None:
        self._shape: Any = None  # anything, as a forged pickle may hold
        self._dtype: Any = None
        self._is_fortran: Any = None
        self._data: Any = None

    def __setstate__(self, state: Any) -> None:
        _, self._shape, self._dtype, self._is_fortran, self._data = state

    def to_numpy(self) -> Array:
        """Return the numeric array, with its own memory.

        Raises:
            pickle.UnpicklingError: The array holds no numbers, or bytes and shape do not match.
        """
        if not isinstance(self._dtype, _DtypeRecord):
            raise pickle.UnpicklingError("it holds an array without a dtype")
        dtype, shape, data = self._dtype.to_numpy(), self._shape, self._data
        if not isinstance(shape, tuple) or not all(type(size) is int and size >= 0 for size in shape):
            raise pickle.UnpicklingError(f"it holds an array of shape {shape!r}")
        if not isinstance(data, bytes) or len(data) != math.prod(shape) * dtype.itemsize:
            raise pickle.UnpicklingError(f"the bytes of an array do not match its shape {shape}")
        return np.frombuffer(bytearray(data), dtype).reshape(shape, order="F" if self._is_fortran else "C")

    def to_list(self) -> list[Any]:
        """Return the objects of a one-dimensional array of objects.

        Raises:
            pickle.UnpicklingError: The array is not of that kind.
        """
        if not isinstance(self._data, list) or self._shape != (len(self._data),):
            raise pickle.UnpicklingError("it holds no one-dimensional array of objects")
        return self._data


def _encode(text: Any, encoding: Any = None) -> bytes:
    """Return the bytes that Python 3 writes as a call of `_codecs.encode` in pickles of protocol 2."""
    if not isinstance(text, str) or encoding not in ("latin1", b"latin1"):
        raise pickle.UnpicklingError("it encodes text")
    return text.encode("latin1")


def _refuse_call(*_: Any) -> Any:
    raise pickle.UnpicklingError("it makes an array in an unusual way")


_ARRAY_CLASS = _Constructor(_refuse_call)


def _reconstruct(kind: Any, *_: Any) -> ArrayRecord:
    if kind is not _ARRAY_CLASS:
        raise pickle.UnpicklingError("it makes an array of another class")
    return ArrayRecord()


_ALLOWED = {
    ("numpy", "ndarray"): _ARRAY_CLASS,
    ("numpy", "dtype"): _Constructor(_DtypeRecord),
    ("numpy.core.multiarray", "_reconstruct"): _Constructor(_reconstruct),  # NumPy 1
    ("numpy._core.multiarray", "_reconstruct"): _Constructor(_reconstruct),  # NumPy 2
    ("_codecs", "encode"): _Constructor(_encode),
}


class _Unpickler(pickle.Unpickler):
    def find_class(self, module: str, name: str) -> Any:
        try:
            return _ALLOWED[module, name]
        except KeyError:
            raise pickle.UnpicklingError(f"it calls {module}.{name}, which is not executed") from None


def load(stream: IO[bytes]) -> Any:
    """Return the object of a pickle of lists, tuples, dicts, strings, bytes, numbers and arrays.

    Strings of Python 2 are returned as bytes, and arrays as `ArrayRecord`.

    Raises:
        pickle.UnpicklingError: The pickle is damaged, or calls anything else; nothing was executed.
    """
    try:
        return _Unpickler(stream, encoding="bytes").load()
    except pickle.UnpicklingError:
        raise
    except Exception as error:  # a damaged pickle raises errors of every kind
        raise pickle.UnpicklingError(f"its pickle is damaged ({type(error).__name__}: {error})") from error
