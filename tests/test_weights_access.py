"""Weights as lists and arrays, counted and put back; layers found by name and number."""

import numpy as np
import pytest
import torch
from torch import nn

import kerastorch as kt
from kerastorch import layers


class Holder(nn.Module):
    """The same linear map under two names, a frozen one, and buffers."""

    def __init__(self):
        super().__init__()
        self.first = nn.Linear(3, 3)
        self.again = self.first
        self.norm = nn.BatchNorm1d(3)
        self.frozen = nn.Linear(3, 2).requires_grad_(False)

    def forward(self, x):
        return self.frozen(self.norm(self.again(self.first(x))))


def test_params_are_counted_as_plain_sums_a_shared_one_once():
    module = Holder()
    assert kt.Model(module).count_params() == sum(p.numel() for p in module.parameters()) == 12 + 6 + 8
    dense = layers.Dense(5)
    dense(torch.zeros(1, 4))
    assert dense.count_params() == 4 * 5 + 5


def test_weights_are_those_of_the_state_dict_and_split_by_what_learns():
    model = kt.Model(Holder())
    state = model.state_dict(keep_vars=True)
    assert all(a is b for a, b in zip(model.weights, state.values(), strict=True))
    assert len(model.weights) == len(model.get_weights())
    assert {id(w) for w in model.trainable_weights} == {id(p) for p in model.parameters() if p.requires_grad}
    expected = [*model.get_submodule("norm").buffers(), *model.get_submodule("frozen").parameters()]
    assert {id(w) for w in model.non_trainable_weights} == {id(w) for w in expected}
    together = model.trainable_weights + model.non_trainable_weights
    assert {id(w) for w in together} == {id(w) for w in model.weights}
    assert len(together) == len({id(w) for w in together})


def test_a_layer_gives_and_takes_weights_as_a_model_does():
    one, other = layers.Dense(3), layers.Dense(3)
    x = torch.randn(2, 4)
    expected, _ = one(x), other(x)
    other.set_weights(one.get_weights())
    torch.testing.assert_close(other(x), expected)
    with pytest.raises(ValueError, match=r"^The layer has 2 parameters and buffers, got 1 arrays\.$"):
        other.set_weights(one.get_weights()[:1])


def test_a_wrong_shape_names_the_weight_and_sets_nothing():
    model = kt.Model(nn.Sequential(nn.Linear(4, 3), nn.Linear(3, 2)))
    before = model.get_weights()
    wrong = [np.zeros_like(weight) for weight in before]
    wrong[3] = np.zeros(3, "float32")
    with pytest.raises(ValueError, match=r"^'1\.bias' \(weight 3\) has shape \(2,\), got \(3,\)\.$"):
        model.set_weights(wrong)
    with pytest.raises((TypeError, ValueError)):
        model.set_weights([*wrong[:3], ["a", "b"]])
    assert all(np.array_equal(a, b) for a, b in zip(before, model.get_weights(), strict=True))


@pytest.mark.parametrize("layer", [layers.Dense(3), nn.LazyLinear(3)])
@pytest.mark.parametrize("act", ["count_params", "get_weights"])
def test_what_is_not_built_says_so(layer, act):
    model = kt.Sequential([layer])
    with pytest.raises(ValueError, match=r"has no parameters yet\. Build the model first"):
        getattr(model, act)()
    with pytest.raises(ValueError, match=r"has no parameters yet\. Build the model first"):
        model.set_weights([])


def test_weights_in_bfloat16_come_as_float32_and_go_back():
    model = kt.Model(nn.Linear(2, 2).bfloat16())
    before = [weight.clone() for weight in model.weights]
    given = model.get_weights()
    assert given[0].dtype == np.float32
    model.set_weights(given)
    assert all(torch.equal(a, b) for a, b in zip(before, model.weights, strict=True))
    assert model.weights[0].dtype == torch.bfloat16


def test_a_model_may_have_weights_and_layers_of_its_own():
    class Own(kt.Model):
        def __init__(self):
            super().__init__()
            self.weights = nn.Parameter(torch.ones(3))
            self.layers = nn.ModuleList([nn.Linear(3, 3)])
            self.register_buffer("trainable_weights", torch.zeros(1))

        def forward(self, x):
            for layer in self.layers:
                x = layer(x * self.weights)
            return x

    model = Own()
    assert list(model.state_dict()) == ["weights", "trainable_weights", "layers.0.weight", "layers.0.bias"]
    assert model(torch.ones(2, 3)).shape == (2, 3)
    assert isinstance(model.layers, nn.ModuleList)
    assert model.count_params() == 3 + 12
    seen = kt.Model(model)
    assert seen.weights is model.weights
    with pytest.raises(TypeError):
        layers.Dense(1).register_buffer("weights", "no tensor")
    assert layers.Dense(1).weights == []


def test_layers_are_the_children_in_order_and_found_by_name_path_and_number():
    model = kt.Sequential([layers.Dense(3, name="first"), nn.ReLU(), kt.Model(nn.Sequential(nn.Linear(3, 2)))])
    assert model.get_layer("first") is model.get_layer(index=0) is model.get_layer("0") is model.layers[0]
    assert model.get_layer("2.0") is model.layers[2].layers[0]
    holder = Holder()
    seen = kt.Model(holder)
    assert seen.layers == [holder.first, holder.norm, holder.frozen]
    assert seen.get_layer("again") is holder.again
    assert seen.get_layer(index=2) is seen.get_layer(index=-1) is holder.frozen


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        ({}, r"^get_layer\(\) takes one of name and index\.$"),
        ({"name": "norm", "index": 0}, r"^get_layer\(\) takes one of name and index\.$"),
        ({"name": "nrom"}, r"^Unknown layer 'nrom'\. Did you mean 'norm'\? Known: again, first, frozen, norm\.$"),
        ({"index": 3}, r"^get_layer\(\): there is no layer 3, the model has 3\.$"),
        ({"index": -4}, r"^index must be an integer >= -3, got -4\.$"),
    ],
)
def test_a_layer_that_is_not_there_is_refused(arguments, sentence):
    with pytest.raises(ValueError, match=sentence):
        kt.Model(Holder()).get_layer(**arguments)
