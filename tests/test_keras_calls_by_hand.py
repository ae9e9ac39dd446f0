"""Layers and models of `kerastorch.keras` called by hand: evaluation by default, and masks kept with tensors."""

import copy
import threading

import numpy as np
import pytest
import torch
from torch import nn

import kerastorch as kt
import kerastorch.keras as keras
from kerastorch.keras import layers

ONES = torch.ones(4, 50)
IDS = torch.tensor([[3, 1, 0, 0], [2, 4, 5, 1]])
MASK = IDS.ne(0)


def is_dropped(output):
    return bool((output == 0).any())


class Watched(layers.Layer):
    """A layer that notes the argument `training` of its calls."""

    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self.seen = []

    def call(self, x, training=None):
        self.seen.append(training)
        return x


# --- the mode ---------------------------------------------------------------------------------------------------


def test_a_new_layer_evaluates_unless_the_call_says_training():
    layer = layers.Dropout(0.5)
    assert not is_dropped(layer(ONES))
    assert not is_dropped(layer(ONES, training=None))
    assert is_dropped(layer(ONES, training=True))
    assert not is_dropped(layer(ONES))
    assert is_dropped(kt.layers.Dropout(0.5)(ONES))  # the main door is torch's


@pytest.mark.parametrize("mode", [True, False])
def test_a_mode_that_the_user_sets_holds_as_in_torch(mode):
    model = keras.Sequential([layers.Dropout(0.5)])
    model.train(mode)
    assert is_dropped(model(ONES)) is mode
    assert is_dropped(model.layers[0](ONES)) is mode
    assert is_dropped(model(ONES, training=not mode)) is not mode


def make_chain():
    return keras.Sequential([layers.Dropout(0.5), nn.Dropout(0.5)])


def make_graph():
    x = keras.Input((50,))
    return keras.Model(x, layers.Dropout(0.5)(x))


def make_own():
    class Own(keras.Model):
        def __init__(self):
            super().__init__()
            self.drop = layers.Dropout(0.5)

        def call(self, x):
            return self.drop(x)

    return Own()


@pytest.mark.parametrize("make", [make_chain, make_graph, make_own])
def test_models_evaluate_by_default_before_and_after_fit(make):
    model = make()
    for _ in range(2):
        assert not is_dropped(model(ONES))
        assert is_dropped(model(ONES, training=True))
        assert not is_dropped(copy.deepcopy(model)(ONES))
        model.compile("sgd", "mse")
        with pytest.warns(UserWarning, match="no parameters"):
            loss = model.fit(ONES, ONES, verbose=0).history["loss"][0]
        assert loss > 0  # dropped values differ from the targets
        assert model.evaluate(ONES, ONES, verbose=0) == 0


def test_an_own_layer_is_told_the_mode():
    layer = Watched()
    model = keras.Sequential([layer, layers.Dense(1)])
    model.compile("sgd", "mse")
    model.build((None, 2))
    layer.seen.clear()
    x, y = np.ones((2, 2), "float32"), np.ones((2, 1), "float32")
    model(x)
    assert {*layer.seen} == {False}
    layer.seen.clear()
    model.fit(x, y, verbose=0)
    assert {*layer.seen} == {True}
    for verb in (lambda: model.evaluate(x, y, verbose=0), lambda: model.predict(x, verbose=0)):
        layer.seen.clear()
        verb()
        assert {*layer.seen} == {False}
    layer.seen.clear()
    model.train_on_batch(x, y)
    assert {*layer.seen} == {True}


def test_layers_in_a_model_of_the_main_door_follow_its_mode():
    assert is_dropped(kt.Sequential([layers.Dropout(0.5)])(ONES))
    x = kt.Input((50,))
    assert is_dropped(kt.Model(x, layers.Dropout(0.5)(x))(ONES))
    assert not is_dropped(kt.Sequential([layers.Dropout(0.5)]).eval()(ONES))


def test_layers_in_an_own_model_of_the_main_door_follow_its_mode_before_and_after_fit():
    class Own(kt.Model):
        def __init__(self):
            super().__init__()
            self.drop, self.dense = layers.Dropout(0.5), layers.Dense(1)

        def forward(self, x):
            return self.dense(self.drop(x))

    for called_first in (True, False):
        model = Own()
        if called_first:
            assert not torch.equal(model(ONES), model(ONES))
        model.compile("sgd", "mse")
        model.fit(ONES, ONES[:, :1], verbose=0)
        assert not torch.equal(model(ONES), model(ONES))
        assert torch.equal(model.eval()(ONES), model(ONES))
    chain = kt.Sequential([nn.Identity()])
    chain(ONES)
    chain.add(layers.Dropout(0.5))
    assert is_dropped(chain(ONES))


def test_layers_of_the_main_door_evaluate_in_a_model_of_keras():
    model = keras.Sequential([kt.layers.Dropout(0.5), nn.Dropout(0.5)])
    assert not is_dropped(model(ONES))
    assert model.layers[0].training
    assert model.layers[1].training


def test_layers_that_build_makes_have_the_mode_of_the_call():
    class Late(layers.Layer):
        def build(self, input_shape):
            self.drop = layers.Dropout(0.5)

        def call(self, x):
            return self.drop(x)

    assert is_dropped(Late()(ONES, training=True))
    assert not is_dropped(Late().eval()(ONES))
    assert is_dropped(Late().train()(ONES))
    late = Late()
    assert not is_dropped(late(ONES))
    assert is_dropped(late(ONES, training=True))


def test_a_step_of_ones_own_says_training_itself():
    class Own(keras.Model):
        def __init__(self):
            super().__init__()
            self.watched, self.dense = Watched(), layers.Dense(1)

        def call(self, x):
            return self.dense(self.watched(x))

        def train_step(self, data):
            x, _ = data
            self.watched.seen.clear()
            self(x)
            self(x, training=True)
            logs = super().train_step(data)  # the step of the library trains
            assert self.watched.seen == [False, True, True]
            return logs

    model = Own()
    model.compile("sgd", "mse")
    model.fit(np.ones((2, 2)), np.ones((2, 1)), verbose=0)
    assert model.watched.seen == [False, True, True]


def test_hooks_of_callbacks_evaluate():
    found = {}

    class Look(keras.callbacks.Callback):
        def on_train_batch_end(self, batch, logs=None):
            found["batch"] = is_dropped(self.model.layers[0](ONES))

        def on_epoch_end(self, epoch, logs=None):
            found["epoch"] = is_dropped(self.model.layers[0](ONES))

    model = keras.Sequential([layers.Dropout(0.5), layers.Dense(1)])
    model.compile("sgd", "mse")
    model.fit(ONES, ONES[:, :1], epochs=2, verbose=0, callbacks=[Look()])
    assert found == {"batch": False, "epoch": False}


def test_threads_may_evaluate_a_model_at_once():
    model = keras.Sequential([kt.layers.Dropout(0.5), nn.Dropout(0.5)])
    wrong = []

    def run():
        for _ in range(200):
            if is_dropped(model(ONES)):
                wrong.append(1)

    threads = [threading.Thread(target=run) for _ in range(4)]
    for one in threads:
        one.start()
    for one in threads:
        one.join()
    assert not wrong


@pytest.mark.parametrize("way", ["clone", "json", "config", "file"])
def test_copies_are_called_as_the_model(way, tmp_path):
    model = keras.Sequential([keras.Input((4,)), layers.Dense(4), layers.Dropout(0.5)])
    if way == "clone":
        again = keras.models.clone_model(model)
    elif way == "json":
        again = keras.models.model_from_json(model.to_json())
    elif way == "config":
        again = keras.Sequential.from_config(model.get_config())
    else:
        model.save(tmp_path / "m.kt")
        again = keras.models.load_model(tmp_path / "m.kt")
        assert is_dropped(kt.load_model(tmp_path / "m.kt")(torch.ones(9, 4)))
    again.set_weights(model.get_weights())
    x = torch.rand(9, 4)
    assert torch.equal(again(x), again(x))
    by_hand = x @ torch.from_numpy(model.get_weights()[0])  # a square kernel, in the layout of Keras
    torch.testing.assert_close(again(x), by_hand)
    assert not torch.equal(again(x, training=True), again(x))


# --- masks ------------------------------------------------------------------------------------------------------


def test_a_layer_sets_the_mask_of_its_output_and_the_next_takes_it():
    embedding, lstm = layers.Embedding(9, 3, mask_zero=True), layers.LSTM(2)
    embedded = embedding(IDS)
    assert torch.equal(embedded._keras_mask, MASK)
    short = lstm(embedding(IDS[:1, :2]))  # the first row without its padding
    torch.testing.assert_close(lstm(embedded)[:1], short)
    assert not torch.allclose(lstm(embedded + 0)[:1], short)  # an operation returns a tensor without the mask
    assert torch.equal(layers.Dropout(0.5)(embedded)._keras_mask, MASK)
    assert not hasattr(kt.layers.Embedding(9, 3, mask_zero=True)(IDS), "_keras_mask")


def test_a_mask_that_is_given_comes_first():
    embedding, lstm = layers.Embedding(9, 3, mask_zero=True), layers.LSTM(2)
    everything = torch.ones_like(MASK)
    given = lstm(embedding(IDS), mask=everything)
    torch.testing.assert_close(given, lstm(embedding(IDS) + 0))


def test_masks_of_arrays_lists_and_several_inputs():
    masking = layers.Masking()
    x = np.array([[[1.0], [0.0]], [[2.0], [3.0]]], "float32")
    assert masking(x)._keras_mask.tolist() == [[True, False], [True, True]]
    embedding = layers.Embedding(9, 4, mask_zero=True)
    added = layers.Add()([embedding(IDS), embedding(IDS)])
    assert torch.equal(added._keras_mask, MASK)
    attention = layers.MultiHeadAttention(2, 2)
    query = torch.rand(2, 3, 4)
    padded = attention(query, embedding(IDS))[:1]
    torch.testing.assert_close(padded, attention(query[:1], embedding(IDS[:1, :2])))


def test_own_layers_take_the_mask_as_an_argument():
    class Mean(layers.Layer):
        def call(self, x, mask=None):
            weights = mask.float().unsqueeze(-1)
            return (x * weights).sum(1) / weights.sum(1)

    class Skip(layers.Layer):
        def compute_mask(self, x, mask=None):
            return mask[:, 1:]

        def call(self, x):
            return x[:, 1:]

    embedded = layers.Embedding(9, 3, mask_zero=True)(IDS)
    torch.testing.assert_close(Mean()(embedded)[0], embedded[0, :2].mean(0))
    assert torch.equal(Skip()(embedded)._keras_mask, MASK[:, 1:])


def test_a_layer_that_knows_no_masks_warns():
    class Plain(layers.Layer):
        def call(self, x):
            return x * 2

    with pytest.warns(UserWarning, match="Plain does not know masks"):
        output = Plain()(layers.Embedding(9, 3, mask_zero=True)(IDS))
    assert getattr(output, "_keras_mask", None) is None


@pytest.mark.parametrize("jit", [False, True])
def test_the_loss_of_an_own_model_leaves_masked_steps_out(jit):
    class Tagger(keras.Model):
        def __init__(self):
            super().__init__()
            self.embedding, self.dense = layers.Embedding(9, 3, mask_zero=True), layers.Dense(1)

        def call(self, ids):
            return self.dense(self.embedding(ids))

    model = Tagger()
    model.compile(keras.optimizers.SGD(0.0), "mse", metrics=["mae"], jit_compile=jit)
    y = torch.rand(2, 4, 1)
    history = model.fit(IDS, y, verbose=0).history
    error = (model.embedding.weight[IDS] @ model.dense.weight.T + model.dense.bias - y).detach()[MASK]
    assert history["loss"][0] == pytest.approx(float(error.square().mean()), rel=1e-5)
    assert history["mae"][0] == pytest.approx(float(error.abs().mean()), rel=1e-5)
    assert model.evaluate(IDS, y, verbose=0)[0] == pytest.approx(float(error.square().mean()), rel=1e-5)


def test_a_symbol_has_the_mask_under_keras_name():
    x = keras.Input((4,), dtype="int64")
    assert x._keras_mask is None
    assert layers.Embedding(9, 3, mask_zero=True)(x)._keras_mask.shape == (None, 4)


# --- training by position, and activations that are computed again -----------------------------------------------


def test_training_may_be_passed_by_position():
    class Noisy(layers.Layer):
        def __init__(self):
            super().__init__()
            self.drop = layers.Dropout(0.5)

        def call(self, x, training=None, scale=1.0):
            return scale * self.drop(x, training)

    layer = Noisy()
    assert is_dropped(layer(ONES, True))
    assert not is_dropped(layer(ONES, False))
    assert not is_dropped(layer(ONES, None))
    assert torch.equal(layer(ONES, False, 3.0), 3 * ONES)
    assert is_dropped(layer(ONES, True, 3.0))


@pytest.mark.parametrize("of", [keras, kt])
def test_activations_are_computed_again_in_the_mode_of_the_call(of):
    """The backward pass runs after the call, when the modes are those from before it."""

    def gradients(checkpointed):
        torch.manual_seed(0)
        block = of.Sequential([of.layers.Dense(8, "relu"), of.layers.Dropout(0.5), of.layers.Dense(8)])
        model = of.Sequential([block, of.layers.Dense(2)])
        model.build((None, 50))
        if of is kt:
            model.eval()
        if checkpointed:
            model.checkpoint_activations("0")
        torch.manual_seed(1)
        model(ONES, training=True).square().sum().backward()
        return [weight.grad for weight in model.parameters()]

    for one, other in zip(gradients(True), gradients(False), strict=True):
        assert torch.equal(one, other)
