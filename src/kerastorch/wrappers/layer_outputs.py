"""The outputs of a layer within a model, for all rows."""

from __future__ import annotations

from typing import Any

from torch import nn

from kerastorch.core.errors import mismatch, unknown
from kerastorch.model import Model


def outputs_of_layer(model: Model, layer: str | int | None, x: Any) -> Any:
    """Return what a layer of a model returns for rows of inputs.

    Args:
        model: The model.
        layer: Name of the layer or path of the submodule; or its number among the layers.
        x: Inputs.

    Raises:
        ValueError: There is no such layer, or it is not called.
    """
    return Model(_UpToLayer(model, find_layer(model, layer))).predict(x, verbose=0)


def find_layer(model: Model, layer: object) -> nn.Module:
    """Return a layer of a model by its name, path or number.

    Raises:
        ValueError: There is no such layer.
    """
    children = list(model.children())
    if isinstance(layer, int) and not isinstance(layer, bool):
        if not -len(children) <= layer < len(children):
            raise mismatch("layer", layer, f"a number from {-len(children)} to {len(children) - 1}, or a name")
        return children[layer]
    named: dict[str, nn.Module] = {path: part for path, part in model.named_modules() if path}
    named |= {name: part for part in model.modules() if isinstance(name := getattr(part, "name", None), str)}
    if not isinstance(layer, str) or layer not in named:
        raise unknown("layer", str(layer), named)
    return named[layer]


class _UpToLayer(nn.Module):
    """Calls a model and returns what one of its layers returned.

    Args:
        model: The model.
        layer: The layer.
    """

    def __init__(self, model: nn.Module, layer: nn.Module) -> None:
        super().__init__()
        self.model, self.layer = model, layer

    def forward(self, *args: Any) -> Any:
        """Return the output of the layer."""
        found: list[Any] = []
        handle = self.layer.register_forward_hook(lambda _, args, output: found.append(output))
        try:
            self.model(*args)
        finally:
            handle.remove()
        if not found:
            raise ValueError("layer: the network does not call this layer.")
        return found[-1]
