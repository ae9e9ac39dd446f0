"""TextVectorization: texts to the indices of their tokens."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Self

import numpy as np
import torch
from torch import Tensor

from kerastorch.core.errors import check_int, mismatch, unknown
from kerastorch.core.name_lookup import own_name
from kerastorch.layers.adaptable import input_batches, not_adapted_error
from kerastorch.layers.base import Layer
from kerastorch.layers.string_lookup import StringLookup
from kerastorch.layers.strings import raise_if_traced, to_string_array
from kerastorch.layers.vocabulary import IGNORED, check_config, check_output_mode

_PUNCTUATION = re.compile(r"""[!"#$%&()*+,\-./:;<=>?@\[\\\]^_`{|}~']""")
_STANDARDIZE: dict[str, Callable[[str], str]] = {
    "lower": str.lower,
    "strip_punctuation": lambda text: _PUNCTUATION.sub("", text),
    "lower_and_strip_punctuation": lambda text: _PUNCTUATION.sub("", text.lower()),
}
_SPLIT: dict[str, Callable[[str], list[str]]] = {"whitespace": str.split, "character": list}


class TextVectorization(Layer):
    """Texts as sequences of token indices, or as vectors of token counts.

    Each text is standardized, split into tokens, and the tokens, or n-grams of them, are looked up. torch has no
    tensors of strings, so the layer is called on lists or NumPy arrays, and the model is trained on its output. It
    cannot be part of a model, compiled or exported.

    Args:
        max_tokens: Maximum number of indices, including those of padding and unknown tokens. Default `None` for no
            maximum.
        standardize: `"lower_and_strip_punctuation"` (default), `"lower"`, `"strip_punctuation"`, `None`, or a function
            of a NumPy array of strings that returns one. `"lower"` includes letters outside of ASCII, unlike Keras'.
        split: `"whitespace"` (default), `"character"`, or a function of a string that returns a list of tokens;
            `None` for an input of tokens, `(batch, tokens)`.
        ngrams: `n` for runs of 1 to n tokens, joined by a space; a tuple for runs of these lengths; `None`, the
            default, for single tokens.
        output_mode: `"int"` (default) for int64 indices; `"one_hot"`, `"multi_hot"` or `"count"` for vectors as from
            `CategoryEncoding`; `"tf_idf"` for counts times `idf_weights`.
        output_sequence_length: For `"int"`: number of indices of each text, which is truncated or padded; `None`, the
            default, for that of the longest text.
        pad_to_max_tokens: Whether vectors have the size `max_tokens`, even with fewer tokens. Default `False`.
        vocabulary: The tokens, or the path of a text file with one token per line. Default `None`: `adapt` learns them.
        idf_weights: Weights of the tokens of `vocabulary`, for `output_mode="tf_idf"`. Default `None`.
        sparse: Must be `False`.
        ragged: Must be `False`.
        encoding: Encoding of texts that are bytes. Default `"utf-8"`.
        name: Name of the layer. Default none.
        trainable: No effect: the layer has no trained weights.

    Shape: `(batch,)` or `(batch, 1)` texts -> `(batch, length)` int64, with 0 for padding and 1 for unknown tokens; or
    `(batch, vocabulary_size())` floats, with column 0 for unknown tokens. A single text gives its row alone.

    >>> layer = TextVectorization(output_sequence_length=4)
    >>> layer.adapt(["The cat.", "The dog!"])
    >>> layer.get_vocabulary()
    ['', '[UNK]', 'the', 'dog', 'cat']
    >>> layer(["a cat, the cat"])
    tensor([[1, 4, 2, 4]])
    """

    _reads_arrays = True

    def __init__(
        self,
        max_tokens: int | None = None,
        standardize: str | Callable[[Any], Any] | None = "lower_and_strip_punctuation",
        split: str | Callable[[str], list[str]] | None = "whitespace",
        ngrams: int | Sequence[int] | None = None,
        output_mode: str = "int",
        output_sequence_length: int | None = None,
        pad_to_max_tokens: bool = False,
        vocabulary: Any = None,
        idf_weights: Any = None,
        sparse: bool = False,
        ragged: bool = False,
        encoding: str = "utf-8",
        *,
        name: str | None = None,
        trainable: bool = True,
    ) -> None:
        super().__init__(name=name, trainable=trainable)
        self.standardize = _check_option("standardize", standardize, _STANDARDIZE)
        self.split = _check_option("split", split, _SPLIT)
        self.ngrams = tuple(ngrams) if isinstance(ngrams, (list, tuple)) else ngrams
        self._ngram_lengths = _to_ngram_lengths(ngrams)
        if ragged is not False:
            raise mismatch("ragged", ragged, "False", "Rows are padded with 0.")
        self.output_mode = check_output_mode(output_mode)
        self.output_sequence_length = output_sequence_length
        if output_sequence_length is not None:
            self.output_sequence_length = check_int("output_sequence_length", output_sequence_length)
            if self.output_mode != "int":
                raise ValueError(f"output_sequence_length is for output_mode='int', got {output_mode!r}.")
        self.lookup = StringLookup(
            max_tokens,
            mask_token="",
            vocabulary=vocabulary,
            idf_weights=idf_weights,
            output_mode=self.output_mode,
            pad_to_max_tokens=pad_to_max_tokens,
            sparse=sparse,
            encoding=encoding,
        )
        self.ensure_built()  # nothing depends on the input shape, and strings have none

    def build(self, *input_shapes: Any) -> None:
        """Do nothing: the layer has no parameters."""

    def adapt(self, data: Any, steps: int | None = None) -> None:
        """Learn the vocabulary: the most frequent token comes first.

        Of tokens that are equally frequent, the last in alphabetical order comes first.

        Args:
            data: A list or an array of texts, or an iterable of batches, such as a `DataLoader`; of batches `(x, y)`
                only `x` is used.
            steps: Maximum number of batches; `None`, the default, for all.

        Raises:
            ValueError: The layer was made with a vocabulary, or the texts have no tokens.
        """
        pieces = input_batches(data, steps, lists_are_data=True)
        self.lookup.learn_from_counts(self.lookup.count_documents(self._tokenize(piece)) for piece in pieces)

    def get_vocabulary(self, include_special_tokens: bool = True) -> list[str]:
        """Return the tokens in the order of their indices.

        Args:
            include_special_tokens: Whether the tokens for padding and unknown tokens are included, in front. Default
                `True`.
        """
        return self.lookup.get_vocabulary(include_special_tokens)

    def set_vocabulary(self, vocabulary: Any, idf_weights: Any = None) -> None:
        """Replace the vocabulary.

        Args:
            vocabulary: A list or array of tokens, or the path of a text file with one token per line. The special
                tokens may be included in front, as in the list from `get_vocabulary`.
            idf_weights: One weight for each token of `vocabulary`; required for `output_mode="tf_idf"`, and only
                allowed there.

        Raises:
            ValueError: Duplicate tokens, too many or none; special tokens elsewhere; missing weights, or a different
                number of them.
        """
        self.lookup.set_vocabulary(vocabulary, idf_weights)

    def vocabulary_size(self) -> int:
        """Return the number of indices, including those of padding and unknown tokens."""
        return self.lookup.vocabulary_size()

    def forward(self, x: Any) -> Tensor:
        raise_if_traced(x, "TextVectorization")
        lookup = self.lookup
        if not lookup.has_vocabulary:
            raise not_adapted_error(self, "give vocabulary=")
        rows = self._tokenize(x)
        longest = max(map(len, rows), default=0)
        length = longest if self.output_sequence_length is None else self.output_sequence_length
        index = np.full((len(rows), length), 0 if self.output_mode == "int" else IGNORED)  # (batch, length)
        for position, row in enumerate(rows):
            index[position, : len(row)] = lookup.find_indices(row[:length])
        encoded = lookup.encode_indices(torch.from_numpy(index).to(lookup.idf_weights.device))
        return encoded[0] if isinstance(x, (str, bytes)) else encoded

    def _tokenize(self, texts: Any) -> list[list[str]]:
        """Return the tokens, or n-grams of tokens, of each text.

        Raises:
            ValueError: Texts of a shape other than `(batch,)` or `(batch, 1)`, unless `split` is `None`.
        """
        batch = to_string_array(
            [texts] if isinstance(texts, (str, bytes)) else texts, "TextVectorization", self.lookup.encoding
        )
        if callable(self.standardize):
            batch = to_string_array(self.standardize(batch.astype(str)), "TextVectorization")
        elif self.standardize is not None:
            standardize = _STANDARDIZE[self.standardize]
            batch = np.array([standardize(text) for text in batch.reshape(-1)], dtype=object).reshape(batch.shape)
        if self.split is None:
            rows = batch.reshape(len(batch), -1).tolist()
        else:
            if batch.ndim > 1 and (batch.ndim > 2 or batch.shape[1] != 1):
                raise ValueError(f"TextVectorization takes texts of shape (batch,) or (batch, 1), got {batch.shape}.")
            split = self.split if callable(self.split) else _SPLIT[self.split]
            rows = [list(split(text)) for text in batch.reshape(-1)]
        return rows if self._ngram_lengths is None else [_to_ngrams(row, self._ngram_lengths) for row in rows]

    def get_config(self) -> dict[str, Any]:
        """Return the constructor arguments, with the vocabulary and its weights as lists.

        Raises:
            TypeError: `standardize` or `split` is a function.
        """
        lookup_config = self.lookup.get_config()
        own = {"standardize": self.standardize, "split": self.split}
        for name, value in own.items():
            if callable(value):
                raise TypeError(f"TextVectorization: {name}={value!r}, a function of your own, cannot be written down.")
        own |= {"ngrams": list(self.ngrams) if isinstance(self.ngrams, tuple) else self.ngrams}
        own |= {"output_mode": self.output_mode, "output_sequence_length": self.output_sequence_length}
        of_lookup = ("max_tokens", "pad_to_max_tokens", "vocabulary", "idf_weights", "sparse", "encoding")
        own |= {name: lookup_config[name] for name in of_lookup}
        return own | {"ragged": False, "name": own_name(self), "trainable": self.trainable}

    @classmethod
    def from_config(cls, config: Mapping[str, Any]) -> Self:
        """Return a new layer from the dict of `get_config`.

        Raises:
            ValueError: The vocabulary is no list, as the path of a file, or a size is above 2**20.
        """
        check_config(config, cls)
        return super().from_config(config)


def _check_option(name: str, value: Any, table: dict[str, Any]) -> Any:
    """Return `value` if it is `None`, a function, or a name in `table`; else raise a `ValueError`."""
    if value is None or callable(value):
        return value
    if not isinstance(value, str):
        raise mismatch(name, value, "a name, a function, or None")
    if value not in table:
        raise unknown(name, value, table)
    return value


def _to_ngram_lengths(ngrams: Any) -> tuple[int, ...] | None:
    """Return the lengths of the n-grams that the argument `ngrams` asks for; `None` for single tokens."""
    if ngrams is None:
        return None
    if isinstance(ngrams, (list, tuple)):
        return tuple(check_int("ngrams", length) for length in ngrams)
    return tuple(range(1, check_int("ngrams", ngrams) + 1))


def _to_ngrams(tokens: list[str], lengths: tuple[int, ...]) -> list[str]:
    return [" ".join(tokens[start : start + length]) for length in lengths for start in range(len(tokens) - length + 1)]
