"""Placement: on which device the arrays of one call are kept."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch

from kerastorch.core.errors import mismatch

SHARE = 0.25  # of an accelerator's free memory: arrays that take less than this are moved there


def parse_device(wanted: Any) -> Any:
    """`'auto'`, or what `wanted` names as a `torch.device`.

    Raises:
        ValueError: it names no device, or one that is not here.
    """
    if isinstance(wanted, str) and wanted == "auto":
        return wanted
    try:
        device = torch.device(wanted)
    except (RuntimeError, TypeError) as error:
        raise mismatch("data_device", wanted, "'auto' or a device such as 'cpu' or 'cuda'") from error
    here = torch.accelerator.current_accelerator() if torch.accelerator.is_available() else None
    if device.type not in ("cpu", "meta") and (here is None or here.type != device.type):
        raise ValueError(f"data_device={wanted!r}: there is no such device here. Use 'auto' or 'cpu'.")
    return device


def free_memory(device: torch.device) -> int | None:
    """The bytes free on a device with a memory of its own, `None` for any other."""
    if device.type not in ("cuda", "xpu"):
        return None
    free: int = getattr(torch, device.type).mem_get_info(device)[0]
    return free


def choose_data_device(
    size: int, wanted: Any, computing: torch.device, free: Callable[[torch.device], int | None] = free_memory
) -> torch.device | None:
    """Where arrays are to be moved as a whole; `None` leaves them where they are.

    Args:
        size: what they take, in bytes.
        wanted: as `check_place` gives it.
        computing: where the model is.
        free: tells the bytes free on a device.

    >>> choose_data_device(10, "auto", torch.device("cuda"), free=lambda device: 100)
    device(type='cuda')
    >>> choose_data_device(30, "auto", torch.device("cuda"), free=lambda device: 100)
    """
    if isinstance(wanted, torch.device):
        return wanted
    room = free(computing)
    return computing if room is not None and size < SHARE * room else None
