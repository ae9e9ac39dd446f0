"""Splits of data, cross-validation, and curves of scores."""

from kerastorch.model_selection.cross_validation import cross_validate
from kerastorch.model_selection.result import CrossValidation, Fold
from kerastorch.model_selection.score_curve import ScoreCurve
from kerastorch.model_selection.score_curves import learning_curve, validation_curve
from kerastorch.model_selection.three_parts import train_validation_test_split

__all__ = [
    "CrossValidation",
    "Fold",
    "ScoreCurve",
    "cross_validate",
    "learning_curve",
    "train_validation_test_split",
    "validation_curve",
]


def __dir__() -> list[str]:
    return sorted(__all__)
