"""Models of Keras itself become models of kerastorch, and go back: outputs, weights, and training that goes on."""

import os

os.environ.setdefault("KERAS_BACKEND", "torch")

import numpy as np
import pytest
import torch
from support.keras_models import MODELS, layer_cases, make_layer_model, randomize, sample_of

import kerastorch as kt
import kerastorch.keras

keras = pytest.importorskip("keras")
pytestmark = pytest.mark.filterwarnings("ignore")  # of NumPy and Keras, about each other

MAKERS = {name: lambda keras, name=name: make_layer_model(keras, name) for name in layer_cases()} | MODELS


def made(name):
    """A model of Keras with random weights."""
    keras.utils.set_random_seed(0)
    model = MAKERS[name](keras)
    randomize(model, np.random.default_rng(0))
    return model


def outputs(model, sample):
    with torch.no_grad():
        found = model(sample, training=False)
    leaves = found.values() if isinstance(found, dict) else found if isinstance(found, (list, tuple)) else [found]
    return [one.numpy() for one in leaves]


def check_equal(found, expected):
    for one, other in zip(found, expected, strict=True):
        scale = max(1.0, np.abs(other).max())
        np.testing.assert_allclose(one / scale, other / scale, atol=1e-5)


@pytest.mark.parametrize("name", MAKERS)
def test_both_ways(name, tmp_path):
    model = made(name)
    sample = sample_of(model, np.random.default_rng(1))
    converted = kerastorch.keras.convert(model, sample)
    for one, other in zip(converted.get_weights(), model.get_weights(), strict=True):
        np.testing.assert_array_equal(one, other)
    converted.save(tmp_path / "model.keras")
    back = keras.saving.load_model(tmp_path / "model.keras")
    check_equal(outputs(back, sample), outputs(model, sample))
    for one, other in zip(back.get_weights(), model.get_weights(), strict=True):
        np.testing.assert_array_equal(one, other)


@pytest.mark.parametrize("name", MODELS)
def test_files_of_weights_both_ways(name, tmp_path):
    model = made(name)
    sample = sample_of(model, np.random.default_rng(1))
    converted = kerastorch.keras.convert(model, sample)
    expected = outputs(model, sample)
    converted.save_weights(tmp_path / "model.weights.h5")
    model.set_weights([np.zeros_like(one) for one in model.get_weights()])
    model.load_weights(tmp_path / "model.weights.h5")
    check_equal(outputs(model, sample), expected)
    model.save_weights(tmp_path / "back.weights.h5")
    converted.set_weights([np.zeros_like(one) for one in converted.get_weights()])
    converted.load_weights(tmp_path / "back.weights.h5")
    check_equal(outputs(converted, sample), expected)


# Keras does not read its own files in the former format of these: five have operations of `keras.ops`.
UNREADABLE = ("layer_normalization", "masked", "nested", "operations", "residual", "transformer", "two_heads")


@pytest.mark.parametrize("name", UNREADABLE)
def test_files_of_the_former_format_that_keras_does_not_read(name, tmp_path):
    made(name).save(tmp_path / "model.h5")
    with pytest.raises((ValueError, TypeError)):
        keras.saving.load_model(tmp_path / "model.h5")


@pytest.mark.parametrize("name", MAKERS)
def test_files_of_the_former_format(name, tmp_path):
    model = made(name)
    sample = sample_of(model, np.random.default_rng(1))
    model.save(tmp_path / "model.h5")
    found = kt.load_model(tmp_path / "model.h5")
    expected = outputs(model, sample)
    check_equal(outputs(found.eval(), sample), expected)
    found.save(tmp_path / "again.h5")
    if name not in UNREADABLE:
        back = keras.saving.load_model(tmp_path / "again.h5")
        check_equal(outputs(back, sample), expected)
    check_equal(outputs(kt.load_model(tmp_path / "again.h5").eval(), sample), expected)


OPTIMIZERS = {
    "adam": lambda of: of.Adam(1e-2),
    "adam with amsgrad": lambda of: of.Adam(1e-2, amsgrad=True),
    "adamw": lambda of: of.AdamW(1e-2, weight_decay=0.1),
    "adamax": lambda of: of.Adamax(1e-2),
    "adagrad": lambda of: of.Adagrad(0.1),
    "rmsprop": lambda of: of.RMSprop(1e-2),
    "rmsprop with momentum": lambda of: of.RMSprop(1e-2, momentum=0.5, centered=True),
    "sgd": lambda of: of.SGD(0.1),
    "sgd with momentum": lambda of: of.SGD(0.1, momentum=0.9),
    "sgd with nesterov": lambda of: of.SGD(0.1, momentum=0.9, nesterov=True),
    "schedule": lambda of: of.Adam(of.schedules.ExponentialDecay(0.05, 10, 0.9)),
}
X = np.random.default_rng(0).normal(size=(20, 3)).astype("float32")
Y = np.random.default_rng(1).normal(size=(20, 2)).astype("float32")


def trained(package, make):
    """A compiled model of either package, after two epochs."""
    package.utils.set_random_seed(0)
    layers = [package.layers.Dense(4, activation="tanh"), package.layers.Dense(2)]
    model = package.Sequential([package.Input((3,)), *layers])
    model.compile(make(package.optimizers), package.losses.MeanSquaredError(), metrics=["mae"])
    model.fit(X, Y, batch_size=5, epochs=2, shuffle=False, verbose=0)
    return model


@pytest.mark.parametrize("name", OPTIMIZERS)
@pytest.mark.parametrize("begins", ["keras", "kerastorch"])
def test_training_goes_on_in_the_other_one(name, begins, tmp_path):
    packages = {"keras": (keras, kt), "kerastorch": (kt, keras)}
    one, other = packages[begins]
    model = trained(one, OPTIMIZERS[name])
    model.save(tmp_path / "model.keras")
    following = other.saving.load_model(tmp_path / "model.keras")
    for _ in range(3):
        model.train_on_batch(X[:5], Y[:5])
        following.train_on_batch(X[:5], Y[:5])
    np.testing.assert_allclose(following.predict(X, verbose=0), model.predict(X, verbose=0), rtol=1e-4, atol=1e-4)


class Scaled(keras.layers.Layer):
    """A layer of Keras that a script has written."""

    def build(self, input_shape):
        self.scale = self.add_weight(shape=(input_shape[-1],), name="scale")

    def call(self, x):
        return x * self.scale


def test_a_layer_of_the_users_own():
    class Own(kerastorch.keras.layers.Layer):
        def build(self, input_shape):
            self.scale = self.add_weight((input_shape[-1],), name="scale")

        def call(self, x):
            return x * self.scale

    model = keras.Sequential([keras.Input((3,)), Scaled(), keras.layers.Dense(2)])
    with pytest.raises(kt.errors.CheckpointError, match="Scaled"):
        kerastorch.keras.convert(model)
    kerastorch.keras.convert(model, custom_objects={"Scaled": Own})


def test_other_outputs_are_an_error():
    class Wrong(kerastorch.keras.layers.Layer):
        def build(self, input_shape):
            self.scale = self.add_weight((input_shape[-1],), name="scale")

        def call(self, x):
            return x + self.scale

    model = keras.Sequential([keras.Input((3,)), Scaled()])
    with pytest.raises(kt.errors.ConversionError, match="differs from that of Keras"):
        kerastorch.keras.convert(model, custom_objects={"Scaled": Wrong})


def test_texts(tmp_path):
    """A vocabulary beside the config, as Keras writes it; Keras itself needs TensorFlow for texts."""
    model = kt.Sequential([kt.layers.StringLookup(vocabulary=["a", "b"]), kt.layers.Embedding(3, 2)])
    model(np.array([["a", "x"]]))
    model.save(tmp_path / "texts.keras")
    again = kt.load_model(tmp_path / "texts.keras")
    assert again.layers[0].get_vocabulary() == ["[UNK]", "a", "b"]
    torch.testing.assert_close(again(np.array([["b", "x"]])), model(np.array([["b", "x"]])))
