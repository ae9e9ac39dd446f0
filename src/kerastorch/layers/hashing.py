"""Hashing and HashedCrossing: categories as the numbers of bins, without a vocabulary."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from kerastorch.core.errors import check_choice, check_int, mismatch
from kerastorch.layers.base import Layer
from kerastorch.layers.category_encoding import VECTOR_MODES, check_not_sparse, encode_categories
from kerastorch.layers.hash_functions import combine_fingerprints, fingerprint64, hash_bucket
from kerastorch.symbolic.symbolic_tensor import has_symbols

_CROSSING_KEY = 0xDECAFCAFFE  # the number that TensorFlow, and so Keras, begins with


class _HashingLayer(Layer):
    """Layer that is called on categories outside of models, and returns bins in the form of `output_mode`."""

    _output_like: Tensor

    _reads_arrays = True

    def __init__(
        self, num_bins: int, output_mode: str, modes: Sequence[str], sparse: bool, name: str | None, trainable: bool
    ) -> None:
        super().__init__(name=name, trainable=trainable)
        self.num_bins = check_int("num_bins", num_bins)
        self.output_mode = check_choice("output_mode", output_mode, modes)
        self.sparse = check_not_sparse(sparse)
        # an empty buffer follows .to() and .double(), so that its device and dtype are those of the vectors
        self.register_buffer("_output_like", torch.empty(0), persistent=False)
        self.ensure_built()  # nothing depends on the input shape, and strings have none

    def build(self, *input_shapes: Any) -> None:
        """Do nothing: the layer has no parameters."""

    def __call__(self, x: Any) -> Any:
        """Return the bins of categories.

        Raises:
            TypeError: The call is being traced, compiled or exported.
        """
        if torch.compiler.is_compiling() or has_symbols(x):
            name = type(self).__name__
            raise TypeError(
                f"{name} hashes in Python and cannot be part of a functional model, compiled or exported. Call {name} "
                "on the data before it goes into the model, and give the model what comes out."
            )
        return super().__call__(x)

    def _encode(self, bins: np.ndarray[Any, Any], device: torch.device) -> Tensor:
        index = torch.from_numpy(bins).to(device)
        if self.output_mode == "int":
            return index
        return encode_categories(index, self.output_mode, self.num_bins, self._output_like.dtype)

    def _device_of(self, x: Any) -> torch.device:
        return x.device if isinstance(x, Tensor) else self._output_like.device

    def extra_repr(self) -> str:
        return f"{self.num_bins} bins, {self.output_mode}"


class Hashing(_HashingLayer):
    """Hashing of categories: each string or integer becomes the number of a bin, without a vocabulary.

    The bins are those of Keras: FarmHash, or SipHash with a `salt`. Integers are hashed as decimal numbers, and floats
    are truncated first. The layer is called on lists, NumPy arrays or tensors of integers, and the model is trained on
    its output; it cannot be part of a functional model, compiled or exported.

    Args:
        num_bins: Number of bins, including that of `mask_value`.
        mask_value: Category that gets bin 0, which no other one gets. Default `None` for none.
        salt: One or two integers that choose another hash function, SipHash-2-4. Default `None` for FarmHash.
        output_mode: `"int"` (default) for int64 numbers of bins; `"one_hot"`, `"multi_hot"` or `"count"` for vectors as
            from `CategoryEncoding`.
        sparse: Must be `False`.
        name: Name of the layer. Default none.
        trainable: No effect: the layer has no trained weights.

    Shape: categories of any shape, unchanged (`"int"`); else as for `CategoryEncoding` with `num_bins` tokens.

    >>> Hashing(3)([["A"], ["B"], ["E"]]).flatten()
    tensor([1, 0, 2])
    """

    def __init__(
        self,
        num_bins: int,
        mask_value: str | int | None = None,
        salt: int | Sequence[int] | None = None,
        output_mode: str = "int",
        sparse: bool = False,
        *,
        name: str | None = None,
        trainable: bool = True,
    ) -> None:
        super().__init__(num_bins, output_mode, ("int", *VECTOR_MODES), sparse, name, trainable)
        if not isinstance(mask_value, str | int | None) or isinstance(mask_value, bool):
            raise mismatch("mask_value", mask_value, "a string, an integer, or None")
        self.mask_value = mask_value
        self.salt = check_salt(salt)

    def forward(self, x: Any) -> Tensor:
        categories = _to_categories(x, "Hashing")
        if categories.dtype.kind == "f":
            categories = categories.astype(np.int64)
        return self._encode(_map_distinct(self._bin_of, categories), self._device_of(x))

    def _bin_of(self, category: Any) -> int:
        first = int(self.mask_value is not None and self.num_bins > 1)
        if first and category == self.mask_value:
            return 0
        return first + hash_bucket(str(category).encode(), self.num_bins - first, self.salt)


class HashedCrossing(_HashingLayer):
    """Hashing of combinations: the categories of several features together become the number of a bin.

    The bins are those of Keras. The layer is called on a list of features, each a list, a NumPy array or a tensor of
    strings or integers, and the model is trained on its output; it cannot be part of a functional model, compiled or
    exported.

    Args:
        num_bins: Number of bins.
        output_mode: `"int"` (default) for int64 numbers of bins, or `"one_hot"` for vectors.
        sparse: Must be `False`.
        name: Name of the layer. Default none.
        trainable: No effect: the layer has no trained weights.

    Shape: two or more features `(batch,)` or `(batch, 1)`, unchanged (`"int"`), or `(batch, num_bins)`.

    >>> HashedCrossing(5)((["A", "B", "A"], [101, 101, 102]))
    tensor([1, 4, 3])
    """

    def __init__(
        self,
        num_bins: int,
        output_mode: str = "int",
        sparse: bool = False,
        *,
        name: str | None = None,
        trainable: bool = True,
    ) -> None:
        super().__init__(num_bins, output_mode, ("int", "one_hot"), sparse, name, trainable)

    def forward(self, x: Any) -> Tensor:
        if not isinstance(x, (list, tuple)) or len(x) < 2:
            given = f"{len(x)} of them" if isinstance(x, (list, tuple)) else f"a {type(x).__name__}"
            raise ValueError(f"HashedCrossing takes a list of at least two features, got {given}.")
        features = [_to_categories(feature, "HashedCrossing") for feature in x]
        shapes = [feature.shape for feature in features]
        if len(set(shapes)) > 1 or len(shapes[0]) > 2 or shapes[0][1:] not in ((), (1,)):
            given = ", ".join(map(str, shapes))
            raise ValueError(f"HashedCrossing takes features of one shape, (batch,) or (batch, 1), got {given}.")
        if any(feature.dtype.kind == "f" for feature in features):
            raise TypeError("HashedCrossing takes strings and integers, got floats; use x.long() or Discretization.")
        hashes = [_fingerprints(feature) for feature in features]
        bins = [self._bin_of(row) for row in zip(*hashes, strict=True)]
        return self._encode(np.array(bins, dtype=np.int64).reshape(shapes[0]), self._device_of(x[0]))

    def _bin_of(self, hashes: tuple[int, ...]) -> int:
        value = _CROSSING_KEY
        for one in hashes:
            value = combine_fingerprints(value, one)
        return value % self.num_bins


def check_salt(salt: Any) -> list[int] | None:
    """Return a salt as two integers, or `None`.

    Raises:
        ValueError: It is not one integer or two of them.
    """
    if salt is None:
        return None
    pair = [salt, salt] if isinstance(salt, int) else list(salt) if isinstance(salt, (list, tuple)) else []
    if len(pair) != 2 or any(isinstance(number, bool) or not isinstance(number, int) for number in pair):
        raise mismatch("salt", salt, "an integer, two of them, or None")
    return pair


def _to_categories(x: Any, name: str) -> np.ndarray[Any, Any]:
    """Return categories as an array of `str` objects, of integers or of floats.

    Raises:
        TypeError: Other types, or strings beside numbers.
    """
    expected = f"{name} takes strings or integers, all of one kind and rows of one length, got {x!r:.80}."
    try:
        array = x.detach().cpu().numpy() if isinstance(x, Tensor) else np.asarray(x)
    except ValueError:
        raise TypeError(expected) from None
    if array.dtype.kind in "iuf":
        return array
    flat = [one.decode() if isinstance(one, bytes) else one for one in array.astype(object).reshape(-1)]
    are_strings = array.dtype.kind != "U" or _has_only_strings(x)
    if not are_strings or not all(isinstance(one, str) for one in flat):
        raise TypeError(expected)
    return np.array(flat, dtype=object).reshape(array.shape)


def _has_only_strings(x: Any) -> bool:
    """Return whether nested lists contain no numbers, which NumPy would turn into strings."""
    return all(map(_has_only_strings, x)) if isinstance(x, (list, tuple)) else not isinstance(x, (int, float))


def _map_distinct(function: Callable[[Any], int], categories: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    """Return the number of each category, `(...)` int64; each distinct category is computed once."""
    found = {category: function(category) for category in set(categories.reshape(-1).tolist())}
    numbers = [found[category] for category in categories.reshape(-1).tolist()]
    return np.array(numbers, dtype=np.int64).reshape(categories.shape)


def _fingerprints(categories: np.ndarray[Any, Any]) -> list[int]:
    """Return the fingerprint of each string, or each integer as it is, as unsigned numbers of 64 bits."""
    flat = categories.reshape(-1).tolist()
    if categories.dtype.kind in "iu":
        return [number % 2**64 for number in flat]
    found = {category: fingerprint64(category.encode()) for category in set(flat)}
    return [found[category] for category in flat]
