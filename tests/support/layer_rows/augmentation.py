"""Random changes of images: what they do in training is in `test_layers_augmentation.py`."""

from torch.nn import functional as F

from kerastorch import layers
from support.layer_rows.row import Row, numbers


def _images():
    return (numbers(5, 3, 6, 8),)


def _same(layer, x):
    return x


def _random(make, oracle=_same, inputs=_images):
    return Row(make, inputs, oracle, training="random")


ROWS = {
    "RandomFlip": _random(layers.RandomFlip),
    "RandomFlip-channels_last": _random(lambda: layers.RandomFlip("vertical", data_format="channels_last")),
    "RandomRotation": _random(lambda: layers.RandomRotation(0.1)),
    "RandomRotation-wrap": _random(lambda: layers.RandomRotation(0.1, "wrap", "nearest")),
    "RandomZoom": _random(lambda: layers.RandomZoom(0.1, (-0.5, -0.2), "constant", fill_value=0.5)),
    "RandomTranslation": _random(lambda: layers.RandomTranslation(0.1, 0.3, "nearest")),
    "RandomTranslation-channels_last": _random(lambda: layers.RandomTranslation(0.1, 0.3, data_format="channels_last")),
    "RandomCrop": _random(
        lambda: layers.RandomCrop(3, 3),
        lambda layer, x: F.interpolate(x[:, :, :, 1:7], (3, 3), mode="bilinear", align_corners=False),
    ),
    "RandomContrast": _random(lambda: layers.RandomContrast(0.3, (0, 1))),
    "RandomBrightness": _random(lambda: layers.RandomBrightness(0.3, (0, 1))),
    "RandomErasing": _random(layers.RandomErasing),
    "RandomErasing-filled": _random(lambda: layers.RandomErasing(fill_value=(0.1, 0.2, 0.3), value_range=(0, 1))),
}
