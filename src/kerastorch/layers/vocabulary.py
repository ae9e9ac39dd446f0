"""Base of the lookup layers: a vocabulary that is given or learned from data."""

from __future__ import annotations

import os
from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Iterable, Mapping
from typing import Any, Self

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from kerastorch.core.errors import check_choice, check_int
from kerastorch.layers.adaptable import AdaptableLayer, input_batches, not_adapted_error
from kerastorch.layers.category_encoding import VECTOR_MODES, check_not_sparse, encode_categories
from kerastorch.layers.token_counts import Token, TokenCounts

OUTPUT_MODES = ("int", *VECTOR_MODES, "tf_idf")
IGNORED = -1  # index of a token that no vector counts


def check_output_mode(output_mode: str) -> str:
    """Return one of `OUTPUT_MODES`; `"binary"` is another name of `"multi_hot"`.

    Raises:
        ValueError: An unknown mode.
    """
    return check_choice("output_mode", "multi_hot" if output_mode == "binary" else output_mode, OUTPUT_MODES)


def mask_index(output_mode: str) -> int:
    """Return the index of the mask token, which has none in the other modes than `"int"`."""
    return 0 if output_mode == "int" else IGNORED


class _VocabularyLookup(AdaptableLayer, ABC):
    """Layer that turns tokens into indices, or indices into tokens.

    The order of the indices: the mask token (only with `output_mode="int"`), then `num_oov_indices` indices for unknown
    tokens, then the vocabulary. Subclasses store the vocabulary and find tokens in it.
    """

    idf_weights: Tensor
    _has_given_vocabulary = False

    _reads_arrays = True

    def __init__(
        self,
        *,
        max_tokens: int | None,
        num_oov_indices: int,
        mask_token: Token | None,
        oov_token: Token | None,
        idf_weights: Any,
        invert: bool,
        output_mode: str,
        sparse: bool,
        pad_to_max_tokens: bool,
        name: str | None,
        trainable: bool,
    ) -> None:
        super().__init__(name=name, trainable=trainable)
        self.max_tokens = None if max_tokens is None else check_int("max_tokens", max_tokens, 2)
        self.num_oov_indices = check_int("num_oov_indices", num_oov_indices, 0)
        self.mask_token = None if mask_token is None else self._to_token("mask_token", mask_token)
        self.oov_token = None if oov_token is None else self._to_token("oov_token", oov_token)
        self.invert = invert
        self.output_mode = check_output_mode(output_mode)
        self.sparse = check_not_sparse(sparse)
        self.pad_to_max_tokens = pad_to_max_tokens
        if invert and self.output_mode != "int":
            raise ValueError(f"invert=True needs output_mode='int', got {output_mode!r}.")
        if invert and oov_token is None:
            raise ValueError("invert=True needs an oov_token: what an index that is no token's becomes.")
        if pad_to_max_tokens and max_tokens is None:
            raise ValueError("pad_to_max_tokens=True needs max_tokens.")
        if idf_weights is not None and self.output_mode != "tf_idf":
            raise ValueError(f"idf_weights are for output_mode='tf_idf', got {output_mode!r}.")
        self.register_buffer("idf_weights", torch.empty(0), persistent=self.output_mode == "tf_idf")

    # --- abstract methods -------------------------------------------------------------------------------------

    @abstractmethod
    def _to_token(self, name: str, value: Any) -> Token:
        """Return `value` as a token, or raise an error that calls it `name`."""

    @abstractmethod
    def _count_tokens(self, piece: Any, tokens_are_documents: bool) -> TokenCounts:
        """Return the counts of a piece of data whose rows are documents.

        Args:
            piece: Tokens, with one axis or more.
            tokens_are_documents: For tokens with one axis: whether each is a document. If not, all are one document.
        """

    @abstractmethod
    def _store_tokens(self, tokens: list[Token]) -> None:
        """Replace the vocabulary, which has no special tokens, by `tokens`."""

    @abstractmethod
    def _stored_tokens(self) -> list[Token]:
        """Return the vocabulary, without the special tokens."""

    @abstractmethod
    def _n_stored(self) -> int:
        """Return the size of the vocabulary, without the special tokens."""

    @abstractmethod
    def _indices_of(self, x: Any) -> Tensor:
        """Return the index of each token of `x`; `IGNORED` for tokens that no vector counts."""

    @abstractmethod
    def _tokens_at(self, x: Any) -> Any:
        """Return the token of each index of `x`; `oov_token` for indices without one."""

    # --- the vocabulary -----------------------------------------------------------------------------------------

    def _special_tokens(self) -> list[Token]:
        masks = [self.mask_token] if self.mask_token is not None and self.output_mode == "int" else []
        return masks + [self.oov_token] * self.num_oov_indices

    @property
    def _first_oov_index(self) -> int:
        """First of the `num_oov_indices` indices for unknown tokens."""
        return len(self._special_tokens()) - self.num_oov_indices

    @property
    def has_vocabulary(self) -> bool:
        """Whether the layer has a vocabulary, given or learned."""
        return self._n_stored() > 0

    def get_vocabulary(self, include_special_tokens: bool = True) -> list[Token]:
        """Return the tokens in the order of their indices.

        Args:
            include_special_tokens: Whether the mask token and the tokens for unknown ones are included, in front.
                Default `True`.
        """
        return (self._special_tokens() if include_special_tokens else []) + self._stored_tokens()

    def vocabulary_size(self) -> int:
        """Return the number of indices, including those of the mask and of unknown tokens."""
        return len(self._special_tokens()) + self._n_stored()

    def set_vocabulary(self, vocabulary: Any, idf_weights: Any = None) -> None:
        """Replace the vocabulary.

        Args:
            vocabulary: A list, array or tensor of tokens, or the path of a text file with one token per line. The
                special tokens may be included in front, as in the list from `get_vocabulary`.
            idf_weights: One weight for each token of `vocabulary`; required for `output_mode="tf_idf"`, and only
                allowed there.

        Raises:
            ValueError: Duplicate tokens, too many or none; special tokens elsewhere; missing weights, or a different
                number of them.
        """
        if (self.output_mode == "tf_idf") != (idf_weights is not None):
            raise ValueError(f"idf_weights go with output_mode='tf_idf': got {idf_weights!r} and {self.output_mode!r}.")
        if isinstance(vocabulary, (str, os.PathLike)):
            with open(vocabulary, encoding="utf-8") as file:
                vocabulary = file.read().splitlines()
        if isinstance(vocabulary, (Tensor, np.ndarray)):
            vocabulary = vocabulary.tolist()
        entries, special = list(vocabulary), self._special_tokens()
        n_special = len(special) if entries[: len(special)] == special else 0
        tokens = [self._to_token("a token of the vocabulary", entry) for entry in entries[n_special:]]
        self._check_tokens(tokens)
        if self.output_mode == "tf_idf":
            weights = idf_weights.detach().cpu() if isinstance(idf_weights, Tensor) else idf_weights
            weights = np.asarray(weights, np.float64)
            if weights.shape != (len(entries),):
                raise ValueError(f"idf_weights have shape {weights.shape}, the vocabulary has {len(entries)} tokens.")
            self._store_idf_weights(weights[n_special:], weights[:n_special])
        self._store_tokens(tokens)

    def _set_given_vocabulary(self, vocabulary: Any, idf_weights: Any) -> None:
        """Set the vocabulary from the constructor arguments, if any; `adapt` is then an error."""
        if vocabulary is None and idf_weights is not None:
            raise ValueError("idf_weights go with a vocabulary.")
        if vocabulary is not None:
            self.set_vocabulary(vocabulary, idf_weights)
            self._has_given_vocabulary = True

    def _check_tokens(self, tokens: list[Token]) -> None:
        duplicates = [token for token, count in Counter(tokens).items() if count > 1]
        if not tokens:
            raise ValueError("the vocabulary is empty.")
        if duplicates:
            raise ValueError(f"the vocabulary has tokens more than once: {duplicates[:5]}.")
        for token in (self.mask_token, self.oov_token if self.invert else None):
            if token is not None and token in tokens:
                raise ValueError(
                    f"the vocabulary has the special token {token!r}: leave the special tokens out, "
                    f"or let it begin with {self._special_tokens()}."
                )
        n_special = len(self._special_tokens())
        if self.max_tokens is not None and n_special + len(tokens) > self.max_tokens:
            raise ValueError(
                f"max_tokens is {self.max_tokens}, the vocabulary has {len(tokens)} tokens "
                f"and {n_special} special ones."
            )

    def _store_idf_weights(self, weights: Any, special_weights: Any = ()) -> None:
        """Store the weights of all indices.

        Args:
            weights: Weights of the vocabulary.
            special_weights: Weights of the special tokens; if empty, they get the mean of `weights`. Padding up to
                `max_tokens` gets 0.
        """
        if not len(special_weights):
            special_weights = np.full(len(self._special_tokens()), np.mean(weights))
        stored = torch.from_numpy(np.concatenate([special_weights, weights])).to(self.idf_weights)
        if self.pad_to_max_tokens and self.max_tokens is not None:
            stored = F.pad(stored, (0, self.max_tokens - len(stored)))
        self.idf_weights = stored

    # --- learning the vocabulary --------------------------------------------------------------------------------

    def adapt(self, data: Any, steps: int | None = None) -> None:
        """Learn the vocabulary: the most frequent token comes first.

        Of tokens that are equally frequent, the larger comes first.

        Args:
            data: An array or a list of tokens (if it has one axis, each token is a document), or an iterable of
                batches, such as a `DataLoader`; of batches `(x, y)` only `x` is used.
            steps: Maximum number of batches; `None`, the default, for all.

        Raises:
            ValueError: The layer was made with a vocabulary, or the data have no tokens.
        """
        # a batch with one axis, from an iterable of batches, is a single document
        tokens_are_documents = isinstance(data, (list, tuple)) or hasattr(data, "__array__")
        pieces = input_batches(data, steps, lists_are_data=True)
        self.learn_from_counts(self._count_tokens(piece, tokens_are_documents) for piece in pieces)

    def learn_from_counts(self, pieces: Iterable[TokenCounts]) -> None:
        """Learn the vocabulary, and its weights for `output_mode="tf_idf"`, from the counts of pieces of data.

        Raises:
            ValueError: The layer was made with a vocabulary, or there are no tokens.
        """
        if self._has_given_vocabulary:
            raise ValueError(f"{type(self).__name__} was made with a vocabulary; adapt is for layers without.")
        counts: Counter[Token] = Counter()
        documents: Counter[Token] = Counter()
        n_documents = 0
        for piece in pieces:
            counts.update(piece.tokens)
            documents.update(piece.documents)
            n_documents += piece.n_documents
        for token in (self.mask_token, self.oov_token):
            counts.pop(token, None)
        if not counts:
            raise ValueError(f"{type(self).__name__}.adapt found no tokens.")
        tokens = sorted(counts, key=lambda token: (counts[token], token), reverse=True)
        if self.max_tokens is not None:
            tokens = tokens[: max(self.max_tokens - len(self._special_tokens()), 0)]
        self._check_tokens(tokens)
        if self.output_mode == "tf_idf":
            with_token = np.array([documents[token] for token in tokens], np.float64)
            self._store_idf_weights(np.log1p(n_documents / (1 + with_token)))
        self._store_tokens(tokens)

    # --- looking tokens up --------------------------------------------------------------------------------------

    def forward(self, x: Any) -> Any:
        if not self.has_vocabulary:
            raise not_adapted_error(self, "give vocabulary=")
        return self._tokens_at(x) if self.invert else self.encode_indices(self._indices_of(x))

    def encode_indices(self, index: Tensor) -> Tensor:
        """Return indices in the form of `output_mode`: unchanged, or vectors that do not count `IGNORED`."""
        if self.output_mode == "int":
            return index
        depth = self.max_tokens if self.pad_to_max_tokens and self.max_tokens is not None else self.vocabulary_size()
        mode = "count" if self.output_mode == "tf_idf" else self.output_mode
        # IGNORED gets an extra column at the end, which is cut off
        index = torch.where(index < 0, depth, index)
        encoded = encode_categories(index, mode, depth + 1, self.idf_weights.dtype)[..., :depth]
        return encoded * self.idf_weights if self.output_mode == "tf_idf" else encoded

    # --- configuration ------------------------------------------------------------------------------------------

    def get_config(self) -> dict[str, Any]:
        """Return the constructor arguments, with the vocabulary and its weights as lists."""
        vocabulary = self.get_vocabulary() if self.has_vocabulary else None
        weights = None
        if self.output_mode == "tf_idf" and vocabulary is not None:
            weights = self.idf_weights[: self.vocabulary_size()].tolist()
        names = (
            "max_tokens num_oov_indices mask_token oov_token invert output_mode sparse pad_to_max_tokens name trainable"
        )
        arguments = {name: getattr(self, name) for name in names.split()}
        return {"vocabulary": vocabulary, "idf_weights": weights} | arguments

    @classmethod
    def from_config(cls, config: Mapping[str, Any]) -> Self:
        """Return a new layer from the dict of `get_config`.

        Raises:
            ValueError: The vocabulary is no list, as the path of a file, or a size is above 2**20.
        """
        check_config(config, cls)
        return super().from_config(config)

    def extra_repr(self) -> str:
        return f"{self.vocabulary_size()} indices, {self.output_mode}{'' if self.has_vocabulary else ', not adapted'}"


_MAX_CONFIG_SIZE = 2**20  # a config from a file must not make the layer allocate any amount of memory


def check_config(config: Mapping[str, Any], kind: type) -> None:
    """Raise an error if the config of a lookup layer names a file or asks for very much memory.

    Args:
        config: Config of the layer.
        kind: Class of the layer, for messages.

    Raises:
        ValueError: The vocabulary is not a list, or a size is above 2**20.
    """
    for name in ("num_oov_indices", "ngrams", *(("max_tokens",) if config.get("pad_to_max_tokens") else ())):
        size = config.get(name)
        if isinstance(size, int) and size > _MAX_CONFIG_SIZE:
            raise ValueError(f"{kind.__name__}: {name} of a config is at most {_MAX_CONFIG_SIZE}, got {size}.")
    vocabulary = config.get("vocabulary")
    if vocabulary is not None and not isinstance(vocabulary, (list, tuple)):
        raise ValueError(f"{kind.__name__}: the vocabulary of a config is a list of tokens, got {vocabulary!r}.")
