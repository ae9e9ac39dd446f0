"""IntegerLookup: integers of any size to the indices of a vocabulary."""

from __future__ import annotations

from collections import Counter
from typing import Any

import numpy as np
import torch
from torch import Tensor

from kerastorch.core.errors import check_choice, mismatch
from kerastorch.layers.adaptable import to_numpy
from kerastorch.layers.category_encoding import check_integers, raise_if_any
from kerastorch.layers.hash_functions import hash_bucket
from kerastorch.layers.hashing import check_salt
from kerastorch.layers.token_counts import TokenCounts, to_document_rows
from kerastorch.layers.vocabulary import IGNORED, _VocabularyLookup, mask_index


class IntegerLookup(_VocabularyLookup):
    """Lookup of integers: each token of a vocabulary becomes its index.

    The order of the indices: the mask token, then the indices for unknown tokens, then the vocabulary.

    Args:
        max_tokens: Maximum number of indices, including special tokens; `adapt` takes the most frequent tokens. Default
            `None` for no maximum.
        num_oov_indices: Number of indices for unknown tokens. With several, `oov_method` chooses one; with 0, an
            unknown token raises an error (on an accelerator, and in compiled code, it gets the index -1). Default 1.
        mask_token: Token with the index 0 for `output_mode="int"`, which vectors do not count. Default `None`.
        oov_token: Token for unknown indices if `invert` is `True`. Default -1.
        vocabulary: The tokens, or the path of a text file with one token per line. Default `None`: `adapt` learns them.
        vocabulary_dtype: Must be `"int64"`.
        idf_weights: Weights of the tokens of `vocabulary`, for `output_mode="tf_idf"`. Default `None`.
        invert: Whether the layer turns indices into tokens. Default `False`.
        output_mode: `"int"` (default) for int64 indices; `"one_hot"`, `"multi_hot"` or `"count"` for vectors as from
            `CategoryEncoding`; `"tf_idf"` for counts times `idf_weights`. Vectors are floats of the dtype that the
            layer was moved to.
        sparse: Must be `False`.
        pad_to_max_tokens: Whether vectors have the size `max_tokens`, even with fewer tokens. Default `False`.
        oov_method: `"floormod"` (default) gives a token the index at `token % num_oov_indices`; `"farmhash"` the one of
            a hash of its digits. The hash is computed on the CPU, and cannot be compiled or exported.
        salt: One or two integers, which turn the hash into SipHash; only for `"farmhash"`. Default `None`.
        name: Name of the layer. Default none.
        trainable: No effect: the layer has no trained weights.

    Shape: integers of any shape, unchanged (`"int"`); else as for `CategoryEncoding` with `vocabulary_size()` (or
    `max_tokens`) tokens. The vocabulary and its weights are buffers, saved and loaded with the model.

    >>> IntegerLookup(vocabulary=[1000, 7])(torch.tensor([7, 8, 1000]))
    tensor([2, 0, 1])
    """

    takes_integers = True
    vocabulary: Tensor
    _reads_arrays = False  # arrays and lists of integers become tensors
    _sorted_tokens: Tensor
    _sorted_positions: Tensor

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
            max_tokens=max_tokens,
            num_oov_indices=num_oov_indices,
            mask_token=mask_token,
            oov_token=oov_token,
            idf_weights=idf_weights,
            invert=invert,
            output_mode=output_mode,
            sparse=sparse,
            pad_to_max_tokens=pad_to_max_tokens,
            name=name,
            trainable=trainable,
        )
        if vocabulary_dtype != "int64":
            raise mismatch("vocabulary_dtype", vocabulary_dtype, "'int64'")
        self.vocabulary_dtype = vocabulary_dtype
        self.oov_method = check_choice("oov_method", oov_method, ("floormod", "farmhash"))
        self.salt = check_salt(salt)
        if self.salt is not None and self.oov_method != "farmhash":
            raise ValueError(f"IntegerLookup: salt={salt!r} needs oov_method='farmhash'.")
        self.register_buffer("vocabulary", torch.empty(0, dtype=torch.int64))
        self.register_buffer("_sorted_tokens", torch.empty(0, dtype=torch.int64), persistent=False)
        self.register_buffer("_sorted_positions", torch.empty(0, dtype=torch.int64), persistent=False)
        self._set_given_vocabulary(vocabulary, idf_weights)

    # --- the vocabulary -----------------------------------------------------------------------------------------

    def _to_token(self, name: str, value: Any) -> int:
        if isinstance(value, str) and value.strip().lstrip("-").isdigit():
            return int(value)  # a line of a file
        if isinstance(value, bool) or not isinstance(value, (int, np.integer)):
            raise mismatch(name, value, "an integer")
        return int(value)

    def _count_tokens(self, piece: Any, tokens_are_documents: bool) -> TokenCounts:
        tokens = to_numpy(piece, "IntegerLookup")
        if tokens.dtype.kind not in "iu":
            raise TypeError(f"IntegerLookup.adapt takes integers, got an array of {tokens.dtype}.")
        rows = np.sort(to_document_rows(tokens, tokens_are_documents), axis=1)
        is_first = np.ones_like(rows, dtype=bool)  # whether a token is the first of its kind in its row
        is_first[:, 1:] = rows[:, 1:] != rows[:, :-1]
        return TokenCounts(_count_integers(rows), _count_integers(rows[is_first]), len(rows))

    def _store_tokens(self, tokens: list[int]) -> None:
        self.vocabulary = torch.tensor(tokens, dtype=torch.int64, device=self.vocabulary.device)
        self._update_sorted()

    def _update_sorted(self) -> None:
        self._sorted_tokens, self._sorted_positions = torch.sort(self.vocabulary)

    def _stored_tokens(self) -> list[int]:
        return self.vocabulary.tolist()

    def _n_stored(self) -> int:
        return len(self.vocabulary)

    def _load_from_state_dict(self, state_dict: dict[str, Any], prefix: str, *args: Any) -> None:
        super()._load_from_state_dict(state_dict, prefix, *args)
        self._update_sorted()

    # --- looking tokens up --------------------------------------------------------------------------------------

    def _indices_of(self, x: Tensor) -> Tensor:
        check_integers(x, "IntegerLookup")
        x = x.long()
        candidate = torch.searchsorted(self._sorted_tokens, x).clamp_max(len(self._sorted_tokens) - 1)
        is_known = self._sorted_tokens[candidate] == x
        is_mask = torch.zeros_like(is_known) if self.mask_token is None else x == self.mask_token
        if self.num_oov_indices:
            unknown = self._first_oov_index + self._buckets(x, ~is_known & ~is_mask)
        else:
            unknown = torch.full_like(x, IGNORED)
            raise_if_any(~is_known & ~is_mask, x, "IntegerLookup has num_oov_indices=0 and knows only its vocabulary")
        known = self._sorted_positions[candidate] + len(self._special_tokens())
        return torch.where(is_mask, mask_index(self.output_mode), torch.where(is_known, known, unknown))

    def _buckets(self, x: Tensor, is_unknown: Tensor) -> Tensor:
        """Return numbers from 0 to `num_oov_indices - 1` for the unknown tokens of `x`; others get any number."""
        if self.oov_method == "floormod" or self.num_oov_indices == 1:
            return x.remainder(self.num_oov_indices)
        distinct, place = x[is_unknown].unique(return_inverse=True)
        buckets = [hash_bucket(str(token).encode(), self.num_oov_indices, self.salt) for token in distinct.tolist()]
        found = torch.zeros_like(x)
        found[is_unknown] = torch.tensor(buckets, dtype=x.dtype, device=x.device)[place]
        return found

    def _tokens_at(self, x: Tensor) -> Tensor:
        assert self.oov_token is not None
        check_integers(x, "IntegerLookup")
        index, n_special = x.long(), len(self._special_tokens())
        position = (index - n_special).clamp(0, len(self.vocabulary) - 1)
        is_known = (index >= n_special) & (index < self.vocabulary_size())
        tokens = self.vocabulary[position].masked_fill(~is_known, self.oov_token)
        return tokens if self.mask_token is None else tokens.masked_fill(index == 0, self.mask_token)

    def get_config(self) -> dict[str, Any]:
        """Return the constructor arguments, with the vocabulary and its weights as lists."""
        own = {name: getattr(self, name) for name in ("vocabulary_dtype", "oov_method", "salt")}
        return super().get_config() | own


def _count_integers(tokens: np.ndarray[Any, Any]) -> Counter[int]:
    distinct, counts = np.unique(tokens, return_counts=True)
    return Counter(dict(zip(distinct.tolist(), counts.tolist(), strict=True)))
