"""The device on which the arrays of a call of `fit`, `evaluate` or `predict` are stored."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch

from kerastorch.core.errors import mismatch

MAX_SHARE = 0.25  # of an accelerator's free memory: arrays that need less are moved there as a whole


def parse_device(wanted: Any, name: str = "data_device") -> Any:
    """Return a device argument as a `torch.device`, or `'auto'` unchanged.

    Args:
        wanted: `'auto'`, or anything that `torch.device` takes.
        name: Name of the argument, for messages.

    Raises:
        ValueError: The argument names no device, or a device that this machine lacks.
    """
    if isinstance(wanted, str) and wanted == "auto":
        return wanted
    try:
        device = torch.device(wanted)
    except (RuntimeError, TypeError) as error:
        raise mismatch(name, wanted, "'auto' or a device such as 'cpu' or 'cuda'") from error
    if device.type in ("cpu", "meta"):
        return device
    present = torch.accelerator.current_accelerator() if torch.accelerator.is_available() else None
    if present is None or present.type != device.type or (device.index or 0) >= torch.accelerator.device_count():
        raise ValueError(f"{name}={wanted!r}: there is no such device here. Use 'auto' or 'cpu'.")
    return device


def free_memory(device: torch.device) -> int | None:
    """Return the free bytes of a device with its own memory, or `None` for other devices."""
    if device.type not in ("cuda", "xpu"):
        return None
    free: int = getattr(torch, device.type).mem_get_info(device)[0]
    return free


def choose_data_device(
    size: int, wanted: Any, computing: torch.device, free: Callable[[torch.device], int | None] = free_memory
) -> torch.device | None:
    """Return the device that arrays are moved to as a whole, or `None` if they stay where they are.

    Args:
        size: Size of the arrays in bytes.
        wanted: What `parse_device` returned.
        computing: The device of the model.
        free: Returns the free bytes of a device.

    >>> choose_data_device(10, "auto", torch.device("cuda"), free=lambda device: 100)
    device(type='cuda')
    >>> choose_data_device(30, "auto", torch.device("cuda"), free=lambda device: 100)
    """
    if isinstance(wanted, torch.device):
        return wanted
    room = free(computing)
    return computing if room is not None and size < MAX_SHARE * room else None
