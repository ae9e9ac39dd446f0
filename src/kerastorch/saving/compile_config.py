"""The arguments of `compile`, encoded and decoded, and the training progress: optimizer state and number of epochs."""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping
from typing import Any

from torch import Tensor, nn

from kerastorch.checkpoint.optimizer_state import (
    capture_optimizer_state,
    capture_optimizers,
    parameter_names,
    restore_optimizers,
)
from kerastorch.core.errors import CheckpointError
from kerastorch.core.serialization import decode, encode, use_codec
from kerastorch.optimizers.any_optimizer import Torch
from kerastorch.optimizers.learning_rate import torch_class
from kerastorch.optimizers.step_hooks import TorchOptimizer
from kerastorch.saving import torch_allowlist
from kerastorch.saving.deserializer import Reader
from kerastorch.saving.hook_detection import hooks_of, is_foreign
from kerastorch.saving.serializer import Writer
from kerastorch.training.trainer import Trainer

_ARGUMENTS = ("loss", "loss_weights", "metrics", "weighted_metrics", "regularizers", "memory_format", "jit_compile",
              "steps_per_execution", "gradients_in_evaluation", "precision",
              "prepare_batch", "distribution")  # fmt: skip


def encode_compile_args(trainer: Trainer) -> dict[str, Any]:
    """Return the arguments of `compile`, encoded, by name.

    An optimizer of torch that the user made over the model's parameters is encoded as its class and parameter groups.

    Raises:
        TypeError: An argument cannot be encoded; the message names it and gives the reason.
    """
    arguments = dict(trainer.compile_args)
    optimizer = arguments.pop("optimizer", None)
    if any(is_foreign(hook) for made in trainer.optimizers.made.values() for hook in hooks_of(made)):
        raise TypeError("optimizer: it has step hooks, which are functions.")
    with use_codec(Writer()):
        written: dict[str, Any] = {}
        for name, value in arguments.items():
            try:
                written[name] = encode(value)
            except (TypeError, ValueError, AttributeError) as error:
                raise TypeError(f"{name}: {error}") from error
        written["optimizer"] = _encode_optimizer(optimizer, _names(trainer))
    return written


def _encode_optimizer(given: Any, names: Mapping[str, Tensor]) -> Any:
    """Return an optimizer, or a dict of several, encoded; of one of torch, the class and the parameter groups."""
    if isinstance(given, Mapping):
        return {"several": {name: _encode_optimizer(one, names) for name, one in given.items()}}
    if not isinstance(given, TorchOptimizer):
        return encode(given)
    name = torch_allowlist.name_of(torch_class(given))
    if name is None:
        raise TypeError(f"optimizer: {type(given).__name__} is not one of torch.optim.")
    return {"held": name, "groups": capture_optimizer_state(given, names)["groups"]}


def decode_compile_args(
    written: Mapping[str, Any], model: nn.Module, custom: Mapping[str, Any], where: str
) -> dict[str, Any]:
    """Return the arguments of `compile` that `encode_compile_args` encoded.

    Args:
        written: The encoded arguments; names that `compile` does not have are ignored.
        model: The model, over whose parameters an optimizer of torch is made.
        custom: The user's classes and functions by name.
        where: The file, for messages.

    Raises:
        CheckpointError: A name is not known, or an argument cannot be made.
    """
    try:
        with use_codec(Reader(custom)):
            arguments = {name: decode(value) for name, value in written.items() if name in _ARGUMENTS}
            arguments["optimizer"] = _decode_optimizer(written["optimizer"], model)
    except Exception as error:
        raise CheckpointError(
            f"{where}: what compile() was given cannot be made: {error} load_model takes custom_objects, or "
            "compile=False and nothing of that."
        ) from error
    return arguments


def _check_makes_optimizer(optimizer: Any) -> Any:
    """Return `optimizer`; raise if it is a function of torch that makes something else.

    `compile` calls a function on the weights. A function such as a matrix product would take any amount of memory.
    """
    inner = optimizer.optimizer if isinstance(optimizer, Torch) else optimizer
    made = inner.func if isinstance(inner, functools.partial) else inner
    name = None if isinstance(made, str) else torch_allowlist.name_of(made)
    if name is not None and name not in torch_allowlist.OPTIMIZERS:
        raise ValueError(f"{name} is no optimizer.")
    return optimizer


def _decode_optimizer(written: Any, model: nn.Module) -> Any:
    """Return what `_encode_optimizer` was given; an optimizer of torch is made over the model's parameters."""
    if isinstance(written, Mapping) and set(written) == {"several"}:
        return {name: _decode_optimizer(one, model) for name, one in written["several"].items()}
    if not (isinstance(written, Mapping) and set(written) == {"held", "groups"}):
        return _check_makes_optimizer(decode(written))
    kind: Callable[..., TorchOptimizer] = torch_allowlist.OPTIMIZERS[written["held"]]
    parameters = dict(model.named_parameters())
    groups = [{"params": [parameters[name] for name in group["params"]]} for group in written["groups"]]
    optimizer = kind(groups, lr=1e-3)
    for group, saved in zip(optimizer.param_groups, written["groups"], strict=True):
        group.update({key: value for key, value in saved.items() if key != "params"})
    return optimizer


def capture_progress(trainer: Trainer) -> dict[str, Any]:
    """Return the states of the optimizers and of their steps, what the losses learn, and the number of epochs."""
    made = trainer.optimizers.made
    return {
        "optimizer": capture_optimizers(made, _names(trainer)) if made else None,
        "losses": [parameter.detach() for parameter in trainer.compiled_loss.outputs.parameters()],
        "epochs_done": trainer.state.epochs_done,
        "step": dict(trainer.optimizers.step_state()),
    }


def restore_progress(trainer: Trainer, progress: Mapping[str, Any], where: str) -> None:
    """Put back what `capture_progress` returned.

    Raises:
        CheckpointError: The optimizer holds other parameters, or the losses learn parameters of other shapes.
    """
    learned, saved = trainer.compiled_loss.outputs.parameters(), progress["losses"]
    if [parameter.shape for parameter in learned] != [value.shape for value in saved]:
        raise CheckpointError(f"{where}: what the losses learn is not what was saved.")
    for parameter, value in zip(learned, saved, strict=True):
        parameter.data.copy_(value)
    if progress["optimizer"] is not None:
        restore_optimizers(trainer.optimizers.get_or_create(), progress["optimizer"], _names(trainer), where)
    trainer.optimizers.restore_step_state(progress.get("step", {}))  # earlier releases did not save it
    trainer.state.restore_epochs(int(progress["epochs_done"]))


def _names(trainer: Trainer) -> dict[str, Tensor]:
    """Return the parameters that the optimizer may hold, by their names in the file of a model."""
    return parameter_names(trainer.model, trainer.compiled_loss.outputs.parameters(), prefix="loss:")
