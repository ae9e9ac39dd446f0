"""The mask of a model's output: time steps that were only padding count in no loss and no metric."""

from __future__ import annotations

from typing import Any

from torch import Tensor, fx, nn

from kerastorch.functional import Functional
from kerastorch.graph import mask_graph
from kerastorch.layers.input import Input
from kerastorch.masks import makes_mask
from kerastorch.symbolic import Symbol, call
from kerastorch.training.calling import call as call_on
from kerastorch.tree import modules


class OutputMask:
    """Called with a batch of inputs: `(batch, time)`, `True` where a step of the output counts; `None` where all do.

    Known for chains of layers and functional models with one output; a model with a `forward` of its own uses masks
    inside, and none of them comes out.

    Args:
        model: any.
    """

    def __init__(self, model: nn.Module) -> None:
        self._model = model
        self._graph: fx.GraphModule | None = None
        self._known = False

    def forget(self) -> None:
        """Look anew: the model may have other layers."""
        self._known, self._graph = False, None

    def __call__(self, x: Any) -> Tensor | None:
        if not self._known:
            self._graph, self._known = self._find(x), True
        return None if self._graph is None else call_on(self._graph, x)

    def _find(self, x: Any) -> fx.GraphModule | None:
        if not any(map(makes_mask, modules(self._model))):
            return None
        inputs, output = self._symbols(x)
        mask = output.mask if isinstance(output, Symbol) else None
        return None if mask is None else mask_graph(inputs, mask)

    def _symbols(self, x: Any) -> tuple[Any, Any]:
        model = self._model
        if isinstance(model, Functional) and model.is_functional:
            return model.symbols
        if not getattr(model, "is_chain", False) or not isinstance(x, Tensor):
            return None, None
        begin = symbol = Input(tuple(x.shape[1:]), x.dtype)
        for layer in _links(model):
            symbol = call(layer, symbol)
        return begin, symbol


def _links(chain: nn.Module) -> list[nn.Module]:
    """The layers of a chain, and of chains in it."""
    found: list[nn.Module] = []
    for layer in chain.children():
        found += _links(layer) if getattr(layer, "is_chain", False) else [layer]
    return found


def masked(sample_weight: Tensor | None, mask: Tensor) -> tuple[Tensor, Tensor]:
    """Weights by which a mean over all steps is that over the steps that count, as Keras has it; and their number."""
    count = mask.sum()
    weight = mask * (mask.numel() / count.clamp(min=1))
    if sample_weight is not None:
        rows = sample_weight if sample_weight.ndim == mask.ndim else sample_weight.reshape(-1, *[1] * (mask.ndim - 1))
        weight = weight * rows
    return weight, count
