"""Layers and models written and called as in Keras: `call`, `training=`, arrays, and inputs of other dtypes."""

import functools
import weakref

import numpy as np
import pytest
import torch
from torch import nn

import kerastorch as kt
from kerastorch import layers

DRAW = torch.Generator().manual_seed(0)
X = torch.randn(12, 4, generator=DRAW)
Y = torch.randn(12, 2, generator=DRAW)


class Scaled(layers.Layer):
    """Multiplies by a weight; counts the calls in training mode."""

    def __init__(self, factor=2.0, **kwargs):
        super().__init__(**kwargs)
        self.factor, self.modes = factor, []

    def build(self, input_shape):
        self.weight = self.add_weight((input_shape[-1],), "ones")

    def call(self, x, training=None):
        self.modes.append(training)
        return self.factor * x * self.weight


class Net(kt.Model):
    """A model with a `call`."""

    def __init__(self):
        super().__init__()
        self.scaled, self.dense, self.dropout = Scaled(), layers.Dense(2), layers.Dropout(0.5)

    def call(self, x, training=False):
        return self.dropout(self.dense(self.scaled(x)), training=training)


# --- call and forward -------------------------------------------------------------------------------------------


def test_call_is_run_and_is_told_the_mode():
    layer = Scaled()
    torch.testing.assert_close(layer(X), 2 * X)
    layer.eval()(X)
    layer(X, training=True)
    layer(X, True)
    layer(X, None)
    assert layer.modes == [True, False, True, True, False]


def test_fit_evaluate_and_predict_tell_call_the_mode():
    torch.manual_seed(0)
    model = kt.Sequential([Scaled(), layers.Dense(2)])
    model.compile("sgd", "mse")
    model.build((None, 4))
    seen = model.layers[0].modes
    seen.clear()
    model.fit(X, Y, batch_size=6, verbose=0)
    assert seen == [True, True]
    model.evaluate(X, Y, verbose=0)
    model.predict(X, verbose=0)
    assert seen[2:] == [False, False]


def test_a_model_with_call_trains_as_a_loop_in_torch():
    torch.manual_seed(0)
    model = Net()
    model.dropout.rate = 0.0
    model(X)
    weights = [one.detach().clone().requires_grad_() for one in model.parameters()]
    model.compile(kt.optimizers.SGD(0.1), "mse")
    model.fit(X, Y, batch_size=12, epochs=3, verbose=0)
    factor, kernel, bias = weights
    for _ in range(3):
        loss = nn.functional.mse_loss((2 * X * factor) @ kernel.T + bias, Y)
        for one, gradient in zip(weights, torch.autograd.grad(loss, weights), strict=True):
            one.data -= 0.1 * gradient
    for one, other in zip(model.parameters(), weights, strict=True):
        torch.testing.assert_close(one, other)


class Doubled(layers.Dense):
    def call(self, x):
        return 2 * super().call(x)


class DoubledForward(layers.Dense):
    def forward(self, x):
        return 2 * super().forward(x)


class Tripled(Doubled):
    def forward(self, x):
        return 1.5 * super().forward(x)


@pytest.mark.parametrize(("kind", "factor"), [(Doubled, 2), (DoubledForward, 2), (Tripled, 3)])
def test_a_subclass_of_a_layer_may_override_either_method(kind, factor):
    layer = kind(3)
    torch.testing.assert_close(layer(X), factor * nn.functional.linear(X, layer.weight, layer.bias))
    torch.testing.assert_close(layer.call(X), layer.forward(X))


def test_masks_reach_a_call_with_a_parameter_for_them():
    class Counted(layers.Layer):
        def call(self, x, mask=None):
            return mask.sum(1, keepdim=True).float()

    ids = kt.Input((5,), dtype="int64")
    model = kt.Model(ids, Counted()(layers.Embedding(7, 3, mask_zero=True)(ids)))
    assert model(torch.tensor([[1, 2, 0, 0, 0], [1, 1, 1, 1, 0]])).tolist() == [[2.0], [4.0]]


def test_a_model_with_call_is_saved_and_loaded(tmp_path):
    model = kt.Sequential([kt.Input((4,)), Scaled(3.0), layers.Dense(2)])
    model.save(tmp_path / "model.kt")
    again = kt.load_model(tmp_path / "model.kt", custom_objects={"Scaled": Scaled})
    torch.testing.assert_close(again(X), model(X))


# --- training= --------------------------------------------------------------------------------------------------


def test_training_switches_the_mode_of_one_call():
    dropout, batch_norm = layers.Dropout(0.5), layers.BatchNormalization()
    assert torch.equal(dropout(X, training=False), X)
    assert not torch.equal(dropout.eval()(X, training=True), X)
    assert not dropout.training
    batch_norm(X, training=False)
    assert batch_norm.training
    assert torch.equal(batch_norm.running_mean, torch.zeros(4))
    batch_norm.eval()(X, training=True)
    torch.testing.assert_close(batch_norm.running_mean, 0.01 * X.mean(0))


@pytest.mark.parametrize(
    "make", [lambda: kt.Sequential([nn.Dropout(0.5), nn.Linear(4, 4)]), lambda: kt.Model(Nested())]
)
def test_training_reaches_all_parts_of_a_model_and_is_put_back(make):
    model = make()
    modes = [part.training for part in model.modules()]
    assert torch.equal(model(X, training=False), model(X, training=False))
    assert not torch.equal(model.eval()(X, training=True), model(X, training=True))
    assert not any(part.training for part in model.modules())
    model.train()
    assert [part.training for part in model.modules()] == modes


class Nested(nn.Module):
    def __init__(self):
        super().__init__()
        self.inner = nn.Sequential(nn.Dropout(0.5), nn.Linear(4, 4))

    def forward(self, x):
        return self.inner(x)


def test_the_mode_is_put_back_after_an_error():
    model = kt.Sequential([layers.Dropout(0.5), layers.Dense(2)])
    model(X)
    with pytest.raises(RuntimeError, match="shape"):
        model(torch.ones(2, 7), training=False)
    assert all(part.training for part in model.modules())


def test_frozen_batch_normalization_rests_in_a_call_with_training():
    layer = layers.BatchNormalization()
    layer.build((None, 4))
    layer.trainable = False
    layer(X, training=True)
    assert torch.equal(layer.running_mean, torch.zeros(4))


def test_training_in_a_functional_model_holds_for_each_of_its_calls():
    x = kt.Input((4,))
    always, never = layers.Dropout(0.5), layers.Dropout(0.5)
    model = kt.Model(x, [always(x, training=True), never(x, training=False)])
    for mode in (True, False):
        dropped, kept = model.train(mode)(X)
        assert not torch.equal(dropped, X)
        assert torch.equal(kept, X)
    model.compile("sgd", ["mse", "mse"])
    dropped, kept = model.predict(X, verbose=0)
    assert not np.array_equal(dropped, X)
    np.testing.assert_array_equal(kept, X)


def test_a_functional_model_with_training_is_saved_and_loaded(tmp_path):
    x = kt.Input((4,))
    model = kt.Model(x, layers.Dropout(0.5)(layers.Dense(3)(x), training=False))
    model.save(tmp_path / "model.kt")
    again = kt.load_model(tmp_path / "model.kt")
    torch.testing.assert_close(again.train()(X), model.train()(X))


def test_training_of_another_kind_is_an_error():
    with pytest.raises(TypeError, match="training must be True, False or None, got 'yes'"):
        layers.Dropout(0.5)(X, training="yes")


# --- arrays and other dtypes ------------------------------------------------------------------------------------


@pytest.mark.parametrize("given", [X.double().numpy(), X.numpy(), X.double(), X.tolist(), X.round().int().numpy()])
def test_layers_and_models_take_arrays_and_cast_them(given):
    layer = layers.Dense(2)
    plain = torch.as_tensor(np.asarray(given), dtype=torch.float32)
    for model in (layer, kt.Sequential([layer]), kt.Model(nn.Sequential(layer))):
        found = model(given)
        assert found.dtype is torch.float32
        torch.testing.assert_close(found, nn.functional.linear(plain, layer.weight, layer.bias))


@pytest.mark.parametrize(
    ("layer", "shape"),
    [
        (layers.Dense(3), (2, 4)),
        (layers.Conv1D(3, 2), (2, 4, 6)),
        (layers.Conv2D(3, 2), (2, 4, 5, 5)),
        (layers.LSTM(3), (2, 5, 4)),
        (layers.GRU(3), (2, 5, 4)),
        (layers.BatchNormalization(), (2, 4)),
        (layers.LayerNormalization(), (2, 4)),
    ],
    ids=lambda one: type(one).__name__,
)
@pytest.mark.parametrize("dtype", [torch.float64, torch.int64, torch.uint8, torch.bool])
def test_layers_with_weights_cast_their_inputs(layer, shape, dtype):
    x = torch.randint(0, 2, shape, generator=torch.Generator().manual_seed(1)).to(dtype)
    expected = layer.eval()(x.float())
    found = layer(x)
    assert found.dtype is torch.float32
    torch.testing.assert_close(found, expected)


def test_an_embedding_casts_numbers_to_integers():
    layer = layers.Embedding(5, 3)
    torch.testing.assert_close(layer(torch.tensor([[1.0, 4.0]])), layer.weight[[1, 4]][None])
    torch.testing.assert_close(layer([[1, 4]]), layer.weight[[1, 4]][None])


def test_gradients_reach_an_input_that_is_cast():
    x = X.double().requires_grad_()
    layer = layers.Dense(1)
    layer(x).sum().backward()
    torch.testing.assert_close(x.grad, layer.weight.double().expand(12, 4))


def test_a_model_in_float64_keeps_float64():
    layer = layers.Dense(2)
    layer(X)
    layer.double()
    assert layer(X.double()).dtype is torch.float64
    assert layer(X.numpy()).dtype is torch.float64


def test_other_errors_stay_as_they_are():
    layer = layers.Dense(2)
    layer(X)
    with pytest.raises(RuntimeError, match="mat1 and mat2 shapes cannot be multiplied"):
        layer(torch.ones(3, 7))
    with pytest.raises(RuntimeError, match="mat1 and mat2 shapes cannot be multiplied"):
        layer(torch.ones(3, 7, dtype=torch.float64))
    with pytest.raises(RuntimeError, match="same dtype"):
        layer(X.bfloat16())


def test_texts_and_objects_are_not_converted():
    class Named(kt.Model):
        def forward(self, names, x):
            assert names.dtype.kind == "U"
            return x

    assert torch.equal(Named()(np.array(["a", "b"]), X.numpy()), X)


class Pair(tuple):
    """A tuple with a constructor of its own."""

    def __new__(cls, first, second):
        return super().__new__(cls, (first, second))


class Appends(kt.Model):
    def forward(self, held):
        held.append(held[0])
        return held[0]


class TakesPair(kt.Model):
    def forward(self, pair):
        assert type(pair) is Pair
        return pair[1]


def test_arguments_without_arrays_are_passed_as_they_are():
    held = [X]
    Appends()(held)
    assert len(held) == 2
    assert torch.equal(TakesPair()(Pair(X, Y)), Y)


# --- spellings of Keras' scripts --------------------------------------------------------------------------------


def test_weights_are_variables_too():
    model = kt.Sequential([kt.Input((4,)), layers.Dense(3), layers.BatchNormalization()])
    model.layers[0].trainable = False
    for one in (model, *model.layers):
        assert list(map(id, one.variables)) == list(map(id, one.weights))
        assert list(map(id, one.trainable_variables)) == list(map(id, one.trainable_weights))
        assert list(map(id, one.non_trainable_variables)) == list(map(id, one.non_trainable_weights))
    assert [tuple(one.shape) for one in model.trainable_variables] == [(3,), (3,)]


@pytest.mark.parametrize("given", [{"batch_size": 5}, {"shape": None, "batch_shape": (None, 4)}])
def test_input_takes_a_batch_size(given):
    x = kt.Input(**{"shape": (4,), **given})
    model = kt.Model(x, layers.Dense(2)(x))
    assert model.input_shape == (None, 4)
    assert model(X).shape == (12, 2)


@pytest.mark.parametrize("given", [{}, {"shape": (4,), "batch_shape": (None, 4)}])
def test_input_needs_one_shape(given):
    with pytest.raises(ValueError, match="Input needs shape, without the batch axis, or batch_shape"):
        kt.Input(**given)


def test_no_epochs_are_a_fit_without_training():
    model = kt.Sequential([kt.Input((4,)), layers.Dense(2)])
    model.compile("sgd", "mse")
    before = [one.detach().clone() for one in model.parameters()]
    history = model.fit(X, Y, epochs=0, validation_data=(X, Y), verbose=0)
    assert (history.history, history.epoch) == ({}, [])
    assert all(map(torch.equal, model.parameters(), before))


@pytest.mark.parametrize("optimizer", [kt.optimizers.SGD(0.0), kt.optimizers.Adam(0.0)])
def test_a_learning_rate_of_0_changes_nothing(optimizer):
    model = kt.Sequential([kt.Input((4,)), layers.Dense(2)])
    model.compile(optimizer, "mse")
    before = [one.detach().clone() for one in model.parameters()]
    model.fit(X, Y, verbose=0)
    assert all(map(torch.equal, model.parameters(), before))


def test_compile_takes_run_eagerly_and_auto_scale_loss():
    model = kt.Sequential([kt.Input((4,)), layers.Dense(2)])
    model.compile("sgd", "mse", run_eagerly=True, auto_scale_loss=True)
    model.fit(X, Y, verbose=0)
    with pytest.raises(ValueError, match="contradict each other"):
        model.compile("sgd", "mse", run_eagerly=True, jit_compile=True)
    with pytest.raises(ValueError, match="auto_scale_loss=False"):
        model.compile("sgd", "mse", precision="fp16", auto_scale_loss=False)


class _Plain(kt.layers.Layer):
    def forward(self, x):
        return x


def _with_training(self, x, training=None):
    return x + (2 if training else 1)


def test_a_forward_that_is_replaced_after_a_call_is_given_training_if_it_takes_it(monkeypatch):
    x, layer, other = torch.zeros(1), _Plain(), _Plain()
    assert layer(x, training=True) == 0
    layer.forward = lambda x, training=None: x + (20 if training else 10)
    assert (layer(x, training=True), layer(x, training=False)) == (20, 10)
    assert other(x, training=True) == 0
    monkeypatch.setattr(_Plain, "forward", _with_training)
    assert (other(x, training=True), other(x, training=False)) == (2, 1)
    assert layer(x, training=True) == 20
    del layer.forward
    assert layer(x, training=True) == 2
    other.forward = functools.partial(_with_training, other)  # no function, and is asked at each call
    assert (other(x, training=True), other(x, training=False)) == (2, 1)


def test_what_forward_takes_is_not_kept_longer_than_the_function():
    def forward(x, training=None):
        return x

    layer, reference = _Plain(), weakref.ref(forward)
    layer.forward = forward
    layer(torch.zeros(1), training=True)
    del layer.forward, forward
    assert reference() is None


def test_a_call_with_training_compiles():
    layer = kt.layers.Dropout(0.5)
    compiled = torch.compile(lambda x: layer(x, training=False) + 1, backend="eager")
    assert torch.equal(compiled(torch.ones(3)), torch.full((3,), 2.0))


# --- build ------------------------------------------------------------------------------------------------------


def test_a_layer_that_a_script_builds_keeps_its_weights():
    layer = layers.Dense(2)
    layer.build((None, 4))
    assert layer.built
    kernel, bias = layer.parameters()
    expected = X @ kernel.T + bias
    torch.testing.assert_close(layer(X), expected)
    assert [id(one) for one in layer.parameters()] == [id(kernel), id(bias)]
    layer.set_weights([np.ones((2, 4)), np.zeros(2)])
    layer.build((None, 4))
    torch.testing.assert_close(layer(X), X.sum(1, keepdim=True).expand(-1, 2))


class Outer(layers.Layer):
    """Builds its inner layer itself, and that of its base class."""

    def __init__(self):
        super().__init__()
        self.inner = layers.Dense(3)

    def build(self, input_shape):
        self.inner.build(input_shape)
        self.factor = self.add_weight((3,), "ones")
        super().build(input_shape)
        self.built = True

    def call(self, x):
        return self.inner(x) * self.factor


class Further(Outer):
    def build(self, input_shape):
        super().build(input_shape)
        self.shift = self.add_weight((3,), "zeros")

    def call(self, x):
        return super().call(x) + self.shift


@pytest.mark.parametrize("kind", [Outer, Further])
def test_build_calls_that_of_the_base_and_of_inner_layers(kind):
    layer = kind()
    layer.build(input_shape=(None, 4))
    weights = [id(one) for one in layer.parameters()]
    assert len(weights) == (3 if kind is Outer else 4)
    assert layer(X).shape == (12, 3)
    assert [id(one) for one in layer.parameters()] == weights
