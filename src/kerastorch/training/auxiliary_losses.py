"""Losses that layers contribute while a model runs: activity penalties, and those given to `add_loss`."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

from torch import nn

from kerastorch.core.module_tree import modules
from kerastorch.core.ownership import is_own
from kerastorch.module.base_module import AuxiliaryLosses, BaseModule
from kerastorch.regularizers import Regularizer


@contextmanager
def collect_auxiliary_losses(module: nn.Module, losses: AuxiliaryLosses) -> Iterator[bool]:
    """Append the auxiliary losses of a model to a list; yield whether any layer has an `activity_regularizer`.

    Args:
        module: The model.
        losses: Receives scalars. The caller clears it before each step.
    """
    has_penalties, thread = False, threading.get_ident()
    with ExitStack() as stack:
        for part in modules(module):
            regularizer = getattr(part, "activity_regularizer", None)
            if regularizer is not None:
                has_penalties = True
                handle = part.register_forward_hook(_ActivityPenalty(regularizer, losses, thread))
                stack.callback(handle.remove)
            if isinstance(part, BaseModule):
                outer = part._aux_losses, part._aux_losses_thread
                part._aux_losses, part._aux_losses_thread = losses, thread
                stack.callback(_restore, part, *outer)
        yield has_penalties


def _restore(part: BaseModule, losses: AuxiliaryLosses | None, thread: int) -> None:
    part._aux_losses, part._aux_losses_thread = losses, thread


class _ActivityPenalty:
    """Forward hook that computes the penalty of a layer's output, divided by the batch size as in Keras."""

    def __init__(self, regularizer: Regularizer, losses: AuxiliaryLosses, thread: int) -> None:
        self._regularizer, self._aux_losses, self._thread = regularizer, losses, thread

    def __call__(self, layer: nn.Module, args: Any, output: Any) -> None:
        if threading.get_ident() != self._thread:  # `predict` runs in another thread
            return
        for tensor in output if isinstance(output, (tuple, list)) else [output]:  # states of a recurrent layer, too
            self._aux_losses.add(layer, self._regularizer(tensor) / max(tensor.shape[0], 1))


def may_call_add_loss(module: nn.Module) -> bool:
    """Return whether a layer or model of the user's class may call `add_loss`, which only its `forward` knows."""
    return any(isinstance(part, BaseModule) and not is_own(part) for part in modules(module))
