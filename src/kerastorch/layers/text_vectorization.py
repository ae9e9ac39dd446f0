"""TextVectorization: texts to the indices of their words."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Self

import numpy as np
import torch
from torch import Tensor

from kerastorch.core.errors import check_choice, check_int, mismatch, unknown
from kerastorch.layers.adaptable import batches, not_adapted_error
from kerastorch.layers.base import Layer
from kerastorch.layers.string_lookup import StringLookup
from kerastorch.layers.strings import raise_if_traced, to_string_array
from kerastorch.layers.vocabulary import check_config

_PUNCTUATION = re.compile(r"""[!"#$%&()*+,\-./:;<=>?@\[\\\]^_`{|}~']""")
_STANDARDIZE: dict[str, Callable[[str], str]] = {
    "lower": str.lower,
    "strip_punctuation": lambda text: _PUNCTUATION.sub("", text),
    "lower_and_strip_punctuation": lambda text: _PUNCTUATION.sub("", text.lower()),
}
_SPLIT: dict[str, Callable[[str], list[str]]] = {"whitespace": str.split, "character": list}


class TextVectorization(Layer):
    """Texts as the indices of their words, or as vectors of them.

    torch has no tensors of strings: it is called on lists or NumPy arrays before the model, whose `fit` takes what
    comes out; it cannot be compiled, exported, or called on an `Input`.

    Args:
        max_tokens: at most this many indices, those of padding and of unknown words included.
        standardize: `"lower_and_strip_punctuation"`, `"lower"`, `"strip_punctuation"`, `None`, or a function of a
            NumPy array of strings that returns one. `"lower"` knows all letters, where Keras' knows ASCII's.
        split: `"whitespace"`, `"character"`, a function of a string that returns a list of tokens; `None`: the input
            is tokens already, `(batch, tokens)`.
        ngrams: `n`: runs of 1 to n tokens, joined by a space, count as tokens; a tuple: runs of those lengths.
        output_mode: `"int"`, `"multi_hot"`, `"count"`, `"tf_idf"`, `"one_hot"`: see `StringLookup`.
        output_sequence_length: with `"int"`: texts are cut or padded to this many indices; `None`: to the longest.
        pad_to_max_tokens: vectors of `max_tokens`, however many tokens there are.
        vocabulary: the tokens, or the path of a text file with one a line; else they are learned by `adapt`.
        idf_weights: weights of the tokens, beside `vocabulary`, for `"tf_idf"`.
        sparse: must be `False`.
        ragged: must be `False`.
        encoding: of texts that are bytes.
        name: see `Layer`; so is `trainable`.

    Shape: `(batch,)` or `(batch, 1)` texts -> `(batch, length)` int64, 0 being padding and 1 what is unknown; or
    `(batch, vocabulary_size())` floats, in which an index 0 stands for what is unknown.

    >>> layer = TextVectorization(output_sequence_length=4)
    >>> layer.adapt(["The cat.", "The dog!"])
    >>> layer.get_vocabulary()
    ['', '[UNK]', 'the', 'dog', 'cat']
    >>> layer(["a cat, the cat"])
    tensor([[1, 4, 2, 4]])
    """

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
        self.standardize = _known("standardize", standardize, _STANDARDIZE)
        self.split = _known("split", split, _SPLIT)
        self.ngrams = tuple(ngrams) if isinstance(ngrams, (list, tuple)) else ngrams
        self._widths = _widths(ngrams)
        if ragged is not False:
            raise mismatch("ragged", ragged, "False", "Rows are padded with 0.")
        self.output_mode = check_choice("output_mode", output_mode, ("int", "one_hot", "multi_hot", "count", "tf_idf"))
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
        self.ensure_built()  # nothing depends on the shape, and what it is called on has none

    def build(self, *input_shapes: Any) -> None:
        """Nothing: the state is the vocabulary."""

    def adapt(self, data: Any, steps: int | None = None) -> None:
        """Learn the vocabulary: the most frequent tokens first, of those as frequent the last in the alphabet.

        Args:
            data: a list or array of texts, or an iterable of batches, as a `DataLoader`; of batches `(x, y)`, `x`
                counts.
            steps: look at no more than this many batches.

        Raises:
            ValueError: a vocabulary was given; no tokens.
        """
        self.lookup._learn(self.lookup._count_rows(self._rows(piece)) for piece in batches(data, steps, rows=True))

    def get_vocabulary(self, include_special_tokens: bool = True) -> list[str]:
        """The tokens in the order of their indices.

        Args:
            include_special_tokens: whether those for padding and what is unknown stand in front.
        """
        return self.lookup.get_vocabulary(include_special_tokens)

    def set_vocabulary(self, vocabulary: Any, idf_weights: Any = None) -> None:
        """Use these tokens: see `StringLookup.set_vocabulary`."""
        self.lookup.set_vocabulary(vocabulary, idf_weights)

    def vocabulary_size(self) -> int:
        """How many indices there are, those of padding and of unknown tokens included."""
        return self.lookup.vocabulary_size()

    def forward(self, x: Any) -> Tensor:
        raise_if_traced(x, "TextVectorization")
        if not self.lookup._indices:
            raise not_adapted_error(self, "give vocabulary=")
        rows = self._rows(x)
        longest = max(map(len, rows), default=0)
        length = longest if self.output_sequence_length is None else self.output_sequence_length
        lookup = self.lookup
        index = np.full((len(rows), length), 0 if self.output_mode == "int" else -1)  # the mask's
        for place, row in enumerate(rows):
            index[place, : len(row)] = lookup._placed(row[:length])
        return lookup._encoded(torch.from_numpy(index).to(lookup.idf_weights.device))

    def _rows(self, texts: Any) -> list[list[str]]:
        """The tokens of each text."""
        found = to_string_array(
            [texts] if isinstance(texts, (str, bytes)) else texts, "TextVectorization", self.lookup.encoding
        )
        if callable(self.standardize):
            found = to_string_array(self.standardize(found.astype(str)), "TextVectorization")
        elif self.standardize is not None:
            standardize = _STANDARDIZE[self.standardize]
            found = np.array([standardize(text) for text in found.reshape(-1)], dtype=object).reshape(found.shape)
        if self.split is None:
            rows = found.reshape(len(found), -1).tolist()
        else:
            if found.ndim > 1 and (found.ndim > 2 or found.shape[1] != 1):
                raise ValueError(f"TextVectorization takes texts of shape (batch,) or (batch, 1), got {found.shape}.")
            split = self.split if callable(self.split) else _SPLIT[self.split]
            rows = [list(split(text)) for text in found.reshape(-1)]
        return rows if self._widths is None else [self._runs(row) for row in rows]

    def _runs(self, row: list[str]) -> list[str]:
        assert self._widths is not None
        return [" ".join(row[at : at + n]) for n in self._widths for at in range(len(row) - n + 1)]

    def get_config(self) -> dict[str, Any]:
        inner = self.lookup.get_config()
        own = {"standardize": self.standardize, "split": self.split}
        for name, value in own.items():
            if callable(value):
                raise TypeError(f"TextVectorization: {name}={value!r}, a function of your own, cannot be written down.")
        own |= {"ngrams": list(self.ngrams) if isinstance(self.ngrams, tuple) else self.ngrams}
        own |= {"output_mode": self.output_mode, "output_sequence_length": self.output_sequence_length}
        passed_on = ("max_tokens", "pad_to_max_tokens", "vocabulary", "idf_weights", "sparse", "encoding")
        own |= {name: inner[name] for name in passed_on}
        return own | {"ragged": False, "name": self.name, "trainable": self.trainable}

    @classmethod
    def from_config(cls, config: Mapping[str, Any]) -> Self:
        """See `Configurable`; no file is opened because a config names it."""
        check_config(config, cls)
        return super().from_config(config)


def _known(name: str, value: Any, table: dict[str, Any]) -> Any:
    if value is None or callable(value):
        return value
    if not isinstance(value, str):
        raise mismatch(name, value, "a name, a function, or None")
    if value not in table:
        raise unknown(name, value, table)
    return value


def _widths(ngrams: Any) -> tuple[int, ...] | None:
    if ngrams is None:
        return None
    if isinstance(ngrams, (list, tuple)):
        return tuple(check_int("ngrams", width) for width in ngrams)
    return tuple(range(1, check_int("ngrams", ngrams) + 1))
