"""StringLookup: strings to the indices of a vocabulary."""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from itertools import chain
from typing import Any, Self

import numpy as np
import torch
from torch import Tensor

from kerastorch.core.errors import mismatch
from kerastorch.core.serialization import current_codec
from kerastorch.layers.hash_functions import hash_bucket
from kerastorch.layers.hashing import check_salt
from kerastorch.layers.strings import to_string_array
from kerastorch.layers.token_counts import TokenCounts, to_document_rows
from kerastorch.layers.vocabulary import _VocabularyLookup, mask_index


class StringLookup(_VocabularyLookup):
    """Lookup of strings: each token of a vocabulary becomes its index.

    The order of the indices: the mask token, then the indices for unknown tokens, then the vocabulary. torch has no
    tensors of strings, so the layer is called on lists or NumPy arrays, and the model is trained on its output. It
    cannot be part of a model, compiled or exported.

    Args:
        max_tokens: Maximum number of indices, including special tokens; `adapt` takes the most frequent tokens. Default
            `None` for no maximum.
        num_oov_indices: Number of indices for unknown tokens. With several, a hash of the token chooses the one that
            Keras chooses: FarmHash, or SipHash with a `salt`; with 0, an unknown token raises an error. Default 1.
        mask_token: Token with the index 0 for `output_mode="int"`, which vectors do not count. Default `None`.
        oov_token: Token for unknown indices if `invert` is `True`. Default `"[UNK]"`.
        vocabulary: The tokens, or the path of a text file with one token per line. Default `None`: `adapt` learns them.
        idf_weights: Weights of the tokens of `vocabulary`, for `output_mode="tf_idf"`. Default `None`.
        invert: Whether the layer turns indices, a tensor, into a NumPy array of strings. Default `False`.
        output_mode: `"int"` (default) for int64 indices; `"one_hot"`, `"multi_hot"` or `"count"` for vectors as from
            `CategoryEncoding`; `"tf_idf"` for counts times `idf_weights`. Vectors are floats of the dtype that the
            layer was moved to.
        pad_to_max_tokens: Whether vectors have the size `max_tokens`, even with fewer tokens. Default `False`.
        sparse: Must be `False`.
        encoding: Encoding of tokens that are bytes. Default `"utf-8"`.
        name: Name of the layer. Default none.
        salt: One or two integers, the key of SipHash. Default `None` for FarmHash.
        trainable: No effect: the layer has no trained weights.

    Shape: that of the strings (`"int"`); else as for `CategoryEncoding` with `vocabulary_size()` (or `max_tokens`)
    tokens. The vocabulary is in `get_config`, and in the state dict as the bytes of a JSON list.

    >>> layer = StringLookup()
    >>> layer.adapt(["b", "a", "b"])
    >>> layer([["a", "b", "c"]])
    tensor([[2, 1, 0]])
    """

    def __init__(
        self,
        max_tokens: int | None = None,
        num_oov_indices: int = 1,
        mask_token: str | None = None,
        oov_token: str | None = "[UNK]",
        vocabulary: Any = None,
        idf_weights: Any = None,
        invert: bool = False,
        output_mode: str = "int",
        pad_to_max_tokens: bool = False,
        sparse: bool = False,
        encoding: str = "utf-8",
        *,
        name: str | None = None,
        salt: int | Sequence[int] | None = None,
        trainable: bool = True,
    ) -> None:
        self.encoding = encoding
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
        self.salt = check_salt(salt)
        self._has_blake2_buckets = False  # as in files of version 0.1, whose indices they keep
        self._index_of_token: dict[str, int] = {}
        self._set_given_vocabulary(vocabulary, idf_weights)
        self.ensure_built()  # nothing depends on the input shape, and strings have none

    def build(self, *input_shapes: Any) -> None:
        """Do nothing: the layer has no parameters."""

    # --- the vocabulary -----------------------------------------------------------------------------------------

    def _to_token(self, name: str, value: Any) -> str:
        if isinstance(value, bytes):
            return value.decode(self.encoding)
        if not isinstance(value, str):
            raise mismatch(name, value, "a string")
        return str(value)

    def _count_tokens(self, piece: Any, tokens_are_documents: bool) -> TokenCounts:
        if isinstance(piece, (list, tuple)) and any(isinstance(row, (list, tuple)) for row in piece):
            # documents may have different lengths, so they do not make an array
            return self.count_documents([list(to_string_array(row, "StringLookup", self.encoding)) for row in piece])
        tokens = to_string_array(piece, "StringLookup", self.encoding)
        return self.count_documents(to_document_rows(tokens, tokens_are_documents).tolist())

    def count_documents(self, documents: list[list[str]]) -> TokenCounts:
        """Return the counts of documents of any length; those of documents only if the weights need them."""
        distinct = map(set, documents) if self.output_mode == "tf_idf" else ()
        return TokenCounts(
            Counter(chain.from_iterable(documents)), Counter(chain.from_iterable(distinct)), len(documents)
        )

    def _store_tokens(self, tokens: list[str]) -> None:
        self._index_of_token = {token: index for index, token in enumerate(tokens, len(self._special_tokens()))}

    def _stored_tokens(self) -> list[str]:
        return list(self._index_of_token)

    def _n_stored(self) -> int:
        return len(self._index_of_token)

    # --- looking tokens up --------------------------------------------------------------------------------------

    def _indices_of(self, x: Any) -> Tensor:
        tokens = to_string_array(x, "StringLookup", self.encoding)
        index = np.array(self.find_indices(tokens.reshape(-1)), dtype=np.int64).reshape(tokens.shape)
        return torch.from_numpy(index).to(self.idf_weights.device)

    def find_indices(self, tokens: Iterable[str]) -> list[int]:
        """Return the index of each token; `IGNORED` for the mask token if vectors are wanted."""
        find = self._index_of_token.get
        return [self._unknown_index(token) if (index := find(token)) is None else index for token in tokens]

    def _unknown_index(self, token: str) -> int:
        if token == self.mask_token:
            return mask_index(self.output_mode)
        if not self.num_oov_indices:
            raise ValueError(f"StringLookup has num_oov_indices=0 and knows only its vocabulary, got {token!r}.")
        return self._first_oov_index + self._hash_bucket(token)

    def _hash_bucket(self, token: str) -> int:
        if self.num_oov_indices == 1:
            return 0
        if not self._has_blake2_buckets:
            return hash_bucket(token.encode(), self.num_oov_indices, self.salt)
        key = "" if self.salt is None else json.dumps(self.salt)
        digest = hashlib.blake2b(token.encode(), digest_size=8, key=key.encode()[:64]).digest()
        return int.from_bytes(digest, "little") % self.num_oov_indices

    def _tokens_at(self, x: Any) -> np.ndarray[Any, Any]:
        index = x.detach().cpu().numpy() if isinstance(x, Tensor) else np.asarray(x)
        if index.dtype.kind not in "iu":
            raise TypeError(f"StringLookup with invert=True takes integers, got {index.dtype}.")
        tokens = np.array([*self.get_vocabulary(), self.oov_token])  # the last one is for unknown indices
        return tokens[np.where((index >= 0) & (index < len(tokens) - 1), index, -1)]

    # --- state --------------------------------------------------------------------------------------------------

    def get_extra_state(self) -> Tensor:
        """Return the vocabulary for `state_dict`: the UTF-8 bytes of a JSON list, as uint8.

        A tensor can be read by `torch.load(weights_only=True)`.
        """
        text = json.dumps(self._stored_tokens(), ensure_ascii=False)
        return torch.frombuffer(bytearray(text.encode()), dtype=torch.uint8)

    def set_extra_state(self, state: Tensor) -> None:
        """Replace the vocabulary by that of a state dict.

        Raises:
            ValueError: The state is not a list of strings.
        """
        tokens = json.loads(state.cpu().numpy().tobytes().decode())
        if not isinstance(tokens, list) or not all(isinstance(token, str) for token in tokens):
            raise ValueError("the state of StringLookup is no list of strings.")
        self._store_tokens(tokens)

    def get_config(self) -> dict[str, Any]:
        """Return the constructor arguments, with the vocabulary and its weights as lists."""
        config = super().get_config() | {"encoding": self.encoding, "salt": self.salt}
        return config if self._has_blake2_buckets else config | {"oov_method": "farmhash"}

    @classmethod
    def from_config(cls, config: Mapping[str, Any]) -> Self:
        """Return a new layer from the dict of `get_config`.

        If a file has no `"oov_method"`, version 0.1 has written it, whose hash was another one; the layer keeps that.
        """
        layer = super().from_config({name: value for name, value in config.items() if name != "oov_method"})
        layer._has_blake2_buckets = "oov_method" not in config and current_codec() is not None
        return layer
