"""Settings under Keras' path: the order of the axes of images, and those of `kerastorch.config`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from kerastorch import config
from kerastorch.keras.image_format import image_data_format, set_image_data_format
from kerastorch.keras.interactive_logging import (
    disable_interactive_logging,
    enable_interactive_logging,
    is_interactive_logging_enabled,
)
from kerastorch.keras.mixed_precision import dtype_policy, set_dtype_policy

__all__ = [
    "backend", "disable_flash_attention", "enable_flash_attention", "is_flash_attention_enabled", "is_nnx_enabled",
    "set_epsilon", "disable_interactive_logging", "dtype_policy", "enable_interactive_logging", "epsilon", "floatx",
    "image_data_format", "is_interactive_logging_enabled", "set_backend", "set_dtype_policy", "set_floatx",
    "set_image_data_format", *(name for name in config.__all__ if "image_data_format" not in name),
]  # fmt: skip


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


def set_floatx(value: str) -> None:
    """Set the dtype of new weights and tensors, torch's default dtype.

    Args:
        value: `"float16"`, `"bfloat16"`, `"float32"` or `"float64"`.

    Raises:
        ValueError: It is none of them.
    """
    import torch

    if value not in ("float16", "bfloat16", "float32", "float64"):
        raise ValueError(f"floatx must be 'float16', 'bfloat16', 'float32' or 'float64', got {value!r}.")
    torch.set_default_dtype(getattr(torch, value))


def set_epsilon(value: float) -> None:
    """Do nothing for the number that `epsilon` returns, which cannot be changed.

    Args:
        value: The number.

    Raises:
        ValueError: It is another one.
    """
    if value != epsilon():
        raise ValueError(f"epsilon() is 1e-7, got {value}: layers, losses and optimizers have an argument epsilon=.")


def enable_flash_attention() -> None:
    """Let torch choose the kernel of flash attention (default); it is a setting of the whole process."""
    import torch

    torch.backends.cuda.enable_flash_sdp(True)


def disable_flash_attention() -> None:
    """Compute attention without the kernel of flash attention, in this process."""
    import torch

    torch.backends.cuda.enable_flash_sdp(False)


def is_flash_attention_enabled() -> bool:
    """Return whether torch may choose the kernel of flash attention."""
    import torch

    return bool(torch.backends.cuda.flash_sdp_enabled())


def is_nnx_enabled() -> bool:
    """Return `False`: NNX is a part of JAX."""
    return False


def set_backend(backend: str) -> None:
    """Do nothing for `"torch"`, which is the only backend.

    Args:
        backend: The name.

    Raises:
        ValueError: It is another one.
    """
    if backend != "torch":
        raise ValueError(f"The only backend is 'torch', got {backend!r}.")


def __dir__() -> list[str]:
    return sorted(__all__)


if not TYPE_CHECKING:

    def __getattr__(name: str) -> Any:
        return getattr(config, name)
