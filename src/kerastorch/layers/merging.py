"""Several tensors made one: sums, products, extremes."""

from __future__ import annotations

import functools
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from kerastorch.layers.base import Layer


class Merge(Layer):
    """What layers on a list of tensors have in common: write `merge` for tensors that have equally many axes.

    A step counts where it counts in one of the inputs; where an input has no mask, all do.
    """

    supports_masking = True
    keeps_axes = True

    def forward(self, inputs: Sequence[Tensor]) -> Tensor:
        return self.merge(self.together(inputs))

    def merge(self, inputs: list[Tensor]) -> Tensor:
        """One tensor of several."""
        raise NotImplementedError

    def together(self, inputs: Sequence[Tensor]) -> list[Tensor]:
        """The inputs, with axes of size 1 after the batch's where one has fewer than others.

        Raises:
            TypeError: no list.
            ValueError: fewer than two; shapes that do not go together.
        """
        tensors = check_tensor_list(self, inputs)
        ndim = max(x.ndim for x in tensors)
        tensors = [x.reshape(x.shape[0], *(1,) * (ndim - x.ndim), *x.shape[1:]) for x in tensors]
        sizes = list(tensors[0].shape)
        for x in tensors[1:]:
            fits = all(a == b or a == 1 or b == 1 for a, b in zip(sizes[1:], x.shape[1:], strict=True))
            sizes = [b if a == 1 else a for a, b in zip(sizes, x.shape, strict=True)]
            if x.shape[0] != tensors[0].shape[0] or not fits:
                raise shapes_differ_error(
                    self, inputs, "the same shape, or 1 where one differs, and the same batch size"
                )
        return tensors

    def compute_mask(self, x: Any, mask: Any = None) -> Any:
        if mask is None or any(one is None for one in mask):
            return None
        return functools.reduce(torch.logical_or, mask)


def check_tensor_list(layer: Layer, inputs: Sequence[Tensor]) -> list[Tensor]:
    """The tensors that a layer is called on, at least two."""
    name = type(layer).__name__
    if not isinstance(inputs, (tuple, list)):
        raise TypeError(f"{name} takes a list of tensors, got {type(inputs).__name__}: call it as {name}()([x, y]).")
    if len(inputs) < 2:
        raise ValueError(f"{name} takes a list of two tensors or more, got {len(inputs)}.")
    return list(inputs)


def shapes_differ_error(layer: Layer, inputs: Sequence[Tensor], expected: str) -> ValueError:
    """The error for shapes that do not go together."""
    shapes = ", ".join(str(tuple(x.shape)) for x in inputs)
    return ValueError(f"{type(layer).__name__} needs inputs of {expected}; got shapes {shapes}.")


class Add(Merge):
    """The sum of the inputs, `[(batch, ...), ...]` -> `(batch, ...)`; sizes of 1 are repeated.

    >>> Add()([torch.ones(1, 2), torch.ones(1, 2), torch.ones(1, 1)])
    tensor([[3., 3.]])
    """

    def merge(self, inputs: list[Tensor]) -> Tensor:
        return functools.reduce(torch.add, inputs)


class Subtract(Merge):
    """The first input less the second.

    >>> Subtract()([torch.ones(1, 2), torch.ones(1, 2)])
    tensor([[0., 0.]])
    """

    def merge(self, inputs: list[Tensor]) -> Tensor:
        if len(inputs) != 2:
            raise ValueError(f"Subtract takes a list of two tensors, got {len(inputs)}.")
        return inputs[0] - inputs[1]


class Average(Merge):
    """The mean of the inputs.

    >>> Average()([torch.zeros(1, 2), torch.ones(1, 2)])
    tensor([[0.5000, 0.5000]])
    """

    def merge(self, inputs: list[Tensor]) -> Tensor:
        return functools.reduce(torch.add, inputs) / len(inputs)


class Multiply(Merge):
    """The product of the inputs, element by element.

    Where an input has a mask, what does not count there is taken for 1; where it counts in none, the product is 0.

    >>> Multiply()([torch.full((1, 2), 3.0), torch.full((1, 2), 2.0)])
    tensor([[6., 6.]])
    """

    def forward(self, inputs: Sequence[Tensor], mask: Any = None) -> Tensor:
        tensors = self.together(inputs)
        if mask is None:
            return self.merge(tensors)
        counting = [
            one if m is None else torch.where(m.unsqueeze(-1), one, 1) for one, m in zip(tensors, mask, strict=True)
        ]
        product, anywhere = self.merge(counting), self.compute_mask(inputs, mask)
        return product if anywhere is None else torch.where(anywhere.unsqueeze(-1), product, 0)

    def merge(self, inputs: list[Tensor]) -> Tensor:
        return functools.reduce(torch.mul, inputs)


class _Extreme(Merge):
    """An input takes part only where it counts."""

    def forward(self, inputs: Sequence[Tensor], mask: Any = None) -> Tensor:
        tensors = self.together(inputs)
        if mask is None:
            return self.merge(tensors)
        found, counts = tensors[0], mask[0]
        for one, m in zip(tensors[1:], mask[1:], strict=True):
            other = one if m is None else torch.where(m.unsqueeze(-1), one, found)
            found = self.merge([found if counts is None else torch.where(counts.unsqueeze(-1), found, other), other])
            counts = None if m is None or counts is None else m | counts
        return found


class Maximum(_Extreme):
    """The largest of the inputs, element by element; of those that count, where they have masks.

    >>> Maximum()([torch.tensor([[1.0, 5.0]]), torch.tensor([[2.0, 3.0]])])
    tensor([[2., 5.]])
    """

    def merge(self, inputs: list[Tensor]) -> Tensor:
        return functools.reduce(torch.maximum, inputs)


class Minimum(_Extreme):
    """The smallest of the inputs, element by element; of those that count, where they have masks.

    >>> Minimum()([torch.tensor([[1.0, 5.0]]), torch.tensor([[2.0, 3.0]])])
    tensor([[1., 3.]])
    """

    def merge(self, inputs: list[Tensor]) -> Tensor:
        return functools.reduce(torch.minimum, inputs)


def add(inputs: Sequence[Any], *, name: str | None = None) -> Any:
    """`Add()(inputs)`.

    >>> add([torch.ones(1, 2), torch.ones(1, 2)])
    tensor([[2., 2.]])
    """
    return Add(name=name)(inputs)


def subtract(inputs: Sequence[Any], *, name: str | None = None) -> Any:
    """`Subtract()(inputs)`."""
    return Subtract(name=name)(inputs)


def multiply(inputs: Sequence[Any], *, name: str | None = None) -> Any:
    """`Multiply()(inputs)`."""
    return Multiply(name=name)(inputs)


def average(inputs: Sequence[Any], *, name: str | None = None) -> Any:
    """`Average()(inputs)`."""
    return Average(name=name)(inputs)


def maximum(inputs: Sequence[Any], *, name: str | None = None) -> Any:
    """`Maximum()(inputs)`."""
    return Maximum(name=name)(inputs)


def minimum(inputs: Sequence[Any], *, name: str | None = None) -> Any:
    """`Minimum()(inputs)`."""
    return Minimum(name=name)(inputs)
