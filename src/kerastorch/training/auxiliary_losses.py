"""What layers charge for their outputs, and what they add to the loss by themselves: heard while a model runs."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

from torch import Tensor, nn

from kerastorch.core.module_tree import modules
from kerastorch.core.ownership import is_own
from kerastorch.module.base_module import BaseModule
from kerastorch.regularizers import Regularizer


@contextmanager
def collect_auxiliary_losses(module: nn.Module, charges: list[Tensor]) -> Iterator[bool]:
    """Collect in `charges` what `activity_regularizer`s and `add_loss` give; yields whether there are any of the first.

    Args:
        module: the model.
        charges: emptied by the caller before each step.
    """
    penalised, thread = False, threading.get_ident()
    with ExitStack() as stack:
        for part in modules(module):
            regularizer = getattr(part, "activity_regularizer", None)
            if regularizer is not None:
                penalised = True
                handle = part.register_forward_hook(_ActivityPenalty(regularizer, charges, thread))
                stack.callback(handle.remove)
            if isinstance(part, BaseModule):
                outer = part._aux_losses, part._aux_losses_thread
                part._aux_losses, part._aux_losses_thread = charges, thread
                stack.callback(_restore, part, *outer)
        yield penalised


def _restore(part: BaseModule, charges: list[Tensor] | None, thread: int) -> None:
    part._aux_losses, part._aux_losses_thread = charges, thread


class _ActivityPenalty:
    """A forward hook: what a layer's output costs, over the batch size, as Keras has it."""

    def __init__(self, regularizer: Regularizer, charges: list[Tensor], thread: int) -> None:
        self._regularizer, self._aux_losses, self._thread = regularizer, charges, thread

    def __call__(self, layer: nn.Module, args: Any, output: Any) -> None:
        if threading.get_ident() != self._thread:  # `predict` runs in another thread
            return
        for one in output if isinstance(output, (tuple, list)) else [output]:  # a recurrent layer's states too
            self._aux_losses.append(self._regularizer(one) / max(one.shape[0], 1))


def may_call_add_loss(module: nn.Module) -> bool:
    """Whether a layer or model of the user's own may call `add_loss`: what a `forward` does cannot be told."""
    return any(isinstance(part, BaseModule) and not is_own(part) for part in modules(module))
