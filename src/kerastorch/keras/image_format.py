"""The order of the axes of images behind `kerastorch.keras`: channels last, as in Keras, unless a script changes it."""

from __future__ import annotations

_FORMATS = ("channels_last", "channels_first")
_current = {"format": "channels_last"}


def image_data_format() -> str:
    """Return the order of the axes of images for layers that are made from now on.

    >>> image_data_format()
    'channels_last'
    """
    return _current["format"]


def set_image_data_format(data_format: str) -> None:
    """Set the order of the axes of images for layers that are made from now on by classes of `kerastorch.keras`.

    Args:
        data_format: `"channels_last"` or `"channels_first"`.

    Raises:
        ValueError: It is neither.

    >>> set_image_data_format("channels_first")
    >>> set_image_data_format("channels_last")
    """
    if data_format not in _FORMATS:
        raise ValueError(f"data_format must be 'channels_last' or 'channels_first', got {data_format!r}.")
    _current["format"] = data_format
