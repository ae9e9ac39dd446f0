"""`model.layers`, `get_layer` and `InputLayer`: the layers of Keras, in its order, stored by `make_model_values.py`."""

import copy
import json
import pathlib
import pickle
import sys

import pytest
import torch
from support.make_model_values import layer_rows
from support.model_cases import CASES
from torch import nn

import kerastorch as kt
import kerastorch.keras as keras

VALUES = json.loads((pathlib.Path(__file__).parent / "support/model_values.json").read_text())
COPIES = {
    "itself": lambda model: model,
    "copy": copy.deepcopy,
    "pickle": lambda model: pickle.loads(pickle.dumps(model)),
}
# Keras takes the output of the first call, where `output` is an error here
CALLED_TWICE = {("shared", "Dense"), ("masked", "Embedding")}


def test_each_case_has_values():
    assert set(VALUES) == set(CASES)


@pytest.mark.parametrize("how", COPIES)
@pytest.mark.parametrize("name", CASES)
def test_a_model_lists_the_layers_of_keras(name, how):
    model = COPIES[how](CASES[name](keras))
    assert model.layers == model.layers  # each layer is one object
    for layer, (kind, *shapes) in zip(layer_rows(model), VALUES[name], strict=True):
        assert layer[0] == {"Functional": "Model"}.get(kind, kind)
        assert layer[1:] == shapes or (layer[1:] == [] and (name, kind) in CALLED_TWICE)


def features():
    x = kt.Input((3,), name="features")
    return kt.Model(x, kt.layers.Dense(2, name="head")(kt.layers.Dense(4)(x)))


def test_the_input_is_a_layer_without_weights_and_no_child():
    model = features()
    first = model.layers[0]
    assert isinstance(first, kt.layers.InputLayer)
    assert isinstance(first, keras.layers.InputLayer)
    assert first.output is first.input is model.input
    assert (first.name, first.batch_shape, first.dtype, first.built) == ("features", (None, 3), torch.float32, True)
    assert (first.weights, first.count_params()) == ([], 0)
    assert [*model.children()] == model.layers[1:]
    assert first not in [*model.modules()]
    assert [*model.state_dict()] == ["dense.weight", "dense.bias", "head.weight", "head.bias"]
    assert torch.equal(first(torch.ones(2, 3)), torch.ones(2, 3))


def test_layers_are_found_by_name_and_index():
    model = features()
    for index, layer in enumerate(model.layers):
        assert model.get_layer(index=index) is layer
    assert model.get_layer("features") is model.layers[0]
    assert model.get_layer("head") is model.layers[-1]
    with pytest.raises(ValueError, match="there is no layer 3, the model has 3"):
        model.get_layer(index=3)


def test_a_layer_comes_before_an_input_of_the_same_name():
    x = kt.Input((3,), name="code")
    layer = kt.layers.Dense(2, name="code")
    assert kt.Model(x, layer(x)).get_layer("code") is layer


def test_loops_over_layers_freeze_and_train_and_save(tmp_path):
    model = features()
    for layer in model.layers[:-1]:
        layer.trainable = False
    frozen = [one.clone() for one in model.layers[1].weights]
    model.compile("sgd", "mse")
    model.fit(torch.ones(8, 3), torch.ones(8, 2), verbose=0)
    assert all(map(torch.equal, frozen, model.layers[1].weights))
    model.save(tmp_path / "model.kt")
    again = kt.load_model(tmp_path / "model.kt")
    assert [type(one) for one in again.layers] == [type(one) for one in model.layers]
    torch.testing.assert_close(again(torch.ones(2, 3)), model(torch.ones(2, 3)))
    shown = []
    model.summary(print_fn=shown.append)
    assert "InputLayer" not in shown[0]


def test_modules_of_torch_and_layers_that_no_output_needs_are_listed():
    class Extra(kt.Model):
        def __init__(self):
            x = kt.Input((3,))
            super().__init__(x, kt.call(nn.Linear(3, 2), x) + torch.ones(2))
            self.extra = nn.Linear(1, 1)

    model = Extra()
    assert [type(one).__name__ for one in model.layers] == ["InputLayer", "Linear", "Linear"]
    assert model.layers[-1] is model.extra


def test_a_view_lists_its_children():
    net = nn.Sequential(nn.Linear(3, 2), nn.ReLU())
    assert kt.Model(net).layers == [*net]


def test_an_input_layer_begins_models():
    for shape in ({"shape": (3,)}, {"batch_shape": (None, 3)}, {"shape": (3,), "batch_size": 2}):
        layer = kt.layers.InputLayer(**shape, dtype="float32")
        for model in (
            kt.Sequential([layer, kt.layers.Dense(2)]),
            kt.Model(layer.output, kt.layers.Dense(2)(layer.output)),
        ):
            assert model(torch.ones(4, 3)).shape == (4, 2)
            assert model.input_shape == (None, 3)
    grown = kt.Sequential()
    grown.add(kt.layers.InputLayer(shape=(3,)))
    grown.add(kt.layers.Dense(2))
    assert grown.count_params() == 8
    assert [type(one).__name__ for one in grown.layers] == ["Dense"]


def test_an_input_layer_is_made_from_its_config_and_copied():
    layer = kt.layers.InputLayer(shape=(3, None), dtype=torch.int64, name="ids")
    for again in (kt.layers.InputLayer.from_config(layer.get_config()), copy.deepcopy(layer)):
        assert (again.batch_shape, again.dtype, again.name) == ((None, 3, None), torch.int64, "ids")
        assert again.output.shape == (None, 3, None)


def test_an_input_layer_needs_a_shape():
    with pytest.raises(ValueError, match="Input needs shape, without the batch axis"):
        kt.layers.InputLayer()


def test_layers_are_ordered_without_recursion():
    symbol = given = kt.Input((2,))
    limit = sys.getrecursionlimit()
    identity = [kt.layers.Identity() for _ in range(limit + 10)]
    for layer in identity:
        symbol = layer(symbol)
    assert kt.Model(given, symbol).layers[1:] == identity
