"""`trainable`, on layers of any kind, before compile and after it."""

import pytest
import torch
from torch import nn

import kerastorch as kt
from kerastorch import Input, Model, Sequential
from kerastorch.layers import Dense, Layer


def _data(rows=64):
    kt.utils.set_random_seed(0)
    return torch.randn(rows, 4), torch.randint(0, 2, (rows,))


def _changed(model, fit):
    """The names of the parameters and buffers that `fit` changes."""
    before = {name: value.clone() for name, value in model.state_dict().items()}
    fit()
    return {name for name, value in model.state_dict().items() if not torch.equal(value, before[name])}


def _chain():
    kt.utils.set_random_seed(0)
    model = Sequential([Input((4,)), Dense(5, "relu"), nn.Linear(5, 5), Dense(2)])
    model.compile(kt.optimizers.SGD(0.1, momentum=0.9, weight_decay=0.1), "cross_entropy")
    return model


@pytest.mark.parametrize(
    ("number", "jit"),
    [
        pytest.param(0, False, id="kerastorch's layer-eager"),
        pytest.param(1, False, id="torch's module-eager"),
        pytest.param(0, True, id="kerastorch's layer-compiled", marks=pytest.mark.slow),
        pytest.param(1, True, id="torch's module-compiled", marks=pytest.mark.slow),
    ],
)
def test_trainable_set_after_compile_is_honoured_both_ways(number, jit):
    x, y = _data()
    model = _chain()
    model.compile(kt.optimizers.SGD(0.1, momentum=0.9, weight_decay=0.1), "cross_entropy", jit_compile=jit)
    everything = {f"{n}.{kind}" for n in range(3) for kind in ("weight", "bias")}
    frozen = {f"{number}.weight", f"{number}.bias"}

    def fit():
        model.fit(x, y, epochs=2, verbose=0)

    assert _changed(model, fit) == everything
    model.layers[number].trainable = False
    assert _changed(model, fit) == everything - frozen  # momentum and weight decay leave it alone too
    model.layers[number].trainable = True
    assert _changed(model, fit) == everything


def test_what_requires_grad_says_later_is_not_overruled():
    x, y = _data()
    model = _chain()
    model.layers[1].trainable = False
    model.fit(x, y, verbose=0)
    model.layers[1].weight.requires_grad_(True)
    assert _changed(model, lambda: model.fit(x, y, verbose=0)) >= {"1.weight"}
    assert not model.layers[1].bias.requires_grad


def test_it_goes_down_the_tree_and_what_never_learned_stays_so():
    inner = Sequential([Dense(3), nn.Linear(3, 3)])
    model = Sequential([Input((4,)), inner, Dense(2)])
    model.trainable = False
    assert not any(p.requires_grad for p in model.parameters())
    assert not inner.trainable
    assert not inner[0].trainable
    inner.trainable = True
    assert {name for name, p in model.named_parameters() if p.requires_grad} == {
        f"0.{n}.{kind}" for n in (0, 1) for kind in ("weight", "bias")
    }


def test_a_weight_made_not_to_learn_does_not_learn_after_thawing():
    class Scaled(kt.layers.Layer):
        def build(self, input_shape):
            self.scale = self.add_weight((1,), "ones", trainable=False)
            self.shift = self.add_weight((1,), "zeros")

        def forward(self, x):
            return x * self.scale + self.shift

    layer = Scaled()
    layer.trainable = False
    layer(torch.ones(2, 3))
    layer.trainable = True
    assert [name for name, p in layer.named_parameters() if p.requires_grad] == ["shift"]


@pytest.mark.parametrize("wrapped", [False, True], ids=["in a Sequential", "in a viewed module"])
def test_frozen_batch_normalization_keeps_its_statistics(wrapped):
    x, y = _data()
    body = nn.Sequential(nn.Linear(4, 4), nn.BatchNorm1d(4))
    base = Model(body) if wrapped else Sequential([body])
    model = Sequential([base, Dense(2)])
    model.compile("sgd", "cross_entropy")
    model.fit(x, y, verbose=0)
    base.trainable = False
    with torch.no_grad():
        expected = body[1].eval()(body[0](x))
    assert {name.partition(".")[0] for name in _changed(model, lambda: model.fit(x, y, verbose=0))} == {"1"}
    model.train()
    assert torch.equal(base(x), expected)
    assert not body[1].training
    base.trainable = True
    model.train()
    assert body[1].training
    assert any("running_mean" in name for name in _changed(model, lambda: model.fit(x, y, verbose=0)))


def test_a_wholly_frozen_model_is_refused():
    x, y = _data()
    model = _chain()
    model.trainable = False
    with pytest.raises(ValueError, match="no trainable parameters"):
        model.fit(x, y, verbose=0)


def test_frozen_weights_are_not_penalised():
    x, y = _data()
    model = Sequential([Input((4,)), Dense(3, kernel_regularizer="l2"), Dense(2)])
    model.compile("sgd", "cross_entropy")
    assert "data_loss" in model.evaluate(x, y, verbose=0, return_dict=True)
    model.layers[0].trainable = False
    assert "data_loss" not in model.evaluate(x, y, verbose=0, return_dict=True)


def test_trainable_is_true_or_false():
    with pytest.raises(TypeError, match="trainable must be True or False, got 'no'"):
        Dense(3).trainable = "no"


def test_transfer_learning_trains_the_head_then_all():
    x, y = _data()
    begin = Input((4,))
    base = Model(begin, Dense(8, "relu", name="features")(begin), name="base")
    base.trainable = False
    again = Input((4,))
    model = Model(again, Dense(2, name="head")(base(again)))
    model.compile("adam", "cross_entropy")
    assert _changed(model, lambda: model.fit(x, y, verbose=0)) == {"head.weight", "head.bias"}
    base.trainable = True
    model.compile(kt.optimizers.Adam(1e-4), "cross_entropy")
    assert len(_changed(model, lambda: model.fit(x, y, verbose=0))) == 4


def test_a_layer_frozen_before_its_first_call_learns_again_when_it_is_thawed():
    class Scale(Layer):
        def __init__(self):
            super().__init__()
            self.factor = nn.Parameter(torch.ones(3))

        def build(self, input_shape):
            self.offset = self.add_weight((3,), "zeros", trainable=False)

        def forward(self, x):
            return x * self.factor + self.offset

    layer = Scale()
    layer.trainable = False
    layer(torch.ones(2, 3))
    assert not layer.factor.requires_grad
    layer.trainable = True
    assert layer.factor.requires_grad
    assert not layer.offset.requires_grad


def test_a_lazy_layer_of_torch_may_be_frozen_before_it_has_weights():
    lazy, head = nn.LazyLinear(3), Dense(1)
    model = Sequential([lazy, head])
    model.trainable = False
    head.trainable = True
    model.compile("sgd", "mse")
    model.fit(torch.randn(8, 4), torch.randn(8, 1), verbose=0)
    assert [weight.requires_grad for weight in model.parameters()] == [False, False, True, True]
