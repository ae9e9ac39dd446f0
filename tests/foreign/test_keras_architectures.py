"""Architectures of Keras' guides and applications: converted, saved, loaded by the other library, built by either."""

import os

os.environ.setdefault("KERAS_BACKEND", "torch")

import numpy as np
import pytest
import torch
from support.keras_image_architectures import IMAGES
from support.keras_models import MODELS, randomize, sample_of, vary
from support.keras_own_layers import own_layers
from support.keras_text_architectures import TEXTS_AND_TABLES

import kerastorch as kt
import kerastorch.keras as ours

keras = pytest.importorskip("keras")
pytestmark = pytest.mark.filterwarnings("ignore")  # of NumPy and Keras, about each other

ARCHITECTURES = {make.__name__: make for make in (*IMAGES, *TEXTS_AND_TABLES)}
ROWS = np.array([[1, 2], [3, 4], [5, 6]])


def leaves(outputs):
    """The arrays of outputs, those of a dict in the order of its sorted keys."""
    if isinstance(outputs, dict):
        return [leaf for name in sorted(outputs) for leaf in leaves(outputs[name])]
    return [leaf for one in outputs for leaf in leaves(one)] if isinstance(outputs, (list, tuple)) else [outputs]


def check_equal(model, other, sample):
    """Compare the outputs of two models, relative to the largest of each output."""
    with torch.no_grad():
        found, expected = (leaves(one(sample, training=False)) for one in (model, other))
    for one, value in zip(found, expected, strict=True):
        scale = float(value.abs().max())
        assert scale > 1e-3
        torch.testing.assert_close(one / scale, value / scale, rtol=0, atol=1e-5)


def made(name):
    """A model of Keras with random weights, and inputs."""
    keras.utils.set_random_seed(0)
    model = (ARCHITECTURES | MODELS)[name](keras)
    randomize(model, np.random.default_rng(0))
    if name == "recommender":
        return model, ROWS
    sample = sample_of(model, np.random.default_rng(1))
    if name == "translation":  # without padding, whose masks Keras also hands to layers that call others
        sample = {key: value + 1 for key, value in sample.items()}
    return model, sample


@pytest.mark.parametrize("name", ARCHITECTURES)
def test_a_model_of_keras_is_converted_and_opened_there_again(name, tmp_path):
    model, sample = made(name)
    converted = ours.convert(model, sample, own_layers(ours))
    check_equal(converted, model, sample)
    for one, other in zip(converted.get_weights(), model.get_weights(), strict=True):
        np.testing.assert_array_equal(one, other)
    converted.save(tmp_path / "model.keras")
    back = keras.saving.load_model(tmp_path / "model.keras", custom_objects=own_layers(keras))
    check_equal(back, model, sample)
    if name != "recommender":  # which Keras writes with a graph only
        model.save(tmp_path / "model.h5")
        check_equal(kt.load_model(tmp_path / "model.h5", custom_objects=own_layers(ours)).eval(), model, sample)


@pytest.mark.parametrize("name", [*(name for name in MODELS if name != "transformer"), *ARCHITECTURES])
def test_the_same_script_makes_models_that_exchange_weights_and_files(name, tmp_path):
    theirs, sample = made(name)
    kt.utils.set_random_seed(0)
    model = (ARCHITECTURES | MODELS)[name](ours)
    if name == "recommender":
        model.compile("sgd", "mse")
        model.fit(ROWS, np.zeros((3, 1)), verbose=0)  # the shapes of whose inputs are known from then on
    model.eval()
    model.set_weights(theirs.get_weights())
    check_equal(model, theirs, sample)
    model.save(tmp_path / "model.keras")
    check_equal(keras.saving.load_model(tmp_path / "model.keras", custom_objects=own_layers(keras)), theirs, sample)
    randomize(theirs, np.random.default_rng(2))
    theirs.save_weights(tmp_path / "theirs.weights.h5")
    model.load_weights(tmp_path / "theirs.weights.h5")
    check_equal(model, theirs, sample)
    model.save_weights(tmp_path / "ours.weights.h5")
    randomize(theirs, np.random.default_rng(3))
    theirs.load_weights(tmp_path / "ours.weights.h5")
    check_equal(model, theirs, sample)


APPLICATIONS = {
    "MobileNetV2": {"alpha": 0.35},
    "MobileNetV3Small": {},
    "EfficientNetB0": {},
    "ResNet50V2": {},
    "VGG16": {},
    "EfficientNetV2B0": {},
    "Xception": {"size": 71},
    "ResNet50": {},
    "DenseNet121": {},
    "InceptionV3": {"size": 75},
}
QUICK = 5  # the others of these run with the slow tests


@pytest.mark.parametrize(
    "name",
    [pytest.param(name, marks=[pytest.mark.slow] if at >= QUICK else []) for at, name in enumerate(APPLICATIONS)],
)
def test_applications(name, tmp_path):
    options = dict(APPLICATIONS[name])
    size = options.pop("size", 32)
    keras.utils.set_random_seed(0)
    kind = getattr(keras.applications, name)
    model = kind(weights=None, include_top=False, pooling="avg", input_shape=(size, size, 3), **options)
    vary(model, np.random.default_rng(0))
    sample = np.random.default_rng(1).uniform(0, 255, (2, size, size, 3)).astype("float32")
    converted = ours.convert(model, sample)
    check_equal(converted, model, sample)
    converted.save(tmp_path / "model.keras")
    check_equal(keras.saving.load_model(tmp_path / "model.keras"), model, sample)
