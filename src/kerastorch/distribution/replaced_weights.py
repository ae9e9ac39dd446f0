"""An error for optimizers that would go on with the whole weights of a model whose weights have been divided."""

from __future__ import annotations

import weakref
from collections.abc import Mapping
from typing import Any

from torch import Tensor
from torch.optim.optimizer import register_optimizer_step_pre_hook

from kerastorch.optimizers.step_hooks import TorchOptimizer, optimizer_parameters


def refuse_steps(replaced: Mapping[str, Tensor]) -> None:
    """Let each optimizer that holds a weight of a model from before its division raise an error when it steps.

    Such an optimizer, a global variable for example, would find no gradients, and the model would never train.

    Args:
        replaced: The weights that the model had, by name; they are not kept in memory.
    """
    held = {id(weight): (name, weakref.ref(weight)) for name, weight in replaced.items()}

    def check(optimizer: TorchOptimizer, *_: Any) -> None:
        for weight in optimizer_parameters(optimizer):
            name, reference = held.get(id(weight), ("", None))
            if reference is not None and reference() is weight:
                raise RuntimeError(
                    f"{type(optimizer).__name__} would step {name!r}, a weight that the model no longer has: since "
                    "then its weights have been divided among the processes, and other optimizers than its own cannot "
                    "follow. Give it to compile(), make it an attribute of the model (self.other = ...), or make it "
                    "after the weights were divided, such as in the first train_step."
                )

    register_optimizer_step_pre_hook(check)
