"""StringLookup: strings to the indices of a vocabulary."""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from collections.abc import Iterable, Sequence
from itertools import chain
from typing import Any

import numpy as np
import torch
from torch import Tensor

from kerastorch.core.errors import mismatch
from kerastorch.layers.adaptable import not_adapted_error
from kerastorch.layers.strings import to_string_array
from kerastorch.layers.vocabulary import Counts, _Lookup


class StringLookup(_Lookup):
    """Strings to indices from 0: the index of the mask, then those of what is unknown, then the vocabulary's.

    torch has no tensors of strings: it is called on lists or NumPy arrays before the model, whose `fit` takes what
    comes out; it cannot be compiled, exported, or called on an `Input`.

    Args:
        max_tokens: at most this many indices, special ones included; `adapt` keeps the most frequent tokens.
        num_oov_indices: indices for what is unknown; if several, a hash of the token (BLAKE2, where Keras has another:
            these indices are not those of Keras) says which; if 0, what is unknown is an error.
        mask_token: becomes the index 0 with `"int"`, and counts nowhere in vectors.
        oov_token: with `invert`, what the index of an unknown becomes.
        vocabulary: the tokens, or the path of a text file with one a line; else they are learned by `adapt`.
        idf_weights: weights of the tokens, beside `vocabulary`, for `"tf_idf"`.
        invert: indices, a tensor, to a NumPy array of strings.
        output_mode: `"int"`: int64 indices; `"one_hot"`, `"multi_hot"`, `"count"`: see `CategoryEncoding`;
            `"tf_idf"`: counts times `idf_weights`. Vectors are floats of the dtype the layer was moved to.
        pad_to_max_tokens: vectors of `max_tokens`, however many tokens there are.
        sparse: must be `False`.
        encoding: of tokens that are bytes.
        salt: one or two integers that change the hash.
        name: see `Layer`; so is `trainable`.

    Shape: as the strings lie (`"int"`), or as `CategoryEncoding` with `vocabulary_size()` (or `max_tokens`). The
    vocabulary is in `get_config`, and in the state as the bytes of JSON.

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
        self.salt = _salt(salt)
        self._indices: dict[str, int] = {}
        self._start(vocabulary, idf_weights)
        self.ensure_built()  # nothing depends on the shape, and what it is called on has none

    def build(self, *input_shapes: Any) -> None:
        """Nothing: the state is the vocabulary."""

    def _token(self, name: str, value: Any) -> str:
        if isinstance(value, bytes):
            return value.decode(self.encoding)
        if not isinstance(value, str):
            raise mismatch(name, value, "a string")
        return str(value)

    def _count(self, piece: Any, apart: bool) -> Counts:
        if isinstance(piece, (list, tuple)) and any(isinstance(row, (list, tuple)) for row in piece):
            return self._count_rows([list(to_string_array(row, "StringLookup", self.encoding)) for row in piece])
        found = to_string_array(piece, "StringLookup", self.encoding)
        if found.ndim < 2:
            found = found.reshape((-1, 1) if apart else (1, -1))
        return self._count_rows([row.reshape(-1).tolist() for row in found])

    def _count_rows(self, rows: list[list[str]]) -> Counts:
        """Of rows of any length."""
        documents = map(set, rows) if self.output_mode == "tf_idf" else ()
        return Counter(chain.from_iterable(rows)), Counter(chain.from_iterable(documents)), len(rows)

    def _keep(self, tokens: list[str]) -> None:
        first = len(self._special())
        self._indices = {token: first + place for place, token in enumerate(tokens)}

    def _tokens(self) -> list[str]:
        return list(self._indices)

    def vocabulary_size(self) -> int:
        """How many indices there are, those of the mask and of unknown tokens included."""
        return len(self._special()) + len(self._indices)

    def forward(self, x: Any) -> Any:
        if not self._indices:
            raise not_adapted_error(self, "give vocabulary=")
        if self.invert:
            return self._inverted(x)
        found = to_string_array(x, "StringLookup", self.encoding)
        index = np.array(self._placed(found.reshape(-1)), dtype=np.int64).reshape(found.shape)
        return self._encoded(torch.from_numpy(index).to(self.idf_weights.device))

    def _placed(self, tokens: Iterable[str]) -> list[int]:
        """The index of each; -1 for the mask where it counts nowhere."""
        known = self._indices.get
        return [self._unknown(token) if (found := known(token)) is None else found for token in tokens]

    def _unknown(self, token: str) -> int:
        if token == self.mask_token:
            return 0 if self.output_mode == "int" else -1
        if not self.num_oov_indices:
            raise ValueError(f"StringLookup has num_oov_indices=0 and knows only its vocabulary, got {token!r}.")
        return len(self._special()) - self.num_oov_indices + self._bucket(token)

    def _bucket(self, token: str) -> int:
        if self.num_oov_indices == 1:
            return 0
        key = "" if self.salt is None else json.dumps(self.salt)
        digest = hashlib.blake2b(token.encode(), digest_size=8, key=key.encode()[:64]).digest()
        return int.from_bytes(digest, "little") % self.num_oov_indices

    def _inverted(self, index: Any) -> np.ndarray[Any, Any]:
        places = index.detach().cpu().numpy() if isinstance(index, Tensor) else np.asarray(index)
        if places.dtype.kind not in "iu":
            raise TypeError(f"StringLookup with invert=True takes integers, got {places.dtype}.")
        table = np.array([*self._special(), *self._indices, self.oov_token])
        return table[np.where((places >= 0) & (places < len(table) - 1), places, -1)]

    # torch keeps what get_extra_state gives; bytes in a tensor are what torch.load(weights_only=True) reads too

    def get_extra_state(self) -> Tensor:
        """The vocabulary for `state_dict`: the UTF-8 bytes of a JSON list, as uint8."""
        return torch.frombuffer(bytearray(json.dumps(self._tokens(), ensure_ascii=False).encode()), dtype=torch.uint8)

    def set_extra_state(self, state: Tensor) -> None:
        """The vocabulary from a `state_dict`."""
        tokens = json.loads(state.cpu().numpy().tobytes().decode())
        if not isinstance(tokens, list) or not all(isinstance(token, str) for token in tokens):
            raise ValueError("the state of StringLookup is no list of strings.")
        self._keep(tokens)

    def get_config(self) -> dict[str, Any]:
        return super().get_config() | {"encoding": self.encoding, "salt": self.salt}


def _salt(salt: Any) -> list[int] | None:
    if salt is None:
        return None
    several = [salt, salt] if isinstance(salt, int) else list(salt) if isinstance(salt, (list, tuple)) else []
    if len(several) != 2 or any(isinstance(one, bool) or not isinstance(one, int) for one in several):
        raise mismatch("salt", salt, "an integer, two of them, or None")
    return several
