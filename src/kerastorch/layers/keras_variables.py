"""The variables of Keras' layers: their order, their places in files, and their layouts, for each layer here.

Keras has kernels as `(in, out)`, and the gates of GRU in the order z, r, h; torch has `(out, in)`, and r, z, n. What is
not in the table has the same layout in both: the parameters in their order, then the buffers.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Protocol

import torch
from torch import Tensor, nn

from kerastorch.core.keras_variable import KerasVariable, Shapes, as_it_is
from kerastorch.core.ownership import is_own
from kerastorch.core.torch_private import non_persistent_buffers


class _Depthwise(Protocol):
    depth_multiplier: int
    _parameters: dict[str, nn.Parameter | None]


class _Normalization(Protocol):
    _given_moments: Any


class _Recurrent(Protocol):
    _suffix: str
    use_bias: bool
    reset_after: bool


class _Attention(Protocol):
    _n_query_heads: int
    _n_key_value_heads: int
    _key_size: int
    _value_size: int
    use_bias: bool
    gate: nn.Module | None


_Table = Callable[[Any], list[KerasVariable]]


def keras_variables(layer: nn.Module) -> list[KerasVariable]:
    """Return the variables of the layer of Keras that a built layer stands for, in Keras' order.

    Args:
        layer: A layer. Those of layers within it are not included, unless `covers_children(layer)`.
    """
    table = _table_of(layer)
    if table is None:
        return _numbered([as_it_is("", name) for name in _own_tensors(layer)])
    found = table(layer)
    if is_own(type(layer)):
        return found
    covered = {name for one in found for name in one.tensors}
    added = [as_it_is("", name) for name in _own_tensors(layer) if name not in covered]
    return found + _numbered(added, first=len(found))


def covers_children(layer: nn.Module) -> bool:
    """Return whether `keras_variables` includes those of the layers within a layer."""
    return _table_of(layer) in (_attention, _group_attention)


def _table_of(layer: nn.Module) -> _Table | None:
    names = (kind.__name__ for kind in type(layer).__mro__ if is_own(kind))
    return next((_TABLES[name] for name in names if name in _TABLES), None)


def _own_tensors(layer: nn.Module) -> list[str]:
    """Return the names of the tensors of the layer itself: trained ones, others, buffers."""
    never_trained: Any = getattr(layer, "weights_never_trained", frozenset())
    parameters = [name for name, one in layer._parameters.items() if one is not None]
    hidden = non_persistent_buffers(layer)
    buffers = [name for name, one in layer._buffers.items() if one is not None and name not in hidden]
    return [*sorted(parameters, key=never_trained.__contains__), *buffers]


def _numbered(variables: Sequence[KerasVariable], group: str = "vars", first: int = 0) -> list[KerasVariable]:
    return [one._replace(place=f"{group}/{index}") for index, one in enumerate(variables, first)]


def _present(layer: nn.Module | _Depthwise, *variables: KerasVariable) -> list[KerasVariable]:
    """Return the variables whose tensors the layer has, numbered."""
    return _numbered([one for one in variables if layer._parameters.get(one.tensors[0]) is not None])


# --- layouts ---------------------------------------------------------------------------------------------------


def _matrix(tensor: str) -> KerasVariable:
    """Return the variable of a matrix `(out, in)` that Keras has as `(in, out)`."""
    return KerasVariable("", (tensor,), lambda held: held[0].mT, lambda array, shapes: [array.mT])


def _kernel(tensor: str) -> KerasVariable:
    """Return the variable of a kernel `(out, in, *sizes)` that Keras has as `(*sizes, in, out)`."""

    def to_keras(held: Sequence[Tensor]) -> Tensor:
        kernel: Tensor = held[0].movedim((1, 0), (-2, -1))
        return kernel

    return KerasVariable("", (tensor,), to_keras, lambda array, shapes: [array.movedim((-2, -1), (1, 0))])


def _depthwise_kernel(multiplier: int, tensor: str) -> KerasVariable:
    """Return the variable of a kernel `(in * multiplier, 1, *sizes)` that Keras has as `(*sizes, in, multiplier)`."""

    def to_keras(held: Sequence[Tensor]) -> Tensor:
        kernel = held[0].squeeze(1).reshape(-1, multiplier, *held[0].shape[2:])
        moved: Tensor = kernel.movedim((0, 1), (-2, -1))
        return moved

    def to_torch(array: Tensor, shapes: Shapes) -> list[Tensor]:
        return [array.movedim((-2, -1), (0, 1)).reshape(shapes[0])]

    return KerasVariable("", (tensor,), to_keras, to_torch)


def _update_first(gates: Tensor) -> Tensor:
    """Return the gates of a GRU along the last axis with the first two exchanged."""
    first, second, candidate = gates.chunk(3, -1)
    return torch.cat([second, first, candidate], -1)


def _gates(tensor: str) -> KerasVariable:
    """Return the variable of the weights of a GRU."""
    return KerasVariable(
        "", (tensor,), lambda held: _update_first(held[0].mT), lambda array, shapes: [_update_first(array).mT]
    )


def _gate_bias(input_bias: str, state_bias: str | None) -> KerasVariable:
    """Return the variable of the biases of a GRU; Keras stacks those of the inputs and of the states."""
    if state_bias is None:
        return KerasVariable(
            "", (input_bias,), lambda held: _update_first(held[0]), lambda array, shapes: [_update_first(array)]
        )
    return KerasVariable(
        "",
        (input_bias, state_bias),
        lambda held: _update_first(torch.stack([*held])),
        lambda array, shapes: _update_first(array).unbind(),
    )


def _heads(place: str, projection: str, sizes: tuple[int, int], *, of_outputs: bool) -> list[KerasVariable]:
    """Return the variables of a projection of an attention layer, in which Keras has an axis for the heads.

    Args:
        place: Group of the projection in files.
        projection: Name of the layer.
        sizes: Number of heads, and the size of each.
        of_outputs: Whether the projection makes heads, or reads them.
    """

    def kernel_to_keras(held: Sequence[Tensor]) -> Tensor:
        matrix = held[0].mT
        return matrix.reshape(-1, *sizes) if of_outputs else matrix.reshape(*sizes, -1)

    def kernel_to_torch(array: Tensor, shapes: Shapes) -> list[Tensor]:
        return [array.reshape(tuple(shapes[0])[::-1]).mT]

    def bias_to_keras(held: Sequence[Tensor]) -> Tensor:
        return held[0].reshape(sizes) if of_outputs else held[0]

    return [
        KerasVariable(f"{place}/vars/0", (f"{projection}.weight",), kernel_to_keras, kernel_to_torch),
        KerasVariable(
            f"{place}/vars/1",
            (f"{projection}.bias",),
            bias_to_keras,
            lambda array, shapes: [array.reshape(shapes[0])],
        ),
    ]


# --- layers ----------------------------------------------------------------------------------------------------


def _dense(layer: nn.Module) -> list[KerasVariable]:
    return _present(layer, _matrix("weight"), as_it_is("", "bias"))


def _convolution(layer: nn.Module) -> list[KerasVariable]:
    return _present(layer, _kernel("weight"), as_it_is("", "bias"))


def _depthwise(layer: _Depthwise) -> list[KerasVariable]:
    return _present(layer, _depthwise_kernel(layer.depth_multiplier, "weight"), as_it_is("", "bias"))


def _separable(layer: _Depthwise) -> list[KerasVariable]:
    depthwise, pointwise = _depthwise_kernel(layer.depth_multiplier, "depthwise_weight"), _kernel("pointwise_weight")
    return _present(layer, depthwise, pointwise, as_it_is("", "bias"))


def _reversible(layer: nn.Module) -> list[KerasVariable]:
    return _present(layer, as_it_is("", "weight"), _matrix("reverse_weight"))


def _normalization(layer: _Normalization) -> list[KerasVariable]:
    """Return mean, variance, and the number of rows, which Keras does not use after `adapt`."""
    if layer._given_moments is not None:
        return []
    count = KerasVariable("", (), lambda held: torch.zeros((), dtype=torch.int32), lambda array, shapes: [])
    return _numbered([as_it_is("", "mean"), as_it_is("", "variance"), count])


def _recurrent(layer: _Recurrent) -> list[KerasVariable]:
    inputs, states = _biases(layer)
    bias = KerasVariable(  # the second one, which torch's own class has, is 0
        "", (inputs, states), lambda held: held[0], lambda array, shapes: [array, torch.zeros_like(array)]
    )
    return _within_cell(layer, _matrix, bias)


def _gated_recurrent(layer: _Recurrent) -> list[KerasVariable]:
    inputs, states = _biases(layer)
    return _within_cell(layer, _gates, _gate_bias(inputs, states if layer.reset_after else None))


def _biases(layer: _Recurrent) -> tuple[str, str]:
    return f"bias_ih{layer._suffix}", f"bias_hh{layer._suffix}"


def _within_cell(layer: _Recurrent, layout: Callable[[str], KerasVariable], bias: KerasVariable) -> list[KerasVariable]:
    """Return the variables of a cell, which Keras has within the recurrent layer."""
    kernels = [layout(f"weight_ih{layer._suffix}"), layout(f"weight_hh{layer._suffix}")]
    is_cell = not layer._suffix
    return _numbered([*kernels, bias] if layer.use_bias else kernels, "vars" if is_cell else "cell/vars")


def _convolutional_recurrent(layer: nn.Module) -> list[KerasVariable]:
    found = _present(layer, _kernel("weight_ih"), _kernel("weight_hh"), as_it_is("", "bias_ih"))
    return [one._replace(place=f"cell/{one.place}") for one in found]


def _attention(layer: _Attention) -> list[KerasVariable]:
    return _projections(layer, "")


def _group_attention(layer: _Attention) -> list[KerasVariable]:
    return _projections(layer, "_")


def _projections(layer: _Attention, prefix: str) -> list[KerasVariable]:
    """Return the variables of the projections, whose groups in files begin with `prefix`."""
    queries, others = layer._n_query_heads, layer._n_key_value_heads
    found = [
        *_heads(f"{prefix}query_dense", "query", (queries, layer._key_size), of_outputs=True),
        *_heads(f"{prefix}key_dense", "key", (others, layer._key_size), of_outputs=True),
    ]
    if layer.gate is not None:
        found += _heads("_gate_dense", "gate", (queries, layer._value_size), of_outputs=True)
    found += _heads(f"{prefix}value_dense", "value", (others, layer._value_size), of_outputs=True)
    found += _heads(f"{prefix}output_dense", "attention_output", (queries, layer._value_size), of_outputs=False)
    return found if layer.use_bias else [one for one in found if not one.tensors[0].endswith("bias")]


# name of a class -> its variables; subclasses have those of the class
_TABLES: dict[str, _Table] = {
    "Dense": _dense,
    **{f"Conv{axes}D": _convolution for axes in (1, 2, 3)},
    **{f"Conv{axes}DTranspose": _convolution for axes in (1, 2, 3)},
    **{f"ConvLSTM{axes}D": _convolutional_recurrent for axes in (1, 2, 3)},
    **{f"DepthwiseConv{axes}D": _depthwise for axes in (1, 2)},
    **{f"SeparableConv{axes}D": _separable for axes in (1, 2)},
    "Normalization": _normalization,
    "STFTSpectrogram": lambda layer: _present(layer, _kernel("real_kernel"), _kernel("imag_kernel")),
    "ReversibleEmbedding": _reversible,
    **dict.fromkeys(("SimpleRNN", "LSTM", "SimpleRNNCell", "LSTMCell"), _recurrent),
    **dict.fromkeys(("GRU", "GRUCell"), _gated_recurrent),
    "MultiHeadAttention": _attention,
    "GroupQueryAttention": _group_attention,
    **dict.fromkeys(("Discretization", "StringLookup", "IntegerLookup", "TextVectorization"), lambda layer: []),
}
