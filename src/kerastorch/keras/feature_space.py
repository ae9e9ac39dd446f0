"""`FeatureSpace`: tables whose columns become the numbers that a model takes."""

from __future__ import annotations

import functools
import os
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from kerastorch.core.errors import check_choice, check_int, mismatch, unknown, warn
from kerastorch.core.serialization import init_arguments
from kerastorch.keras import features as kinds
from kerastorch.keras.features import Cross, Feature
from kerastorch.layers.category_encoding import CategoryEncoding
from kerastorch.layers.hashing import HashedCrossing
from kerastorch.model import Model
from kerastorch.symbolic.input import Input
from kerastorch.symbolic.symbolic_tensor import Symbol, call


class _FloatKind:
    """The kind `"float"` of the class, and the method `float` that modules of torch have."""

    def __get__(self, instance: nn.Module | None, owner: type) -> Callable[..., Any]:
        return kinds.make_float if instance is None else functools.partial(nn.Module.float, instance)


class FeatureSpace(Model):
    """A preprocessing of tables: each column, and crossings of columns, become numbers.

    `adapt` reads the data for vocabularies, means and bins. The space is then called on dicts of arrays or lists, one
    entry for each feature, with a value for each row; single values are one row. Strings and hashes exist outside of
    models only, so that a space with such features, or with crossings, has no `get_inputs()`: train on its outputs.

    Args:
        features: The kind of each feature by name: `"float"`, `"float_normalized"`, `"float_rescaled"`,
            `"float_discretized"`, `"integer_categorical"`, `"string_categorical"`, `"integer_hashed"`,
            `"string_hashed"`, or what the methods of these names return.
        output_mode: `"concat"` for one array, the features in the order of their names, then the crossings; or
            `"dict"`. Default `"concat"`.
        crosses: Tuples of names of features, or what `cross` returns. Default none.
        crossing_dim: Number of categories of a crossing. Default 32.
        hashing_dim: Number of categories of hashed features. Default 32.
        num_discretization_bins: Number of bins. Default 32.
        name: Name of the space.

    Attributes:
        features: A `Feature` for each name.
        preprocessors: The layer of each feature.
        crossers: The layer of each crossing, by the names of its features, as `"sex_X_age"`.

    Raises:
        ValueError: There are no features; a kind, an output mode or a feature of a crossing is unknown.

    >>> space = FeatureSpace({"age": "float_rescaled", "sex": "string_categorical"})
    >>> space.adapt({"age": [30.0, 40.0], "sex": ["f", "m"]})
    >>> space({"age": [20.0], "sex": ["m"]})
    tensor([[20.,  0.,  1.,  0.]])
    """

    float: Any = _FloatKind()
    float_rescaled = staticmethod(kinds.make_float_rescaled)
    float_normalized = staticmethod(kinds.make_float_normalized)
    float_discretized = staticmethod(kinds.make_float_discretized)
    integer_categorical = staticmethod(kinds.make_integer_categorical)
    string_categorical = staticmethod(kinds.make_string_categorical)
    integer_hashed = staticmethod(kinds.make_integer_hashed)
    string_hashed = staticmethod(kinds.make_string_hashed)
    feature = staticmethod(Feature)
    cross = staticmethod(Cross)

    def __init__(
        self,
        features: Mapping[str, str | Feature],
        output_mode: str = "concat",
        crosses: Sequence[Sequence[str] | Cross] | None = None,
        crossing_dim: int = 32,
        hashing_dim: int = 32,
        num_discretization_bins: int = 32,
        name: str | None = None,
    ) -> None:
        super().__init__(name=name)
        if not features:
            raise mismatch("features", features, "a dict with the kind of each feature")
        self.output_mode = check_choice("output_mode", output_mode, ("concat", "dict"))
        self.crossing_dim = check_int("crossing_dim", crossing_dim)
        self.hashing_dim = check_int("hashing_dim", hashing_dim)
        self.num_discretization_bins = check_int("num_discretization_bins", num_discretization_bins)
        self.features = {name: self._to_feature(name, kind) for name, kind in features.items()}
        self.crosses = [one if isinstance(one, Cross) else Cross(one, crossing_dim) for one in crosses or ()]
        for one in (name for cross in self.crosses for name in cross.feature_names):
            if one not in self.features:
                raise unknown("feature", one, self.features)
        self._learning = [name for name, one in self.features.items() if one.needs_data]
        self._layers = nn.ModuleList([one.preprocessor for one in self.features.values()])
        self._crossers = nn.ModuleList([HashedCrossing(one.crossing_dim, name=one.name) for one in self.crosses])
        self._made_ends: tuple[dict[str, Symbol], Any] | None = None

    def _to_feature(self, name: str, kind: str | Feature) -> Feature:
        if isinstance(kind, Feature):
            return kind
        if kind not in kinds.BY_NAME:
            raise unknown("kind of feature", str(kind), kinds.BY_NAME)
        sizes = {"float_discretized": self.num_discretization_bins}
        size = self.hashing_dim if kind.endswith("hashed") else sizes.get(kind)
        return kinds.BY_NAME[kind](name=name) if size is None else kinds.BY_NAME[kind](size, name=name)

    @property
    def preprocessors(self) -> dict[str, nn.Module]:
        """The layer of each feature."""
        return dict(zip(self.features, self._layers, strict=True))

    @property
    def crossers(self) -> dict[str, nn.Module]:
        """The layer of each crossing."""
        return {cross.name: layer for cross, layer in zip(self.crosses, self._crossers, strict=True)}

    def adapt(self, dataset: Any) -> None:
        """Read data for what the layers learn: vocabularies, means and variances, boundaries of bins.

        Args:
            dataset: A dict of arrays or lists, a DataFrame, or an iterable of dicts, which are batches or single rows.

        Raises:
            ValueError: The data are none of these, or lack a feature.

        Warns:
            UserWarning: No layer learns, or all were restored from a file.
        """
        if not self._learning:
            warn("FeatureSpace.adapt: the layers have all values that they need already; nothing has changed.")
            return
        pieces = [dataset] if hasattr(dataset, "keys") else list(dataset)
        if not pieces or not all(hasattr(one, "keys") for one in pieces):
            found = pieces[0] if pieces else dataset
            raise mismatch("dataset", found, "a dict, a DataFrame, or an iterable of dicts")
        for name in self._learning:
            feature = self.features[name]
            columns = [np.asarray(feature.to_column(_column(piece, name))) for piece in pieces]
            adaptable: Any = feature.preprocessor
            adaptable.adapt(np.concatenate(columns))
        self._made_ends = None

    def get_inputs(self) -> dict[str, Symbol]:
        """Return the `Input` of each feature, for a functional model that begins with the features.

        Raises:
            ValueError: A feature is of strings or hashed, or there are crossings; or `adapt` was not called.
        """
        if parts := self._outside_parts():
            raise ValueError(
                f"{', '.join(map(repr, parts))} cannot be part of a model: torch has no strings, and hashes are "
                "computed in Python. Call the FeatureSpace on the data, and the model on the result: "
                "model.predict(feature_space(data)). get_encoded_features() is the input of such a model."
            )
        return self._ends()[0]

    def get_encoded_features(self) -> Any:
        """Return the symbol of the output, or a dict of them, with which functional models begin.

        Raises:
            ValueError: `adapt` was not called.
        """
        return self._ends()[1]

    def _outside_parts(self) -> list[str]:
        """Return the names of features and crossings that cannot be computed in a model."""
        return [
            *(name for name, one in self.features.items() if not one.is_symbolic),
            *(cross.name for cross in self.crosses),
        ]

    def _ends(self) -> tuple[dict[str, Symbol], Any]:
        """Return inputs and outputs; the outputs are inputs themselves if a part cannot be computed in a model."""
        if self._made_ends is None:
            inputs: dict[str, Symbol] = {}
            if self._outside_parts():
                self._check_adapted()
                encoded = self({name: [one.example] for name, one in self.features.items()})
                symbols = {name: Input(one.shape[1:], one.dtype, _plain(name)) for name, one in _items(encoded)}
                outputs = symbols if self.output_mode == "dict" else next(iter(symbols.values()))
            else:
                inputs = {name: Input((1,), one.dtype, _plain(name)) for name, one in self.features.items()}
                self._check_adapted()
                outputs = self._encode(inputs)
            self._made_ends = inputs, outputs
        return self._made_ends

    def __call__(self, data: Mapping[str, Any]) -> Any:
        """Return the numbers of a dict of values: a tensor, or a dict of tensors.

        Args:
            data: Values for each feature: `(rows,)` or `(rows, 1)`; single values for one row, whose output then has no
                axis of rows. Entries that are no features are ignored.

        Raises:
            ValueError: A feature is missing, or `adapt` was not called.
        """
        if not hasattr(data, "keys"):
            raise mismatch("data", data, "a dict with values for each feature")
        self._check_adapted()
        given = {name: _column(data, name) for name in self.features}
        if any(isinstance(one, Symbol) for one in given.values()):
            return self._encode(given)
        columns = {name: one.to_column(given[name]) for name, one in self.features.items()}
        is_row = any(isinstance(one, (str, bytes)) or not np.ndim(one) for one in given.values())
        encoded = self._encode(columns)
        if not is_row:
            return encoded
        return {name: one.squeeze(0) for name, one in encoded.items()} if isinstance(encoded, dict) else encoded[0]

    def forward(self, data: Mapping[str, Any]) -> Any:
        """Return the numbers of a dict of values, as a call does."""
        return self(data)

    def save(
        self,
        filepath: str | os.PathLike[str],
        overwrite: bool = True,
        max_shard_size: Any = None,
    ) -> None:
        """Write the space to a `.kt` file, which `keras.models.load_model` reads.

        Args:
            filepath: Path of the file.
            overwrite: Whether an existing file is replaced. Default `True`.
            max_shard_size: As for models; a space has few numbers.

        Raises:
            ValueError: The suffix is that of Keras' files, in which a space has objects of TensorFlow.
        """
        if not str(filepath).endswith(".kt"):
            raise mismatch("filepath", str(filepath), "a path that ends in .kt for a FeatureSpace")
        super().save(filepath, overwrite, max_shard_size)

    def _config(self) -> dict[str, Any]:
        return init_arguments(self)

    def _check_adapted(self) -> None:
        if missing := [name for name in self._learning if self.features[name].needs_data]:
            raise ValueError(f"Call adapt(data) of the FeatureSpace first: {', '.join(missing)} learn from data.")

    def _encode(self, columns: Mapping[str, Any]) -> Any:
        """Return the output for columns, tensors or symbols."""
        plain = {name: call(layer, columns[name]) for name, layer in self.preprocessors.items()}
        crossed = {
            cross.name: call(self.crossers[cross.name], [plain[name] for name in cross.feature_names])
            for cross in self.crosses
        }
        specs: list[tuple[str, Any, str, int | None]] = [
            *((name, plain[name], one.output_mode, one.n_categories) for name, one in sorted(self.features.items())),
            *((one.name, crossed[one.name], one.output_mode, one.crossing_dim) for one in _by_name(self.crosses)),
        ]
        encoded = {name: _in_form(name, value, mode, size) for name, value, mode, size in specs}
        if self.output_mode == "dict":
            return encoded
        for name, value in encoded.items():
            if not value.dtype.is_floating_point:
                raise ValueError(f"Feature {name!r} has integers: use output_mode='one_hot' or output_mode='dict'.")
        return torch.cat([*encoded.values()], dim=-1)


def _in_form(name: str, value: Any, output_mode: str, n_categories: int | None) -> Any:
    """Return the output of a layer, categories as vectors if they are wanted so."""
    if output_mode != "one_hot":
        return value
    if value.dtype.is_floating_point:
        raise ValueError(f"Feature {name!r} is one-hot, but its layer returns {value.dtype} and no categories.")
    if n_categories is None:
        raise ValueError(f"Feature {name!r} is one-hot, but its layer has no number of categories; use 'int'.")
    return call(CategoryEncoding(n_categories, "multi_hot"), value)


def _column(data: Any, name: str) -> Any:
    if name not in data:
        raise ValueError(f"The data have no {name!r}, only {', '.join(map(str, data.keys()))}.")
    return data[name]


def _by_name(crosses: Sequence[Cross]) -> list[Cross]:
    return sorted(crosses, key=lambda one: one.name)


def _items(encoded: Any) -> list[tuple[str, Tensor]]:
    return list(encoded.items()) if isinstance(encoded, dict) else [("features", encoded)]


def _plain(name: str) -> str:
    """Return a name for the parameter of a model."""
    return name if name.isidentifier() else "".join(one if one.isalnum() else "_" for one in f"feature_{name}")
