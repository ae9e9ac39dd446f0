"""What `compile` was given, and where its optimizer is."""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping
from typing import Any

from torch import Tensor, nn

from kerastorch.checkpoint.optimizer_state import capture_optimizer_state, restore_optimizer_state
from kerastorch.core.errors import CheckpointError
from kerastorch.core.serialization import decode, encode, use_codec
from kerastorch.optimizers.base import TorchOptimizer
from kerastorch.optimizers.learning_rate import torch_class
from kerastorch.saving import torch_allowlist
from kerastorch.saving.deserializer import Reader
from kerastorch.saving.hook_detection import hooks_of, is_foreign
from kerastorch.saving.serializer import Writer
from kerastorch.training.trainer import Trainer


def describe(trainer: Trainer) -> dict[str, Any]:
    """The arguments of `compile`, encoded.

    Raises:
        TypeError: one of them cannot be written, and why.
    """
    given = dict(trainer.compile_args)
    optimizer = given.pop("optimizer", None)
    if trainer.optimizer is not None and any(map(is_foreign, hooks_of(trainer.optimizer))):
        raise TypeError("optimizer: it has step hooks, which are functions.")
    with use_codec(Writer()):
        written: dict[str, Any] = {}
        for name, value in given.items():
            try:
                written[name] = encode(value)
            except (TypeError, ValueError, AttributeError) as error:
                raise TypeError(f"{name}: {error}") from error
        held = isinstance(optimizer, TorchOptimizer)
        written["optimizer"] = _held(optimizer, names(trainer)) if held else encode(optimizer)
    return written


def _held(optimizer: TorchOptimizer, named: Mapping[str, Tensor]) -> dict[str, Any]:
    """An optimizer of torch's that was made over the model's parameters."""
    name = torch_allowlist.name_of(torch_class(optimizer))
    if name is None:
        raise TypeError(f"optimizer: {type(optimizer).__name__} is not one of torch.optim.")
    return {"held": name, "groups": capture_optimizer_state(optimizer, named)["groups"]}


def settings(written: Mapping[str, Any], model: nn.Module, custom: Mapping[str, Any], where: str) -> dict[str, Any]:
    """The arguments of `compile` again.

    Raises:
        CheckpointError: names that nobody knows, or what no `compile` was given.
    """
    known = ("optimizer", "loss", "loss_weights", "metrics", "regularizers", "memory_format", "jit_compile",
             "steps_per_execution")  # fmt: skip
    try:
        with use_codec(Reader(custom)):
            found = {name: decode(value) for name, value in written.items() if name in known and name != "optimizer"}
            optimizer = written["optimizer"]
            held = isinstance(optimizer, Mapping) and set(optimizer) == {"held", "groups"}
            found["optimizer"] = _made(optimizer, model) if held else _makes_one(decode(optimizer))
    except Exception as error:
        raise CheckpointError(
            f"{where}: what compile() was given cannot be made: {error} load_model takes custom_objects, or "
            "compile=False and nothing of that."
        ) from error
    return found


def _makes_one(optimizer: Any) -> Any:
    """`optimizer`, if it is no function of torch's: compile calls it on the weights, and there are large products."""
    made = optimizer.func if isinstance(optimizer, functools.partial) else optimizer
    name = None if isinstance(made, str) else torch_allowlist.name_of(made)
    if name is not None and name not in torch_allowlist.OPTIMIZERS:
        raise ValueError(f"{name} is no optimizer.")
    return optimizer


def _made(written: Mapping[str, Any], model: nn.Module) -> TorchOptimizer:
    kind: Callable[..., TorchOptimizer] = torch_allowlist.OPTIMIZERS[written["held"]]
    named = dict(model.named_parameters())
    optimizer = kind([{"params": [named[name] for name in group["params"]]} for group in written["groups"]], lr=1e-3)
    for group, saved in zip(optimizer.param_groups, written["groups"], strict=True):
        group.update({key: value for key, value in saved.items() if key != "params"})
    return optimizer


def names(trainer: Trainer) -> dict[str, Tensor]:
    """The parameters that the optimizer may hold: the model's, and what the losses themselves learn."""
    own = {f"loss:{number}": weight for number, weight in enumerate(trainer.compiled_loss.parameters())}
    return {**dict(trainer.model.named_parameters()), **own}


def progress(trainer: Trainer) -> dict[str, Any]:
    """The optimizer's state, what the losses have learned, and how many epochs were trained."""
    return {
        "optimizer": None if trainer.optimizer is None else capture_optimizer_state(trainer.optimizer, names(trainer)),
        "losses": [weight.detach() for weight in trainer.compiled_loss.parameters()],
        "epochs_done": trainer.state.epochs_done,
    }


def restore(trainer: Trainer, found: Mapping[str, Any], where: str) -> None:
    """Put back what `progress` found.

    Raises:
        CheckpointError: the optimizer holds other parameters, or the losses learn something else.
    """
    own, saved = trainer.compiled_loss.parameters(), found["losses"]
    if [weight.shape for weight in own] != [weight.shape for weight in saved]:
        raise CheckpointError(f"{where}: what the losses learn is not what was saved.")
    for weight, value in zip(own, saved, strict=True):
        weight.data.copy_(value)
    if found["optimizer"] is not None:
        restore_optimizer_state(trainer.get_or_create_optimizer(), found["optimizer"], names(trainer), where)
    trainer.state.epochs_done = int(found["epochs_done"])
