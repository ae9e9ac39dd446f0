"""The order of the axes of images behind `kerastorch.keras`: channels last, as in Keras, unless a script changes it."""

from __future__ import annotations

from kerastorch.core import image_format


def image_data_format() -> str:
    """Return the order of the axes of images for layers that are made from now on.

    >>> image_data_format()
    'channels_last'
    """
    return image_format.image_data_format(image_format.KERAS)


def set_image_data_format(data_format: str) -> None:
    """Set the order of the axes of images for layers and functions of `kerastorch.keras`.

    It holds for layers that are made from now on, and for functions such as `keras.ops.conv` that are called from now
    on. Layers of `kerastorch.layers` have a setting of their own: `kerastorch.config.set_image_data_format`.

    Args:
        data_format: `"channels_last"` or `"channels_first"`.

    Raises:
        ValueError: It is neither.

    >>> set_image_data_format("channels_first")
    >>> set_image_data_format("channels_last")
    """
    image_format.set_image_data_format(image_format.KERAS, data_format)
