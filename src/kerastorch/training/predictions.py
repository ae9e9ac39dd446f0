"""PredictionCollector: the outputs of all batches as NumPy arrays."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import Tensor

from kerastorch.core.nested import leaves, map_structure
from kerastorch.training.output_names import check_outputs


class PredictionCollector:
    """Copies the outputs of each batch from the device, into one array if the number of rows is known.

    Args:
        rows: Number of rows of all batches; `None` if unknown.
    """

    def __init__(self, rows: int | None) -> None:
        self._rows = rows
        self._at = 0
        self._whole: Any = None
        self._parts: list[Any] = []

    def add(self, outputs: Any, rows: int) -> None:
        """Add the outputs of a batch.

        Args:
            outputs: Tensors, alone or nested.
            rows: Number of rows of the batch.
        """
        if not isinstance(outputs, Tensor):
            check_outputs([leaf for _, leaf in leaves(outputs)] or None)
        part = map_structure(_numpy, outputs)
        if self._rows is not None and self._whole is None and not self._parts:
            self._whole = map_structure(lambda array: np.empty((self._rows, *array.shape[1:]), array.dtype), part)
        if self._whole is None:
            # copied: an output may be a tensor of the batch, whose memory the loader uses again
            self._parts.append(map_structure(np.copy, part))
        elif self._write(part, rows):
            self._at += rows
        else:  # outputs that do not match the rows are collected batch by batch
            written = map_structure(lambda array: array[: self._at], self._whole)
            part = map_structure(np.copy, part)
            self._parts = [written, part] if self._at else [part]
            self._whole = None

    def _write(self, part: Any, rows: int) -> bool:
        """Write a batch into the arrays; return whether its rows and dtypes match."""
        if isinstance(part, np.ndarray) and isinstance(
            self._whole, np.ndarray
        ):  # the most frequent case, without the cost of the other
            wholes, parts = [self._whole], [part]
        else:
            named_wholes, named_parts = list(leaves(self._whole)), list(leaves(part))
            if [name for name, _ in named_wholes] != [name for name, _ in named_parts]:
                return False
            wholes, parts = [leaf for _, leaf in named_wholes], [leaf for _, leaf in named_parts]
        for whole, array in zip(wholes, parts, strict=True):
            if array.shape != (rows, *whole.shape[1:]) or array.dtype != whole.dtype:
                return False
        for whole, array in zip(wholes, parts, strict=True):
            whole[self._at : self._at + rows] = array
        return True

    def result(self) -> Any:
        """Return the outputs of all batches, in order.

        Raises:
            ValueError: No batch; outputs of different shapes or structures.
        """
        if self._whole is not None:
            return map_structure(lambda array: array[: self._at], self._whole)
        if not self._parts:
            raise ValueError("the data gave no batch.")
        try:
            return map_structure(lambda *arrays: np.concatenate(arrays), *self._parts)
        except (ValueError, TypeError, AttributeError) as error:
            raise ValueError(f"The outputs of the batches have different shapes or structures: {error}") from error


def _numpy(output: Tensor) -> np.ndarray[Any, Any]:
    output = output.detach().cpu().contiguous()  # the array has the default layout, whatever the memory format was
    output = output.float() if output.dtype == torch.bfloat16 else output  # NumPy has no bfloat16
    found: np.ndarray[Any, Any] = output.numpy() if output.ndim else output.reshape(1).numpy()
    return found
