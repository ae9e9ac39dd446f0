"""image_dataset_from_directory: a folder of image files as a dataset."""

from __future__ import annotations

import os
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

from torch import Tensor

from kerastorch.core.errors import check_choice, check_int, mismatch
from kerastorch.core.image_format import is_channels_last
from kerastorch.preprocessing.file_index import FileOptions, file_dataset
from kerastorch.preprocessing.image_file import COLOR_MODES, pillow, read_pixels
from kerastorch.preprocessing.image_resizing import METHODS, resize, resize_and_crop, resize_and_pad

SUFFIXES = (".bmp", ".gif", ".jpeg", ".jpg", ".png")


def image_dataset_from_directory(
    directory: str | os.PathLike[str],
    labels: Any = "inferred",
    label_mode: str | None = "int",
    class_names: Sequence[str] | None = None,
    color_mode: str = "rgb",
    batch_size: int | None = 32,
    image_size: int | tuple[int, int] = (256, 256),
    shuffle: bool = True,
    seed: int | None = None,
    validation_split: float | None = None,
    subset: str | None = None,
    interpolation: str = "bilinear",
    follow_links: bool = False,
    crop_to_aspect_ratio: bool = False,
    pad_to_aspect_ratio: bool = False,
    data_format: str | None = None,
    format: str = "torch",  # noqa: A002  # Keras' name
    verbose: bool = True,
) -> Any:
    """Return the images in a folder as a dataset, with the names of the subfolders as classes.

    Files are decoded when a sample is read, in the workers if there are any. The order of the files and the split into
    training and validation are those of Keras with the same seed.

    Args:
        directory: The folder. With `labels='inferred'` it has a subfolder for each class. Files that end in `.bmp`,
            `.gif`, `.jpeg`, `.jpg` or `.png` are read, those in deeper subfolders too.
        labels: `'inferred'` (default), `None` for images without labels, or a list with a label for each file, in the
            order of the sorted paths.
        label_mode: `'int'` (default) for class numbers, int64 `(batch,)`; `'binary'` for 0 and 1, float32
            `(batch, 1)`; `'categorical'` for one-hot rows, float32 `(batch, classes)`; `None` for no labels. Floats in
            `labels` stay floats with `'int'`, as targets of a regression.
        class_names: Names of the subfolders in the order of their class numbers. Default: all, sorted.
        color_mode: `'rgb'` (default), `'rgba'` or `'grayscale'`: 3, 4 or 1 channels.
        batch_size: Images in a batch. Default 32. With `None`, iteration gives single images.
        image_size: Height and width to which images are resized. Default `(256, 256)`.
        shuffle: Whether the files are shuffled, and again in each pass. Default `True`. `False` sorts them.
        seed: Seed of the shuffling; required for a shuffled `validation_split`. Default: that of torch, which
            `utils.set_random_seed` sets.
        validation_split: Share of the files for validation, the last ones after shuffling.
        subset: `'training'`, `'validation'` or `'both'`; required with `validation_split`.
        interpolation: `'bilinear'` (default), `'nearest'`, `'bicubic'`, `'area'`, `'lanczos3'`, `'lanczos5'`,
            `'gaussian'` or `'mitchellcubic'`, those of TensorFlow. None of them smooths images that shrink.
        follow_links: Whether linked subfolders are read. Default `False`.
        crop_to_aspect_ratio: Whether the largest centered window with the proportions of `image_size` is resized,
            instead of the whole image. Default `False`.
        pad_to_aspect_ratio: Whether images keep their proportions, on a black canvas. Default `False`.
        data_format: `'channels_first'` (default) or `'channels_last'`.
        format: No effect: the result is always a torch `Dataset`. Keras' `'tf'` and `'grain'` are accepted.
        verbose: Whether the numbers of files and classes are printed. Default `True`.

    Returns:
        A [`BatchedDataset`][kerastorch.data.BatchedDataset] with the attributes `class_names` and `file_paths`; for
        `subset='both'` a tuple of two, training and validation.

    Shape: Images are float32 from 0 to 255, `(channels, height, width)`; in a batch `(batch, channels, height, width)`.

    Raises:
        ImportError: Pillow is not installed.
        FileNotFoundError: There is no such folder.
        ValueError: An unknown choice, or no images. A file that cannot be decoded raises an error with its name when it
            is read.

    >>> import tempfile, numpy as np
    >>> from kerastorch.preprocessing.image import save_img
    >>> folder = tempfile.mkdtemp()
    >>> for name in ("cat/1.png", "cat/2.png", "dog/1.png"):
    ...     save_img(f"{folder}/{name}", np.zeros((3, 20, 30)))
    >>> dataset = image_dataset_from_directory(folder, image_size=(16, 16), batch_size=2, seed=0)
    Found 3 files belonging to 2 classes.
    >>> [(tuple(x.shape), y.dtype) for x, y in dataset]
    [((2, 3, 16, 16), torch.int64), ((1, 3, 16, 16), torch.int64)]
    >>> dataset.class_names
    ['cat', 'dog']
    """
    pillow("image_dataset_from_directory")
    if crop_to_aspect_ratio and pad_to_aspect_ratio:
        raise ValueError("pass one of crop_to_aspect_ratio and pad_to_aspect_ratio, not both.")
    resizer = resize_and_crop if crop_to_aspect_ratio else resize_and_pad if pad_to_aspect_ratio else resize
    read = partial(
        _read_images,
        color_mode=check_choice("color_mode", color_mode, tuple(COLOR_MODES)),
        size=_check_image_size(image_size),
        method=check_choice("interpolation", interpolation, METHODS),
        resizer=resizer,
        channels_last=is_channels_last(data_format),
    )
    options = FileOptions(
        directory, labels, label_mode, class_names, batch_size, shuffle, seed, validation_split, subset, follow_links,
        format, verbose,
    )  # fmt: skip
    return file_dataset(options, "images", SUFFIXES, read)


def _read_images(
    paths: list[str], *, color_mode: str, size: tuple[int, int], method: str, resizer: Any, channels_last: bool
) -> list[Tensor]:
    images = [resizer(read_pixels(Path(path), color_mode), size, method) for path in paths]
    return [image.permute(1, 2, 0).contiguous() for image in images] if channels_last else images


def _check_image_size(size: Any) -> tuple[int, int]:
    if isinstance(size, (tuple, list)) and len(size) == 2:
        return check_int("image_size", size[0]), check_int("image_size", size[1])
    if isinstance(size, (tuple, list)):
        raise mismatch("image_size", size, "a height and a width, such as (256, 256)")
    return (check_int("image_size", size),) * 2
