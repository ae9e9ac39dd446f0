"""Layers that combine several tensors element by element: sums, products, extremes."""

from __future__ import annotations

import functools
from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from kerastorch.layers.base import Layer


class Merge(Layer, ABC):
    """Base of layers that combine a list of tensors element by element; subclasses define `merge`.

    A time step counts in the output if it counts in one of the inputs. If an input has no mask, all steps count.
    """

    supports_masking = True
    keeps_axes = True

    def forward(self, inputs: Sequence[Tensor]) -> Tensor:
        return self.merge(self.align(inputs))

    @abstractmethod
    def merge(self, inputs: list[Tensor]) -> Tensor:
        """Return the combination of tensors with the same number of axes."""

    def align(self, inputs: Sequence[Tensor]) -> list[Tensor]:
        """Return the inputs with the same number of axes: new axes of size 1 come after the batch axis.

        Raises:
            TypeError: The inputs are not a list or tuple.
            ValueError: There are fewer than two inputs, or their shapes do not broadcast.
        """
        tensors = check_tensor_list(self, inputs)
        ndim = max(x.ndim for x in tensors)
        tensors = [x.reshape(x.shape[0], *(1,) * (ndim - x.ndim), *x.shape[1:]) for x in tensors]
        sizes = list(tensors[0].shape)  # those of the output
        for x in tensors[1:]:
            fits = all(a == b or a == 1 or b == 1 for a, b in zip(sizes[1:], x.shape[1:], strict=True))
            sizes = [b if a == 1 else a for a, b in zip(sizes, x.shape, strict=True)]
            if x.shape[0] != tensors[0].shape[0] or not fits:
                raise shapes_differ_error(
                    self, inputs, "the same shape, or 1 where one differs, and the same batch size"
                )
        return tensors

    def compute_mask(self, x: Any, mask: Any = None) -> Any:
        if mask is None or any(input_mask is None for input_mask in mask):
            return None
        return functools.reduce(torch.logical_or, mask)


def check_tensor_list(layer: Layer, inputs: Sequence[Tensor]) -> list[Tensor]:
    """Return the inputs of a layer as a list of at least two tensors.

    Raises:
        TypeError: The inputs are not a list or tuple.
        ValueError: There are fewer than two inputs.
    """
    name = type(layer).__name__
    if not isinstance(inputs, (tuple, list)):
        raise TypeError(f"{name} takes a list of tensors, got {type(inputs).__name__}: call it as {name}()([x, y]).")
    if len(inputs) < 2:
        raise ValueError(f"{name} takes a list of two tensors or more, got {len(inputs)}.")
    return list(inputs)


def shapes_differ_error(layer: Layer, inputs: Sequence[Tensor], expected: str) -> ValueError:
    """Return the error for inputs whose shapes cannot be combined.

    Args:
        layer: The layer that was called.
        inputs: The tensors that it was called on.
        expected: The shapes that the layer takes, in words.
    """
    shapes = ", ".join(str(tuple(x.shape)) for x in inputs)
    return ValueError(f"{type(layer).__name__} needs inputs of {expected}; got shapes {shapes}.")


class Add(Merge):
    """Sum of the inputs: `[(batch, ...), ...]` -> `(batch, ...)`. Axes of size 1 are broadcast.

    The arguments are those of `Layer`.

    >>> Add()([torch.ones(1, 2), torch.ones(1, 2), torch.ones(1, 1)])
    tensor([[3., 3.]])
    """

    def merge(self, inputs: list[Tensor]) -> Tensor:
        return functools.reduce(torch.add, inputs)


class Subtract(Merge):
    """Difference of two inputs, the first minus the second. Axes of size 1 are broadcast.

    The arguments are those of `Layer`.

    >>> Subtract()([torch.ones(1, 2), torch.ones(1, 2)])
    tensor([[0., 0.]])
    """

    def merge(self, inputs: list[Tensor]) -> Tensor:
        if len(inputs) != 2:
            raise ValueError(f"Subtract takes a list of two tensors, got {len(inputs)}.")
        return inputs[0] - inputs[1]


class Average(Merge):
    """Mean of the inputs, element by element. Axes of size 1 are broadcast.

    The arguments are those of `Layer`.

    >>> Average()([torch.zeros(1, 2), torch.ones(1, 2)])
    tensor([[0.5000, 0.5000]])
    """

    def merge(self, inputs: list[Tensor]) -> Tensor:
        return functools.reduce(torch.add, inputs) / len(inputs)


class Multiply(Merge):
    """Product of the inputs, element by element. Axes of size 1 are broadcast.

    If an input has a mask, its masked steps are replaced by 1. A step that is masked in every input gives 0.

    The arguments are those of `Layer`.

    >>> Multiply()([torch.full((1, 2), 3.0), torch.full((1, 2), 2.0)])
    tensor([[6., 6.]])
    """

    def forward(self, inputs: Sequence[Tensor], mask: Any = None) -> Tensor:
        tensors = self.align(inputs)
        if mask is None:
            return self.merge(tensors)
        factors = [
            x if x_mask is None else torch.where(x_mask.unsqueeze(-1), x, 1)
            for x, x_mask in zip(tensors, mask, strict=True)
        ]
        product, counts_anywhere = self.merge(factors), self.compute_mask(inputs, mask)
        return product if counts_anywhere is None else torch.where(counts_anywhere.unsqueeze(-1), product, 0)

    def merge(self, inputs: list[Tensor]) -> Tensor:
        return functools.reduce(torch.mul, inputs)


class _Extreme(Merge, ABC):
    """Base of Maximum and Minimum, in which masked steps of an input do not take part."""

    def forward(self, inputs: Sequence[Tensor], mask: Any = None) -> Tensor:
        tensors = self.align(inputs)
        if mask is None:
            return self.merge(tensors)
        extreme, extreme_mask = tensors[0], mask[0]
        for x, x_mask in zip(tensors[1:], mask[1:], strict=True):
            # a masked step takes the value of the other side, so that it does not change the extreme
            right = x if x_mask is None else torch.where(x_mask.unsqueeze(-1), x, extreme)
            left = extreme if extreme_mask is None else torch.where(extreme_mask.unsqueeze(-1), extreme, right)
            extreme = self.merge([left, right])
            extreme_mask = None if x_mask is None or extreme_mask is None else x_mask | extreme_mask
        return extreme


class Maximum(_Extreme):
    """Maximum of the inputs, element by element. Axes of size 1 are broadcast; masked steps do not take part.

    The arguments are those of `Layer`.

    >>> Maximum()([torch.tensor([[1.0, 5.0]]), torch.tensor([[2.0, 3.0]])])
    tensor([[2., 5.]])
    """

    def merge(self, inputs: list[Tensor]) -> Tensor:
        return functools.reduce(torch.maximum, inputs)


class Minimum(_Extreme):
    """Minimum of the inputs, element by element. Axes of size 1 are broadcast; masked steps do not take part.

    The arguments are those of `Layer`.

    >>> Minimum()([torch.tensor([[1.0, 5.0]]), torch.tensor([[2.0, 3.0]])])
    tensor([[1., 3.]])
    """

    def merge(self, inputs: list[Tensor]) -> Tensor:
        return functools.reduce(torch.minimum, inputs)


def add(inputs: Sequence[Any], *, name: str | None = None) -> Any:
    """Return the sum of the inputs: `Add(name=name)(inputs)`.

    Args:
        inputs: List of at least two tensors, whose shapes are the same or broadcast.
        name: Name of the layer. Default none.

    >>> add([torch.ones(1, 2), torch.ones(1, 2)])
    tensor([[2., 2.]])
    """
    return Add(name=name)(inputs)


def subtract(inputs: Sequence[Any], *, name: str | None = None) -> Any:
    """Return the difference of two inputs: `Subtract(name=name)(inputs)`.

    Args:
        inputs: List of two tensors, whose shapes are the same or broadcast.
        name: Name of the layer. Default none.
    """
    return Subtract(name=name)(inputs)


def multiply(inputs: Sequence[Any], *, name: str | None = None) -> Any:
    """Return the product of the inputs: `Multiply(name=name)(inputs)`.

    Args:
        inputs: List of at least two tensors, whose shapes are the same or broadcast.
        name: Name of the layer. Default none.
    """
    return Multiply(name=name)(inputs)


def average(inputs: Sequence[Any], *, name: str | None = None) -> Any:
    """Return the mean of the inputs: `Average(name=name)(inputs)`.

    Args:
        inputs: List of at least two tensors, whose shapes are the same or broadcast.
        name: Name of the layer. Default none.
    """
    return Average(name=name)(inputs)


def maximum(inputs: Sequence[Any], *, name: str | None = None) -> Any:
    """Return the maximum of the inputs: `Maximum(name=name)(inputs)`.

    Args:
        inputs: List of at least two tensors, whose shapes are the same or broadcast.
        name: Name of the layer. Default none.
    """
    return Maximum(name=name)(inputs)


def minimum(inputs: Sequence[Any], *, name: str | None = None) -> Any:
    """Return the minimum of the inputs: `Minimum(name=name)(inputs)`.

    Args:
        inputs: List of at least two tensors, whose shapes are the same or broadcast.
        name: Name of the layer. Default none.
    """
    return Minimum(name=name)(inputs)
