"""The channel axis of images: known in chains and functional graphs, and nothing goes along the width in silence."""

import pytest
import torch
from torch import nn

import kerastorch as kt
from kerastorch import layers
from kerastorch.channels import known_channel_axes


def chain(*some):
    return kt.Sequential([*some])


@pytest.mark.parametrize(
    ("model", "found"),
    [
        (chain(layers.Conv2D(3, 1), layers.Activation("relu"), layers.Dropout(0.1)), {"": 1}),
        (chain(layers.Conv2D(3, 1, data_format="channels_last"), layers.Activation("softmax")), {"": -1}),
        (chain(layers.Conv2D(3, 1, data_format="channels_last"), layers.Dense(4)), {"": -1}),
        (chain(layers.Conv2D(3, 1), layers.GlobalAveragePooling2D(keepdims=True)), {"": 1}),
        (chain(layers.Conv2D(3, 1), layers.GlobalAveragePooling2D()), {}),
        (chain(layers.Conv2D(3, 1), layers.Flatten(), layers.Dense(3)), {}),
        (chain(layers.Conv2D(3, 1), layers.Permute((2, 3, 1))), {}),
        (chain(layers.Conv1D(3, 1)), {"": -1}),
        (chain(layers.SpectralNormalization(layers.Conv2D(3, 1))), {"": 1}),
        (chain(chain(layers.Conv2D(3, 1)), nn.Sequential(nn.BatchNorm2d(3), nn.GELU())), {"": 1}),
        (kt.Model(nn.Sequential(nn.Conv1d(2, 3, 1), nn.ReLU(), nn.GroupNorm(1, 3))), {"": 1}),
        (kt.Model(nn.Sequential(nn.Linear(2, 3), nn.Softmax(-1))), {}),
        (nn.Conv3d(1, 2, 1), {"": 1}),
    ],
)
def test_the_channel_axis_of_a_chain_is_that_of_its_last_layer_that_has_one(model, found):
    assert known_channel_axes(model) == found


def test_the_channel_axes_of_a_graph_are_known_by_output_and_through_functions_of_torch():
    x = kt.Input((2, 8, 8))
    a = layers.Conv2D(4, 3, padding="same", name="conv")(x)
    b = torch.relu(a + kt.call(nn.Conv2d(2, 4, 1), x))
    heads = {"mask": b, "label": layers.Flatten()(b), "turned": b.movedim(1, -1)}
    assert known_channel_axes(kt.Model(x, heads)) == {"mask": 1}
    assert known_channel_axes(kt.Model(x, [a, layers.GlobalMaxPooling2D()(b)])) == {"conv": 1}
    assert known_channel_axes(kt.Model(x, torch.cat([a, b], 1))) == {"": 1}
    assert known_channel_axes(chain(kt.Model(x, b), layers.ReLU())) == {"": 1}


def test_nothing_is_known_of_a_forward_of_ones_own():
    class Own(kt.Model):
        def __init__(self):
            super().__init__()
            self.conv = layers.Conv2D(3, 1)

        def forward(self, x):
            return self.conv(x)

    assert known_channel_axes(Own()) == {}
    assert known_channel_axes(kt.Model(Own())) == {}
