"""A softmax over one value is constant: refused where it always is one, and warned of where it may be by chance."""

import numpy as np
import pytest
import torch
from torch import nn

import kerastorch as kt
from kerastorch import layers

X = np.random.default_rng(0).normal(size=(8, 3)).astype("float32")
Y = (X[:, :1] > 0).astype("float32")


def built(layer, *shape):
    layer(torch.zeros(shape))
    return layer


@pytest.mark.parametrize(
    "activation", ["softmax", "log_softmax", "sparsemax", nn.Softmax(dim=-1), nn.LogSoftmax(dim=1)]
)
def test_a_dense_of_one_unit_with_a_softmax_is_refused(activation):
    with pytest.raises(ValueError, match=r"Dense 'end' has a softmax over one unit.*sigmoid"):
        built(layers.Dense(1, activation, name="end"), 4, 3)
    with pytest.raises(ValueError, match="sigmoid"):
        kt.Sequential([kt.Input((3,)), layers.Dense(1, activation)])
    model = kt.Sequential([layers.Dense(1, activation)])
    model.compile("sgd", "binary_crossentropy")
    with pytest.raises(ValueError, match="sigmoid"):
        model.fit(X, Y, verbose=0)
    built(layers.Dense(2, activation), 4, 3)


@pytest.mark.parametrize("data_format", ["channels_first", "channels_last"])
@pytest.mark.parametrize(
    "make",
    [
        lambda **k: layers.Conv2D(1, 1, activation="softmax", **k),
        lambda **k: layers.Conv2DTranspose(1, 1, activation="softmax", **k),
        lambda **k: layers.SeparableConv2D(1, 1, activation="softmax", **k),
        lambda **k: layers.EinsumDense("...x,xy->...y", 1, "softmax"),
    ],
)
def test_a_convolution_of_one_filter_with_a_softmax_is_refused(make, data_format):
    with pytest.raises(ValueError, match=r"softmax over one unit.*sigmoid"):
        built(make(data_format=data_format), 2, 6, 6, 6)


def test_a_softmax_over_time_behind_one_unit_is_attention():
    x = torch.rand(2, 5, 3)
    layer = layers.Dense(1, nn.Softmax(dim=1))
    torch.testing.assert_close(layer(x).sum(1), torch.ones(2, 1))
    conv = layers.Conv1D(1, 1, activation=nn.Softmax(dim=1))
    torch.testing.assert_close(conv(x).sum(1), torch.ones(2, 1))
    scores = kt.Sequential([layers.Dense(1), layers.Softmax(axis=1)])
    torch.testing.assert_close(scores(x).sum(1), torch.ones(2, 1))


@pytest.mark.parametrize(
    "make", [lambda: layers.Activation("softmax"), layers.Softmax, lambda: layers.Activation(nn.Softmax(-1))]
)
def test_a_softmax_layer_over_one_value_warns_when_it_is_built(make):
    with pytest.warns(UserWarning, match=r"axis -1 of an input \(batch, 1\), which has one value.*sigmoid") as caught:
        kt.Sequential([kt.Input((3,)), layers.Dense(1), make()])
    assert len(caught) == 1
    layer = make()
    layer(torch.rand(2, 4, 7))
    assert torch.equal(layer(torch.rand(2, 4, 1)), torch.ones(2, 4, 1))  # one step in one batch of scores


@pytest.mark.parametrize("end", [nn.Softmax(dim=1), nn.Softmax(dim=-1), nn.LogSoftmax(dim=1)])
def test_torchs_softmax_over_one_output_is_said_once_a_fit(end):
    model = kt.Model(nn.Sequential(nn.Linear(3, 1), end))
    model.compile("sgd", "mse")
    with pytest.warns(UserWarning, match=r"ends in (Log)?Softmax along axis -?1.*sigmoid") as caught:
        model.fit(X, Y, epochs=2, verbose=0, validation_data=(X, Y))
    assert len(caught) == 1
    two = kt.Model(nn.Sequential(nn.Linear(3, 2), end))
    two.compile("sgd", "mse")
    two.fit(X, np.eye(2, dtype="float32")[Y[:, 0].astype(int)], verbose=0)


def test_settings_of_an_optimizer_that_would_do_nothing_are_refused():
    with pytest.raises(ValueError, match="nesterov=True does nothing without momentum"):
        kt.optimizers.SGD(nesterov=True)
    with pytest.raises(ValueError, match="ema_overwrite_frequency does nothing without use_ema=True"):
        kt.optimizers.Adam(ema_overwrite_frequency=10)
    weight = nn.Parameter(torch.ones(1))
    assert kt.optimizers.SGD(0.1, 0.9, True)([weight]).param_groups[0]["nesterov"] is True
