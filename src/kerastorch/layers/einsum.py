"""EinsumDense: a dense layer along the axes that an equation names."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor

from kerastorch import activations
from kerastorch.core.errors import check_int, mismatch
from kerastorch.initializers import FillFunction
from kerastorch.layers.base import Layer, activation_name
from kerastorch.layers.constant_output import raise_if_constant
from kerastorch.layers.weight_options import make_weight, set_weight_options


class EinsumDense(Layer):
    """Dense layer along any axes: `activation(einsum(equation, x, weight) + bias)`.

    Args:
        equation: Axes of the input, the weight and the output, as `'ab,bc->ac'`, `'...x,xy->...y'` or
            `'ab...,bc->ac...'`.
        output_shape: Sizes of the output, without the batch axis and the axes of `...`; `None` for a size that is that
            of the input. One integer if there is one size.
        activation: Name or callable; `None`, the default, is linear.
        bias_axes: Letters of the output that the bias has; `None`, the default, for no bias.
        kernel_initializer: Fills `weight`, whose axes are those of the equation, as in Keras. It is called on a matrix
            `(outputs, inputs)` with all letters of the output and all others, so that it sees the right fan-in and
            fan-out. Default Glorot uniform.
        bias_initializer: Fills `bias`. Default zeros.
        kernel_regularizer: Penalty on `weight`, added to the training loss. Default none.
        bias_regularizer: Penalty on `bias`. Default none.
        kernel_constraint: Constraint that is applied to `weight` after each step. Default none.
        bias_constraint: Constraint that is applied to `bias` after each step. Default none.
        activity_regularizer: Penalty on the output, divided by the batch size. Default none.
        name: Name of the layer. Default none.
        trainable: Whether the weights are trained. Default `True`.

    Raises:
        ValueError: An equation of a different form; at the first call, sizes that contradict the input.

    >>> EinsumDense("abc,cd->abd", (None, 7), bias_axes="d")(torch.zeros(2, 5, 3)).shape
    torch.Size([2, 5, 7])
    """

    weight: torch.nn.Parameter
    bias: torch.nn.Parameter | None
    kernel_initializer: FillFunction

    def __init__(
        self,
        equation: str,
        output_shape: int | Sequence[int | None],
        activation: Any = None,
        bias_axes: str | None = None,
        kernel_initializer: Any = "glorot_uniform",
        bias_initializer: Any = "zeros",
        kernel_regularizer: Any = None,
        bias_regularizer: Any = None,
        kernel_constraint: Any = None,
        bias_constraint: Any = None,
        *,
        activity_regularizer: Any = None,
        name: str | None = None,
        trainable: bool = True,
    ) -> None:
        super().__init__(name=name, trainable=trainable, activity_regularizer=activity_regularizer)
        self._letters = _parse(equation)
        self.equation = equation
        sizes = output_shape if isinstance(output_shape, (tuple, list)) else (output_shape,)
        self.output_shape = tuple(None if size is None else check_int("output_shape", size) for size in sizes)
        self.activation = activations.get(activation)
        for letter in bias_axes or "":
            if letter not in self._letters.output:
                raise mismatch("bias_axes", bias_axes, f"letters of the output, {self._letters.output!r}")
        self.bias_axes = bias_axes
        set_weight_options(self, "kernel", kernel_initializer, kernel_regularizer, kernel_constraint)
        set_weight_options(self, "bias", bias_initializer, bias_regularizer, bias_constraint)

    def build(self, input_shape: torch.Size) -> None:
        of_input, of_weight, of_output, dots = self._letters
        n_elided = len(input_shape) - len(of_input)  # number of axes that `...` stands for
        sizes = self._letter_sizes(input_shape)
        if of_output[-1] in of_weight and dots != "right":
            constant_axis = activations.constant_axis(self.activation)
            raise_if_constant(self, constant_axis, sizes[of_output[-1]], -1, len(of_output) + n_elided)
        shape = [sizes[letter] for letter in of_weight]
        self.weight = make_weight(self, "kernel", shape, "weight", initializer=self._matrix_initializer(sizes))
        self.bias = None
        if self.bias_axes:
            first = min(map(of_output.index, self.bias_axes))
            shape = [sizes[letter] if letter in self.bias_axes else 1 for letter in of_output[first:]]
            self.bias = make_weight(self, "bias", shape + [1] * (n_elided if dots == "right" else 0), "bias")

    def _matrix_initializer(self, sizes: dict[str, int]) -> FillFunction:
        """Return an initializer that fills a matrix `(outputs, inputs)` and reorders its axes."""
        _, of_weight, of_output, _ = self._letters
        outputs = [letter for letter in of_weight if letter in of_output]
        inputs = [letter for letter in of_weight if letter not in of_output]

        def fill(weight: Tensor) -> Tensor:
            rows = math.prod(sizes[letter] for letter in outputs)
            matrix = self.kernel_initializer(weight.new_empty(rows, weight.numel() // max(rows, 1)))
            axes = matrix.view([sizes[letter] for letter in (*outputs, *inputs)])
            return weight.copy_(axes.permute([(*outputs, *inputs).index(letter) for letter in of_weight]))

        return fill

    def _letter_sizes(self, input_shape: torch.Size) -> dict[str, int]:
        """Return the size of each letter of the equation.

        Raises:
            ValueError: The input has too few or too many axes, `output_shape` has a different number of sizes or
                contradicts the input, or a letter of the weight has no size.
        """
        of_input, of_weight, of_output, dots = self._letters
        n_elided = len(input_shape) - len(of_input)
        if n_elided < 0 or (n_elided and not dots):
            raise ValueError(
                f"EinsumDense: the equation {self.equation!r} has {len(of_input)} axes for the input, which has shape "
                f"{tuple(input_shape)}."
            )
        named_sizes = input_shape[n_elided:] if dots == "left" else input_shape[: len(of_input)]
        sizes = dict(zip(of_input, named_sizes, strict=True))
        # output_shape leaves out the batch axis, which has a letter unless it is one of the axes of leading dots
        batch_has_letter = not (dots == "left" and n_elided)
        free = of_output[1:] if batch_has_letter else of_output
        if len(self.output_shape) != len(free):
            raise ValueError(
                f"EinsumDense: output_shape={self.output_shape} has {len(self.output_shape)} sizes, and {free!r} of "
                f"{self.equation!r} {len(free)}."
            )
        for letter, size in zip(free, self.output_shape, strict=True):
            if size is not None and sizes.setdefault(letter, size) not in (size, -1):
                raise ValueError(
                    f"EinsumDense: {letter!r} is {size} in output_shape={self.output_shape} and {sizes[letter]} in the "
                    f"input's shape, {tuple(input_shape)}."
                )
            if size is not None:
                sizes[letter] = size
        unknown = [letter for letter in of_weight if letter not in sizes]
        if unknown:
            raise ValueError(
                f"EinsumDense: {unknown[0]!r} of the weight in {self.equation!r} has no size: it is no axis of the "
                f"input, and output_shape={self.output_shape} gives none."
            )
        return sizes

    def forward(self, x: Tensor) -> Tensor:
        y = torch.einsum(self.equation, x, self.weight)
        return self.activation(y if self.bias is None else y + self.bias)

    def extra_repr(self) -> str:
        return f"{self.equation}{activation_name(self.activation)}{'' if self.built else ', unbuilt'}"


class _Letters(NamedTuple):
    """Letters of the three tensors of an equation, and the side of the dots: `"left"`, `"right"` or `None`."""

    input: str
    weight: str
    output: str
    dots: str | None


_FORMS = {
    None: r"([a-zA-Z]+),([a-zA-Z]+)->([a-zA-Z]+)",
    "left": r"\.\.\.([a-zA-Z]+),([a-zA-Z]+)->\.\.\.([a-zA-Z]+)",
    "right": r"([a-zA-Z]{2,})\.\.\.,([a-zA-Z]+)->([a-zA-Z]+)\.\.\.",
}


def _parse(equation: str) -> _Letters:
    """Return the letters of an equation.

    Raises:
        ValueError: A different form, or an output letter that neither the input nor the weight has.
    """
    for dots, form in _FORMS.items():
        match = re.fullmatch(form, equation.replace(" ", "")) if isinstance(equation, str) else None
        if match is None:
            continue
        letters = _Letters(match[1], match[2], match[3], dots)
        for letter in letters.output:
            if letter not in letters.input + letters.weight:
                raise mismatch(
                    "equation", equation, f"one where {letter!r} of the output is in the input or the weight"
                )
        return letters
    raise mismatch("equation", equation, "as 'ab,bc->ac', '...x,xy->...y' or 'ab...,bc->ac...'")
