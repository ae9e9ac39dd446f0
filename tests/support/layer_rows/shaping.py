"""Other shapes, masks, tables, equations, functions."""

import torch
from torch.nn import functional as F

from kerastorch import activations
from kerastorch.layers import (
    EinsumDense,
    Embedding,
    Flatten,
    Identity,
    Lambda,
    Masking,
    Permute,
    RepeatVector,
    Reshape,
    ReversibleEmbedding,
)
from support.layer_rows.row import Row, integers, numbers


def _some_masked():
    x = numbers(5, 4, 3)
    x[1, 2], x[3] = -1.0, -1.0
    x[0, 0, 0] = -1.0
    return (x,)


def _masking(layer, x):
    return x * (x != -1.0).any(-1, keepdim=True)


def _rows(layer, x):
    return F.one_hot(x, 7).to(layer.weight.dtype) @ layer.weight


def _einsum(*axes, activation=lambda y: y):
    """`torch.tensordot` instead of the equation, over `axes` of the input and of the weight."""

    def oracle(layer, x):
        y = torch.tensordot(x, layer.weight, axes)
        return activation(y if layer.bias is None else y + layer.bias)

    return oracle


NORMAL = {"bias_initializer": "random_normal"}

ROWS = {
    "Flatten": Row(Flatten, lambda: (numbers(5, 4, 3, 2),), lambda layer, x: x.reshape(5, 24)),
    "Flatten-first": Row(
        lambda: Flatten("channels_first"),
        lambda: (numbers(5, 4, 3, 2),),
        lambda layer, x: x.permute(0, 2, 3, 1).reshape(5, 24),
    ),
    "Reshape": Row(lambda: Reshape((3, 4)), lambda: (numbers(5, 12),), lambda layer, x: x.view(5, 3, 4)),
    "Reshape-rest": Row(lambda: Reshape((-1, 2)), lambda: (numbers(5, 4, 3),), lambda layer, x: x.view(5, 6, 2)),
    "Permute": Row(
        lambda: Permute((3, 1, 2)),
        lambda: (numbers(5, 4, 3, 2),),
        lambda layer, x: x.transpose(2, 3).transpose(1, 2),
        sizes_vary=True,
    ),
    "RepeatVector": Row(lambda: RepeatVector(3), lambda: (numbers(5, 4),), lambda layer, x: torch.stack([x, x, x], 1)),
    "Masking": Row(lambda: Masking(-1.0), _some_masked, _masking, sizes_vary=True),
    "Identity": Row(Identity, lambda: (numbers(5, 4),), lambda layer, x: x),
    "Lambda": Row(
        lambda: Lambda(activations.relu, arguments={"max_value": 0.5}),
        lambda: (numbers(5, 4),),
        lambda layer, x: x.clamp(0, 0.5),
    ),
    "Embedding": Row(lambda: Embedding(7, 4), lambda: (integers(7, 5, 6),), _rows),
    "Embedding-mask": Row(
        lambda: Embedding(7, 4, "ones", "l2", "unit_norm", mask_zero=True), lambda: (integers(7, 5),), _rows
    ),
    "ReversibleEmbedding": Row(
        lambda: ReversibleEmbedding(7, 4, False, logit_soft_cap=3.0), lambda: (integers(7, 5, 6),), _rows
    ),
    "EinsumDense": Row(
        lambda: EinsumDense("ab,bc->ac", 3, "tanh", "c", **NORMAL),
        lambda: (numbers(5, 4),),
        _einsum([1], [0], activation=torch.tanh),
    ),
    "EinsumDense-two": Row(
        lambda: EinsumDense("abc,cde->abde", (None, 3, 2), None, "e", **NORMAL),
        lambda: (numbers(5, 6, 4),),
        _einsum([2], [0]),
        sizes_vary=True,
    ),
    "EinsumDense-left": Row(
        lambda: EinsumDense("...x,yx->...y", 3, bias_axes="y", **NORMAL),
        lambda: (numbers(5, 6, 2, 4),),
        _einsum([3], [1]),
        sizes_vary=True,
    ),
    "EinsumDense-right": Row(
        lambda: EinsumDense("ab...,bc->ac...", 3, bias_axes="c", **NORMAL),
        lambda: (numbers(5, 4, 6),),
        lambda layer, x: torch.tensordot(x, layer.weight, [[1], [0]]).movedim(-1, 1) + layer.bias,
    ),
}
