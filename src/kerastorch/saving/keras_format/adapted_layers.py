"""What layers have learned in `adapt`: Keras has it beside the config, and here the config has it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from kerastorch.saving.keras_format.keras_archive import KerasArchive
from kerastorch.saving.keras_format.weight_groups import join

_LOOKUPS = ("StringLookup", "IntegerLookup", "TextVectorization")
VOCABULARY = "vocabulary.txt"


def with_learned_state(name: str, config: Mapping[str, Any], archive: KerasArchive, group: str) -> dict[str, Any]:
    """Return the config of a layer with the vocabulary, or the mean and variance, that the file has for it.

    Args:
        name: The class.
        config: The config in the file.
        archive: The file.
        group: The group of the layer.
    """
    arrays = archive.groups.get(join(group, "vars"), {})
    if name == "Normalization" and config.get("mean") is None and {"0", "1"} <= set(arrays):
        learned = {"mean": arrays["0"].tolist(), "variance": arrays["1"].tolist()}
        return dict(config) | {"learned": learned}
    text = archive.assets.get(join(group, VOCABULARY))
    if name not in _LOOKUPS or text is None or config.get("vocabulary") is not None:
        return dict(config)
    tokens: list[Any] = text.splitlines()
    while tokens and not tokens[-1]:
        tokens.pop()
    found = dict(config) | {"vocabulary": [int(token) for token in tokens] if name == "IntegerLookup" else tokens}
    weights = arrays.get("idf_weights")
    return found if weights is None else found | {"idf_weights": weights.tolist()}
