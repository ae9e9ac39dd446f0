"""The kind of the inputs of a model, from its layers: whether they can be augmented, and how."""

from __future__ import annotations

import re
from collections.abc import Iterable

from torch import nn

IMAGES, SEQUENCES, TEXT, TABLE = "images", "sequences", "text", "table"
_OF_IMAGES = re.compile(r"Conv.*[23]d|Image|AdaptiveAvgPool2d", re.IGNORECASE)
_OF_SEQUENCES = re.compile(r"Conv.*1d|RNN|LSTM|GRU|Recurrent", re.IGNORECASE)
_OF_TOKENS = re.compile(r"Pool|Attention|Transformer")
_OF_MORE_AXES = re.compile(r"Pool|Attention|Transformer|Flatten|Reshape|Permute")
_WITH_WEIGHTS = re.compile(r"Linear|Dense")


def input_kind(parts: Iterable[nn.Module]) -> str:
    """Return `"images"`, `"sequences"` of numbers, `"text"`, `"table"`, or an empty string if the layers do not tell.

    Args:
        parts: All modules of the model.
    """
    names = " ".join(one.__name__ for part in parts for one in type(part).__mro__)
    if _OF_IMAGES.search(names):
        return IMAGES
    if "Embedding" in names:
        return TEXT if _OF_SEQUENCES.search(names) or _OF_TOKENS.search(names) else ""
    if _OF_SEQUENCES.search(names):
        return SEQUENCES
    return TABLE if _WITH_WEIGHTS.search(names) and not _OF_MORE_AXES.search(names) else ""
