"""Collected: the outputs of all batches as NumPy, written into one array where their number is known."""

from __future__ import annotations

from typing import Any

import numpy as np
from torch import Tensor

from kerastorch.data.structure import leaves, map_structure
from kerastorch.training.objective import check_outputs


class Collected:
    """Takes the outputs batch by batch, so that they leave the device as they come.

    Args:
        rows: how many rows there will be, `None` where unknown.
    """

    def __init__(self, rows: int | None) -> None:
        self._rows = rows
        self._at = 0
        self._whole: Any = None
        self._parts: list[Any] = []

    def add(self, outputs: Any) -> None:
        """The outputs of one batch."""
        check_outputs([leaf for _, leaf in leaves(outputs)] or None)
        part = map_structure(_numpy, outputs)
        if self._rows is None:
            self._parts.append(part)
            return
        if self._whole is None:
            self._whole = map_structure(lambda array: np.empty((self._rows, *array.shape[1:]), array.dtype), part)
        size: list[int] = []

        def write(whole: np.ndarray[Any, Any], array: np.ndarray[Any, Any]) -> None:
            whole[self._at : self._at + len(array)] = array
            size.append(len(array))

        map_structure(write, self._whole, part)
        self._at += size[0]

    def result(self) -> Any:
        """All outputs, in order."""
        if self._rows is not None and self._whole is not None:
            return map_structure(lambda array: array[: self._at], self._whole)
        if not self._parts:
            raise ValueError("the data gave no batch.")
        return map_structure(lambda *arrays: np.concatenate(arrays), *self._parts)


def _numpy(output: Tensor) -> np.ndarray[Any, Any]:
    found: np.ndarray[Any, Any] = output.detach().cpu().numpy()
    return found
