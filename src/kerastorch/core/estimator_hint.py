"""The error for a model that is given to scikit-learn where an estimator is expected."""

from __future__ import annotations

import sys
from typing import Any, NoReturn

ADVICE = (
    "is a model, not an estimator of scikit-learn. Wrap it: kt.wrappers.SKLearnClassifier(model) or "
    "kt.wrappers.SKLearnRegressor(model). kt.model_selection.cross_validate takes a function that builds a model."
)


class ScoreHint:
    """An attribute `score` that does not exist; scikit-learn, which looks for it first, gets an error that helps."""

    def __get__(self, instance: Any, owner: type | None = None) -> Any:
        if instance is None:
            return self
        caller = str(sys._getframe(1).f_globals.get("__name__"))
        if caller.startswith("sklearn.") and "score" not in instance._modules:
            raise TypeError(f"{type(instance).__name__} {ADVICE}")
        # torch then looks for a parameter or submodule of this name
        raise AttributeError(f"{type(instance).__name__!r} object has no attribute 'score'")


class EstimatorHint:
    """Base of models: scikit-learn's functions say how to wrap one."""

    score = ScoreHint()

    def __sklearn_tags__(self) -> NoReturn:
        raise TypeError(f"{type(self).__name__} {ADVICE}")

    def __dir__(self) -> list[str]:
        return [name for name in super().__dir__() if name != "score"]
