"""Splits of data, cross-validation, and curves of scores."""

from kerastorch.model_selection.three_parts import train_validation_test_split

__all__ = ["train_validation_test_split"]


def __dir__() -> list[str]:
    return sorted(__all__)
