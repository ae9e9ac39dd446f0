"""CallObserver: hooks that record what a check needs to know of a call of the model."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from kerastorch import activations
from kerastorch.core.module_tree import modules, named_modules
from kerastorch.core.nested import map_structure
from kerastorch.layers.activation import ReLU

_RELU = (activations.relu, activations.relu6, torch.relu, F.relu, F.relu6)
_LEAST_ROWS, _LEAST_UNITS = 8, 4  # with fewer of them, units that are 0 in all rows mean little


class CallObserver:
    """The outputs of a model, the input of its first layer with weights, and the units of its ReLUs that stay 0.

    Attributes:
        outputs: Outputs of the last call of the model, detached; `None` before a call.
        first_layer: The layer with weights that was called first; `None` before a call.
        first_input: Its input, detached.
        dead_shares: Path of a ReLU, or of a layer that ends in one -> share of its units that are 0 in all rows.
    """

    def __init__(self) -> None:
        self.outputs: Any = None
        self.first_layer: nn.Module | None = None
        self.first_input: Tensor | None = None
        self.dead_shares: dict[str, float] = {}

    @contextmanager
    def attached(self, model: nn.Module) -> Iterator[None]:
        """Observe the calls of a model within the block.

        Args:
            model: A built model. Scripted modules (`torch.jit.ScriptModule`) take no hooks.
        """
        with ExitStack() as stack:
            stack.callback(model.register_forward_hook(self._record_outputs).remove)
            for part in modules(model):
                if isinstance(part, torch.jit.ScriptModule):
                    continue
                if any(weight is not None for weight in part._parameters.values()):
                    stack.callback(part.register_forward_pre_hook(self._record_first_input, prepend=True).remove)
            for path, part in named_modules(model):
                if _is_relu(part):
                    stack.callback(part.register_forward_hook(self._counter(path)).remove)
            yield

    def _record_outputs(self, _: nn.Module, __: Any, outputs: Any) -> None:
        self.outputs = map_structure(lambda one: one.detach() if isinstance(one, Tensor) else one, outputs)

    def _record_first_input(self, part: nn.Module, inputs: tuple[Any, ...]) -> None:
        if self.first_layer is None and inputs and isinstance(inputs[0], Tensor):
            self.first_layer, self.first_input = part, inputs[0].detach()

    def _counter(self, path: str) -> Any:
        def count(_: nn.Module, __: Any, output: Any) -> None:
            if isinstance(output, Tensor) and output.ndim >= 2 and len(output) >= _LEAST_ROWS:
                self.dead_shares[path] = _dead_share(output.detach())

        return count


def _is_relu(part: nn.Module) -> bool:
    if isinstance(part, (nn.ReLU, nn.ReLU6, ReLU)):
        return True
    activation = vars(part).get("activation") or part._modules.get("activation")
    try:
        return activation in _RELU or isinstance(activation, (nn.ReLU, nn.ReLU6))
    except TypeError:  # an unhashable callable, or one whose comparison is not a bool
        return False


def _dead_share(output: Tensor) -> float:
    """Return the share of units that are 0 in all rows and places.

    The units are on axis 1 or on the last axis: the larger share counts, since steps of a sequence, or columns of an
    image, are hardly all 0.

    Args:
        output: `(rows, ...)`.
    """
    is_zero = output == 0
    axes = [axis for axis in {1, output.ndim - 1} if output.shape[axis] >= _LEAST_UNITS]
    dead = [is_zero.movedim(axis, 0).flatten(1).all(1) for axis in axes]  # (units,)
    return max((float(one.float().mean()) for one in dead), default=0.0)
