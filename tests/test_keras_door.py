"""`import kerastorch.keras as keras`: names, defaults and arguments of Keras' scripts; objects of kerastorch."""

import importlib
import subprocess
import sys

import numpy as np
import pytest
import torch
from torch import nn

import kerastorch as kt
import kerastorch.keras as keras
from kerastorch.keras import layers

IMAGES = torch.randn(3, 8, 6, 2, generator=torch.Generator().manual_seed(0))  # channels last


def channels_first(x):
    return x.movedim(-1, 1)


def channels_last(x):
    return x.movedim(1, -1)


# --- names ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "path",
    [
        "activations", "backend", "callbacks", "config", "constraints", "datasets", "initializers", "layers", "losses",
        "metrics", "mixed_precision", "models", "optimizers", "optimizers.schedules", "preprocessing",
        "preprocessing.image", "preprocessing.sequence", "regularizers", "saving", "utils",
    ],
)  # fmt: skip
def test_modules_are_imported_by_their_path_in_keras(path):
    module = importlib.import_module(f"kerastorch.keras.{path}")
    owner = keras
    for name in path.split("."):
        owner = getattr(owner, name)
    assert owner is module


def test_an_alias_is_the_module_itself_and_no_file_runs_twice():
    again = importlib.import_module("kerastorch.keras.preprocessing.sequence")
    assert again is importlib.import_module("kerastorch.preprocessing.sequence")
    assert again.__name__ == again.__spec__.name == "kerastorch.preprocessing.sequence"
    assert keras.preprocessing.sequence is kt.preprocessing.sequence
    with pytest.raises(ModuleNotFoundError, match="nothing"):
        importlib.import_module("kerastorch.keras.losses.nothing")


def test_scripts_find_keras_names():
    from kerastorch.keras.losses import Loss
    from kerastorch.keras.optimizers import Adam
    from kerastorch.keras.preprocessing.sequence import pad_sequences

    from kerastorch.keras.layers import Conv2D, Dense, Layer
    from kerastorch.keras.models import Sequential
    from kerastorch.keras.utils import to_categorical

    assert (Loss, Adam) == (kt.losses.Loss, kt.optimizers.Adam)
    assert type(Sequential([Dense(2)])) is kt.Sequential
    assert isinstance(kt.Sequential([]), Sequential)
    assert pad_sequences([[1], [1, 2]]).tolist() == [[0, 1], [1, 2]]
    assert to_categorical([1], 2).tolist() == [[0.0, 1.0]]
    assert (keras.Layer, keras.layers.Dense, keras.layers.Conv2D) == (Layer, Dense, Conv2D)
    assert {"Model", "Sequential", "Input", "Metric", "Variable", "KerasTensor"} <= set(dir(keras))


def test_every_layer_is_there():
    found = {}
    exec("from kerastorch.keras.layers import *", found)
    assert {*kt.layers.__all__} <= {*found}
    with pytest.raises(AttributeError, match=r"kerastorch\.layers has no 'Densse'"):
        layers.Densse


def test_the_main_package_does_not_import_it():
    code = "import sys, kerastorch; print([name for name in sys.modules if name.startswith('kerastorch.keras')])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


# --- channels ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("layer", "same"),
    [
        (layers.MaxPooling2D(2), nn.MaxPool2d(2)),
        (layers.AveragePooling2D(2), nn.AvgPool2d(2)),
        (layers.UpSampling2D(2), nn.Upsample(scale_factor=2)),
        (layers.ZeroPadding2D(1), nn.ZeroPad2d(1)),
        (layers.Cropping2D(1), lambda x: x[:, :, 1:-1, 1:-1]),
    ],
    ids=lambda one: type(one).__name__,
)
def test_layers_without_weights_take_channels_last(layer, same):
    torch.testing.assert_close(layer(IMAGES), channels_last(same(channels_first(IMAGES))))


def test_convolutions_and_batch_normalization_take_channels_last():
    convolution, norm = layers.Conv2D(5, 3), layers.BatchNormalization()
    expected = nn.functional.conv2d(channels_first(IMAGES), *_kernel(convolution, IMAGES))
    torch.testing.assert_close(convolution(IMAGES), channels_last(expected))
    torch.testing.assert_close(layers.GlobalAveragePooling2D()(IMAGES), IMAGES.mean((1, 2)))
    torch.testing.assert_close(layers.Flatten()(IMAGES), IMAGES.reshape(3, -1))
    norm(IMAGES)
    assert norm.running_mean.shape == (2,)


def _kernel(layer, x):
    layer(x)
    return layer.weight, layer.bias


def test_random_flip_mirrors_and_does_not_swap_colours():
    flipped = layers.RandomFlip("horizontal", seed=1)(IMAGES, training=True)
    for one, given in zip(flipped, IMAGES, strict=True):
        assert torch.equal(one, given) or torch.equal(one, given.flip(1))
    assert layers.Resizing(4, 3)(IMAGES).shape == (3, 4, 3, 2)


def test_the_main_door_keeps_its_order_and_data_format_wins():
    assert kt.layers.Conv2D(4, 3)(channels_first(IMAGES)).shape == (3, 4, 6, 4)
    assert layers.Conv2D(4, 3, data_format="channels_first")(channels_first(IMAGES)).shape == (3, 4, 6, 4)
    assert layers.MaxPooling2D(2, 2, "valid", "channels_first")(channels_first(IMAGES)).shape == (3, 2, 4, 3)


def test_the_order_is_set_for_this_door_alone():
    keras.config.set_image_data_format("channels_first")
    try:
        assert keras.backend.image_data_format() == "channels_first"
        assert layers.Conv2D(4, 3)(channels_first(IMAGES)).shape == (3, 4, 6, 4)
    finally:
        keras.config.set_image_data_format("channels_last")
    assert layers.Conv2D(4, 3)(IMAGES).shape == (3, 6, 4, 4)
    with pytest.raises(ValueError, match="data_format must be"):
        keras.config.set_image_data_format("last")


# --- classes ----------------------------------------------------------------------------------------------------


def test_instances_are_those_of_kerastorch():
    layer = layers.Conv2D(4, 3)
    assert type(layer) is kt.layers.Conv2D
    for one in (layer, kt.layers.Conv2D(4, 3)):
        assert isinstance(one, layers.Conv2D)
        assert isinstance(one, keras.Layer)
        assert not isinstance(one, layers.Dense)
    assert issubclass(kt.layers.Conv2D, keras.layers.Layer)
    assert not issubclass(nn.Linear, keras.layers.Layer)
    assert layers.Conv2D is keras.layers.Conv2D


class Doubled(layers.Conv2D):
    def call(self, x):
        return 2 * super().call(x)


class Scaled(keras.layers.Layer):
    def __init__(self, factor, **kwargs):
        super().__init__(**kwargs)
        self.factor = factor

    def build(self, input_shape):
        self.kernel = self.add_weight(shape=(input_shape[-1],), initializer="ones", name="kernel")

    def call(self, inputs, training=None):
        return self.factor * inputs * self.kernel


def test_subclasses_have_the_same_defaults():
    layer = Doubled(4, 3)
    found = layer(IMAGES)
    expected = nn.functional.conv2d(channels_first(IMAGES), layer.weight, layer.bias)
    torch.testing.assert_close(found, 2 * channels_last(expected))
    assert isinstance(layer, Doubled)
    assert isinstance(layer, kt.layers.Conv2D)
    assert not isinstance(kt.layers.Conv2D(4, 3), Doubled)


def test_a_model_with_layers_of_both_doors_is_saved_and_loaded(tmp_path):
    model = keras.Sequential(
        [
            keras.Input((8, 6, 2)),
            layers.Conv2D(4, 3),
            Doubled(3, 3),
            Scaled(2.0, name="scaled"),
            kt.layers.MaxPooling2D(2, data_format="channels_last"),
            layers.Flatten(),
            kt.layers.Dense(2),
        ]
    )
    model.save(tmp_path / "model.kt")
    objects = {"Doubled": Doubled, "Scaled": Scaled}
    for load in (keras.models.load_model, kt.load_model):
        again = load(tmp_path / "model.kt", custom_objects=objects)
        torch.testing.assert_close(again(IMAGES), model(IMAGES))
        assert type(again.layers[0]) is kt.layers.Conv2D


# --- arguments of layers ----------------------------------------------------------------------------------------


def test_files_of_the_main_door_are_read_as_before(tmp_path):
    model = kt.Sequential([kt.Input((2, 8, 6)), kt.layers.Conv2D(4, 3), kt.layers.BatchNormalization()])
    assert layers.Conv2D is not kt.layers.Conv2D
    model.save(tmp_path / "model.kt")
    again = kt.load_model(tmp_path / "model.kt")
    torch.testing.assert_close(again.eval()(channels_first(IMAGES)), model.eval()(channels_first(IMAGES)))
    assert [one.get_config() for one in again.layers] == [one.get_config() for one in model.layers]


@pytest.mark.parametrize(
    "given",
    [
        {"input_shape": (8, 6, 2)},
        {"batch_input_shape": (None, 8, 6, 2)},
        {"batch_shape": (None, 8, 6, 2)},
    ],
)
@pytest.mark.parametrize("by_add", [False, True])
def test_the_first_layer_may_say_the_shape_of_the_input(given, by_add):
    model = keras.Sequential()
    chain = [layers.Conv2D(4, 3, **given), layers.Flatten(), layers.Dense(2)]
    if by_add:
        for layer in chain:
            model.add(layer)
    else:
        model = keras.Sequential(chain)
    assert model.count_params() == 3 * 3 * 2 * 4 + 4 + 6 * 4 * 4 * 2 + 2
    assert model.output_shape == (None, 2)


def test_the_shape_of_the_input_may_be_one_number_and_open_sizes():
    assert keras.Sequential([layers.Dense(3, input_dim=4)]).count_params() == 15
    assert keras.Sequential([layers.Dense(3, input_shape=(4,))]).count_params() == 15
    model = keras.Sequential([layers.LSTM(3, input_shape=(None, 4))])
    assert model.input_shape == (None, None, 4)
    model = keras.Sequential([Scaled(2.0, input_shape=(4,))])
    assert model.count_params() == 4


class Linear(keras.layers.Layer):
    """The first layer of Keras' guide to layers of one's own."""

    def __init__(self, units=32, input_dim=32, dtype=None):
        super().__init__()
        self.units, self.input_dim, self.dtype_given = units, input_dim, dtype
        self.w = self.add_weight(shape=(input_dim, units), initializer="ones")

    def call(self, inputs):
        return inputs @ self.w


def test_arguments_that_a_layer_of_ones_own_has_reach_it():
    layer = Linear(4, input_dim=2, dtype="float64")
    assert (layer.input_dim, layer.dtype_given) == (2, "float64")
    assert torch.equal(layer(torch.ones(2, 2)), torch.full((2, 4), 2.0))


def test_dtype_is_that_of_the_weights():
    layer = layers.Dense(3, dtype="float64")
    assert layer(np.ones((2, 4))).dtype is torch.float64
    assert layers.Dense(3, dtype="float32")(np.ones((2, 4))).dtype is torch.float32
    with pytest.raises(ValueError, match="mixed precision is that of a model"):
        layers.Dense(3, dtype="mixed_float16")


def test_arguments_that_no_layer_has_are_errors():
    with pytest.raises(TypeError, match=r"Dense\(\) has no argument 'unitz'"):
        layers.Dense(3, unitz=3)


def test_variables_are_parameters():
    given = np.ones(3)
    variable = keras.Variable(given)
    given[0] = 2.0
    assert variable.tolist() == [1.0, 1.0, 1.0]
    assert isinstance(variable, nn.Parameter)
    assert isinstance(layers.Dense(2).add_weight((3, 2)), keras.Variable)
    assert not isinstance(torch.ones(2), keras.Variable)
    assert keras.Variable("ones", shape=(2, 2), trainable=False).tolist() == [[1.0, 1.0], [1.0, 1.0]]
    assert not keras.Variable([1, 2], dtype="int32").requires_grad
    with pytest.raises(ValueError, match="needs shape"):
        keras.Variable("ones")


# --- a script ---------------------------------------------------------------------------------------------------


def test_a_script_in_the_idiom_of_keras_runs_unchanged():
    rng = np.random.default_rng(0)
    labels = rng.integers(0, 2, 64)
    x = rng.normal(size=(64, 12, 12, 1)) + labels[:, None, None, None] * np.linspace(-1, 1, 12)[None, :, None, None]
    y = keras.utils.to_categorical(labels, 2)

    model = keras.Sequential(
        [
            keras.Input(shape=(12, 12, 1)),
            layers.Conv2D(8, kernel_size=(3, 3), activation="relu"),
            layers.MaxPooling2D(pool_size=(2, 2)),
            layers.Flatten(),
            layers.Dropout(0.2),
            layers.Dense(2, activation="softmax"),
        ]
    )
    model.compile(loss="categorical_crossentropy", optimizer=keras.optimizers.Adam(0.01), metrics=["accuracy"])
    history = model.fit(x, y, batch_size=16, epochs=8, validation_split=0.25, verbose=0)
    assert history.history["loss"][-1] < 0.5 * history.history["loss"][0]
    _, accuracy = model.evaluate(x, y, verbose=0)
    assert accuracy > 0.9
    assert model.predict(x, verbose=0).shape == (64, 2)
    assert model(x[:2]).shape == (2, 2)


def test_functions_on_images_take_channels_last(tmp_path):
    pytest.importorskip("PIL")
    from kerastorch.keras.preprocessing.image import img_to_array

    picture = np.arange(6 * 8 * 3, dtype="float32").reshape(6, 8, 3)
    for label in ("a", "b"):
        (tmp_path / label).mkdir()
        keras.utils.save_img(tmp_path / label / "x.png", picture, scale=False)
    image = keras.utils.load_img(tmp_path / "a" / "x.png")
    for convert in (keras.utils.img_to_array, img_to_array, keras.preprocessing.image.img_to_array):
        np.testing.assert_array_equal(convert(image), picture)
    assert keras.utils.array_to_img(picture, scale=False).size == (8, 6)
    assert kt.utils.img_to_array(image).shape == (3, 6, 8)
    for door in (keras.utils, keras.preprocessing):
        images = next(iter(door.image_dataset_from_directory(tmp_path, image_size=(6, 8), verbose=False)))[0]
        assert tuple(images.shape) == (2, 6, 8, 3)
    assert keras.utils.img_to_array(image, data_format="channels_first").shape == (3, 6, 8)
