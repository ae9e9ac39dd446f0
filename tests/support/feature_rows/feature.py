"""A row of the feature table: how a feature is given, and the loop of torch with the same weights in the end."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from torch import nn

import kerastorch as kt
from kerastorch import optimizers
from support.feature_rows.data_kinds import BATCH, LABELS, ROWS
from support.feature_rows.networks import Net

EPOCHS = 4
BATCHES = -(-ROWS // BATCH)


@dataclass(frozen=True)
class Feature:
    """A row of the table.

    Args:
        compile: Function that returns arguments of `compile`, beside the loss; SGD by default.
        loop: Arguments of `plain_loop` with the same meaning.
        fit: Function that returns arguments of `fit`.
        net: Class of the network.
        model_class: Class of the model.
        targets: Targets of all rows.
        weights: Sample weights of all rows, given to `fit`.
        loop_weights: Weights of the rows in the loop, if not those.
        prepare: Called with the compiled model.
        logs: Name -> function of what the loop has seen in the last epoch, and the value that `history` must have.
        rtol: Relative tolerance of eager training; by default the bits are the same.
        compiled_rtol: Relative tolerance of compiled training.
        uncompiled: The sentence that says why steps are not compiled; `None` if they are.
        compilations: How many steps are compiled.
        refused: Kind of data -> error and sentence.
    """

    compile: Callable[[], dict[str, Any]] = dict
    loop: dict[str, Any] = field(default_factory=dict)
    fit: Callable[[], dict[str, Any]] = dict
    net: type[nn.Module] = Net
    model_class: type[kt.Model] = kt.Model
    targets: Any = field(default_factory=lambda: LABELS)
    weights: Any = None
    loop_weights: Any = None
    prepare: Callable[[kt.Model], Any] = lambda model: None
    logs: dict[str, Callable[..., float]] = field(default_factory=dict)
    rtol: float | None = None
    compiled_rtol: float = 1e-4
    uncompiled: str | None = None
    compilations: int = 1
    refused: dict[str, tuple[type[Exception], str]] = field(default_factory=dict)


def sgd(**options):
    """Return the optimizer of most rows, with options."""
    return lambda: {"optimizer": optimizers.SGD(0.1, momentum=0.9, **options)}


def stacked(seen, of=lambda outputs: outputs):
    """Return outputs, targets and weights of an epoch in NumPy."""
    outputs = torch.cat([of(one.outputs) for one in seen]).numpy()
    targets = torch.cat([one.y for one in seen]).numpy()
    return outputs, targets, None if seen[0].weight is None else torch.cat([one.weight for one in seen]).numpy()


def mean_loss(seen):
    """Return the mean over the rows of the losses of batches."""
    sizes = [min(BATCH, ROWS - start) for start in range(0, ROWS, BATCH)][: len(seen)]
    return float(np.average([one.loss for one in seen], weights=sizes))
