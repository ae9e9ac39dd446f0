"""scikit-learn estimators: networks that pipelines, searches and cross-validation of scikit-learn take."""

from typing import TYPE_CHECKING, NoReturn

from kerastorch.core.absent_names import absent_name
from kerastorch.wrappers.classifier import SKLearnClassifier
from kerastorch.wrappers.regressor import SKLearnRegressor
from kerastorch.wrappers.transformer import SKLearnTransformer

__all__ = ["SKLearnClassifier", "SKLearnRegressor", "SKLearnTransformer"]

_CLASSIFIER = "A network as a classifier is SKLearnClassifier(model=build_fn), or SKLearnClassifier(module=MyModule)."
_REGRESSOR = "A network as a regressor is SKLearnRegressor(model=build_fn), or SKLearnRegressor(module=MyModule)."
_ADVICE = {
    **dict.fromkeys(("KerasClassifier", "NeuralNetClassifier", "NeuralNetBinaryClassifier", "MLPClassifier"),
                    _CLASSIFIER),
    **dict.fromkeys(("KerasRegressor", "NeuralNetRegressor", "MLPRegressor"), _REGRESSOR),
}  # fmt: skip


def __dir__() -> list[str]:
    return sorted(__all__)


if not TYPE_CHECKING:  # type checkers refuse the names themselves

    def __getattr__(name: str) -> NoReturn:
        raise absent_name(__name__, name, __all__, _ADVICE)
