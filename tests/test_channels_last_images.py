"""Images that are channels-last, in layers that take them channels-first, are not taken in silence."""

import contextlib
import copy
import warnings

import numpy as np
import pytest
import torch
from torch import nn

import kerastorch as kt
from kerastorch import layers as L
from kerastorch.layers.images import ImageLayer

ONLY_IMAGES = {
    "RandomFlip": lambda **k: L.RandomFlip("horizontal", **k),
    "RandomCrop": lambda **k: L.RandomCrop(8, 8, **k),
    "RandomRotation": lambda **k: L.RandomRotation(0.1, **k),
    "RandomZoom": lambda **k: L.RandomZoom(0.1, **k),
    "RandomTranslation": lambda **k: L.RandomTranslation(0.1, 0.1, **k),
    "RandomContrast": lambda **k: L.RandomContrast(0.1, **k),
    "RandomBrightness": lambda **k: L.RandomBrightness(0.1, **k),
    "RandomErasing": lambda **k: L.RandomErasing(**k),
    "RandomShear": lambda **k: L.RandomShear(0.1, **k),
    "RandomPerspective": lambda **k: L.RandomPerspective(**k),
    "RandomElasticTransform": lambda **k: L.RandomElasticTransform(**k),
    "RandomInvert": lambda **k: L.RandomInvert(**k),
    "RandomPosterization": lambda **k: L.RandomPosterization(3, **k),
    "RandomSharpness": lambda **k: L.RandomSharpness(0.5, **k),
    "RandomGaussianBlur": lambda **k: L.RandomGaussianBlur(**k),
    "Solarization": lambda **k: L.Solarization(**k),
    "AutoContrast": lambda **k: L.AutoContrast(**k),
    "Equalization": lambda **k: L.Equalization(**k),
    "ContrastLimitedAdaptiveHistogramEqualization": lambda **k: L.ContrastLimitedAdaptiveHistogramEqualization(**k),
    "Resizing": lambda **k: L.Resizing(9, 7, **k),
    "CenterCrop": lambda **k: L.CenterCrop(9, 7, **k),
}
OF_COLORS = {  # they take three channels only
    "RandomHue": lambda **k: L.RandomHue(0.1, **k),
    "RandomSaturation": lambda **k: L.RandomSaturation(0.1, **k),
    "RandomColorDegeneration": lambda **k: L.RandomColorDegeneration(0.1, **k),
    "RandomColorJitter": lambda **k: L.RandomColorJitter(hue_factor=0.1, **k),
    "RandomGrayscale": lambda **k: L.RandomGrayscale(**k),
    "RandAugment": lambda **k: L.RandAugment(**k),
    "AugMix": lambda **k: L.AugMix(**k),
}
OF_IMAGES = {
    "Conv2D": lambda **k: L.Conv2D(2, 3, **k),
    "Conv2DTranspose": lambda **k: L.Conv2DTranspose(2, 3, **k),
    "DepthwiseConv2D": lambda **k: L.DepthwiseConv2D(3, **k),
    "SeparableConv2D": lambda **k: L.SeparableConv2D(2, 3, **k),
    "MaxPooling2D": lambda **k: L.MaxPooling2D((2, 1), **k),
    "AveragePooling2D": lambda **k: L.AveragePooling2D((2, 1), **k),
    "GlobalMaxPooling2D": lambda **k: L.GlobalMaxPooling2D(**k),
    "GlobalAveragePooling2D": lambda **k: L.GlobalAveragePooling2D(**k),
    "AdaptiveMaxPooling2D": lambda **k: L.AdaptiveMaxPooling2D(2, **k),
    "AdaptiveAveragePooling2D": lambda **k: L.AdaptiveAveragePooling2D(2, **k),
    "ZeroPadding2D": lambda **k: L.ZeroPadding2D(1, **k),
    "Cropping2D": lambda **k: L.Cropping2D((1, 0), **k),
    "UpSampling2D": lambda **k: L.UpSampling2D(2, **k),
    "SpatialDropout2D": lambda **k: L.SpatialDropout2D(0.5, **k),
}
BY_AXIS = {
    "BatchNormalization": lambda **k: L.BatchNormalization(**k),
    "GroupNormalization": lambda **k: L.GroupNormalization(1, **k),
}
IMAGES = torch.rand(2, 32, 28, 3, generator=torch.Generator().manual_seed(0))


def test_the_tables_have_every_layer_over_images():
    over_images = {
        name
        for name in L.__all__
        if isinstance(kind := getattr(L, name), type) and getattr(kind, "rank", None) == 2 and "Pool2D" not in name
    }
    assert over_images - {"MixUp", "CutMix", "MaxNumBoundingBoxes"} == (
        set(ONLY_IMAGES) | set(OF_COLORS) | set(OF_IMAGES)
    ) - {"SpatialDropout2D"}
    assert all(issubclass(getattr(L, name), ImageLayer) for name in (*ONLY_IMAGES, *OF_COLORS, "MixUp", "CutMix"))


@pytest.mark.parametrize("make", OF_COLORS.values(), ids=list(OF_COLORS))
def test_layers_of_colors_refuse_them(make):
    with pytest.raises(ValueError, match=r"data_format='channels_last'.*transpose\(0, 3, 1, 2\).*'channels_first'"):
        make()(IMAGES)
    assert make(data_format="channels_last")(IMAGES).shape == IMAGES.shape


@pytest.mark.parametrize("make", ONLY_IMAGES.values(), ids=list(ONLY_IMAGES))
@pytest.mark.parametrize("shape", [(2, 32, 28, 3), (2, 28, 28, 1), (2, 2, 2, 3), (32, 28, 4)])
def test_layers_for_images_alone_refuse_them(make, shape):
    x = torch.rand(shape)
    with pytest.raises(ValueError, match=r"data_format='channels_last'.*transpose\(0, 3, 1, 2\).*'channels_first'"):
        make()(x)
    assert make(data_format="channels_last")(x).shape[-1] == shape[-1]
    assert make(data_format="channels_first")(x).shape[-3] == shape[-3]
    layer = make()
    layer(torch.rand(2, 3, 32, 28))
    with pytest.raises(ValueError, match="channels_last"):
        layer(x)  # at every call, not only at the first


@pytest.mark.parametrize("training", [True, False])
def test_a_flip_that_is_told_the_format_mirrors_and_swaps_no_colours(training):
    flip = L.RandomFlip("horizontal", seed=1, data_format="channels_last").train(training)
    for image, flipped in zip(IMAGES, flip(IMAGES), strict=True):
        assert torch.equal(flipped, image) or (training and torch.equal(flipped, image.flip(1)))


@pytest.mark.parametrize("kind", [L.MixUp, L.CutMix])
def test_mixing_refuses_them_too(kind):
    batch = {"images": IMAGES, "labels": torch.eye(2)}
    with pytest.raises(ValueError, match="channels_last"):
        kind()(batch)
    assert kind(data_format="channels_last")(batch)["images"].shape == IMAGES.shape


@pytest.mark.parametrize("make", OF_IMAGES.values(), ids=list(OF_IMAGES))
def test_layers_over_feature_maps_warn_once_and_are_silenced_by_data_format(make):
    layer = make()
    with pytest.warns(UserWarning, match=r"data_format='channels_last'.*\(0, 3, 1, 2\).*data_format='channels_first'"):
        layer(IMAGES)
    layer(IMAGES)  # once: warnings are errors here
    for given in ("channels_last", "channels_first"):
        make(data_format=given)(IMAGES)


@pytest.mark.parametrize("make", BY_AXIS.values(), ids=list(BY_AXIS))
def test_normalization_warns_and_is_silenced_by_axis(make):
    with pytest.warns(UserWarning, match=r"axis=-1.*transpose\(0, 3, 1, 2\).*axis=1"):
        make()(IMAGES)
    for given in (-1, 1):
        make(axis=given)(IMAGES)


@pytest.mark.parametrize("make", [L.Conv3D, L.MaxPooling3D, L.SpatialDropout3D, L.BatchNormalization])
def test_volumes_are_looked_at_too(make):
    given = {L.Conv3D: (2, 3), L.MaxPooling3D: ((2, 2, 1),), L.SpatialDropout3D: (0.5,)}.get(make, ())
    with pytest.warns(UserWarning, match=r"transpose\(0, 4, 1, 2, 3\)"):
        make(*given)(torch.rand(2, 8, 9, 10, 3))
    make(*given)(torch.rand(2, 3, 8, 9, 10))


@pytest.mark.parametrize(
    "shape", [(2, 3, 32, 32), (2, 1, 28, 28), (2, 128, 4, 4), (2, 512, 3, 3), (2, 64, 1, 1), (2, 2, 100, 1)]
)
@pytest.mark.parametrize("make", [*OF_IMAGES.values(), *BY_AXIS.values()], ids=[*OF_IMAGES, *BY_AXIS])
def test_feature_maps_are_taken_as_they_are(make, shape):
    with contextlib.suppress(RuntimeError, ValueError):  # a window larger than the map
        make()(torch.rand(shape))  # warnings are errors here


@pytest.mark.parametrize("sizes", [(32, 32, 3), (None, None, 3)])
def test_an_input_of_that_shape_is_said_when_the_model_is_put_together(sizes):
    with pytest.warns(UserWarning, match="channels_last"):
        kt.Sequential([kt.Input(sizes), L.ZeroPadding2D(1), L.UpSampling2D(2)])
    with pytest.warns(UserWarning, match="channels_last"):
        L.UpSampling2D(2)(kt.Input(sizes))
    with pytest.raises(ValueError, match="channels_last"):
        kt.Sequential([kt.Input(sizes), L.Resizing(20, 24)])
    with pytest.raises(ValueError, match="channels_last"):
        L.Resizing(20, 24)(kt.Input(sizes))


class Text(kt.Model):
    """A convolution over words, whose maps are (batch, 100, time, 1)."""

    def __init__(self, first):
        super().__init__()
        self.first = first
        self.pool = L.MaxPooling2D((8, 1))
        self.norm = L.BatchNormalization()
        self.head = L.Dense(1)

    def forward(self, x):
        return self.head(self.norm(self.pool(torch.relu(self.first(x)))).flatten(1))


def text_chain(first):
    return kt.Sequential([first, L.ReLU(), L.MaxPooling2D((8, 1)), L.BatchNormalization(), L.Flatten(), L.Dense(1)])


def text_graph(first):
    x = kt.Input((1, 20, 16))
    y = L.BatchNormalization()(L.MaxPooling2D((8, 1))(torch.relu(kt.call(first, x))))
    return kt.Model(x, L.Dense(1)(L.Flatten()(y)))


@pytest.mark.parametrize("make", [Text, text_chain, text_graph])
@pytest.mark.parametrize("first", [lambda: L.Conv2D(100, (3, 16)), lambda: nn.Conv2d(1, 100, (3, 16))])
def test_maps_behind_a_channels_first_layer_are_known_to_be_right(make, first):
    model = make(first())
    model.compile("sgd", "mse")
    model.fit(np.zeros((4, 1, 20, 16), "float32"), np.zeros((4, 1)), verbose=0)  # warnings are errors here


class Own(kt.Model):
    def __init__(self):
        super().__init__()
        self.pad, self.conv, self.norm, self.head = (
            L.ZeroPadding2D(2), L.Conv2D(4, 3), L.BatchNormalization(), L.Dense(1)
        )  # fmt: skip

    def forward(self, x):
        return self.head(self.norm(self.conv(self.pad(x))).mean((2, 3)))


def own_chain():
    return kt.Sequential(
        [L.ZeroPadding2D(2), L.Conv2D(4, 3), L.BatchNormalization(), L.GlobalMaxPooling2D(), L.Dense(1)]
    )


@pytest.mark.parametrize("make", [Own, own_chain])
@pytest.mark.parametrize("verb", ["fit", "evaluate", "predict", "train_on_batch", "call"])
def test_data_of_that_shape_are_said_once_whatever_the_model_and_the_verb(make, verb):
    x, y = IMAGES.numpy(), np.zeros((2, 1), "float32")
    model = make()
    model.compile("sgd", "mse")
    calls = {
        "fit": lambda: model.fit(x, y, verbose=0, validation_data=(x, y)),
        "evaluate": lambda: model.evaluate(x, y, verbose=0),
        "predict": lambda: model.predict(x),
        "train_on_batch": lambda: model.train_on_batch(x, y),
        "call": lambda: model(IMAGES),
    }
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        calls[verb]()
    said = [str(one.message) for one in caught if "channels" in str(one.message)]
    assert len(said) == 1
    assert said[0].startswith("ZeroPadding2D takes (batch, channels, height, width), and its input, (batch, 32, 28, 3)")
    assert caught[0].filename == __file__


def test_whether_data_format_was_given_survives_config_copy_and_file(tmp_path):
    for given in (None, "channels_first", "channels_last"):
        layer = L.UpSampling2D(2, data_format=given)
        assert layer.get_config()["data_format"] == given
        again = L.UpSampling2D.from_config(layer.get_config())
        assert (again.data_format, again.data_format_given) == (layer.data_format, given is not None)
        assert copy.deepcopy(layer).data_format_given == layer.data_format_given
    with pytest.warns(UserWarning, match="channels_last"):
        model = kt.Sequential(
            [kt.Input((32, 32, 3)), L.UpSampling2D(2), L.Resizing(4, 4, data_format="channels_first")]
        )
    model.save(tmp_path / "model.kt")
    loaded = kt.load_model(tmp_path / "model.kt")  # what was said is not said again
    assert [layer.data_format_given for layer in loaded.layers] == [False, True]
    assert loaded.predict(IMAGES[:, :, :, :].repeat(1, 1, 2, 1)[:, :, :32].numpy()).shape == (2, 32, 4, 4)


def test_torchs_convolution_says_it_itself():
    model = kt.Model(nn.Sequential(nn.Conv2d(3, 4, 3), nn.Flatten(), nn.LazyLinear(1)))
    model.compile("sgd", "mse")
    with pytest.raises((ValueError, RuntimeError), match="to have 3 channels, but got 32 channels"):
        model.fit(IMAGES.numpy(), np.zeros((2, 1)), verbose=0)
