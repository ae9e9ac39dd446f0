"""Activate the dropout of a model that is in evaluation mode: its layers, and the functions that it calls."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import nn
from torch.nn import functional as F
from torch.overrides import TorchFunctionMode

from kerastorch.core.module_tree import modules
from kerastorch.core.ownership import is_own, is_third_party
from kerastorch.core.torch_private import DropoutBase
from kerastorch.core.train_mode import set_mode
from kerastorch.layers.dropout import Dropout, GaussianDropout

_ARGUMENTS = ("dropout", "recurrent_dropout")  # rates of recurrent and attention layers
_FUNCTIONS = {
    F.dropout: "training", F.dropout1d: "training", F.dropout2d: "training", F.dropout3d: "training",
    F.alpha_dropout: "training", F.feature_alpha_dropout: "training", torch.dropout: "train",
    torch.alpha_dropout: "train", torch.feature_dropout: "train", torch.feature_alpha_dropout: "train",
}  # fmt: skip


@contextmanager
def active_dropout(model: nn.Module) -> Iterator[bool]:
    """Switch the dropout layers of a model to training mode; yield whether there are any with a rate above 0.

    At the end of the block each layer is in its former mode again.
    """
    found = [part for part in modules(model) if _has_dropout(part)]
    before = [(part, part.training) for part in found]
    try:
        for part in found:
            set_mode(part, True)
        yield bool(found)
    finally:
        for part, was in before:
            set_mode(part, was)


def check_has_no_state(model: nn.Module) -> None:
    """Check that no layer carries a state from one call to the next one, which repeated calls would change.

    Raises:
        ValueError: A recurrent layer is `stateful`.
    """
    if any(is_own(part) and getattr(part, "stateful", False) for part in modules(model)):
        raise ValueError(
            "mc_dropout calls the model several times with each batch, and a stateful layer would continue from its "
            "own state. Make the layers with stateful=False."
        )


class DropoutFunctions(TorchFunctionMode):
    """Within the block, functions such as `F.dropout(x, p, self.training)` drop elements in evaluation mode, too.

    Attributes:
        were_called: Whether such a function was called with a rate above 0.
    """

    def __init__(self) -> None:
        super().__init__()
        self.were_called = False

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        name = _FUNCTIONS.get(func)
        if name is None:
            return func(*args, **kwargs)
        rate = args[1] if len(args) > 1 else kwargs.get("p", 0.5)
        self.were_called = self.were_called or rate > 0
        if len(args) > 2:
            args = (*args[:2], True, *args[3:])
        else:
            kwargs = {**kwargs, name: True}
        return func(*args, **kwargs)


def _has_dropout(part: nn.Module) -> bool:
    """Return whether a module itself, without its children, drops elements in training mode."""
    if isinstance(part, DropoutBase):
        return bool(part.p > 0)
    if isinstance(part, (Dropout, GaussianDropout)):
        return part.rate > 0
    if isinstance(part, (nn.RNNBase, nn.MultiheadAttention)):
        return bool(part.dropout > 0 and getattr(part, "num_layers", 2) > 1)
    if isinstance(part, nn.TransformerEncoderLayer):  # in evaluation mode it may use a kernel without dropout
        return any(map(_has_dropout, part.children()))
    if isinstance(part, torch.jit.ScriptModule):
        return "Dropout" in str(part.original_name)
    if is_own(part):
        return any(_is_rate(getattr(part, name, None)) for name in _ARGUMENTS)
    return is_third_party(part) and _looks_like_dropout(part)


def _looks_like_dropout(part: nn.Module) -> bool:
    """Return whether a module of another package is a dropout layer, or an attention layer with dropout.

    Attention layers often pass a rate to torch's kernel if `self.training` is true, and call no dropout layer then.
    """
    name = type(part).__name__
    if "Dropout" in name:
        return next(part.parameters(), None) is None
    if "Attention" not in name:
        return False
    rates = [value for key, value in vars(part).items() if "dropout" in key]
    return any(map(_is_rate, rates)) or any(map(_has_dropout, part.children()))


def _is_rate(value: Any) -> bool:
    return isinstance(value, float) and value > 0
