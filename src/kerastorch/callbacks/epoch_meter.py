"""Stopwatch, and EpochMeter, which measures what an epoch takes: seconds, samples a second, and peak memory."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterable, Mapping
from typing import Any, Protocol

import torch
from torch import nn

resource: Any
try:
    import resource
except ImportError:  # Windows has no such module
    resource = None

RESOURCES = ("epoch_seconds", "samples_per_second", "peak_memory")


class EpochProgress(Protocol):
    """What a running fit knows of its last epoch.

    Attributes:
        epoch_samples: Rows that the epoch trained on; `None` if unknown.
        batches_ended: When its last training batch ended, as `time.perf_counter`.
    """

    epoch_samples: int | None
    batches_ended: float


class Stopwatch:
    """A clock that can be started, read and stopped.

    Attributes:
        began: When it was started, as `time.perf_counter`, minus the seconds of earlier parts; `None` while it stands.
    """

    def __init__(self) -> None:
        self.began: float | None = None

    @property
    def elapsed(self) -> float | None:
        """Return the seconds since the start; `None` if the clock stands."""
        return None if self.began is None else time.perf_counter() - self.began

    def start(self, elapsed: float = 0.0) -> None:
        """Start the clock.

        Args:
            elapsed: Seconds that count already, such as those of an earlier process. Default 0.
        """
        self.began = time.perf_counter() - elapsed

    def stop(self) -> float | None:
        """Stop the clock, and return the seconds since its start; `None` if it was not started."""
        seconds, self.began = self.elapsed, None
        return seconds


class EpochMeter:
    """Measures epochs: a clock that is read twice an epoch and never within it, and the memory."""

    def __init__(self) -> None:
        self._clock = Stopwatch()

    @property
    def elapsed(self) -> float | None:
        """Return the seconds since the running epoch began; `None` between two epochs."""
        return self._clock.elapsed

    def begin(self, elapsed: float = 0.0) -> None:
        """Start the clock.

        Args:
            elapsed: Seconds of this epoch in an earlier process, from which training resumes. Default 0.
        """
        self._clock.start(elapsed)

    def end(self, progress: EpochProgress | None, model: nn.Module | None) -> dict[str, float | int | None]:
        """Stop the clock, and return what the epoch took, by the names in `RESOURCES`; `None` is unknown.

        Args:
            progress: Rows of the epoch, and when its batches ended; `None` outside `fit`.
            model: Model whose device is measured; `None` measures the process.
        """
        began, seconds = self._clock.began, self._clock.stop()
        speed = None
        if progress is not None and progress.epoch_samples is not None and began is not None:
            speed = progress.epoch_samples / max(progress.batches_ended - began, 1e-9)
        return dict(zip(RESOURCES, (seconds, speed, peak_memory(model)), strict=True))


def peak_memory(model: nn.Module | None) -> int | None:
    """Return the largest memory so far in bytes: of the model's CUDA devices, or else of the process.

    On CUDA devices it is what tensors used. The counters of torch are read and not reset. The memory of a process
    includes that of Python and all packages. On Windows, where a process does not know it, it is `None`.
    """
    # without CUDA in use the parameters of a small model would take longer to list than an epoch to train
    tensors: Iterable[torch.Tensor] = [] if model is None or not torch.cuda.is_initialized() else model.parameters()
    devices = {tensor.device for tensor in tensors if tensor.device.type == "cuda"}
    if devices:
        return sum(torch.cuda.max_memory_allocated(device) for device in devices)
    if resource is None:
        return None
    most = int(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)
    return most * (1 if sys.platform == "darwin" else 1024) or None  # macOS counts bytes, Linux KiB


def unknown_resources(epochs: int) -> dict[str, list[Any]]:
    """Return resources of a number of epochs that were not measured."""
    return {name: [None] * epochs for name in RESOURCES}


def resources_or_unknown(saved: Mapping[str, Any] | None, epochs: int) -> dict[str, list[Any]]:
    """Return saved resources as lists; those that a file of an earlier release lacks are unknown."""
    known = {name: list(values) for name, values in (saved or {}).items() if name in RESOURCES and values}
    return {**unknown_resources(epochs), **known}
