"""kerastorch: compile, fit, evaluate and predict for any PyTorch module."""

import importlib
from typing import TYPE_CHECKING, Any

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
    optimizers,
    preprocessing,
    regularizers,
    saving,
    utils,
)
from kerastorch.callbacks.history import History
from kerastorch.core.absent_names import absent_name
from kerastorch.core.keras_names import TOP_LEVEL
from kerastorch.ensembles.build import ensemble
from kerastorch.ensembles.ensemble import Ensemble
from kerastorch.model import Model
from kerastorch.plots.histories import plot_histories
from kerastorch.saving.load import load_model
from kerastorch.sequential import Sequential
from kerastorch.symbolic.input import Input
from kerastorch.symbolic.symbolic_tensor import call
from kerastorch.version import __version__

if TYPE_CHECKING:
    from kerastorch import ops, random, wrappers

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

# most scripts use few of them: `wrappers` imports scikit-learn, which is slow, and operations are many
_LAZY = ("keras", "ops", "random", "wrappers")


def __dir__() -> list[str]:
    return sorted(__all__)


if not TYPE_CHECKING:  # type checkers refuse the names themselves

    def __getattr__(name: str) -> Any:
        if name in _LAZY:
            return importlib.import_module(f"{__name__}.{name}")
        raise absent_name(__name__, name, __all__, TOP_LEVEL)
