"""Images as files, as images of Pillow and as arrays, with the functions of `keras.preprocessing.image`.

Arrays are channels-first by default, `(channels, height, width)`, as everywhere in kerastorch;
`config.set_image_data_format` changes it.
"""

from __future__ import annotations

import io
import os
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, NoReturn

import numpy as np
import torch
from torch import Tensor

from kerastorch.core.absent_names import absent_name
from kerastorch.core.errors import check_choice, check_int, mismatch, warn
from kerastorch.core.image_format import is_channels_last
from kerastorch.core.keras_names import PREPROCESSING_IMAGE
from kerastorch.core.path_checks import check_writable, parse_path
from kerastorch.preprocessing.image_file import COLOR_MODES, has_gray_values, open_image, pillow
from kerastorch.preprocessing.image_resizing import METHODS, resize_and_crop

if TYPE_CHECKING:
    from PIL.Image import Image

__all__ = ["array_to_img", "img_to_array", "load_img", "save_img", "smart_resize"]

_RESAMPLING = ("nearest", "bilinear", "bicubic", "hamming", "box", "lanczos")


def load_img(
    path: str | os.PathLike[str] | io.BytesIO,
    color_mode: str = "rgb",
    target_size: tuple[int, int] | None = None,
    interpolation: str = "nearest",
    keep_aspect_ratio: bool = False,
) -> Image:
    """Load an image file as an image of Pillow.

    Args:
        path: The file, or its bytes in an `io.BytesIO`.
        color_mode: `'rgb'` (default), `'rgba'` or `'grayscale'`. Gray images of 16 or 32 bits keep their values.
        target_size: Height and width to which the image is resized. Default: its own size.
        interpolation: `'nearest'` (default), `'bilinear'`, `'bicubic'`, `'lanczos'`, `'box'` or `'hamming'`, those of
            Pillow. All but the first smooth an image that shrinks.
        keep_aspect_ratio: Whether the largest centered window with the proportions of `target_size` is resized.
            Default `False`.

    Raises:
        ImportError: Pillow is not installed.
        FileNotFoundError: There is no such file.
        ValueError: An unknown mode, or a file that is no image; the message names the file.

    >>> import tempfile
    >>> file = tempfile.mkdtemp() + "/gray.png"
    >>> save_img(file, np.zeros((1, 8, 6)))
    >>> load_img(file, color_mode="grayscale", target_size=(4, 3)).size  # width and height
    (3, 4)
    """
    mode = check_choice("color_mode", color_mode, tuple(COLOR_MODES))
    image = open_image(path if isinstance(path, io.BytesIO) else parse_path("path", path))
    if not (mode == "grayscale" and has_gray_values(image)):
        image = image.convert(COLOR_MODES[mode])
    if target_size is None:
        return image
    height, width = _check_size("target_size", target_size)
    method = check_choice("interpolation", interpolation, _RESAMPLING)
    if image.size == (width, height):
        return image
    resample = getattr(pillow("load_img").Resampling, method.upper())
    return image.resize((width, height), resample, _window(image.size, (width, height)) if keep_aspect_ratio else None)


def _window(given: tuple[int, int], wanted: tuple[int, int]) -> tuple[int, int, int, int]:
    """Return the largest centered window with the proportions of a size: left, upper, right and lower edge."""
    width = min(given[0], given[1] * wanted[0] // wanted[1])
    height = min(given[1], given[0] * wanted[1] // wanted[0])
    left, upper = (given[0] - width) // 2, (given[1] - height) // 2
    return left, upper, left + width, upper + height


def img_to_array(
    img: Any, data_format: str | None = None, dtype: str | np.dtype[Any] | None = None
) -> np.ndarray[Any, Any]:
    """Return an image of Pillow as an array, with the values of the image.

    Args:
        img: The image.
        data_format: `'channels_first'` (default) or `'channels_last'`.
        dtype: Dtype of the array. Default float32.

    Shape: `(channels, height, width)`, or `(height, width, channels)` with `'channels_last'`.

    >>> from PIL import Image
    >>> img_to_array(Image.new("RGB", (6, 8), "white")).shape  # Pillow has the width first
    (3, 8, 6)
    """
    last = is_channels_last(data_format)
    array = np.asarray(img, dtype=np.float32 if dtype is None else dtype)
    if array.ndim not in (2, 3):
        raise ValueError(f"img must be an image, (height, width) or (height, width, channels), got {array.shape}.")
    pixels = array[:, :, None] if array.ndim == 2 else array
    return pixels if last else pixels.transpose(2, 0, 1)


def array_to_img(
    x: Any, data_format: str | None = None, scale: bool = True, dtype: str | np.dtype[Any] | None = None
) -> Image:
    """Return an array as an image of Pillow.

    Args:
        x: An array or tensor of shape `(channels, height, width)`, or `(height, width, channels)` with
            `'channels_last'`, with 1, 3 or 4 channels.
        data_format: `'channels_first'` (default) or `'channels_last'`.
        scale: Whether the values are stretched, so that the smallest becomes 0 and the largest 255. Default `True`.
            Without it, the values must be those of pixels, from 0 to 255.
        dtype: Dtype in which the values are stretched. Default float32.

    Raises:
        ImportError: Pillow is not installed.
        ValueError: Another shape, or values outside 0 to 255 with `scale=False`.

    >>> array_to_img(np.arange(12.0).reshape(1, 3, 4)).size  # width and height
    (4, 3)
    """
    last = is_channels_last(data_format)
    array = _to_numpy(x).astype(np.float32 if dtype is None else dtype)
    if array.ndim != 3 or array.shape[2 if last else 0] not in (1, 3, 4):
        expected = "(height, width, channels)" if last else "(channels, height, width)"
        other = "channels_first" if last else "channels_last"
        hint = f" Pass data_format={other!r}." if array.ndim == 3 and array.shape[0 if last else 2] in (1, 3, 4) else ""
        raise ValueError(f"x must be one image, {expected} with 1, 3 or 4 channels, got the shape {array.shape}.{hint}")
    pixels = array if last else array.transpose(1, 2, 0)  # (height, width, channels)
    if scale:
        pixels = pixels - pixels.min()
        pixels = pixels / (pixels.max() or 1) * 255
    return _to_image(pixels)


def _to_image(pixels: np.ndarray[Any, Any]) -> Image:
    """Return pixels, `(height, width, channels)`, as an image; gray values above 255 as one of 32 bits."""
    is_gray = pixels.shape[2] == 1
    if pixels.min() < 0 or not np.isfinite(pixels).all() or (pixels.max() > 255 and not is_gray):
        raise ValueError(
            f"x has values from {pixels.min():g} to {pixels.max():g}, and pixels go from 0 to 255; pass scale=True."
        )
    dtype = np.int32 if pixels.max() > 255 else np.uint8
    found: Image = pillow("array_to_img").fromarray((pixels[:, :, 0] if is_gray else pixels).astype(dtype))
    return found


def save_img(
    path: str | os.PathLike[str] | IO[bytes],
    x: Any,
    data_format: str | None = None,
    file_format: str | None = None,
    scale: bool = True,
    **kwargs: Any,
) -> None:
    """Save an array as an image file.

    Args:
        path: The file; its ending says the format. Or a file object, with `file_format`.
        x: An array or tensor of shape `(channels, height, width)`, or `(height, width, channels)` with
            `'channels_last'`.
        data_format: `'channels_first'` (default) or `'channels_last'`.
        file_format: Format of the file, as `'png'`. Default: that of the ending.
        scale: Whether the values are stretched to 0 to 255, see `array_to_img`. Default `True`.
        **kwargs: Further arguments of `PIL.Image.Image.save`, such as `quality=95`.

    Raises:
        ImportError: Pillow is not installed.
        ValueError: An array that is no image, or an unknown format.

    Warns:
        UserWarning: Four channels in a JPEG file, which has no transparency; the fourth is dropped.
    """
    target = parse_path("path", path) if isinstance(path, (str, os.PathLike)) else path
    kind = file_format or (target.suffix[1:] if isinstance(target, Path) else "")
    kind = "jpeg" if kind.lower() == "jpg" else kind.lower()
    image = array_to_img(x, data_format, scale)
    if kind.upper() not in pillow("save_img").registered_extensions().values():
        raise ValueError(f"save_img knows no format {kind!r}; use an ending such as .png, or file_format='png'.")
    if kind == "jpeg" and image.mode == "RGBA":
        warn("a JPEG file has no transparency: the fourth channel is dropped.")
        image = image.convert("RGB")
    if isinstance(target, Path):
        check_writable(target)
    image.save(target, format=kind, **kwargs)


def smart_resize(x: Any, size: tuple[int, int], interpolation: str = "bilinear", data_format: str | None = None) -> Any:
    """Return an image of another size without distorting it: the largest centered window, resized.

    Args:
        x: An array or tensor, one image or a batch of images.
        size: Height and width of the result.
        interpolation: `'bilinear'` (default), `'nearest'`, `'bicubic'`, `'area'`, `'lanczos3'`, `'lanczos5'`,
            `'gaussian'` or `'mitchellcubic'`.
        data_format: `'channels_first'` (default), or `'channels_last'`.

    Returns:
        Floats; an array for an array, a tensor for a tensor.

    Shape: `([batch,] channels, h, w)` -> `([batch,] channels, *size)`; the channels last with `'channels_last'`.

    >>> smart_resize(np.zeros((3, 8, 12)), (4, 4)).shape
    (3, 4, 4)
    """
    method = check_choice("interpolation", interpolation, METHODS)
    height, width = _check_size("size", size)
    last = is_channels_last(data_format)
    images = x if isinstance(x, Tensor) else torch.from_numpy(np.ascontiguousarray(x))
    if images.ndim not in (3, 4):
        raise ValueError(f"x must be an image or a batch of images, 3 or 4 axes, got the shape {tuple(images.shape)}.")
    if not last and images.shape[-3] not in (1, 3, 4) and images.shape[-1] in (1, 3, 4):
        raise ValueError(f"x of shape {tuple(images.shape)} looks channels-last; pass data_format='channels_last'.")
    images = images if images.is_floating_point() else images.float()
    found = resize_and_crop(images.movedim(-1, -3) if last else images, (height, width), method)
    found = found.movedim(-3, -1) if last else found
    return found if isinstance(x, Tensor) else found.numpy()


def _check_size(name: str, size: Any) -> tuple[int, int]:
    if not isinstance(size, (tuple, list)) or len(size) != 2:
        raise mismatch(name, size, "a height and a width, such as (224, 224)")
    return check_int(name, size[0]), check_int(name, size[1])


def _to_numpy(x: Any) -> np.ndarray[Any, Any]:
    return x.detach().cpu().numpy() if isinstance(x, Tensor) else np.asarray(x)


def __dir__() -> list[str]:
    return __all__


if not TYPE_CHECKING:  # type checkers refuse the names themselves

    def __getattr__(name: str) -> NoReturn:
        raise absent_name(__name__, name, __all__, PREPROCESSING_IMAGE)
