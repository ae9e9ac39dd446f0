"""Settings of the whole process: tracebacks, the folder for downloaded files, and the order of the axes of images."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn

from kerastorch.core import cache_dir as cache
from kerastorch.core import image_format, traceback_filter
from kerastorch.core.absent_names import absent_name
from kerastorch.core.keras_names import CONFIG
from kerastorch.core.path_checks import parse_path

__all__ = [
    "cache_dir",
    "disable_traceback_filtering",
    "enable_traceback_filtering",
    "image_data_format",
    "is_traceback_filtering_enabled",
    "set_cache_dir",
    "set_image_data_format",
]


def enable_traceback_filtering() -> None:
    """Show only the frames of your own code in the tracebacks of `fit`, `evaluate`, `predict` and the like (default).

    The frames of kerastorch, torch and torchmetrics are removed from an error that leaves such a method, and from its
    cause. The error itself, its message and its cause stay as they are.

    >>> enable_traceback_filtering()
    >>> is_traceback_filtering_enabled()
    True
    """
    traceback_filter.set_enabled(True)


def disable_traceback_filtering() -> None:
    """Show whole tracebacks, those of kerastorch and torch included, in this process.

    Use it to report a bug, or to follow an error into the library.

    >>> disable_traceback_filtering()
    >>> is_traceback_filtering_enabled()
    False
    >>> enable_traceback_filtering()
    """
    traceback_filter.set_enabled(False)


def is_traceback_filtering_enabled() -> bool:
    """Return whether the tracebacks of `fit`, `evaluate`, `predict` and the like show only your own frames."""
    return traceback_filter.is_enabled()


def set_cache_dir(path: str | os.PathLike[str] | None) -> None:
    """Choose the folder for downloaded files, in this process.

    Datasets are stored in its subfolder `datasets`. The folder is created by the first download.

    Args:
        path: The folder; `~` is the home folder. `None` returns to the environment variable `KERASTORCH_HOME`, or, if
            it is not set, to the default `~/.cache/kerastorch` (`$XDG_CACHE_HOME/kerastorch` if that is set).

    Raises:
        TypeError: `path` is no path.
        NotADirectoryError: `path` is a file.

    >>> set_cache_dir("data")
    >>> cache_dir().name
    'data'
    >>> set_cache_dir(None)
    """
    folder = None if path is None else parse_path("path", path)
    if folder is not None and folder.exists() and not folder.is_dir():
        raise NotADirectoryError(f"{folder} is a file; set_cache_dir needs a folder.")
    cache.choose(folder)


def cache_dir() -> Path:
    """Return the folder for downloaded files, as an absolute path; it may not exist yet.

    >>> cache_dir().is_absolute()
    True
    """
    return cache.current()


def image_data_format() -> str:
    """Return the order of the axes of images and volumes for what is made without `data_format=`.

    >>> image_data_format()
    'channels_first'
    """
    return image_format.image_data_format(image_format.MAIN)


def set_image_data_format(data_format: str) -> None:
    """Set the order of the axes of images and volumes for layers and functions without `data_format=`, in this process.

    It holds for layers of `kerastorch.layers` that are made from now on, for the `axis` of `BatchNormalization` and
    `GroupNormalization`, and for functions that read and write images, such as `utils.img_to_array`. Sequences are
    `"channels_last"` in any case. The functions of `kerastorch.ops` take channels last if nothing else is given, as
    the page of each says, and `kerastorch.keras` has a setting of its own: `kerastorch.keras.config`.

    A saved model is loaded with the order that it was made with.

    Args:
        data_format: `"channels_first"`, which is the default, or `"channels_last"`.

    Raises:
        ValueError: It is neither.

    >>> import kerastorch as kt, torch
    >>> set_image_data_format("channels_last")
    >>> kt.layers.Conv2D(4, 3)(torch.zeros(1, 8, 6, 2)).shape
    torch.Size([1, 6, 4, 4])
    >>> set_image_data_format("channels_first")
    """
    image_format.set_image_data_format(image_format.MAIN, data_format)


def __dir__() -> list[str]:
    return sorted(__all__)


if not TYPE_CHECKING:  # type checkers refuse the names themselves

    def __getattr__(name: str) -> NoReturn:
        raise absent_name(__name__, name, __all__, CONFIG)
