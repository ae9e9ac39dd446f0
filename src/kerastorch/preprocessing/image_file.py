"""Reading image files with Pillow, in the modes that Keras has, with errors that name the file."""

from __future__ import annotations

import io
import struct
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor

from kerastorch.core.optional_dependency import require_package
from kerastorch.core.path_checks import check_exists

if TYPE_CHECKING:
    from PIL.Image import Image

COLOR_MODES = {"rgb": "RGB", "rgba": "RGBA", "grayscale": "L"}  # Keras' names -> Pillow's


def pillow(who: str) -> Any:
    """Return the module `PIL.Image`.

    Args:
        who: Public function that needs it, for the message.

    Raises:
        ImportError: Pillow is not installed.
    """
    require_package(who, "PIL", "pillow")
    from PIL import Image

    return Image


def open_image(file: Path | io.BytesIO) -> Image:
    """Return the image in a file, decoded; of several frames the first.

    Raises:
        FileNotFoundError: There is no such file.
        ValueError: The file is no image, or is damaged; the message names it.
    """
    if isinstance(file, Path):
        check_exists(file)
    try:
        image: Image = pillow("load_img").open(io.BytesIO(file.read_bytes()) if isinstance(file, Path) else file)
        image.load()
    except ImportError:
        raise
    except (OSError, SyntaxError, ValueError, EOFError, struct.error) as error:
        if isinstance(error, (IsADirectoryError, PermissionError)):
            raise
        name = str(file) if isinstance(file, Path) else "the image"
        is_unknown = type(error).__name__ == "UnidentifiedImageError"  # its text names a buffer in memory
        reason = "Pillow finds no format that it can read" if is_unknown else f"it is damaged: {error}"
        raise ValueError(f"{name} cannot be read as an image: {reason}.") from error
    # Pillow warns when the transparent color of a palette is dropped, and advises to go over RGBA
    return image.convert("RGBA") if image.mode == "P" and "transparency" in image.info else image


def has_gray_values(image: Image) -> bool:
    """Return whether an image has gray values of 8, 16 or 32 bits."""
    return image.mode == "L" or image.mode.startswith("I")


def read_pixels(file: Path, color_mode: str) -> Tensor:
    """Return the pixels of an image file, from 0 to 255, float32 `(channels, height, width)`.

    Gray values of 16 bits are divided by 256 and rounded down, as TensorFlow does.
    """
    image = open_image(file)
    if image.mode.startswith("I"):
        eight_bits = (np.asarray(image).astype(np.int64) >> 8).clip(0, 255).astype(np.uint8)
        image = pillow("load_img").fromarray(eight_bits)
    wanted = COLOR_MODES[color_mode]
    pixels = np.array(image if image.mode == wanted else image.convert(wanted))
    tensor = torch.from_numpy(pixels if pixels.ndim == 3 else pixels[:, :, None])
    return tensor.permute(2, 0, 1).float()
