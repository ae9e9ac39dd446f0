"""Weights as Keras' scripts use them: `add_weight`, `build`, and the methods of variables."""

import copy
import json
import pickle

import numpy as np
import pytest
import torch
from torch import nn

import kerastorch as kt
import kerastorch.keras as keras

X = torch.rand(4, 3, generator=torch.Generator().manual_seed(0))


def dense():
    layer = keras.layers.Dense(2)
    layer(X)
    return layer


# --- methods ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("make", [lambda: dense().weight, lambda: nn.Linear(3, 2).weight], ids=["own", "torch"])
def test_weights_have_the_methods_of_variables(make):
    weight = make()
    assert type(weight) is nn.Parameter
    before = weight.numpy()
    weight.assign(np.ones((2, 3)))
    assert torch.equal(weight, torch.ones(2, 3))
    assert not np.array_equal(before, weight.numpy())  # it is a copy
    assert weight.assign_add(1.0) is weight
    weight.assign_sub(torch.full((2, 3), 0.5))
    np.testing.assert_array_equal(weight.numpy(), np.full((2, 3), 1.5))
    np.testing.assert_array_equal(np.asarray(weight), np.full((2, 3), 1.5))
    assert weight.requires_grad
    (weight * 2).sum().backward()
    assert torch.equal(weight.value.grad, torch.full((2, 3), 2.0))


@pytest.mark.parametrize("value", [np.ones(3), 1.0, torch.ones(3, 2)])
def test_a_value_of_another_shape_is_an_error(value):
    with pytest.raises(ValueError, match=r"A weight of shape \(2, 3\) was assigned a value of"):
        dense().weight.assign(value)


def test_halves_become_arrays():
    weight = nn.Parameter(torch.ones(2, dtype=torch.bfloat16))
    assert weight.numpy().dtype == np.float32


def test_weights_stay_parameters_in_copies_and_pickles():
    layer = dense()
    for again in (copy.deepcopy(layer), pickle.loads(pickle.dumps(layer))):
        assert type(again.weight) is nn.Parameter
        again.weight.assign(torch.zeros(2, 3))
        assert layer.weight.abs().sum() > 0
        assert again.weight.name == "kernel"


def test_weights_are_compiled():
    layer = dense()
    compiled = torch.compile(lambda x: x @ layer.weight.value.T, backend="eager", fullgraph=True)
    torch.testing.assert_close(compiled(X), X @ layer.weight.T)


def test_weights_have_names_and_paths():
    model = keras.Sequential(
        [
            keras.Input((3,)),
            keras.layers.Dense(3, name="first"),
            keras.layers.BatchNormalization(),
            keras.layers.Dense(3),
            keras.layers.Dense(2),
        ]
    )
    names = [one.name for one in model.trainable_weights]
    assert names == ["kernel", "bias", "gamma", "beta", "kernel", "bias", "kernel", "bias"]
    paths = [one.path for one in model.trainable_weights]
    assert paths[:2] == ["first/kernel", "first/bias"]
    assert len(set(paths)) == len(paths)
    assert [one.path for one in model.trainable_weights] == paths
    assert nn.Linear(2, 2).weight.path is None
    table = keras.layers.Embedding(4, 2)
    table.build((None, 3))
    assert table.weight.name == "embeddings"


def test_a_step_of_keras_for_torch_trains():
    layer = dense()
    plain = copy.deepcopy(layer)
    optimizer = keras.optimizers.SGD(0.5)(layer.parameters())
    layer(X).square().sum().backward()
    gradients = [one.value.grad for one in layer.trainable_weights]
    with torch.no_grad():
        optimizer.apply(gradients, layer.trainable_weights)
    other = torch.optim.SGD(plain.parameters(), 0.5)
    plain(X).square().sum().backward()
    other.step()
    torch.testing.assert_close(layer.weight, plain.weight)


# --- add_weight -------------------------------------------------------------------------------------------------


class Scales(keras.layers.Layer):
    """Weights in an attribute of another name, a list, a dict, and a counter."""

    def build(self, input_shape):
        size = (input_shape[-1],)
        self.factor = self.add_weight(shape=size, initializer="ones", regularizer=keras.regularizers.L2(0.5), name="w")
        self.shifts = [self.add_weight(shape=size, initializer="zeros", name=f"shift_{n}") for n in range(2)]
        self.more = {"scale": self.add_weight(initializer="ones", constraint="non_neg")}
        self.calls = self.add_weight(dtype="int32", trainable=False)
        self.built = True

    def call(self, x):
        self.calls.assign_add(1)
        return (x * self.factor + sum(self.shifts)) * self.more["scale"]


def test_weights_are_tracked_wherever_they_are_kept(tmp_path):
    layer = Scales()
    model = keras.Sequential([keras.Input((3,)), layer])
    names = ["factor", "calls", "shift_0", "shift_1", "weight"]
    assert [name for name, _ in layer.named_parameters()] == names
    assert [tuple(one.shape) for one in layer.trainable_weights] == [(3,), (3,), (3,), ()]
    assert layer.calls.dtype is torch.int32
    before = int(layer.calls)
    model.compile(keras.optimizers.SGD(0.1), "mse")
    model.fit(X, torch.zeros(4, 3), verbose=0)
    assert int(layer.calls) > before
    assert layer.shifts[0].abs().sum() > 0
    model.save_weights(tmp_path / "w.safetensors")
    again = keras.Sequential([keras.Input((3,)), Scales()])
    again.load_weights(tmp_path / "w.safetensors")
    torch.testing.assert_close(again.eval()(X), model.eval()(X))
    copied = copy.deepcopy(model)
    assert copied.layers[0].shifts[0] is copied.layers[0].shift_0


def test_a_regularizer_belongs_to_the_weight_and_not_to_its_name():
    layer = Scales()
    layer(X)
    (penalty,) = layer.losses
    assert penalty.item() == pytest.approx(0.5 * 3)
    assert set(layer.weight_regularizers) == {"factor"}
    assert set(layer.weight_constraints) == {"weight"}


def test_a_weight_that_is_dropped_or_belongs_to_another_layer_is_not_registered():
    class Gives(keras.layers.Layer):
        def __init__(self):
            super().__init__()
            self.inner = keras.layers.Identity()

        def build(self, input_shape):
            self.add_weight(shape=(3,))
            self.inner.factor = self.add_weight(shape=(3,), initializer="ones")

        def call(self, x):
            return x * self.inner.factor

    layer = Gives()
    layer(X)
    assert [name for name, _ in layer.named_parameters()] == ["inner.factor"]


def test_weights_are_made_in_the_constructor_too():
    class Total(keras.layers.Layer):
        def __init__(self):
            super().__init__()
            self.total = self.add_weight(shape=(3,), initializer="zeros", trainable=False, name="total")

        def call(self, x):
            self.total.assign_add(x.sum(0))
            return self.total

    layer = Total()
    torch.testing.assert_close(layer(X), X.sum(0))
    assert layer.trainable_weights == []
    with pytest.raises(ValueError, match="dtype must be a dtype of torch or its name"):
        Total().add_weight(dtype="string")


def test_integers_begin_with_zeros_and_are_not_trained():
    class Counts(keras.layers.Layer):
        def __init__(self):
            super().__init__()
            self.seen = self.add_weight(shape=(2,), dtype=torch.int64)

    assert torch.equal(Counts().seen, torch.zeros(2, dtype=torch.int64))
    assert not Counts().seen.requires_grad


# --- build ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "layer", [keras.layers.Dense(2), keras.layers.LSTM(2), keras.layers.BatchNormalization(), Scales()]
)
def test_build_builds_a_layer(layer):
    shape = (None, 5, 3)
    layer.build(shape)
    assert layer.built
    before = layer.get_weights()
    layer.eval()(torch.ones(2, 5, 3))
    layer.build(shape)
    for one, other in zip(before, layer.get_weights(), strict=True):
        if one.dtype == np.float32:
            np.testing.assert_array_equal(one, other)


def test_a_layer_builds_its_inner_layers():
    class Outer(keras.layers.Layer):
        def __init__(self):
            super().__init__()
            self.inner = keras.layers.Dense(2)

        def build(self, input_shape):
            self.inner.build(input_shape)
            super().build(input_shape)

        def call(self, x):
            return self.inner(x)

    layer = Outer()
    layer.build((None, 3))
    assert [tuple(one.shape) for one in layer.weights] == [(2, 3), (2,)]


@pytest.mark.parametrize("shapes", [[(None, 3)], [(None, 4, 3), (None, 5, 3)]])
def test_a_layer_is_built_from_the_config_of_another(shapes):
    make = kt.layers.Dense if len(shapes) == 1 else kt.layers.Attention
    arguments = {"units": 2} if len(shapes) == 1 else {"use_scale": True}
    layer, again = make(**arguments), make(**arguments)
    assert layer.get_build_config() is None
    if len(shapes) == 1:
        layer.build(shapes[0])
    else:
        layer.build(shapes)
    again.build_from_config(json.loads(json.dumps(layer.get_build_config())))
    assert [one.shape for one in again.weights] == [one.shape for one in layer.weights]
    assert again.get_build_config() == layer.get_build_config()


# --- names and layouts of Keras ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("layer", "shape", "expected"),
    [
        (keras.layers.Dense(2, "relu"), (1, 3), (3, 2)),
        (keras.layers.Dense(2), (1, 3), (3, 2)),
        (keras.layers.Conv1D(4, 2), (1, 6, 3), (2, 3, 4)),
        (keras.layers.Conv2D(4, (2, 1)), (1, 6, 5, 3), (2, 1, 3, 4)),
        (keras.layers.Conv2DTranspose(4, (2, 1)), (1, 6, 5, 3), (2, 1, 4, 3)),
    ],
)
def test_a_kernel_has_the_layout_of_keras(layer, shape, expected):
    x = torch.rand(shape)
    layer(x)
    assert tuple(layer.kernel.shape) == expected
    assert layer.kernel.numpy().shape == expected
    values = np.random.default_rng(0).random(expected).astype("float32")
    layer.kernel.assign(values)
    np.testing.assert_array_equal(layer.kernel.numpy(), values)
    np.testing.assert_array_equal(np.moveaxis(values, (-2, -1), (1, 0)), layer.weight.numpy())
    layer.kernel.assign_add(1.0 + np.zeros(expected))
    layer.kernel.assign_sub(np.full(expected, 0.5))
    np.testing.assert_allclose(layer.kernel.numpy(), values + 0.5, rtol=1e-6)
    with pytest.raises(ValueError, match="was assigned a value of"):
        layer.kernel.assign(np.ones(expected[::-1]))
    (layer.kernel * 2).sum().backward()
    assert torch.equal(layer.weight.grad, torch.full_like(layer.weight, 2.0))
    assert type(layer.kernel * 2) is torch.Tensor
    assert type(layer.weight) is nn.Parameter


def test_a_kernel_computes_what_the_layer_does():
    layer = dense()
    torch.testing.assert_close(keras.ops.matmul(X, layer.kernel) + layer.bias, layer(X))


def test_weights_of_the_same_layout_are_the_parameters_and_buffers():
    table = keras.layers.Embedding(4, 2)
    table.build((None, 3))
    assert table.embeddings is table.weight
    norm = keras.layers.BatchNormalization()
    norm.build((None, 3))
    assert (norm.gamma, norm.beta) == (norm.weight, norm.bias)
    norm.moving_mean.assign(np.array([1.0, 2.0, 3.0]))
    norm.moving_variance.assign(torch.full((3,), 4.0))
    torch.testing.assert_close(norm.eval()(torch.zeros(1, 3)), torch.tensor([[-0.5, -1.0, -1.5]]), rtol=1e-3, atol=1e-3)


def test_a_layer_of_ones_own_may_have_weights_of_these_names():
    class Own(keras.layers.Dense):
        def build(self, input_shape):
            self.kernel = self.add_weight(shape=(input_shape[-1], self.units), initializer="ones")
            self.bias = None

        def call(self, x):
            return x @ self.kernel

    layer = Own(2)
    assert torch.equal(layer(torch.ones(1, 3)), torch.full((1, 2), 3.0))
    assert [name for name, _ in layer.named_parameters()] == ["kernel"]


def test_numpy_of_a_weight_that_torch_reads_shares_its_memory():
    frozen = torch.nn.Parameter(torch.zeros(2), requires_grad=False)
    frozen.numpy()[0] = 1.0
    assert frozen.tolist() == [1.0, 0.0]


# --- numbers, order and names -----------------------------------------------------------------------------------


def test_count_params_counts_the_arrays_of_keras():
    x = keras.Input((4,))
    model = keras.Model(x, keras.layers.BatchNormalization()(keras.layers.Dense(3)(x)))
    assert model.count_params() == 4 * 3 + 3 + 4 * 3
    assert kt.Sequential([nn.Linear(4, 3), nn.BatchNorm1d(3)]).count_params() == 4 * 3 + 3 + 2 * 3


def test_a_shared_layer_counts_once():
    dense = keras.layers.Dense(3)
    x = keras.Input((3,))
    assert keras.Model(x, dense(dense(x))).count_params() == 12


def test_arrays_of_a_functional_model_are_in_the_order_of_its_layers():
    """Layers farther from the outputs come first, though `near` is called first."""
    a, b = keras.Input((2,), name="a"), keras.Input((2,), name="b")
    near = keras.layers.Dense(5, name="near")(a)
    far = keras.layers.Dense(3, name="far")(b)
    model = keras.Model([a, b], keras.layers.Dense(1)(keras.layers.Concatenate()([near, keras.layers.Dense(4)(far)])))
    assert [array.shape for array in model.get_weights()] == [(2, 3), (3,), (2, 5), (5,), (3, 4), (4,), (9, 1), (1,)]
    values = [np.full(array.shape, float(i), "float32") for i, array in enumerate(model.get_weights())]
    model.set_weights(values)
    assert float(model.get_layer("far").weight.detach().mean()) == 0.0
    assert float(model.get_layer("near").weight.detach().mean()) == 2.0
    assert all(np.array_equal(*both) for both in zip(model.get_weights(), values, strict=True))


def test_layers_without_a_name_have_that_of_their_class():
    keras.backend.clear_session()

    class OwnBlock(keras.layers.Layer):
        pass

    made = [keras.layers.Dense(2), keras.layers.Conv2D(2, 3), keras.layers.Dense(2), OwnBlock(), keras.Sequential([])]
    assert [one.name for one in made] == ["dense", "conv2d", "dense_1", "own_block", "sequential"]
    x = keras.Input((3,))
    assert keras.Model(x, made[0](x)).name == "functional"
    assert keras.layers.Dense(2, name="given").name == "given"
    assert kt.layers.Dense(2).name is None
    keras.backend.clear_session()
    assert keras.layers.Dense(2).name == "dense"


def test_names_that_were_not_given_name_no_weights():
    """A model that is made twice has the same names of weights, whatever else the process has made."""

    def make():
        x = keras.Input((3,))
        return keras.Model(x, keras.layers.Dense(2)(keras.layers.Dense(4)(x)))

    one, other = make(), make()
    assert one.layers[1].name != other.layers[1].name
    assert one.get_layer(one.layers[1].name) is one.layers[1]
    assert [*one.state_dict()] == [*other.state_dict()]
    other.load_state_dict(one.state_dict())
    assert other.get_config() == one.get_config()


def test_an_own_weight_has_the_name_that_add_weight_was_given():
    class Own(keras.layers.Layer):
        def build(self, input_shape):
            self.w = self.add_weight(shape=(2, 3), name="kernel")
            self.b = self.add_weight(shape=(3,))

        def call(self, x):
            return x @ self.w + self.b

    layer = Own(name="own")
    layer(torch.ones(1, 2))
    assert [(weight.name, weight.path) for weight in layer.weights] == [("kernel", "own/kernel"), ("b", "own/b")]


def test_trainable_of_a_weight():
    layer = keras.layers.Dense(2)
    layer.build((None, 3))
    assert layer.bias.trainable
    layer.bias.trainable = False
    assert not layer.bias.requires_grad


# --- layers in plain lists --------------------------------------------------------------------------------------


class Lists(keras.Model):
    def __init__(self):
        super().__init__()
        self.blocks = []
        for _ in range(2):
            self.blocks.append(keras.layers.Dense(3))
        self.pairs = [(keras.layers.Dense(3), keras.layers.Dropout(0.5))]
        self.named = {"end": keras.layers.Dense(2)}
        self.sizes, self.nothing = [1, 2], []

    def call(self, x):
        for block in self.blocks:
            x = block(x)
        for dense, drop in self.pairs:
            x = drop(dense(x))
        return self.named["end"](x)


def test_layers_in_lists_and_dicts_are_trained_listed_and_saved(tmp_path):
    model = Lists()
    model(torch.ones(1, 3))
    assert model.count_params() == 3 * 12 + 8
    assert [type(layer).__name__ for layer in model.layers] == ["Dense", "Dense", "Dense", "Dropout", "Dense"]
    assert (model.sizes, model.nothing) == ([1, 2], [])
    before = [array.copy() for array in model.get_weights()]
    model.compile("sgd", "mse")
    model.fit(torch.rand(8, 3), torch.rand(8, 2), verbose=0)
    assert all((one != other).any() for one, other in zip(before, model.get_weights(), strict=True))
    model.save_weights(tmp_path / "w.safetensors")
    again = Lists()
    again(torch.ones(1, 3))
    again.load_weights(tmp_path / "w.safetensors")
    assert all(np.array_equal(*both) for both in zip(model.get_weights(), again.get_weights(), strict=True))


def test_lists_that_build_fills_are_registered():
    class Blocks(keras.layers.Layer):
        def build(self, input_shape):
            self.blocks = [keras.layers.Dense(input_shape[-1]) for _ in range(2)]

        def call(self, x):
            for block in self.blocks:
                x = block(x)
            return x

    layer = Blocks()
    layer(torch.ones(1, 3))
    assert len(layer.trainable_variables) == 4


class Mixed(keras.Model):
    def __init__(self):
        super().__init__()
        self.first = keras.layers.Dense(3)
        self.blocks = [keras.layers.Dense(3), None, "sigmoid", (2, keras.layers.Dense(3)), self.first]
        self.by_number = {0: keras.layers.Dense(2), "rate": 0.5}

    def call(self, x):
        for block in self.blocks:
            if isinstance(block, tuple):
                x = block[1](x) * block[0]
            elif block is not None:
                x = torch.sigmoid(x) if block == "sigmoid" else block(x)
        return self.by_number[0](x) * self.by_number["rate"]


def test_layers_in_lists_with_other_things_are_trained_listed_and_saved(tmp_path):
    model = Mixed()
    model(torch.ones(1, 3))
    assert (model.count_params(), len(model.layers)) == (3 * 12 + 8, 4)
    assert (type(model.blocks), model.blocks[1:3], model.by_number["rate"]) == (list, [None, "sigmoid"], 0.5)
    assert len(model.state_dict()) == 8
    before = [array.copy() for array in model.get_weights()]
    model.compile("sgd", "mse")
    model.fit(torch.rand(64, 3) + 1, torch.rand(64, 2), verbose=0)
    changed = [(one != other).any() for one, other in zip(before, model.get_weights(), strict=True)]
    assert all(changed)
    model.save(tmp_path / "m.kt")
    again = keras.models.load_model(tmp_path / "m.kt", custom_objects={"Mixed": Mixed})
    x = torch.rand(5, 3)
    assert torch.equal(again(x), model(x))
    copied = copy.deepcopy(model)
    copied.blocks[0].weight.data.zero_()
    assert not torch.equal(copied(x), model(x))
    assert copied.blocks[0] is copied.blocks_layers[0]


def test_a_list_that_grows_or_is_replaced_is_read_again():
    model = Mixed()
    model.blocks.insert(0, keras.layers.Dense(3))
    model(torch.ones(1, 3))
    model.compile("sgd", "mse")
    model.fit(torch.rand(4, 3), torch.rand(4, 2), verbose=0)
    assert model.count_params() == 4 * 12 + 8

    class Layer(keras.layers.Layer):
        def __init__(self):
            super().__init__()
            self.blocks = [keras.layers.Dense(3), None]

        def build(self, input_shape):
            self.blocks = [None, keras.layers.Dense(input_shape[-1])]

        def call(self, x):
            return self.blocks[1](x)

    layer = Layer()
    layer(torch.ones(1, 5))
    assert [weight.shape for weight in layer.get_weights()] == [(5, 5), (5,)]


def test_a_name_that_is_taken_is_an_error_in_words():
    class Taken(keras.Model):
        def __init__(self):
            super().__init__()
            self.blocks, self.blocks_layers = [keras.layers.Dense(3), "relu"], 1

        def call(self, x):
            return self.blocks[0](x)

    with pytest.raises(ValueError, match=r"Taken\.blocks is a plain list with a Dense: torch does not see it there"):
        Taken().state_dict()


def test_a_list_in_the_main_door_stays_an_error():
    class Plain(kt.Model):
        def __init__(self):
            super().__init__()
            self.blocks = [kt.layers.Dense(3)]

        def forward(self, x):
            return self.blocks[0](x)

    with pytest.raises(ValueError, match=r"torch\.nn\.ModuleList"):
        Plain().state_dict()
