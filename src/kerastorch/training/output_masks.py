"""Masks of a model's outputs, which exclude padded time steps from losses and metrics."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, fx, nn

from kerastorch.core.module_tree import modules
from kerastorch.core.train_mode import evaluation_mode
from kerastorch.functional.functional_model import Functional
from kerastorch.functional.graph_builder import mask_graph
from kerastorch.module.base_module import AuxiliaryLosses
from kerastorch.runtime.call_module import call_module
from kerastorch.symbolic.input import Input
from kerastorch.symbolic.masks import makes_mask, mask_of
from kerastorch.symbolic.symbolic_tensor import Symbol, call
from kerastorch.training.output_names import OutputNames


class OutputMask:
    """Function of a batch that returns output name -> mask `(batch, time)`, `True` for steps that count.

    Outputs without a mask are left out. Masks are known for chains of layers and functional models. A `forward` of the
    user's returns none, but for one that is called as in Keras, where the outputs have them.

    Args:
        model: The model.
        names: Names of its outputs, as far as they are known.
    """

    def __init__(self, model: nn.Module, names: OutputNames) -> None:
        self._model = model
        self._names = names
        self._graph: fx.GraphModule | None = None
        self._known = False

    def reset(self) -> None:
        """Examine the model again at the next call: its layers may have changed."""
        self._known, self._graph = False, None

    def __call__(self, x: Any, y_pred: Any) -> Mapping[str, Tensor]:
        if not self._known:
            self._graph, self._known = self._find(x), True
        if self._graph is None:
            return self._kept(y_pred) if getattr(self._model, "_called_as_keras", False) else {}
        with torch.no_grad():
            if not any(True for _ in self._graph.children()):
                return call_module(self._graph, x)  # type: ignore[no-any-return]
            # layers that the masks depend on run a second time, which must change no statistics and add no penalties
            losses = getattr(self._model, "_aux_losses", None)
            losses = AuxiliaryLosses() if losses is None else losses
            before, metrics = len(losses), {name: [*some] for name, some in losses.metrics.items()}
            with evaluation_mode(self._graph):
                masks = call_module(self._graph, x)
            del losses[before:]
            losses.metrics = metrics
            return masks  # type: ignore[no-any-return]

    def _kept(self, y_pred: Any) -> Mapping[str, Tensor]:
        """Return the masks that layers have set on the outputs."""
        masks = {name: mask_of(one) for name, one in self._names.flatten(y_pred).items()}
        return {name: mask for name, mask in masks.items() if isinstance(mask, Tensor)}

    def _find(self, x: Any) -> fx.GraphModule | None:
        if not any(map(makes_mask, modules(self._model))):
            return None
        inputs, found = self._symbols(x)
        named = self._names.flatten(found)
        masks = {name: one.mask for name, one in named.items() if isinstance(one, Symbol) and one.mask is not None}
        return mask_graph(inputs, masks) if masks else None

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
    """Return the layers of a chain, and of chains in it, in order."""
    found: list[nn.Module] = []
    for layer in chain.children():
        found += _links(layer) if getattr(layer, "is_chain", False) else [layer]
    return found


def masked(sample_weight: Tensor | None, mask: Tensor) -> tuple[Tensor, Tensor]:
    """Return weights that turn a mean over all steps into one over the unmasked steps, and their number.

    The weights are those of Keras: `mask * size / number`, times `sample_weight`.

    Args:
        sample_weight: Weights of the rows, `(batch,)`, or in the shape of `mask`; `None` for equal weights.
        mask: `(batch, time)`, boolean; `True` for steps that count.
    """
    count = mask.sum()
    weight = mask * (mask.numel() / count.clamp(min=1))
    if sample_weight is not None:
        rows = sample_weight if sample_weight.ndim == mask.ndim else sample_weight.reshape(-1, *[1] * (mask.ndim - 1))
        weight = weight * rows
    return weight, count
