"""Copies and pickles of compiled models, whose own copies and pickles are the module alone."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from kerastorch.core.lazy_build import copy_module
from kerastorch.model import Model
from kerastorch.saving.compile_config import capture_progress, restore_progress
from kerastorch.training.trainer import Trainer


def trainer_of(model: Model) -> Trainer | None:
    """Return what trains a model; `None` if it is not compiled."""
    found: Trainer | None = vars(model).get("_trainer")
    return found


def copy_compiled(model: Model) -> Model:
    """Return a deep copy of a model, compiled as the model is; its optimizer begins anew.

    Args:
        model: The model, compiled or not; it stays as it is.

    >>> import kerastorch as kt
    >>> model = kt.Sequential([kt.layers.Dense(1)])
    >>> model.compile("sgd", "mse")
    >>> twin = copy_compiled(model)
    >>> twin is model, trainer_of(twin).compile_args["loss"]
    (False, 'mse')
    """
    memo: dict[int, Any] = {}
    twin: Any = copy_module(model, memo)
    trainer = trainer_of(model)
    if trainer is not None:
        # with the same memo, an optimizer of torch refers to the parameters of the copy
        _compile(twin, copy.deepcopy(_compile_arguments(trainer), memo))
    found: Model = twin
    return found


@dataclass(frozen=True)
class PackedModel:
    """A model as a pickle holds it: the module, what `compile` was given, and the state of the optimizer.

    Attributes:
        model: The model. Its pickle is the module alone.
        compile_arguments: Arguments of `compile` by name; `None` if the model is not compiled.
        progress: State of optimizers and losses; `None` if the model is not compiled.
    """

    model: Model
    compile_arguments: Mapping[str, Any] | None
    progress: Mapping[str, Any] | None

    @classmethod
    def of(cls, model: Model) -> PackedModel:
        """Return a model in the form that can be pickled."""
        trainer = trainer_of(model)
        if trainer is None:
            return cls(model, None, None)
        return cls(model, _compile_arguments(trainer), capture_progress(trainer))

    def unpack(self) -> Model:
        """Return the model, compiled, with the state of its optimizer; for the unpickled object."""
        if self.compile_arguments is None:
            return self.model
        _compile(self.model, self.compile_arguments)
        trainer = trainer_of(self.model)
        if trainer is not None and self.progress is not None:
            restore_progress(trainer, self.progress, "the pickle")
        return self.model


def _compile_arguments(trainer: Trainer) -> dict[str, Any]:
    places = {"device": trainer.device, "data_device": trainer.data_device}
    return {**trainer.compile_args, **places}


def _compile(model: Model, arguments: Mapping[str, Any]) -> None:
    model.compile(**arguments)
