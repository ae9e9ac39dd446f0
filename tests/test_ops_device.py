"""Operations without tensors make theirs on the device of the layer that runs; "meta" stands for any other device."""

import threading

import numpy as np
import pytest
import torch
from torch import nn

import kerastorch as kt
from kerastorch import keras, ops

MAKERS = {
    "zeros": lambda: ops.zeros(3),
    "ones": lambda: ops.ones((3,)),
    "empty": lambda: ops.empty(3),
    "full": lambda: ops.full((3,), 2.0),
    "eye": lambda: ops.eye(3, k=1),
    "identity": lambda: ops.identity(3),
    "tri": lambda: ops.tri(3),
    "arange": lambda: ops.arange(3),
    "linspace": lambda: ops.linspace(0, 1, 3),
    "logspace": lambda: ops.logspace(0, 1, 3),
    "geomspace": lambda: ops.geomspace(1, 2, 3),
    "hanning": lambda: ops.hanning(3),
    "kaiser": lambda: ops.kaiser(3, 1.0),
    "array": lambda: ops.array([1, 2, 3]),
    "convert": lambda: ops.convert_to_tensor(np.ones(3)),
    "number": lambda: ops.sqrt(2.0),
    "add": lambda: ops.add(1.0, [1.0, 2.0]),
    "one_hot": lambda: ops.one_hot([0, 2], 3),
    "normal": lambda: kt.random.normal((3,)),
    "uniform": lambda: kt.random.uniform((3,), seed=3),
    "randint": lambda: kt.random.randint((3,), 0, 5),
    "truncated_normal": lambda: kt.random.truncated_normal((3,), seed=1),
}


class Asking(keras.layers.Layer):
    """Returns its input, and notes on which device a function makes a tensor."""

    def __init__(self, make, then=None):
        super().__init__()
        self.make, self.then, self.devices = make, then, []

    def call(self, x, training=None):
        self.devices.append(self.make().device.type)
        y = x if self.then is None else self.then(x)
        self.devices.append(self.make().device.type)
        return y


@pytest.mark.parametrize("make", MAKERS.values(), ids=list(MAKERS))
def test_a_tensor_is_made_where_the_inputs_of_the_layer_are(make):
    layer = Asking(make)
    for device in ("meta", "cpu"):
        layer(torch.zeros(2, 3, device=device))
        layer(torch.zeros(2, 3, device=device), training=True)
        assert make().device.type == "cpu"
    assert layer.devices == ["meta"] * 4 + ["cpu"] * 4


def test_layers_within_layers_have_their_own_and_an_error_ends_a_call():
    inner = Asking(lambda: ops.zeros(1))
    outer = Asking(lambda: ops.zeros(1), then=lambda x: inner(torch.zeros(2, 3)))
    outer(torch.zeros(2, 3, device="meta"))
    assert (outer.devices, inner.devices) == (["meta"] * 2, ["cpu"] * 2)

    def fail(x):
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        Asking(lambda: ops.zeros(1), then=fail)(torch.zeros(2, 3, device="meta"))
    assert ops.zeros(1).device.type == "cpu"


class _Noise(nn.Module):
    """A module of plain torch that uses operations."""

    def forward(self, x):
        return x + kt.random.normal(ops.shape(x)) * ops.ones(3)


class _Own(kt.Model):
    """A model with a weight and no input that is a tensor."""

    def __init__(self):
        super().__init__()
        self.scale = nn.Linear(3, 3)

    def forward(self, n):
        return self.scale(ops.ones((n, 3)))


@pytest.mark.parametrize(
    "make",
    [
        lambda: kt.Sequential([_Noise()]),
        lambda: kt.Model(_Noise()),
        lambda: kt.layers.Lambda(lambda x: x + ops.ones(3)),
        lambda: kt.Sequential([kt.layers.Lambda(lambda x: x + ops.ones(3)), kt.layers.Rescaling(2.0)]),
    ],
)
def test_models_and_functions_add_what_they_make_to_their_input(make):
    assert make()(torch.zeros(2, 3, device="meta")).device.type == "meta"
    assert make()(torch.zeros(2, 3)).device.type == "cpu"


def test_without_a_tensor_among_the_inputs_the_weights_tell():
    assert _Own()(2).device.type == "cpu"
    assert _Own().to("meta")(2).device.type == "meta"


def test_a_layer_in_another_thread_does_not_change_the_device_of_this_one():
    found = []
    layer = Asking(lambda: ops.zeros(1), then=lambda x: (thread.start(), thread.join(), x)[-1])
    thread = threading.Thread(target=lambda: found.append(ops.zeros(1).device.type))
    layer(torch.zeros(2, 3, device="meta"))
    assert (found, layer.devices) == (["cpu"], ["meta", "meta"])


def test_a_layer_with_operations_compiles_whole_and_trains():
    class Sampling(kt.layers.Layer):
        def call(self, x):
            return x + ops.ones(3) * kt.random.normal((3,), seed=1)

    x = torch.zeros(4, 3)
    layer = Sampling()
    layer(x)
    assert torch.equal(torch.compile(layer, fullgraph=True, backend="eager")(x), layer(x))
    model = kt.Sequential([kt.Input((3,)), kt.layers.Dense(3), Sampling()])
    model.compile("sgd", "mse")
    model.fit(x, x, verbose=0)
