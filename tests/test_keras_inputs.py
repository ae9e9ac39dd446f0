"""Inputs of Keras' scripts: unused and optional ones, and tensors of TensorFlow."""

import copy
import pickle

import numpy as np
import pytest
import torch
from torch import nn

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


# --- what Keras takes, too --------------------------------------------------------------------------------------


@pytest.mark.parametrize("shape", [(2, 3, 3), (2, 3, 3, 1), (2, 3, 3, 1, 1)])
def test_a_last_axis_of_one_is_added_or_removed(shape):
    x = keras.Input((3, 3, 1))
    model = keras.Model(x, keras.layers.Flatten()(x))
    values = torch.arange(18.0).reshape(shape)
    assert torch.equal(model(values), values.reshape(2, 9))
    assert np.array_equal(model.predict(values.numpy(), verbose=0), values.reshape(2, 9))


def test_other_numbers_of_axes_are_errors_and_so_are_they_in_the_main_door():
    x = keras.Input((3, 3, 1))
    with pytest.raises(ValueError, match="has shape"):
        keras.Model(x, keras.layers.Flatten()(x))(torch.zeros(2, 9))
    x = kt.Input((3, 3, 1))
    with pytest.raises(ValueError, match="has shape"):
        kt.Model(x, kt.layers.Flatten()(x))(torch.zeros(2, 3, 3))


def test_a_model_without_weights_is_fitted_for_its_numbers():
    class Penalty(keras.layers.Layer):
        def call(self, x):
            self.add_loss(0.5 * x.sum())
            return x

    x = keras.Input((3,))
    model = keras.Model(x, Penalty()(x))
    model.compile("adam", "mse", metrics=["mae"])
    with pytest.warns(UserWarning, match="has no parameters, so nothing is trained"):
        history = model.fit(np.ones((2, 3)), np.zeros((2, 3)), verbose=0).history
    assert (history["loss"], history["mae"]) == ([0.5 * 6 + 1], [1.0])
    plain = kt.Sequential([nn.Identity()])
    plain.compile("adam", "mse")
    with pytest.raises(ValueError, match="nothing to train"):
        plain.fit(np.ones((2, 3)), np.zeros((2, 3)), verbose=0)


def test_batch_size_is_ignored_with_a_pydataset():
    class Ones(keras.utils.PyDataset):
        def __len__(self):
            return 3

        def __getitem__(self, index):
            return np.ones((4, 2)), np.ones((4, 1))

    seen = []

    class Count(keras.callbacks.Callback):
        def on_train_batch_end(self, batch, logs=None):
            seen.append(batch)

    model = keras.Sequential([keras.layers.Dense(1)])
    model.compile("sgd", "mse")
    with pytest.warns(UserWarning, match="batch_size has no effect on a PyDataset"):
        model.fit(Ones(), batch_size=2, verbose=0, callbacks=[Count()])
    assert seen == [0, 1, 2]


def test_a_metric_that_a_layer_updates_ignores_the_symbols():
    class Endpoint(keras.layers.Layer):
        def __init__(self):
            super().__init__()
            self.error = keras.metrics.MeanAbsoluteError(name="error")

        def call(self, target, x):
            self.error.update_state(target, x)
            return x

    x, target = keras.Input((1,), name="x"), keras.Input((1,), name="target")
    model = keras.Model([x, target], Endpoint()(target, keras.layers.Dense(1, kernel_initializer="zeros")(x)))
    model.compile(keras.optimizers.SGD(0.0), "mse")
    data = {"x": np.ones((4, 1)), "target": np.full((4, 1), 3.0)}
    assert model.fit(data, np.zeros((4, 1)), verbose=0).history["error"] == [3.0]


def test_states_of_a_stateful_layer_begin_another():
    lstm = keras.layers.LSTM(2, stateful=True)
    assert lstm.states is None
    first, second = torch.rand(3, 4, 5), torch.rand(3, 4, 5)
    lstm(first)
    states = [one.clone() for one in lstm.states]
    assert [tuple(one.shape) for one in states] == [(3, 2), (3, 2)]
    other = keras.layers.LSTM(2)
    other.build((3, 4, 5))
    other.set_weights(lstm.get_weights())
    torch.testing.assert_close(other(second, initial_state=states), lstm(second))


def test_an_embedding_is_built_without_a_shape():
    embedding = keras.layers.Embedding(4, 2)
    embedding.build()
    assert embedding.embeddings.shape == (4, 2)


def test_what_a_layer_returned_for_numbers_is_a_constant_of_the_model():
    """As in Keras: the weights of the embedding are no part of the model."""
    x = keras.Input((3, 2))
    positions = keras.layers.Embedding(3, 2)
    places = torch.arange(3)
    with pytest.warns(UserWarning, match="is a constant of the model"):
        y = x + positions(places)
    model = keras.Model(x, keras.layers.Flatten()(y))
    values = torch.rand(4, 3, 2)
    expected = (values + positions.weight.detach()).reshape(4, 6)
    torch.testing.assert_close(model(values), expected)
    assert model.weights == []
    with torch.no_grad():
        positions.weight.zero_()
    torch.testing.assert_close(model(values), expected)
    with pytest.raises(TypeError, match="made of weights"):
        kt.Input((3, 2)) + kt.layers.Embedding(3, 2)(places)


# --- models with build ------------------------------------------------------------------------------------------


class Built(keras.Model):
    def __init__(self):
        super().__init__()
        self.shapes = []

    def build(self, input_shape):
        self.shapes.append(tuple(input_shape))
        self.blocks = [keras.layers.Dense(input_shape[-1]) for _ in range(2)]
        super().build(input_shape)

    def call(self, x):
        for block in self.blocks:
            x = block(x)
        return x


def test_build_of_a_model_runs_once_before_its_first_call():
    model = Built()
    assert not model.built
    assert model(X).shape == X.shape
    model(X)
    assert model.built
    assert (model.shapes, model.count_params()) == ([(4, 3)], 2 * 12)


def test_build_of_a_model_runs_before_fit_makes_the_optimizer():
    model = Built()
    model.compile(keras.optimizers.SGD(1.0), "mse")
    model.fit(X, X, verbose=0)
    assert len(model.trainable_weights) == 4
    by_hand = Built()
    by_hand.build((None, 3))
    by_hand(X)
    assert by_hand.shapes == [(None, 3)]
    before = [array.copy() for array in by_hand.get_weights()]
    by_hand.compile(keras.optimizers.SGD(1.0), "mse")
    by_hand.fit(X, X, verbose=0)
    assert all((one != other).any() for one, other in zip(before, by_hand.get_weights(), strict=True))


def test_a_model_whose_build_failed_is_built_by_the_next_call():
    class Fails(Built):
        def build(self, input_shape):
            if not self.shapes:
                self.shapes.append(None)
                raise RuntimeError("no")
            super().build(input_shape)

    model = Fails()
    with pytest.raises(RuntimeError, match="no"):
        model(X)
    assert model(X).shape == X.shape
    assert copy.deepcopy(Built())(X).shape == X.shape
