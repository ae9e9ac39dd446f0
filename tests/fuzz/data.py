"""The numbers of a case: inputs, targets in the form that the user has them and as what they mean, and weights."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from fuzz.case import Case, Output
from fuzz.losses import LOSSES

FEATURES, LENGTH, WORDS, IMAGE = 3, 4, 9, (2, 4, 5)


@dataclass(frozen=True)
class Data:
    """All rows.

    Attributes:
        x: as the user has them.
        given: targets as the user has them, for each output.
        meant: what they mean: values, 0 and 1, or class numbers.
        weights: of the samples.
    """

    x: Tensor
    given: tuple[Tensor, ...]
    meant: tuple[Tensor, ...]
    weights: Tensor | None

    def rows(self, chosen: Any) -> Data:
        """Some of them."""
        return Data(
            self.x[chosen],
            tuple(y[chosen] for y in self.given),
            tuple(y[chosen] for y in self.meant),
            None if self.weights is None else self.weights[chosen],
        )


def data(case: Case, rows: int, seed: int) -> Data:
    """Draw the rows of a case."""
    drawn = torch.Generator().manual_seed(seed)
    meant = tuple(_meant(case, output, rows, drawn) for output in case.outputs)
    weights = None
    if case.weights in ("rows", "column"):
        weights = torch.rand(rows, generator=drawn) + 0.25
        weights[torch.rand(rows, generator=drawn) < 0.2] = 0.0
        weights[0] = 1.0
        weights = weights.unsqueeze(1) if case.weights == "column" else weights
    return Data(_inputs(case, rows, drawn), tuple(map(_given, case.outputs, meant)), meant, weights)


def class_weights(case: Case) -> dict[int, float] | None:
    """`class_weight` of `fit`."""
    return {0: 0.5, 1: 2.0, 2: 1.25, 3: 0.75} if case.weights == "class" else None


def _inputs(case: Case, rows: int, drawn: torch.Generator) -> Tensor:
    dtype = getattr(torch, case.x_dtype)
    if case.body == "embedding":
        return torch.randint(0, WORDS, (rows, LENGTH), generator=drawn).to(dtype)
    shape = (rows, *IMAGE) if case.body == "image" else (rows, FEATURES)
    if not dtype.is_floating_point:
        return torch.randint(0, 2 if dtype == torch.bool else 5, shape, generator=drawn).to(dtype)
    return torch.randn(shape, generator=drawn).to(dtype)


def _meant(case: Case, output: Output, rows: int, drawn: torch.Generator) -> Tensor:
    places = IMAGE[1:] if case.body == "image" else ()
    if output.task == "classes":
        return torch.randint(0, output.width, (rows, *places), generator=drawn)
    shape = (rows, output.width, *places)
    if output.task == "binary":
        low, high = LOSSES[output.loss].labels
        return torch.randint(0, 2, shape, generator=drawn).double() * (high - low) + low
    if output.dtype == "bool":
        return torch.randint(0, 2, shape, generator=drawn).double()
    if output.dtype.startswith(("int", "uint")):
        return torch.randint(1, 5, shape, generator=drawn).double()
    return (torch.rand(shape, generator=drawn) + 0.5).double()


def _given(output: Output, meant: Tensor) -> Tensor:
    if output.form in ("flat", "column") and output.task != "classes":
        meant = meant.squeeze(1) if output.form == "flat" else meant
    elif output.form == "column":
        meant = meant.unsqueeze(1)
    elif output.form == "one-hot":
        meant = F.one_hot(meant, output.width).movedim(-1, 1)
    elif output.form == "wider":
        meant = torch.cat([meant, meant[:, :1]], 1)
    elif output.form == "same" and output.flat:
        meant = meant.squeeze(1)
    return meant.to(getattr(torch, output.dtype))
