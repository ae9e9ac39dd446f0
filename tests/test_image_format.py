"""`config.set_image_data_format` of `kerastorch` and `kerastorch.keras`: layers, functions and files that obey it."""

import inspect
import json
import subprocess
import sys
import threading

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional as F

import kerastorch as kt
import kerastorch.keras as keras

FIRST = torch.randn(2, 3, 8, 6, generator=torch.Generator().manual_seed(0))
LAST = FIRST.movedim(1, -1)


@pytest.fixture(autouse=True)
def restored():
    before = {door: door.config.image_data_format() for door in (kt, keras)}
    assert before == {kt: "channels_first", keras: "channels_last"}
    yield
    for door, data_format in before.items():
        door.config.set_image_data_format(data_format)


@pytest.fixture
def channels_last():
    kt.config.set_image_data_format("channels_last")


# --- layers -----------------------------------------------------------------------------------------------------

ARGUMENTS = {
    "output_size": 2, "pool_size": 2, "height": 4, "width": 4, "filters": 4, "kernel_size": 3, "max_number": 2,
    "rate": 0.5, "factor": 1, "height_factor": 0.1, "width_factor": 0.1,
}  # fmt: skip
IMAGE_LAYERS = [
    (lambda: kt.layers.MaxPooling2D(2), nn.MaxPool2d(2)),
    (lambda: kt.layers.ZeroPadding2D(1), nn.ZeroPad2d(1)),
    (lambda: kt.layers.UpSampling2D(2), nn.Upsample(scale_factor=2)),
    (lambda: kt.layers.Resizing(8, 6), nn.Identity()),
    (lambda: kt.layers.CenterCrop(4, 4), lambda x: x[:, :, 2:6, 1:5]),
    (lambda: kt.layers.AdaptiveAveragePooling2D(2), nn.AdaptiveAvgPool2d(2)),
]


@pytest.mark.parametrize(("make", "same"), IMAGE_LAYERS)
def test_layers_over_images_take_the_order_that_was_set(make, same):
    before = make()
    kt.config.set_image_data_format("channels_last")
    torch.testing.assert_close(make()(LAST), same(FIRST).movedim(1, -1))
    kt.config.set_image_data_format("channels_first")
    torch.testing.assert_close(make()(FIRST), same(FIRST))
    torch.testing.assert_close(before(FIRST), same(FIRST))  # made under the first setting


def test_every_layer_with_a_data_format_has_that_which_was_set():
    found = {"channels_first": {}, "channels_last": {}}
    for data_format, formats in found.items():
        kt.config.set_image_data_format(data_format)
        for name in kt.layers.__all__:
            parameters = inspect.signature(getattr(kt.layers, name)).parameters
            if "data_format" in parameters:
                needed = [one.name for one in parameters.values() if one.default is one.empty]
                layer = getattr(kt.layers, name)(*(ARGUMENTS[one] for one in needed))
                formats[name] = layer.data_format
    same = {name for name, value in found["channels_last"].items() if found["channels_first"][name] == value}
    assert same == {name for name in found["channels_last"] if "1D" in name} | {"Flatten", "STFTSpectrogram"}
    assert {value for name, value in found["channels_last"].items() if name not in same} == {"channels_last"}
    assert len(found["channels_last"]) - len(same) > 60


def test_a_network_of_images_computes_the_same_in_both_orders():
    def network():
        return kt.Sequential(
            [
                kt.layers.Conv2D(4, 3, padding="same"),
                kt.layers.BatchNormalization(),
                kt.layers.GroupNormalization(2),
                kt.layers.SeparableConv2D(5, 3),
                kt.layers.GlobalAveragePooling2D(),
                kt.layers.Dense(2),
            ]
        )

    first = network()
    expected = first(FIRST)
    kt.config.set_image_data_format("channels_last")
    last = network()
    last(LAST)
    last.load_state_dict(first.state_dict())
    torch.testing.assert_close(last(LAST), expected)
    assert last.layers[1].running_mean.shape == (4,)


def test_an_argument_wins(channels_last):
    assert kt.layers.Conv2D(4, 3, data_format="channels_first")(FIRST).shape == (2, 4, 6, 4)
    norm = kt.layers.BatchNormalization(axis=1)
    norm(FIRST)
    assert norm.running_mean.shape == (3,)
    assert kt.utils.array_to_img(FIRST[0].numpy(), data_format="channels_first").size == (6, 8)


def test_sequences_are_channels_last_in_any_case(channels_last):
    x = torch.randn(2, 7, 3)
    expected = kt.layers.MaxPooling1D(2)(x)
    assert expected.shape == (2, 3, 3)
    kt.config.set_image_data_format("channels_first")
    assert torch.equal(kt.layers.MaxPooling1D(2)(x), expected)


def test_what_was_set_is_obeyed_without_questions(channels_last):
    layer = kt.layers.Conv2D(4, 3)
    assert layer(torch.zeros(1, 32, 32, 3)).shape == (1, 30, 30, 4)  # a warning is an error here
    assert kt.layers.RandomFlip()(torch.zeros(1, 32, 32, 3)).shape == (1, 32, 32, 3)
    kt.config.set_image_data_format("channels_first")
    with pytest.raises(ValueError, match="channels_last"):
        kt.layers.RandomFlip()(torch.zeros(1, 32, 32, 3))


def test_an_unknown_order_is_an_error_and_changes_nothing():
    for door in (kt, keras):
        before = door.config.image_data_format()
        with pytest.raises(ValueError, match="data_format must be"):
            door.config.set_image_data_format("last")
        assert door.config.image_data_format() == before


# --- the two doors ----------------------------------------------------------------------------------------------


def test_each_door_has_a_setting_of_its_own():
    kt.config.set_image_data_format("channels_last")
    keras.config.set_image_data_format("channels_first")
    assert (kt.config.image_data_format(), keras.config.image_data_format()) == ("channels_last", "channels_first")
    assert keras.backend.image_data_format() == "channels_first"
    assert kt.layers.Conv2D(4, 3)(LAST).shape == (2, 6, 4, 4)
    assert keras.layers.Conv2D(4, 3)(FIRST).shape == (2, 4, 6, 4)
    assert keras.layers.Conv1D(4, 3)(torch.zeros(2, 5, 9)).shape == (2, 4, 7)  # Keras' setting is for sequences, too
    kt.config.set_image_data_format("channels_first")
    assert keras.config.image_data_format() == "channels_first"
    keras.config.set_image_data_format("channels_last")
    assert kt.layers.Conv2D(4, 3)(FIRST).shape == (2, 4, 6, 4)
    assert keras.layers.Conv2D(4, 3)(LAST).shape == (2, 6, 4, 4)


def test_the_settings_are_those_of_the_process_in_all_threads(channels_last):
    found = []
    thread = threading.Thread(target=lambda: found.append(kt.layers.Conv2D(4, 3).data_format))
    thread.start()
    thread.join()
    assert found == ["channels_last"]


# --- functions --------------------------------------------------------------------------------------------------


def test_functions_on_images_take_the_order_that_was_set(channels_last, tmp_path):
    pytest.importorskip("PIL")
    picture = np.arange(6 * 8 * 3, dtype="float32").reshape(6, 8, 3)
    for label in ("a", "b"):
        (tmp_path / label).mkdir()
        kt.utils.save_img(tmp_path / label / "x.png", picture, scale=False)
    np.testing.assert_array_equal(kt.utils.img_to_array(kt.utils.load_img(tmp_path / "a" / "x.png")), picture)
    assert kt.preprocessing.image.smart_resize(picture, (3, 4)).shape == (3, 4, 3)
    images, _ = next(iter(kt.utils.image_dataset_from_directory(tmp_path, image_size=(6, 8), verbose=False)))
    assert images.shape == (2, 6, 8, 3)
    kt.config.set_image_data_format("channels_first")
    assert kt.utils.img_to_array(kt.utils.load_img(tmp_path / "a" / "x.png")).shape == (3, 6, 8)


def test_operations_behind_the_door_of_keras_take_its_order_and_those_of_the_main_door_channels_last():
    kernel = torch.randn(3, 3, 3, 4)
    expected = F.conv2d(FIRST, kernel.permute(3, 2, 0, 1))
    for setting in ("channels_first", "channels_last"):
        kt.config.set_image_data_format(setting)
        torch.testing.assert_close(kt.ops.conv(LAST, kernel), expected.movedim(1, -1))
        assert kt.ops.image.resize(LAST, (4, 4)).shape == (2, 4, 4, 3)
    torch.testing.assert_close(keras.ops.conv(LAST, kernel), expected.movedim(1, -1))
    keras.config.set_image_data_format("channels_first")
    torch.testing.assert_close(keras.ops.conv(FIRST, kernel), expected)
    torch.testing.assert_close(keras.ops.nn.conv(FIRST, kernel, 1, "valid", None), expected)
    torch.testing.assert_close(keras.ops.conv(LAST, kernel, 1, "valid", "channels_last"), expected.movedim(1, -1))
    assert keras.ops.image.resize(FIRST, (4, 4)).shape == (2, 3, 4, 4)
    assert keras.ops.max_pool(FIRST, 2).shape == (2, 3, 4, 3)
    assert keras.ops.depth_to_space(torch.zeros(1, 2, 2, 4), 2).shape == (1, 4, 4, 1)  # not one of these, in Keras, too
    torch.testing.assert_close(kt.ops.conv(LAST, kernel), expected.movedim(1, -1))


def test_all_operations_with_an_open_format_follow_the_door_of_keras():
    found = {"ops.image": set(), "ops.nn": set(), "ops": set()}
    for path, names in found.items():
        ours, theirs = kt.ops, keras.ops
        if path != "ops":
            ours, theirs = getattr(kt.ops, path[4:]), getattr(keras.ops, path[4:])
        names |= {name for name in dir(theirs) if getattr(ours, name, None) is not getattr(theirs, name)}
    assert {"conv", "depthwise_conv", "separable_conv", "conv_transpose", "max_pool", "average_pool"} <= found["ops.nn"]
    assert {"resize", "crop_images", "pad_images", "extract_patches", "rgb_to_hsv"} <= found["ops.image"]
    assert found["ops.nn"] | {"image", "nn"} == found["ops"]
    assert keras.ops.conv is keras.ops.nn.conv


# --- models and files -------------------------------------------------------------------------------------------


class Block(kt.layers.Layer):
    """A layer whose constructor makes layers without data_format=."""

    def __init__(self, filters):
        super().__init__()
        self.filters = filters
        self.conv, self.norm = kt.layers.Conv2D(filters, 3), kt.layers.BatchNormalization()

    def forward(self, x):
        return self.norm(self.conv(x))


class Pooled(kt.layers.Layer):
    """A layer whose constructor makes a layer of kerastorch.keras."""

    def __init__(self):
        super().__init__()
        self.pool = keras.layers.MaxPooling2D(2)

    def forward(self, x):
        return self.pool(x)


class Network(kt.Model):
    def __init__(self):
        super().__init__()
        self.conv, self.head = kt.layers.Conv2D(4, 3), kt.layers.Dense(2)

    def forward(self, x):
        return self.head(self.conv(x).flatten(1))

    def get_config(self):
        return {}


def models(x):
    symbol = kt.Input(x.shape[1:])
    return {
        "chain": kt.Sequential([kt.Input(x.shape[1:]), kt.layers.Conv2D(4, 3), kt.layers.BatchNormalization()]),
        "graph": kt.Model(symbol, kt.layers.AveragePooling2D(2)(kt.layers.Conv2D(4, 3)(symbol))),
        "own layer": kt.Sequential([kt.Input(x.shape[1:]), Block(4)]),
        "own model": Network(),
    }


OWN = {"Block": Block, "Network": Network, "Pooled": Pooled}


@pytest.mark.parametrize("kind", ["chain", "graph", "own layer", "own model"])
@pytest.mark.parametrize("made_with", ["channels_first", "channels_last"])
@pytest.mark.parametrize("loaded_with", ["channels_first", "channels_last"])
def test_a_saved_model_is_loaded_with_the_order_that_it_was_made_with(kind, made_with, loaded_with, tmp_path):
    x = FIRST if made_with == "channels_first" else LAST
    kt.config.set_image_data_format(made_with)
    model = models(x)[kind]
    expected = model(x)
    kt.config.set_image_data_format(loaded_with)  # before it is saved, too
    model.save(tmp_path / "m.kt")
    again = kt.load_model(tmp_path / "m.kt", custom_objects=OWN)
    torch.testing.assert_close(again(x), expected)
    again.save(tmp_path / "n.kt")
    torch.testing.assert_close(kt.load_model(tmp_path / "n.kt", custom_objects=OWN)(x), expected)
    assert kt.layers.Conv2D(4, 3).data_format == loaded_with  # the setting is as before


@pytest.mark.parametrize("made_with", ["channels_first", "channels_last"])
def test_an_own_layer_that_holds_layers_of_the_door_of_keras_is_loaded_as_it_was_made(made_with, tmp_path):
    x = FIRST if made_with == "channels_first" else LAST
    keras.config.set_image_data_format(made_with)
    model = keras.Sequential([keras.Input(x.shape[1:]), Pooled()])
    expected = model(x)
    model.save(tmp_path / "m.kt")
    for loaded_with in ("channels_first", "channels_last"):
        keras.config.set_image_data_format(loaded_with)
        torch.testing.assert_close(kt.load_model(tmp_path / "m.kt", custom_objects=OWN)(x), expected)


@pytest.mark.parametrize("made_with", ["channels_first", "channels_last"])
def test_configs_and_clones_have_the_order_of_the_first_layer(made_with):
    kt.config.set_image_data_format(made_with)
    x = FIRST if made_with == "channels_first" else LAST
    layers = [kt.layers.Conv2D(4, 3), kt.layers.SpatialDropout2D(0.5), kt.layers.BatchNormalization()]
    block = kt.Sequential([kt.Input(x.shape[1:]), Block(4)])
    kt.config.set_image_data_format("channels_last" if made_with == "channels_first" else "channels_first")
    for layer in layers:
        again = type(layer).from_config(layer.get_config())
        assert again.get_config() == layer.get_config()
        assert again.takes_channels_first == layer.takes_channels_first
    assert keras.models.clone_model(block)(x).shape == block(x).shape


def test_a_functional_model_of_operations_keeps_the_order_that_they_were_called_with(tmp_path):
    keras.config.set_image_data_format("channels_first")
    x = keras.Input((3, 8, 6))
    model = keras.Model(x, keras.ops.average_pool(keras.ops.image.resize(x, (4, 4)), 2))
    expected = model(FIRST)
    assert expected.shape == (2, 3, 2, 2)
    model.save(tmp_path / "m.kt")
    keras.config.set_image_data_format("channels_last")
    torch.testing.assert_close(model(FIRST), expected)
    torch.testing.assert_close(kt.load_model(tmp_path / "m.kt")(FIRST), expected)


def test_a_file_of_another_process_is_read_under_its_own_order(channels_last, tmp_path):
    model = kt.Sequential([kt.Input((8, 6, 3)), kt.layers.Conv2D(4, 3), kt.layers.BatchNormalization()])
    model.save(tmp_path / "m.kt")
    code = (
        "import sys, json, torch, kerastorch as kt; model = kt.load_model(sys.argv[1]); "
        "print(json.dumps([kt.config.image_data_format(), list(model(torch.zeros(1, 8, 6, 3)).shape)]))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, str(tmp_path / "m.kt")], capture_output=True, text=True, check=True
    )
    assert json.loads(done.stdout) == ["channels_first", [1, 6, 4, 4]]


@pytest.mark.parametrize(
    "formats", [{"main": "last"}, {"mine": "channels_last"}, ["channels_last"], 3, {"main": ["channels_last"]}]
)
def test_unknown_orders_in_a_file_are_refused(formats):
    written = kt.saving.serialize_keras_object(kt.layers.Dense(2))
    with pytest.raises(ValueError, match="formats of images are unknown"):
        kt.saving.deserialize_keras_object(written | {"formats": formats})


def test_files_of_keras_are_read_and_written_in_their_own_order(tmp_path):
    pytest.importorskip("h5py")
    model = keras.Sequential([keras.Input((8, 6, 3)), keras.layers.Conv2D(4, 3), keras.layers.BatchNormalization()])
    expected = model(LAST)
    model.save(tmp_path / "m.keras")
    for setting in ("channels_last", "channels_first"):
        kt.config.set_image_data_format(setting)
        keras.config.set_image_data_format(setting)
        again = kt.load_model(tmp_path / "m.keras")
        torch.testing.assert_close(again(LAST, training=False), expected)
        again.save(tmp_path / "n.keras")
        torch.testing.assert_close(kt.load_model(tmp_path / "n.keras")(LAST, training=False), expected)
