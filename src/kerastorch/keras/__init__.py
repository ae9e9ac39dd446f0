"""Keras' names for Keras' scripts: `import kerastorch.keras as keras`.

The classes are those of kerastorch. Layers that are made here take images with channels last, as in Keras; nothing else
changes, so that a script may use both.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from kerastorch.constraints import Constraint
from kerastorch.core.absent_names import absent_name
from kerastorch.core.keras_names import TOP_LEVEL
from kerastorch.initializers import Initializer
from kerastorch.keras import (
    aliases,
    backend,
    config,
    dtype_policies,
    layers,
    mixed_precision,
    models,
    saving,
    tree,
    utils,
    visualization,
    weight_methods,
)
from kerastorch.keras.convert import convert
from kerastorch.keras.door import keras_class
from kerastorch.keras.dtype_policies import DTypePolicy, FloatDTypePolicy
from kerastorch.keras.scopes import RematScope, device, name_scope, remat
from kerastorch.keras.variable import Variable
from kerastorch.layers import Layer as BaseLayer
from kerastorch.layers.input_spec import InputSpec
from kerastorch.losses import Loss
from kerastorch.metrics import Metric
from kerastorch.optimizers import Optimizer
from kerastorch.regularizers import Regularizer
from kerastorch.symbolic.input import Input
from kerastorch.symbolic.symbolic_tensor import Symbol as KerasTensor
from kerastorch.version import __version__

Layer, Model, Sequential = keras_class(BaseLayer), models.Model, models.Sequential
Operation = Layer  # an operation is a layer, with weights or without
Function = Model  # as a functional model without the methods of training


def version() -> str:
    """Return the version of kerastorch."""
    return __version__


__all__ = [
    "Constraint",
    "DTypePolicy",
    "FloatDTypePolicy",
    "Function",
    "Initializer",
    "Input",
    "InputSpec",
    "KerasTensor",
    "Layer",
    "Loss",
    "Metric",
    "Model",
    "Operation",
    "Optimizer",
    "Regularizer",
    "RematScope",
    "Sequential",
    "Variable",
    "__version__",
    "activations",
    "backend",
    "callbacks",
    "config",
    "constraints",
    "convert",
    "datasets",
    "device",
    "distribution",
    "dtype_policies",
    "export",
    "initializers",
    "layers",
    "losses",
    "metrics",
    "mixed_precision",
    "models",
    "name_scope",
    "ops",
    "optimizers",
    "preprocessing",
    "random",
    "regularizers",
    "remat",
    "saving",
    "tree",
    "utils",
    "version",
    "visualization",
    "wrappers",
]  # fmt: skip

aliases.install()
weight_methods.install()
for _name in aliases.MODULES:
    globals()[_name] = importlib.import_module(f"{__name__}.{_name}")


def __dir__() -> list[str]:
    return sorted(__all__)


if not TYPE_CHECKING:

    def __getattr__(name: str) -> Any:
        raise absent_name(__name__, name, __all__, TOP_LEVEL)
