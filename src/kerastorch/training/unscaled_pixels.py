"""Warning for images whose pixels, 0 to 255, come to the first layer as they are."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from kerastorch.core.channel_tracking import graph_of
from kerastorch.core.errors import warn
from kerastorch.core.torch_private import ConvBase
from kerastorch.layers.convolution import Convolutional
from kerastorch.layers.core import Dense, Maxout
from kerastorch.layers.reshaping import Flatten, Identity, Permute, Reshape
from kerastorch.runtime.first_layers import is_plain_chain, unwrap_once

ROWS = 256  # rows that are examined
LEAST_COLUMNS = 64  # columns of a flat image

WITHOUT_SCALING = (nn.Linear, nn.RNNBase, ConvBase, Dense, Maxout, Convolutional)
_SAME_VALUES = (nn.Identity, nn.Flatten, nn.Unflatten, Identity, Flatten, Reshape, Permute)


def warn_of_unscaled_pixels(model: nn.Module, x: Any) -> None:
    """Warn if inputs look like pixels from 0 to 255, and the first layer does not scale them.

    Args:
        model: A model. If a `forward` of the user decides what the first layer is, there is no warning.
        x: Inputs as given to `fit`; of an array in main memory the first rows are examined, others are left alone.

    Warns:
        UserWarning: Most values of the first rows would be large in the first layer.
    """
    if not isinstance(x, (np.ndarray, Tensor)) or x.ndim < 2 or (isinstance(x, Tensor) and x.device.type != "cpu"):
        return
    layer = _first_layer(model)
    if not isinstance(layer, WITHOUT_SCALING):
        return
    if not isinstance(x, Tensor) and x.dtype.kind not in "uif":
        return
    rows = x[:ROWS].detach() if isinstance(x, Tensor) else torch.from_numpy(np.array(x[:ROWS], np.float64))
    if looks_like_pixels(rows):
        warn(
            f"x has whole numbers from {float(rows.min()):g} to {float(rows.max()):g}, as pixels have, and the "
            f"first layer, {type(layer).__name__}, gets them as they are. Training is then slow or fails. Divide x by "
            "255, or let the model begin with layers.Rescaling(1 / 255). To keep it so without this warning: "
            "warnings.filterwarnings('ignore', 'x has whole numbers')."
        )


def looks_like_pixels(x: Tensor) -> bool:
    """Return whether values are whole numbers from 0 to 255, as the pixels of images are.

    Args:
        x: `(rows, ...)`; flat images have at least `LEAST_COLUMNS` columns.
    """
    if not x.numel() or not (x.ndim > 2 or (x.ndim == 2 and x.shape[1] >= LEAST_COLUMNS)):
        return False
    low, high = float(x.min()), float(x.max())
    return low >= 0 and 128 < high <= 255 and bool((x == x.round()).all() if x.is_floating_point() else True)


def _first_layer(module: nn.Module) -> nn.Module | None:
    """Return the first layer that may change its input; `None` if it is unknown."""
    graph = graph_of(module)
    if graph is not None:
        return _first_of_graph(graph)
    inner = unwrap_once(module)
    if inner is not module:
        return _first_layer(inner)
    if isinstance(module, nn.Sequential) or getattr(module, "is_chain", False):
        children = (child for child in module._modules.values() if child is not None)
        found = (_first_layer(child) for child in children) if is_plain_chain(module) else iter(())
        return next((one for one in found if one is None or not isinstance(one, _SAME_VALUES)), None)
    return module


def _first_of_graph(graph: Any) -> nn.Module | None:
    """Return the first layer of a graph with one input, as long as one call follows another."""
    inputs = [node for node in graph.graph.nodes if node.op == "placeholder"]
    node = inputs[0] if len(inputs) == 1 else None
    while node is not None and len(node.users) == 1:
        node = next(iter(node.users))
        if node.op != "call_module":
            return None
        layer: nn.Module | None = _first_layer(graph.get_submodule(str(node.target)))
        if layer is None or not isinstance(layer, _SAME_VALUES):
            return layer
    return None
