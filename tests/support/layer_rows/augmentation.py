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


def _stretched(layer, x):
    least, most = x.amin((2, 3), keepdim=True), x.amax((2, 3), keepdim=True)
    return (x - least) / (most - least) * 2 - 1


def _equalized_once(layer, x):
    """One tile, without a limit: the rank of each value among those of its channel."""
    values = ((x + 5) / 10 * 255).clamp(0, 255).floor().flatten(2)
    at_most = (values[..., None] >= values[..., None, :]).sum(-1).to(x.dtype)
    lowest = (values == 0).sum(-1, keepdim=True)
    return ((at_most - lowest) / (values.shape[-1] - lowest) * 10 - 5).view(x.shape)


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
    "RandomShear": _random(lambda: layers.RandomShear(0.3, 0.2)),
    "RandomPerspective": _random(lambda: layers.RandomPerspective(scale=0.3)),
    "RandomElasticTransform": _random(lambda: layers.RandomElasticTransform(fill_mode="mirror")),
    "MaxNumBoundingBoxes": Row(lambda: layers.MaxNumBoundingBoxes(3), _images, _same),
    "RandomHue": _random(lambda: layers.RandomHue(0.3)),
    "RandomSaturation": _random(lambda: layers.RandomSaturation(0.3)),
    "RandomColorDegeneration": _random(lambda: layers.RandomColorDegeneration(0.3)),
    "RandomColorJitter": _random(lambda: layers.RandomColorJitter((0, 1), 0.1, 0.1, 0.6, 0.1)),
    "RandomGrayscale": _random(layers.RandomGrayscale),
    "RandomInvert": _random(layers.RandomInvert),
    "RandomPosterization": _random(lambda: layers.RandomPosterization((2, 5))),
    "RandomSharpness": _random(lambda: layers.RandomSharpness(0.7)),
    "RandomGaussianBlur": _random(layers.RandomGaussianBlur),
    "Solarization": _random(lambda: layers.Solarization(0.1, 0.3)),
    "Equalization": _random(layers.Equalization),
    "RandAugment": _random(layers.RandAugment),
    "AugMix": _random(layers.AugMix),
    "AutoContrast": Row(lambda: layers.AutoContrast((-1, 1)), _images, _stretched),
    "ContrastLimitedAdaptiveHistogramEqualization": Row(
        lambda: layers.ContrastLimitedAdaptiveHistogramEqualization((-5, 5), 0, (1, 1)),
        _images,
        _equalized_once,
        gradients=False,
    ),
}
