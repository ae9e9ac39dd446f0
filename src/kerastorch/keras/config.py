"""Settings under Keras' path: the order of the axes of images, and those of `kerastorch.config`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from kerastorch import config
from kerastorch.keras.image_format import image_data_format, set_image_data_format

__all__ = ["backend", "epsilon", "floatx", "image_data_format", "set_image_data_format", *config.__all__]


def backend() -> str:
    """Return `"torch"`."""
    return "torch"


def epsilon() -> float:
    """Return the small number that Keras adds before it divides, 1e-7."""
    return 1e-7


def floatx() -> str:
    """Return the name of torch's default dtype.

    >>> floatx()
    'float32'
    """
    import torch

    return str(torch.get_default_dtype()).removeprefix("torch.")


def __dir__() -> list[str]:
    return sorted(__all__)


if not TYPE_CHECKING:

    def __getattr__(name: str) -> Any:
        return getattr(config, name)
