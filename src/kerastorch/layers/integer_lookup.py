"""IntegerLookup: integers of any size to the indices of a vocabulary."""

from __future__ import annotations

from collections import Counter
from typing import Any

import numpy as np
import torch
from torch import Tensor

from kerastorch.core.errors import mismatch
from kerastorch.layers.adaptable import not_adapted_error, to_array
from kerastorch.layers.category_encoding import check_integers, raise_if_any
from kerastorch.layers.vocabulary import Counts, _Lookup


class IntegerLookup(_Lookup):
    """Integers to indices from 0: the index of the mask, then those of what is unknown, then the vocabulary's.

    Args:
        max_tokens: at most this many indices, special ones included; `adapt` keeps the most frequent tokens.
        num_oov_indices: indices for what is unknown; if several, `token % num_oov_indices` says which; if 0, what is
            unknown is an error (on an accelerator, and compiled: the index -1).
        mask_token: becomes the index 0 with `"int"`, and counts nowhere in vectors.
        oov_token: with `invert`, what the index of an unknown becomes.
        vocabulary: the tokens, or the path of a text file with one a line; else they are learned by `adapt`.
        vocabulary_dtype: must be `"int64"`.
        idf_weights: weights of the tokens, beside `vocabulary`, for `"tf_idf"`.
        invert: indices to tokens.
        output_mode: `"int"`: int64 indices; `"one_hot"`, `"multi_hot"`, `"count"`: see `CategoryEncoding`;
            `"tf_idf"`: counts times `idf_weights`. Vectors are floats of the dtype the layer was moved to.
        sparse: must be `False`.
        pad_to_max_tokens: vectors of `max_tokens`, however many tokens there are.
        oov_method: must be `"floormod"`.
        salt: must be `None`; it belongs to a hash.
        name: see `Layer`; so is `trainable`.

    Shape: integers of any shape, unchanged (`"int"`), or as `CategoryEncoding` with `vocabulary_size()` (or
    `max_tokens`). The vocabulary and its weights are buffers, saved and loaded with the model.

    >>> IntegerLookup(vocabulary=[1000, 7])(torch.tensor([7, 8, 1000]))
    tensor([2, 0, 1])
    """

    takes_integers = True
    vocabulary: Tensor
    _sorted: Tensor
    _places: Tensor

    def __init__(
        self,
        max_tokens: int | None = None,
        num_oov_indices: int = 1,
        mask_token: int | None = None,
        oov_token: int | None = -1,
        vocabulary: Any = None,
        vocabulary_dtype: str = "int64",
        idf_weights: Any = None,
        invert: bool = False,
        output_mode: str = "int",
        sparse: bool = False,
        pad_to_max_tokens: bool = False,
        oov_method: str = "floormod",
        salt: Any = None,
        *,
        name: str | None = None,
        trainable: bool = True,
    ) -> None:
        super().__init__(
            max_tokens,
            num_oov_indices,
            mask_token,
            oov_token,
            idf_weights,
            invert,
            output_mode,
            sparse,
            pad_to_max_tokens,
            name,
            trainable,
        )
        for argument, value, only in (
            ("vocabulary_dtype", vocabulary_dtype, "int64"),
            ("oov_method", oov_method, "floormod"),
            ("salt", salt, None),
        ):
            if value != only:
                raise mismatch(argument, value, repr(only))
        self.vocabulary_dtype, self.oov_method, self.salt = vocabulary_dtype, oov_method, salt
        self.register_buffer("vocabulary", torch.empty(0, dtype=torch.int64))
        self.register_buffer("_sorted", torch.empty(0, dtype=torch.int64), persistent=False)
        self.register_buffer("_places", torch.empty(0, dtype=torch.int64), persistent=False)
        self._start(vocabulary, idf_weights)

    def _token(self, name: str, value: Any) -> int:
        if isinstance(value, str) and value.strip().lstrip("-").isdigit():
            return int(value)  # a line of a file
        if isinstance(value, bool) or not isinstance(value, (int, np.integer)):
            raise mismatch(name, value, "an integer")
        return int(value)

    def _count(self, piece: Any, apart: bool) -> Counts:
        found = to_array(piece, "IntegerLookup")
        if found.dtype.kind not in "iu":
            raise TypeError(f"IntegerLookup.adapt takes integers, got an array of {found.dtype}.")
        if found.ndim < 2:
            found = found.reshape((-1, 1) if apart else (1, -1))
        rows = np.sort(found.reshape(len(found), -1), axis=1)
        new = np.ones_like(rows, dtype=bool)
        new[:, 1:] = rows[:, 1:] != rows[:, :-1]  # each token once a row
        return _counted(rows), _counted(rows[new]), len(rows)

    def _keep(self, tokens: list[int]) -> None:
        self.vocabulary = torch.tensor(tokens, dtype=torch.int64, device=self.vocabulary.device)
        self._sort()

    def _sort(self) -> None:
        self._sorted, self._places = torch.sort(self.vocabulary)

    def _tokens(self) -> list[int]:
        return self.vocabulary.tolist()

    def vocabulary_size(self) -> int:
        """How many indices there are, those of the mask and of unknown tokens included."""
        return len(self._special()) + len(self.vocabulary)

    def _load_from_state_dict(self, state_dict: dict[str, Any], prefix: str, *args: Any) -> None:
        super()._load_from_state_dict(state_dict, prefix, *args)
        self._sort()

    def forward(self, x: Tensor) -> Tensor:
        if not len(self.vocabulary):
            raise not_adapted_error(self, "give vocabulary=")
        check_integers(x, "IntegerLookup")
        x = x.long()
        return self._inverted(x) if self.invert else self._encoded(self._index(x))

    def _index(self, x: Tensor) -> Tensor:
        at = torch.searchsorted(self._sorted, x).clamp_max(len(self._sorted) - 1)
        known = self._sorted[at] == x
        masked = torch.zeros_like(known) if self.mask_token is None else x == self.mask_token
        special = len(self._special())
        if self.num_oov_indices:
            unknown = special - self.num_oov_indices + x.remainder(self.num_oov_indices)
        else:
            unknown = torch.full_like(x, -1)
            raise_if_any(~known & ~masked, x, "IntegerLookup has num_oov_indices=0 and knows only its vocabulary")
        index = torch.where(known, self._places[at] + special, unknown)
        return torch.where(masked, 0 if self.output_mode == "int" else -1, index)

    def _inverted(self, index: Tensor) -> Tensor:
        assert self.oov_token is not None
        special = len(self._special())
        at = (index - special).clamp(0, len(self.vocabulary) - 1)
        known = (index >= special) & (index < self.vocabulary_size())
        token = self.vocabulary[at].masked_fill(~known, self.oov_token)
        return token if self.mask_token is None else token.masked_fill(index == 0, self.mask_token)

    def get_config(self) -> dict[str, Any]:
        own = {name: getattr(self, name) for name in ("vocabulary_dtype", "oov_method", "salt")}
        return super().get_config() | own


def _counted(tokens: np.ndarray[Any, Any]) -> Counter[int]:
    several, counts = np.unique(tokens, return_counts=True)
    return Counter(dict(zip(several.tolist(), counts.tolist(), strict=True)))
