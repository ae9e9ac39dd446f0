"""Reading the pickled batches of CIFAR-10 and CIFAR-100."""

from __future__ import annotations

import io
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from kerastorch.datasets import restricted_pickle
from kerastorch.datasets.file_formats import read_members, reading
from kerastorch.datasets.restricted_pickle import Array, ArrayRecord

_SHAPE = (3, 32, 32)  # channels, height, width


def read_batches(path: Path, names: Sequence[str], subfolder: str, label_key: bytes) -> dict[str, tuple[Array, Array]]:
    """Return images and labels of the batches in a folder or archive.

    Args:
        path: The folder or archive.
        names: Names of the batches.
        subfolder: Folder within `path` that may hold the batches.
        label_key: Key of the labels in a batch.

    Returns:
        For each name the images, of shape `(n, 32, 32, 3)`, and the labels as int64, of shape `(n, 1)`.

    Raises:
        ValueError: A batch is missing, damaged, or holds something else; nothing in it was executed.
    """
    with reading(path, f"the batches {', '.join(names)}"):
        members = read_members(path, names, subfolder)
        return {name: _read_batch(name, members.pop(name), label_key) for name in names}


def _read_batch(name: str, content: bytes, label_key: bytes) -> tuple[Array, Array]:
    batch: Any = restricted_pickle.load(io.BytesIO(content))
    pixels = batch.get(b"data") if isinstance(batch, dict) else None
    labels = batch.get(label_key) if isinstance(batch, dict) else None
    if not isinstance(pixels, ArrayRecord) or not isinstance(labels, list) or not set(map(type, labels)) <= {int}:
        raise ValueError(f"{name} has no images and labels")
    images = pixels.to_numpy()  # (n, 3072)
    if images.dtype != np.uint8 or images.shape != (len(labels), 3 * 32 * 32):
        raise ValueError(
            f"{name} has {len(labels)} labels, and images of shape {images.shape} and dtype {images.dtype}"
        )
    return images.reshape(-1, *_SHAPE).transpose(0, 2, 3, 1), np.array(labels, dtype=np.int64).reshape(-1, 1)
