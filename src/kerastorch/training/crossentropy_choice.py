"""The crossentropy that the names `'ce'` and `'crossentropy'` mean, by what each output of a model ends in."""

from __future__ import annotations

from typing import Any

from torch import nn

from kerastorch import activations
from kerastorch.core.output_structure import flatten_given, is_container
from kerastorch.layers.convolution import Convolutional
from kerastorch.layers.core import Dense
from kerastorch.losses import registry
from kerastorch.losses.base import Loss
from kerastorch.losses.classification import BinaryCrossentropy
from kerastorch.losses.crossentropy import NAMES, Crossentropy
from kerastorch.training.fused_activation import find_final_activation, last_modules
from kerastorch.training.output_names import OutputNames

_LAYERS = (nn.Conv1d, nn.Conv2d, nn.Conv3d)  # of torch, besides `nn.Linear`, which have no activation


def choose_crossentropies(model: nn.Module, loss: Any, names: OutputNames) -> Any:
    """Return the losses of `compile`, with `'ce'` and `'crossentropy'` replaced by the loss that fits the model.

    Args:
        model: The model.
        loss: `loss` as given to `compile`: one loss, or a structure of them.
        names: Names of the outputs, as far as they are known.

    Raises:
        ValueError: What an output ends in does not decide it.
    """
    if not any(map(_is_open, flatten_given(loss).values())):
        return loss
    ends = last_modules(model)
    tree = names.known_tree
    if tree is None:
        inner = names.unwrap(loss)
        if not is_container(inner):
            chosen = _choose(inner, next(iter(ends.values())) if len(ends) == 1 else None, "")
            return [chosen] if is_container(loss) else chosen
        given = flatten_given(inner)
    else:
        given = names.settings("loss", loss, tree)
    by_name = {name: _choose(one, ends.get(name), name) if _is_open(one) else one for name, one in given.items()}
    return by_name[""] if tree == "" else by_name


def _is_open(loss: Any) -> bool:
    return isinstance(loss, str) and loss.lower() in NAMES


def _choose(name: str, last: nn.Module | None, output: str) -> Loss:
    """Return the crossentropy for an output, by the last module before it.

    Args:
        name: The loss as the user wrote it.
        last: The module; `None` if the output is that of a function.
        output: Name of the output, `''` for the only one.
    """
    activation = None if last is None else find_final_activation(last)
    if activation is not None:
        if activation.kind == "softmax":
            return Crossentropy(name="crossentropy")
        if activation.kind == "sigmoid":
            return BinaryCrossentropy()
        if activation.kind == "log_softmax":
            return registry.get("nll_loss")
    n_logits = None if activation is not None or last is None else _n_logits(last)
    if n_logits is not None:
        return BinaryCrossentropy(from_logits=True) if n_logits == 1 else Crossentropy(True, name="crossentropy")
    whose = f"output {output!r}" if output else "the model"
    ending = "a function" if last is None else type(last).__name__
    raise ValueError(
        f"loss={name!r} depends on whether the outputs are probabilities or logits, and {whose} ends in {ending}, "
        "which does not say it. Write loss='sparse_categorical_crossentropy' for probabilities (after a softmax; "
        "'categorical_crossentropy' if y is one-hot, 'binary_crossentropy' after a sigmoid), or loss='cross_entropy' "
        "for logits."
    )


def _n_logits(last: nn.Module) -> int | None:
    """Return the number of outputs of a layer without an activation; `None` for other modules."""
    if isinstance(last, nn.Linear):
        return last.out_features
    if isinstance(last, _LAYERS):
        return last.out_channels
    if isinstance(last, (Dense, Convolutional)) and last.activation is activations.linear:
        return last.units if isinstance(last, Dense) else last.filters
    return None
