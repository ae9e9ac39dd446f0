"""kerastorch: compile, fit, evaluate and predict for any PyTorch module."""

from typing import TYPE_CHECKING, NoReturn

from kerastorch import (
    activations,
    callbacks,
    config,
    constraints,
    data,
    datasets,
    initializers,
    layers,
    losses,
    metrics,
    mixed_precision,
    optimizers,
    regularizers,
    saving,
    utils,
)
from kerastorch.callbacks.history import History
from kerastorch.core.errors import absent_name
from kerastorch.model import Model
from kerastorch.saving.load import load_model
from kerastorch.sequential import Sequential
from kerastorch.symbolic.input import Input
from kerastorch.symbolic.symbolic_tensor import call
from kerastorch.version import __version__

__all__ = [
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
    "initializers",
    "layers",
    "load_model",
    "losses",
    "metrics",
    "mixed_precision",
    "optimizers",
    "regularizers",
    "saving",
    "utils",
]


def __dir__() -> list[str]:
    return sorted(__all__)


_ADVICE = {  # for names of Keras
    "ops": "Use functions of torch: torch.matmul, torch.softmax, torch.nn.functional.",
    "random": "Use torch.rand, torch.randn and utils.set_random_seed.",
    "backend": "The backend is torch: use its functions.",
    "models": "Model, Sequential and load_model are in kerastorch itself.",
    "applications": "Models of torchvision train as kerastorch.Model(torchvision.models.resnet18()).",
    "preprocessing": "See kerastorch.layers for preprocessing layers, kerastorch.utils for pad_sequences.",
    "Variable": "Use torch.nn.Parameter, or add_weight of a layer.",
    "Layer": "It is kerastorch.layers.Layer; any torch.nn.Module is a layer, too.",
    "Loss": "It is kerastorch.losses.Loss.",
    "Metric": "It is kerastorch.metrics.Metric; names, functions and objects of torchmetrics are metrics, too.",
    "Optimizer": "Optimizers are in kerastorch.optimizers and torch.optim.",
}


if not TYPE_CHECKING:  # type checkers refuse the names themselves

    def __getattr__(name: str) -> NoReturn:
        raise absent_name(__name__, name, __all__, _ADVICE)
