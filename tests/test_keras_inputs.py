"""Inputs of Keras' scripts: unused and optional ones, and tensors of TensorFlow."""

import copy
import pickle

import numpy as np
import pytest
import torch

import kerastorch as kt
import kerastorch.keras as keras

X = torch.rand(4, 3, generator=torch.Generator().manual_seed(0))


# --- inputs that no output needs --------------------------------------------------------------------------------


def unused():
    x, z = keras.Input((3,), name="x"), keras.Input((2,), name="z")
    return keras.Model([x, z], keras.layers.Dense(2)(x))


def test_an_input_that_no_output_needs_has_no_effect(tmp_path):
    model = unused()
    names = [layer.name for layer in model.layers if isinstance(layer, keras.layers.InputLayer)]
    assert names == ["x", "z"]
    found = model([X, torch.zeros(4, 2)])
    torch.testing.assert_close(found, model.layers[-1](X))
    assert torch.equal(found, model([X, torch.ones(4, 2)]))
    with pytest.raises(ValueError, match="The model takes 2 inputs"):
        model(X, X, X)
    model.compile("sgd", "mse")
    model.fit([X, np.ones((4, 2))], np.ones((4, 2)), verbose=0)
    model.save(tmp_path / "m.kt")
    given = [X, torch.ones(4, 2)]
    for again in (copy.deepcopy(model), kt.load_model(tmp_path / "m.kt"), keras.models.clone_model(model)):
        again.load_state_dict(model.state_dict())
        torch.testing.assert_close(again(given), model(given))


# --- optional inputs --------------------------------------------------------------------------------------------


@keras.saving.register_keras_serializable("tests")
class AddIfGiven(keras.layers.Layer):
    def call(self, x, more=None):
        return x if more is None else x + more


def optional():
    x, more = keras.Input((3,), name="x"), keras.Input((3,), name="more", optional=True)
    return keras.Model([x, more], AddIfGiven()(x, more))


def test_an_optional_input_may_be_none(tmp_path):
    model = optional()
    model.save(tmp_path / "m.kt")
    for one in (
        model, copy.deepcopy(model), pickle.loads(pickle.dumps(model)), kt.load_model(tmp_path / "m.kt"),
        keras.models.clone_model(model),
    ):  # fmt: skip
        assert torch.equal(one([X, None]), X)
        assert torch.equal(one([X, X]), 2 * X)
        assert one.inputs[1].optional
        with pytest.raises(ValueError, match="Input 'x' is None"):
            one([None, X])


def test_an_input_is_not_optional_by_default():
    x, more = keras.Input((3,), name="x"), keras.Input((3,), name="more")
    with pytest.raises(ValueError, match="Input 'more' is None"):
        keras.Model([x, more], AddIfGiven()(x, more))([X, None])


def test_an_input_of_strings_says_what_to_do():
    for name in ("string", "str"):
        with pytest.raises(ValueError, match="torch has no tensors of strings"):
            keras.Input((1,), dtype=name)


# --- tensors of TensorFlow --------------------------------------------------------------------------------------


class EagerTensor:
    """What an eager tensor of TensorFlow looks like from here."""

    __module__ = "tensorflow.python.framework.ops"

    def __init__(self, array):
        self.array = array

    def numpy(self):
        return self.array


class SymbolicTensor:
    """What a tensor of a graph of TensorFlow looks like from here."""

    __module__ = "tensorflow.python.framework.ops"

    def numpy(self):
        raise NotImplementedError("numpy() is only available when eager execution is enabled.")


@pytest.mark.parametrize("layer", [keras.layers.Rescaling(0.5), keras.layers.Dense(2)])
def test_eager_tensors_are_taken_as_arrays(layer):
    torch.testing.assert_close(layer(EagerTensor(X.numpy())), layer(X))


def test_texts_of_eager_tensors_are_read():
    layer = keras.layers.StringLookup(vocabulary=["a", "b"])
    assert torch.equal(layer(EagerTensor(np.array([b"b", b"a"], dtype=object))), layer(["b", "a"]))


@pytest.mark.parametrize(
    "layer",
    [
        keras.layers.Rescaling(0.5), keras.layers.RandomFlip(), keras.layers.Dense(2),
        keras.layers.StringLookup(vocabulary=["a"]), keras.layers.TextVectorization(vocabulary=["a"]),
        keras.layers.Hashing(3), keras.layers.Discretization([0.5]),
    ],
)  # fmt: skip
def test_a_symbolic_tensor_is_an_error_in_plain_words(layer):
    with pytest.raises(TypeError, match=r"symbolic tensor of TensorFlow, as in tf\.data\.Dataset\.map"):
        layer(SymbolicTensor())
    with pytest.raises(TypeError, match="symbolic tensor of TensorFlow"):
        kt.Sequential([layer])(SymbolicTensor())
