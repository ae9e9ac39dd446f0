"""The features of a `FeatureSpace`: a layer that makes numbers of values, and the form of these numbers."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from kerastorch.core.errors import check_choice, check_int
from kerastorch.core.serialization import Configurable
from kerastorch.layers.discretization import Discretization
from kerastorch.layers.feature_normalization import Normalization
from kerastorch.layers.hashing import Hashing
from kerastorch.layers.integer_lookup import IntegerLookup
from kerastorch.layers.rescaling import Rescaling
from kerastorch.layers.reshaping import Identity
from kerastorch.layers.string_lookup import StringLookup
from kerastorch.layers.text_vectorization import TextVectorization

_MODES = ("int", "one_hot", "float")


class Feature(Configurable):
    """A feature: the dtype of its values, the layer that they go through, and the form of what comes out.

    Args:
        dtype: `"float32"`, `"int32"`, `"string"` or another name of a dtype.
        preprocessor: The layer.
        output_mode: `"int"` or `"float"` for the output of the layer, `"one_hot"` for categories as vectors.

    Raises:
        ValueError: There is no such output mode.
    """

    def __init__(self, dtype: str, preprocessor: nn.Module, output_mode: str) -> None:
        self.dtype, self.preprocessor = dtype, preprocessor
        self.output_mode = check_choice("output_mode", output_mode, _MODES)

    @property
    def n_categories(self) -> int | None:
        """Number of categories that the layer gives, `None` if it does not say one."""
        part: Any = self.preprocessor
        if isinstance(part, (IntegerLookup, StringLookup, TextVectorization)):
            return int(part.vocabulary_size())
        if isinstance(part, Discretization):
            return len(part.bin_boundaries) + 1
        found = getattr(part, "num_bins", getattr(part, "num_tokens", None))
        return found if isinstance(found, int) else None

    @property
    def example(self) -> Any:
        """A value that the layer knows."""
        if isinstance(self.preprocessor, (IntegerLookup, StringLookup)):
            return self.preprocessor.get_vocabulary(include_special_tokens=False)[0]
        return "" if self.dtype == "string" else 0

    @property
    def is_symbolic(self) -> bool:
        """Whether the layer can be a part of a model."""
        return self.dtype != "string" and not isinstance(self.preprocessor, (Hashing, StringLookup, TextVectorization))

    @property
    def needs_data(self) -> bool:
        """Whether the layer waits for `adapt`."""
        part: Any = self.preprocessor
        if isinstance(part, Normalization):
            return part.mean.shape == (0,)
        if isinstance(part, Discretization):
            return not len(part.bin_boundaries)
        if isinstance(part, TextVectorization):
            return not part.lookup.has_vocabulary
        if isinstance(part, (IntegerLookup, StringLookup)):
            return not part.has_vocabulary
        return hasattr(part, "adapt")

    def to_column(self, value: Any) -> Any:
        """Return values as the layer takes them: `(rows, 1)` for one value a row, a tensor unless they are strings."""
        if self.dtype == "string":
            array = np.asarray(value.tolist() if isinstance(value, Tensor) else value)
            return array.reshape(-1, 1) if array.ndim < 2 else array
        tensor = value if isinstance(value, Tensor) else torch.from_numpy(np.array(value))  # a writable copy
        tensor = tensor.to(getattr(torch, self.dtype))
        return tensor.reshape(-1, 1) if tensor.ndim < 2 else tensor


class Cross(Configurable):
    """A crossing of features: a category for each combination of their categories, by hashing.

    Args:
        feature_names: Names of the features.
        crossing_dim: Number of categories.
        output_mode: `"one_hot"` for vectors, `"int"` for numbers. Default `"one_hot"`.

    Raises:
        ValueError: There is no such output mode.
    """

    def __init__(self, feature_names: Sequence[str], crossing_dim: int, output_mode: str = "one_hot") -> None:
        self.feature_names = tuple(feature_names)
        self.crossing_dim = check_int("crossing_dim", crossing_dim)
        self.output_mode = check_choice("output_mode", output_mode, _MODES[:2])

    @property
    def name(self) -> str:
        """The names of the features, joined."""
        return "_X_".join(self.feature_names)


def make_float(name: str | None = None) -> Feature:
    """Return a number that stays as it is."""
    return Feature("float32", Identity(name=_name(name)), "float")


def make_float_rescaled(scale: float = 1.0, offset: float = 0.0, name: str | None = None) -> Feature:
    """Return a number that is multiplied by `scale`, to which `offset` is added."""
    return Feature("float32", Rescaling(scale, offset, name=_name(name)), "float")


def make_float_normalized(name: str | None = None) -> Feature:
    """Return a number that is normalized by the mean and variance of the data."""
    return Feature("float32", Normalization(axis=-1, name=_name(name)), "float")


def make_float_discretized(
    num_bins: int | None, bin_boundaries: Sequence[float] | None = None, output_mode: str = "one_hot",
    name: str | None = None,
) -> Feature:  # fmt: skip
    """Return a number as one of several bins, whose boundaries are given or learned."""
    bins = None if bin_boundaries is not None else num_bins
    return Feature("float32", Discretization(bin_boundaries, bins, name=_name(name)), output_mode)


def make_integer_categorical(
    max_tokens: int | None = None, num_oov_indices: int = 1, output_mode: str = "one_hot", name: str | None = None
) -> Feature:
    """Return an integer as one of the categories that the data have."""
    return Feature("int32", IntegerLookup(max_tokens, num_oov_indices, name=_name(name)), output_mode)


def make_string_categorical(
    max_tokens: int | None = None, num_oov_indices: int = 1, output_mode: str = "one_hot", name: str | None = None
) -> Feature:
    """Return a string as one of the categories that the data have."""
    return Feature("string", StringLookup(max_tokens, num_oov_indices, name=_name(name)), output_mode)


def make_string_hashed(num_bins: int, output_mode: str = "one_hot", name: str | None = None) -> Feature:
    """Return a string as one of some categories, by hashing."""
    return Feature("string", Hashing(num_bins, name=_name(name)), output_mode)


def make_integer_hashed(num_bins: int, output_mode: str = "one_hot", name: str | None = None) -> Feature:
    """Return an integer as one of some categories, by hashing."""
    return Feature("int32", Hashing(num_bins, name=_name(name)), output_mode)


BY_NAME: dict[str, Callable[..., Feature]] = {
    "float": make_float,
    "float_rescaled": make_float_rescaled,
    "float_normalized": make_float_normalized,
    "float_discretized": make_float_discretized,
    "integer_categorical": make_integer_categorical,
    "string_categorical": make_string_categorical,
    "integer_hashed": make_integer_hashed,
    "string_hashed": make_string_hashed,
}


def _name(name: str | None) -> str | None:
    return None if name is None else f"{name}_preprocessor"
