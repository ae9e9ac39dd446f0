"""What a layer or model knows without a call on data: shapes of outputs, dtypes, whether it is built or compiled."""

import numpy as np
import pytest
import torch
from torch import nn

import kerastorch as kt
import kerastorch.keras as keras
from kerastorch import layers

SHAPES = {
    "dense": (lambda: layers.Dense(3), (None, 7, 4), (None, 7, 3)),
    "convolution": (lambda: keras.layers.Conv2D(4, 3, strides=2, padding="same"), (None, 9, 9, 3), (None, 5, 5, 4)),
    "sizes that vary": (lambda: keras.layers.Conv2D(4, 3), (None, None, None, 3), (None, None, None, 4)),
    "rows are given": (lambda: layers.Dense(3), (2, None, 4), (2, None, 3)),
    "list of shapes": (lambda: layers.Concatenate(), [(None, 3), (None, 4)], (None, 7)),
    "several outputs": (lambda: layers.LSTM(4, return_state=True), (None, 5, 3), ((None, 4),) * 3),
    "numbers of rows": (lambda: layers.Embedding(5, 2), (None, 7), (None, 7, 2)),
    "flat": (lambda: layers.Flatten(), (None, 3, 4), (None, 12)),
    "model": (lambda: kt.Sequential([layers.Dense(3), layers.Dense(2)]), (-1, 4), (None, 2)),
}


@pytest.mark.parametrize("name", SHAPES)
def test_the_shape_of_an_output(name):
    make, given, expected = SHAPES[name]
    layer = make()
    found = layer.compute_output_shape(given)
    assert found == expected
    assert not layer.built or isinstance(layer, (layers.Concatenate, layers.Flatten))


def test_the_shape_of_an_output_within_build():
    class Block(keras.layers.Layer):
        def __init__(self):
            super().__init__()
            self.first, self.second = keras.layers.Dense(3), keras.layers.Dense(2)

        def build(self, input_shape):
            self.first.build(input_shape)
            self.second.build(self.first.compute_output_shape(input_shape))

        def call(self, x):
            return self.second(self.first(x))

    block = Block()
    assert block(np.ones((2, 5, 4))).shape == (2, 5, 2)
    assert [one.shape for one in block.get_weights()] == [(4, 3), (3,), (3, 2), (2,)]
    assert Block()(kt.Input((None, 4))).ndim == 3


def test_a_shape_that_does_not_fit_is_an_error():
    layer = layers.Dense(3)
    layer.build((None, 4))
    with pytest.raises(ValueError, match="Dense cannot take inputs of shape"):
        layer.compute_output_shape((None, 5))


def test_models_know_whether_they_are_built_and_compiled():
    class Net(kt.Model):
        def __init__(self):
            super().__init__()
            self.dense = layers.Dense(2)

        def forward(self, x):
            return self.dense(x)

    net, wrapped = Net(), kt.Model(nn.Sequential(nn.LazyLinear(2)))
    assert not net.built
    assert not net.compiled
    assert not wrapped.built
    for model in (net, wrapped):
        model.build((None, 4))
        assert model.built
        assert model.count_params() == 10
        weights = model.get_weights()
        model.build((None, 4))
        assert all(map(np.array_equal, weights, model.get_weights()))
    net.compile("sgd", "mse")
    assert net.compiled


def test_attributes_of_a_model_go_before_what_it_knows():
    class Net(kt.Model):
        def __init__(self):
            super().__init__()
            self.built, self.compiled = True, nn.Linear(2, 2)

    net = Net()
    assert net.built is True
    assert net.compiled in net.modules()


def test_build_gives_a_chain_its_input():
    model = kt.Sequential([layers.Dense(2), layers.Dense(3)])
    model.build((None, 4))
    assert (model.input_shape, model.output_shape) == ((None, 4), (None, 3))
    assert [layer.output.shape[-1] for layer in model.layers] == [2, 3]


@pytest.mark.parametrize(("of", "shown"), [(keras.layers, lambda dtype: str(dtype)[6:]), (layers, lambda dtype: dtype)])
def test_dtypes_have_names_in_keras_and_are_those_of_torch_elsewhere(of, shown):
    """Other packages for PyTorch, such as peft, read `compute_dtype`."""
    layer = of.Dense(2)
    assert (layer.dtype, layer.variable_dtype, layer.compute_dtype) == (shown(torch.float32),) * 3
    with torch.autocast("cpu", torch.bfloat16):
        assert (layer.variable_dtype, layer.compute_dtype) == (shown(torch.float32), shown(torch.bfloat16))
    layer(torch.ones(1, 3))
    assert layer.to(torch.float64).compute_dtype == shown(torch.float64)
    assert keras.layers.Dense(2, dtype="float64").dtype == "float64"
    model = kt.Model(nn.Linear(2, 2).half())
    assert model.dtype == torch.float16
    assert kt.Model(nn.ReLU()).dtype == torch.float32
