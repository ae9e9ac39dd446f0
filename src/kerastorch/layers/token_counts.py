"""Counts of the tokens in documents, from which lookup layers learn a vocabulary."""

from __future__ import annotations

from collections import Counter
from typing import Any, NamedTuple

import numpy as np

Token = Any  # str or int


class TokenCounts(NamedTuple):
    """Counts of the tokens in a piece of data.

    Attributes:
        tokens: Number of occurrences of each token.
        documents: Number of documents that contain each token.
        n_documents: Number of documents.
    """

    tokens: Counter[Token]
    documents: Counter[Token]
    n_documents: int


def to_document_rows(tokens: np.ndarray[Any, Any], tokens_are_documents: bool) -> np.ndarray[Any, Any]:
    """Return tokens as a matrix with one document per row.

    Args:
        tokens: Tokens, with one axis or more; the first axis of several is that of the documents.
        tokens_are_documents: For tokens with one axis: whether each is a document. If not, all are one document.
    """
    if tokens.ndim < 2:
        return tokens.reshape((-1, 1) if tokens_are_documents else (1, -1))
    return tokens.reshape(len(tokens), int(np.prod(tokens.shape[1:])))
