"""What the lookups share: a vocabulary, given or learned, and what becomes of tokens outside it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from typing import Any, Self

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from kerastorch.core.errors import check_choice, check_int
from kerastorch.layers.adaptable import AdaptableLayer, batches
from kerastorch.layers.category_encoding import VECTORS, check_dense, vectors

Token = Any  # str or int
Counts = tuple[Counter[Token], Counter[Token], int]  # of each token; of documents with it; of all documents


class _Lookup(AdaptableLayer):
    """The order of indices: mask (with `"int"` only), then `num_oov_indices` for what is unknown, then the tokens."""

    idf_weights: Tensor

    def __init__(
        self,
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
        self.mask_token = None if mask_token is None else self._token("mask_token", mask_token)
        self.oov_token = None if oov_token is None else self._token("oov_token", oov_token)
        self.invert = invert
        self.output_mode = check_choice("output_mode", output_mode, ("int", *VECTORS, "tf_idf"))
        self.sparse = check_dense(sparse)
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

    # --- what the two kinds of tokens do their own way ----------------------------------------------------------

    def _token(self, name: str, value: Any) -> Token:
        raise NotImplementedError

    def _count(self, piece: Any, apart: bool) -> Counts:
        """The rows are documents; of data with one axis each token is, or all of them are one unless `apart`."""
        raise NotImplementedError

    def _keep(self, tokens: list[Token]) -> None:
        """Make these the vocabulary."""
        raise NotImplementedError

    def _tokens(self) -> list[Token]:
        """Those of the vocabulary, without the special ones."""
        raise NotImplementedError

    # --- the vocabulary -----------------------------------------------------------------------------------------

    def _special(self) -> list[Token]:
        masks = [self.mask_token] if self.mask_token is not None and self.output_mode == "int" else []
        return masks + [self.oov_token] * self.num_oov_indices

    def _depth(self) -> int:
        """How long a vector is."""
        return self.max_tokens if self.pad_to_max_tokens and self.max_tokens is not None else self.vocabulary_size()

    def get_vocabulary(self, include_special_tokens: bool = True) -> list[Token]:
        """The tokens in the order of their indices.

        Args:
            include_special_tokens: whether the mask and the tokens for what is unknown stand in front.
        """
        return (self._special() if include_special_tokens else []) + self._tokens()

    def vocabulary_size(self) -> int:
        """How many indices there are, those of the mask and of unknown tokens included."""
        raise NotImplementedError

    def set_vocabulary(self, vocabulary: Any, idf_weights: Any = None) -> None:
        """Use these tokens.

        Args:
            vocabulary: a list, array or tensor of tokens, or the path of a text file with one a line; the special
                tokens may stand in front, as `get_vocabulary` gives them.
            idf_weights: for `output_mode="tf_idf"`: a weight for each of them.

        Raises:
            ValueError: tokens twice, too many or none; special tokens elsewhere; weights missing or too many.
        """
        if (self.output_mode == "tf_idf") != (idf_weights is not None):
            raise ValueError(f"idf_weights go with output_mode='tf_idf': got {idf_weights!r} and {self.output_mode!r}.")
        if isinstance(vocabulary, str):
            with open(vocabulary, encoding="utf-8") as file:
                vocabulary = file.read().splitlines()
        if isinstance(vocabulary, (Tensor, np.ndarray)):
            vocabulary = vocabulary.tolist()
        given, special = list(vocabulary), self._special()
        front = len(special) if given[: len(special)] == special else 0
        tokens = [self._token("a token of the vocabulary", one) for one in given[front:]]
        self._check(tokens)
        if self.output_mode == "tf_idf":
            given_weights = idf_weights.detach().cpu() if isinstance(idf_weights, Tensor) else idf_weights
            weights = np.asarray(given_weights, np.float64)
            if weights.shape != (len(given),):
                raise ValueError(f"idf_weights have shape {weights.shape}, the vocabulary has {len(given)} tokens.")
            self._keep_weights(weights[front:], weights[:front])
        self._keep(tokens)

    def _check(self, tokens: list[Token]) -> None:
        twice = [token for token, count in Counter(tokens).items() if count > 1]
        if not tokens:
            raise ValueError("the vocabulary is empty.")
        if twice:
            raise ValueError(f"the vocabulary has tokens more than once: {twice[:5]}.")
        reserved = [self.mask_token, self.oov_token if self.invert else None]
        for token in reserved:
            if token is not None and token in tokens:
                raise ValueError(
                    f"the vocabulary has the special token {token!r}: leave the special tokens out, "
                    f"or let it begin with {self._special()}."
                )
        if self.max_tokens is not None and len(self._special()) + len(tokens) > self.max_tokens:
            raise ValueError(
                f"max_tokens is {self.max_tokens}, the vocabulary has {len(tokens)} tokens "
                f"and {len(self._special())} special ones."
            )

    def _keep_weights(self, weights: Any, special: Any = ()) -> None:
        """Those of the tokens; what is unknown gets their mean if nothing else is known, padding nothing."""
        front = special if len(special) else np.full(len(self._special()), np.mean(weights))
        found = np.concatenate([front, weights])
        kept = torch.from_numpy(found).to(self.idf_weights)
        if self.pad_to_max_tokens and self.max_tokens is not None:
            kept = F.pad(kept, (0, self.max_tokens - len(found)))
        self.idf_weights = kept

    # --- learning it --------------------------------------------------------------------------------------------

    def adapt(self, data: Any, steps: int | None = None) -> None:
        """Count the tokens; the most frequent come first, of those as frequent the larger.

        Args:
            data: an array or list of tokens (of one axis: each a document of its own), or an iterable of batches, as a
                `DataLoader`; of batches `(x, y)`, `x` counts.
            steps: look at no more than this many batches.

        Raises:
            ValueError: a vocabulary was given; no tokens.
        """
        apart = isinstance(data, (list, tuple)) or hasattr(data, "__array__")  # else a batch of one axis is a document
        self._learn(self._count(piece, apart) for piece in batches(data, steps, rows=True))

    def _learn(self, pieces: Iterable[Counts]) -> None:
        if self._has_vocabulary:
            raise ValueError(f"{type(self).__name__} was made with a vocabulary; adapt is for layers without.")
        counts: Counter[Token] = Counter()
        documents: Counter[Token] = Counter()
        number = 0
        for tokens_here, documents_here, number_here in pieces:
            counts.update(tokens_here)
            documents.update(documents_here)
            number += number_here
        for token in (self.mask_token, self.oov_token):
            counts.pop(token, None)
        if not counts:
            raise ValueError(f"{type(self).__name__}.adapt found no tokens.")
        tokens = sorted(counts, key=lambda token: (counts[token], token), reverse=True)
        if self.max_tokens is not None:
            tokens = tokens[: max(self.max_tokens - len(self._special()), 0)]
        self._check(tokens)
        if self.output_mode == "tf_idf":
            self._keep_weights(np.log1p(number / (1 + np.array([documents[token] for token in tokens], np.float64))))
        self._keep(tokens)

    # --- using it -----------------------------------------------------------------------------------------------

    def _encoded(self, index: Tensor) -> Tensor:
        """Indices as the layer's `output_mode` wants them; -1 is what counts nowhere."""
        if self.output_mode == "int":
            return index
        depth = self._depth()
        mode = "count" if self.output_mode == "tf_idf" else self.output_mode
        index = torch.where(index < 0, depth, index)
        found = vectors(index, mode, depth + 1, self.idf_weights.dtype)[..., :depth]
        return found * self.idf_weights if self.output_mode == "tf_idf" else found

    _has_vocabulary = False

    def _start(self, vocabulary: Any, idf_weights: Any) -> None:
        """The vocabulary that the layer was made with."""
        if vocabulary is None and idf_weights is not None:
            raise ValueError("idf_weights go with a vocabulary.")
        if vocabulary is not None:
            self.set_vocabulary(vocabulary, idf_weights)
            self._has_vocabulary = True

    def get_config(self) -> dict[str, Any]:
        tokens = self._tokens()
        weights = None
        if self.output_mode == "tf_idf" and tokens:
            weights = self.idf_weights[: self.vocabulary_size()].tolist()
        own = {"vocabulary": self.get_vocabulary() if tokens else None, "idf_weights": weights}
        names = (
            "max_tokens num_oov_indices mask_token oov_token invert output_mode sparse pad_to_max_tokens name trainable"
        )
        return own | {name: getattr(self, name) for name in names.split()}

    @classmethod
    def from_config(cls, config: Mapping[str, Any]) -> Self:
        """See `Configurable`; no file is opened because a config names it."""
        check_config(config, cls)
        return super().from_config(config)

    def extra_repr(self) -> str:
        return f"{self.vocabulary_size()} indices, {self.output_mode}{'' if self._tokens() else ', not adapted'}"


_MOST = 2**20  # unknown tokens, padded ones, or lengths of n-grams that a config may ask for: memory is taken for them


def check_config(config: Mapping[str, Any], kind: type) -> None:
    """A config has the tokens themselves, not the path of a file, and no sizes that only memory limits."""
    for name in ("num_oov_indices", "ngrams", *(("max_tokens",) if config.get("pad_to_max_tokens") else ())):
        size = config.get(name)
        if isinstance(size, int) and size > _MOST:
            raise ValueError(f"{kind.__name__}: {name} of a config is at most {_MOST}, got {size}.")
    given = config.get("vocabulary")
    if given is not None and not isinstance(given, (list, tuple)):
        raise ValueError(f"{kind.__name__}: the vocabulary of a config is a list of tokens, got {given!r}.")
