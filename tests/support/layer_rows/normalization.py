"""Normalization: torch's modules, or the formula."""

from torch.nn import functional as F

from kerastorch.layers import (
    BatchNormalization,
    Dense,
    GroupNormalization,
    LayerNormalization,
    RMSNormalization,
    SpectralNormalization,
    UnitNormalization,
)
from support.layer_rows.row import Row, numbers

ANY = {"beta_initializer": "random_normal", "gamma_initializer": "random_normal"}


def _batch(axis, training=False):
    def oracle(layer, x):
        first = x.movedim(axis, 1)
        axes = [at for at in range(first.ndim) if at != 1]
        mean, var = layer.running_mean, layer.running_var
        if training:
            mean, var = first.mean(axes), first.var(axes, correction=0)
        sizes = [-1] + [1] * (first.ndim - 2)
        y = (first - mean.view(sizes)) / (var.view(sizes) + layer.epsilon).sqrt()
        y = y if layer.weight is None else y * layer.weight.view(sizes)
        y = y if layer.bias is None else y + layer.bias.view(sizes)
        return y.movedim(1, axis)

    return oracle


def _batch_row(shape, axis=1, **options):
    return Row(
        lambda: BatchNormalization(
            **({} if axis == 1 else {"axis": axis}),
            moving_mean_initializer="random_normal",
            moving_variance_initializer="ones",
            **{**ANY, **options},
        ),
        lambda: (2 + 3 * numbers(*shape),),
        _batch(axis),
        _batch(axis, training=True),
        sizes_vary=axis == -1,
    )


def _layer(axes):
    def oracle(layer, x):
        y = (x - x.mean(axes, keepdim=True)) / (x.var(axes, correction=0, keepdim=True) + layer.epsilon).sqrt()
        sizes = [x.shape[axis] if axis in axes else 1 for axis in range(x.ndim)]
        y = y if layer.weight is None else y * layer.weight.view(sizes)
        return y if layer.bias is None else y + layer.bias.view(sizes)

    return oracle


def _group(groups, axis=1):
    def oracle(layer, x):
        first = x.movedim(axis, 1)
        rows = first.reshape(len(x), groups, -1)
        y = (rows - rows.mean(-1, keepdim=True)) / (rows.var(-1, correction=0, keepdim=True) + layer.epsilon).sqrt()
        sizes = [-1] + [1] * (first.ndim - 2)
        return (y.view_as(first) * layer.weight.view(sizes) + layer.bias.view(sizes)).movedim(1, axis)

    return oracle


def _rms(axes):
    def oracle(layer, x):
        sizes = [x.shape[axis] if axis in axes else 1 for axis in range(x.ndim)]
        return layer.weight.view(sizes) * x / (x.square().mean(axes, keepdim=True) + layer.epsilon).sqrt()

    return oracle


def _divided(layer, x):
    matrix = layer.layer.weight.flatten(1)
    if layer.training:  # one step of power iteration
        v = F.normalize(matrix.detach().T @ layer.weight_u, dim=0)
        u = F.normalize(matrix.detach() @ v, dim=0)
    else:
        u, v = layer.weight_u, layer.weight_v
    return layer.layer.weight / (u @ matrix @ v)


ROWS = {
    "BatchNormalization": _batch_row((5, 4)),
    "BatchNormalization-images": _batch_row((5, 3, 4, 2)),
    "BatchNormalization-axis": _batch_row((5, 6, 4), axis=-1),
    "BatchNormalization-middle": _batch_row((5, 6, 4, 3), axis=2),
    "BatchNormalization-plain": _batch_row((5, 4), center=False, scale=False, momentum=0.5, epsilon=0.1),
    "LayerNormalization": Row(
        lambda: LayerNormalization(**ANY), lambda: (numbers(5, 6, 4),), _layer([2]), sizes_vary=True
    ),
    "LayerNormalization-axes": Row(
        lambda: LayerNormalization([-1, 1], 0.1, **ANY), lambda: (numbers(5, 6, 4, 3),), _layer([1, 3])
    ),
    "LayerNormalization-plain": Row(
        lambda: LayerNormalization(1, center=False, scale=False),
        lambda: (numbers(5, 6, 4).requires_grad_(),),
        _layer([1]),
    ),
    "GroupNormalization": Row(lambda: GroupNormalization(2, **ANY), lambda: (numbers(5, 4, 3, 3),), _group(2)),
    "GroupNormalization-instance": Row(
        lambda: GroupNormalization(-1, axis=1, **ANY), lambda: (numbers(5, 4, 6),), _group(4)
    ),
    "GroupNormalization-axis": Row(
        lambda: GroupNormalization(2, axis=-1, epsilon=0.1, **ANY),
        lambda: (numbers(5, 6, 4),),
        _group(2, axis=-1),
        sizes_vary=True,
    ),
    "RMSNormalization": Row(RMSNormalization, lambda: (numbers(5, 6, 4),), _rms([2]), sizes_vary=True),
    "RMSNormalization-axes": Row(lambda: RMSNormalization((1, 2), 0.1), lambda: (numbers(5, 6, 4, 3),), _rms([1, 2])),
    "UnitNormalization": Row(
        UnitNormalization, lambda: (numbers(5, 6, 4),), lambda _, x: x / x.norm(dim=-1, keepdim=True), sizes_vary=True
    ),
    "UnitNormalization-axes": Row(
        lambda: UnitNormalization((1, 2)),
        lambda: (numbers(5, 6, 4),),
        lambda _, x: x / x.square().sum((1, 2), keepdim=True).sqrt(),
    ),
    "SpectralNormalization": Row(
        lambda: SpectralNormalization(Dense(3, bias_initializer="random_normal")),
        lambda: (numbers(5, 4),),
        lambda layer, x: x @ _divided(layer, x).T + layer.layer.bias,
    ),
}
