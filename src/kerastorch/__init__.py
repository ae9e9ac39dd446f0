"""kerastorch: compile, fit, evaluate and predict for any PyTorch module."""

from typing import TYPE_CHECKING, Any

from kerastorch.core.absent_names import absent_name
from kerastorch.core.keras_names import TOP_LEVEL
from kerastorch.core.lazy_loading import load
from kerastorch.version import __version__

if TYPE_CHECKING:
    from kerastorch import (
        activations,
        callbacks,
        config,
        constraints,
        data,
        datasets,
        distribution,
        evaluation,
        initializers,
        layers,
        losses,
        metrics,
        mixed_precision,
        model_selection,
        ops,
        optimizers,
        preprocessing,
        random,
        regularizers,
        saving,
        utils,
        wrappers,
    )
    from kerastorch.callbacks.history import History
    from kerastorch.ensembles.build import ensemble
    from kerastorch.ensembles.ensemble import Ensemble
    from kerastorch.model import Model
    from kerastorch.plots.histories import plot_histories
    from kerastorch.saving.load import load_model
    from kerastorch.sequential import Sequential
    from kerastorch.symbolic.input import Input
    from kerastorch.symbolic.symbolic_tensor import call

__all__ = [
    "Ensemble",
    "History",
    "Input",
    "Model",
    "Sequential",
    "__version__",
    "activations",
    "call",
    "callbacks",
    "config",
    "constraints",
    "data",
    "datasets",
    "distribution",
    "ensemble",
    "evaluation",
    "initializers",
    "layers",
    "load_model",
    "losses",
    "metrics",
    "mixed_precision",
    "model_selection",
    "ops",
    "optimizers",
    "plot_histories",
    "preprocessing",
    "random",
    "regularizers",
    "saving",
    "utils",
    "wrappers",
]

# All is loaded when it is read: a script waits for the parts that it uses.
_DEFINED_IN = {
    "Ensemble": "ensembles.ensemble", "History": "callbacks.history", "Input": "symbolic.input", "Model": "model",
    "Sequential": "sequential", "call": "symbolic.symbolic_tensor", "ensemble": "ensembles.build",
    "load_model": "saving.load", "plot_histories": "plots.histories",
}  # fmt: skip
_MODULES = {*__all__, "errors", "keras"} - {*_DEFINED_IN, "__version__"}


def __dir__() -> list[str]:
    return sorted(__all__)


if not TYPE_CHECKING:  # type checkers refuse the names themselves

    def __getattr__(name: str) -> Any:
        if name in _MODULES:
            return load(f"{__name__}.{name}")
        if name in _DEFINED_IN:
            found = getattr(load(f"{__name__}.{_DEFINED_IN[name]}"), name)
            globals()[name] = found
            return found
        raise absent_name(__name__, name, __all__, TOP_LEVEL)
