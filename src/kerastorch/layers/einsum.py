"""EinsumDense: a dense layer on the axes that an equation names."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor

from kerastorch import activations, constraints, initializers, regularizers
from kerastorch.core.errors import check_int, mismatch
from kerastorch.layers.base import Layer, activation_name
from kerastorch.layers.constant_output import refuse_constant


class EinsumDense(Layer):
    """`activation(einsum(equation, x, weight) + bias)`.

    Args:
        equation: `'ab,bc->ac'`, `'...x,xy->...y'` or `'ab...,bc->ac...'`: axes of the input, of the weight, of the
            output.
        output_shape: the sizes of the output, without the batch axis and what `...` stands for; `None` for one that is
            the input's. An integer where there is one.
        activation: name or callable; `None` is linear.
        bias_axes: letters of the output that the bias has; `None`: no bias.
        kernel_initializer: fills `weight`, whose axes are those of the equation, as in Keras. It is shown a matrix of
            all outputs by all inputs of the weight, `(out, in)`, so that it scales it right.
        bias_initializer: fills `bias`.
        kernel_regularizer: penalty on `weight`.
        bias_regularizer: penalty on `bias`.
        kernel_constraint: what `weight` must satisfy after each step.
        bias_constraint: what `bias` must satisfy.
        activity_regularizer: penalty on the output, over the batch size.
        name: see `Layer`; so is `trainable`.

    >>> EinsumDense("abc,cd->abd", (None, 7), bias_axes="d")(torch.zeros(2, 5, 3)).shape
    torch.Size([2, 5, 7])
    """

    weight: torch.nn.Parameter
    bias: torch.nn.Parameter | None

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
        self._parts = _parsed(equation)
        self.equation = equation
        sizes = output_shape if isinstance(output_shape, (tuple, list)) else (output_shape,)
        self.output_shape = tuple(None if size is None else check_int("output_shape", size) for size in sizes)
        self.activation = activations.get(activation)
        for letter in bias_axes or "":
            if letter not in self._parts.output:
                raise mismatch("bias_axes", bias_axes, f"letters of the output, {self._parts.output!r}")
        self.bias_axes = bias_axes
        self.kernel_initializer = initializers.get(kernel_initializer)
        self.bias_initializer = initializers.get(bias_initializer)
        self.kernel_regularizer = regularizers.get(kernel_regularizer)
        self.bias_regularizer = regularizers.get(bias_regularizer)
        self.kernel_constraint = constraints.get(kernel_constraint)
        self.bias_constraint = constraints.get(bias_constraint)

    def build(self, input_shape: torch.Size) -> None:
        of_input, of_weight, of_output, dots = self._parts
        sizes = self._sizes(input_shape)
        if of_output[-1] in of_weight and dots != "right":
            ndim = len(of_output) + len(input_shape) - len(of_input)
            refuse_constant(self, activations.constant_axis(self.activation), sizes[of_output[-1]], -1, ndim)
        outputs = [letter for letter in of_weight if letter in of_output]
        inputs = [letter for letter in of_weight if letter not in of_output]

        def filled(weight: Tensor) -> Tensor:
            # an initializer goes by (out, in), and the equation has the axes in any order
            rows = math.prod(sizes[letter] for letter in outputs)
            matrix = self.kernel_initializer(weight.new_empty(rows, weight.numel() // max(rows, 1)))
            parts = matrix.view([sizes[letter] for letter in (*outputs, *inputs)])
            return weight.copy_(parts.permute([(*outputs, *inputs).index(letter) for letter in of_weight]))

        self.weight = self.add_weight(
            [sizes[letter] for letter in of_weight],
            filled,
            regularizer=self.kernel_regularizer,
            constraint=self.kernel_constraint,
            name="weight",
        )
        self.bias = None
        if self.bias_axes:
            first = min(map(of_output.index, self.bias_axes))
            shape = [sizes[letter] if letter in self.bias_axes else 1 for letter in of_output[first:]]
            shape += [1] * (len(input_shape) - len(of_input) if dots == "right" else 0)
            self.bias = self.add_weight(
                shape,
                self.bias_initializer,
                regularizer=self.bias_regularizer,
                constraint=self.bias_constraint,
                name="bias",
            )

    def _sizes(self, input_shape: torch.Size) -> dict[str, int]:
        """The size of each letter."""
        of_input, of_weight, of_output, dots = self._parts
        elided = len(input_shape) - len(of_input)
        if elided < 0 or (elided and not dots):
            raise ValueError(
                f"EinsumDense: the equation {self.equation!r} has {len(of_input)} axes for the input, which has shape "
                f"{tuple(input_shape)}."
            )
        named = input_shape[elided:] if dots == "left" else input_shape[: len(of_input)]
        sizes = dict(zip(of_input, named, strict=True))
        # the batch axis has no size in output_shape; with dots on the left it is one of theirs
        batched = not (dots == "left" and elided)
        free = of_output[1:] if batched else of_output
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


class _Parts(NamedTuple):
    input: str
    weight: str
    output: str
    dots: str | None


_FORMS = {
    None: r"([a-zA-Z]+),([a-zA-Z]+)->([a-zA-Z]+)",
    "left": r"\.\.\.([a-zA-Z]+),([a-zA-Z]+)->\.\.\.([a-zA-Z]+)",
    "right": r"([a-zA-Z]{2,})\.\.\.,([a-zA-Z]+)->([a-zA-Z]+)\.\.\.",
}


def _parsed(equation: str) -> _Parts:
    """The letters of the three tensors, and on which side the dots are."""
    for dots, form in _FORMS.items():
        found = re.fullmatch(form, equation.replace(" ", "")) if isinstance(equation, str) else None
        if found is None:
            continue
        parts = _Parts(found[1], found[2], found[3], dots)
        for letter in parts.output:
            if letter not in parts.input + parts.weight:
                raise mismatch(
                    "equation", equation, f"one where {letter!r} of the output is in the input or the weight"
                )
        return parts
    raise mismatch("equation", equation, "as 'ab,bc->ac', '...x,xy->...y' or 'ab...,bc->ac...'")
