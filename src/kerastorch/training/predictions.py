"""The outputs of batches as NumPy arrays: collected in memory, or written into arrays of the caller."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator, Mapping
from typing import Any, Protocol

import numpy as np
import torch
from torch import Tensor

from kerastorch.core.model_outputs import describe, is_loss_value, predictions_in
from kerastorch.core.nested import leaves, map_structure
from kerastorch.data.sample_lists import is_list_of_dicts
from kerastorch.training.joined_outputs import join_outputs
from kerastorch.training.output_names import check_predictions


class Losses(Protocol):
    """What predictions need to know of the losses of a model."""

    is_of_model: bool

    @property
    def are_by_output(self) -> bool:
        """Return whether they were given by output."""


def tensor_step(step: Callable[[Any], Any], losses: Losses) -> Callable[[Any], Any]:
    """Return a prediction step whose outputs are tensors alone, without the loss of the model, caches and `None`.

    Args:
        step: Returns the outputs for the inputs of a batch.
        losses: If the loss is the model's, a scalar beside other outputs is this loss. If there are losses by output,
            tuples keep their length.

    Raises:
        TypeError: The step returned no tensor.
        ValueError: It returned the loss of the model alone.
    """

    def predict(x: Any) -> Any:
        outputs = step(x)
        if isinstance(outputs, Tensor) and not (losses.is_of_model and is_loss_value(outputs)):
            return outputs
        kept = (
            None if isinstance(outputs, Tensor) else predictions_in(outputs, losses.is_of_model, losses.are_by_output)
        )
        if kept is None:
            check_predictions(outputs)
            raise ValueError(
                f"predict() needs outputs, and the model returned its loss alone: {describe(outputs)}. Predict with "
                "the module inside that returns the outputs, as in kt.Model(inner).predict(x)."
            )
        return kept

    return predict


class PredictionCollector:
    """Copies the outputs of each batch from the device, into one array if the number of rows is known.

    Args:
        rows: Number of rows of all batches; `None` if unknown.
    """

    def __init__(self, rows: int | None) -> None:
        self._rows = rows
        self._at = 0
        self._ends: list[int] = []  # of the batches in `_whole`
        self._whole: Any = None
        self._parts: list[Any] = []
        self._sizes: list[int] = []  # rows of each batch

    def add(self, outputs: Any, rows: int) -> None:
        """Add the outputs of a batch.

        Args:
            outputs: Tensors, alone or nested.
            rows: Number of rows of the batch.
        """
        if not isinstance(outputs, Tensor):
            check_predictions(outputs)
        part = map_structure(_numpy, outputs)
        self._sizes.append(rows)
        if self._rows is not None and self._whole is None and not self._parts and not is_list_of_dicts(part):
            self._whole = map_structure(lambda array: np.empty((self._rows, *array.shape[1:]), array.dtype), part)
        if self._whole is None:
            # copied: an output may be a tensor of the batch, whose memory the loader uses again
            self._parts.append(map_structure(np.copy, part))
        elif self._write(part, rows):
            self._at += rows
            self._ends.append(self._at)
        else:  # outputs that do not match the rows are collected batch by batch
            self._parts = [*self._written(), map_structure(np.copy, part)]
            self._whole = None

    def _written(self) -> Iterator[Any]:
        """Yield the outputs of each batch that was written into the arrays."""
        for start, end in itertools.pairwise([0, *self._ends]):
            yield map_structure(lambda array: array[start:end], self._whole)  # noqa: B023

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

        They are joined along their first axis. An output that cannot be joined is a list with an array for each batch:
        see `join_outputs`.

        Raises:
            ValueError: No batch; outputs of different structures.
        """
        if self._whole is not None:
            return map_structure(lambda array: array[: self._at], self._whole)
        if not self._parts:
            raise ValueError("the data gave no batch.")
        return join_outputs(self._parts, self._sizes)


class OutputWriter:
    """Writes the outputs of each batch into arrays of the caller.

    Args:
        out: Array, or several in the structure of the outputs.
        rows: Number of rows of all batches; `None` if unknown.
        shown_shape: Returns the shape of the array of the caller for the shape of an array of `out`, for messages.

    Raises:
        TypeError: `out` holds something else than writable arrays.
        ValueError: `out` has a different number of rows than the data.
    """

    def __init__(
        self, out: Any, rows: int | None, shown_shape: Callable[[tuple[int, ...]], tuple[int, ...]] = tuple
    ) -> None:
        self._out, self._shown_shape = out, shown_shape
        self._arrays = dict(leaves(out, "out"))
        self._at = 0
        self._rows = min((_check_array(name, array) for name, array in self._arrays.items()), default=0)
        if not self._arrays:
            raise TypeError("out must be an array, or a tuple, list or dict of arrays, got nothing.")
        for name, array in self._arrays.items():
            if array.shape[0] != (self._rows if rows is None else rows):
                known = f"{name} has {array.shape[0]} rows"
                raise ValueError(f"{known}, the data have {rows}." if rows is not None else _unequal(self._arrays))

    def add(self, outputs: Any, rows: int) -> None:
        """Write the outputs of a batch behind those of the batches before.

        Args:
            outputs: Tensors, alone or nested.
            rows: Number of rows of the batch.

        Raises:
            ValueError: The outputs have another structure, shape or dtype than `out`, or there are more rows.
        """
        found = dict(leaves(map_structure(_numpy, outputs), "out"))
        if found.keys() != self._arrays.keys():
            raise ValueError(
                f"out has the arrays {', '.join(self._arrays)}, the outputs of the model need {', '.join(found)}."
            )
        for name, array in found.items():
            if array.shape[0] != rows:
                raise ValueError(f"{name}: the model returns {array.shape[0]} rows for {rows} inputs; leave out= out.")
            target = self._arrays[name]
            if tuple(target.shape[1:]) != array.shape[1:] or np.dtype(target.dtype) != array.dtype:
                needed = self._shown_shape((target.shape[0], *array.shape[1:]))
                given = self._shown_shape(target.shape)
                raise ValueError(
                    f"{name} has shape {given} and dtype {target.dtype}, the outputs need shape "
                    f"{needed} and dtype {array.dtype}: numpy.empty({needed}, {str(array.dtype)!r})."
                )
        end = self._at + rows
        if end > self._rows:
            raise ValueError(f"out has {self._rows} rows, and the data have more.")
        for name, array in found.items():
            self._arrays[name][self._at : end] = array
        self._at = end

    def result(self) -> Any:
        """Return `out`, all rows of which were written.

        Raises:
            ValueError: There were fewer rows of outputs.
        """
        if self._at < self._rows:
            raise ValueError(f"out has {self._rows} rows, but the data gave only {self._at}; the others are unchanged.")
        return self._out


def _check_array(name: str, array: Any) -> int:
    """Return the number of rows of an array; raise a TypeError if it is no array that can be written to."""
    is_array = hasattr(array, "shape") and hasattr(array, "dtype") and hasattr(array, "__setitem__")
    if not is_array or isinstance(array, Tensor):
        advice = " Pass out.numpy(), or torch.from_numpy(model.predict(x))." if isinstance(array, Tensor) else ""
        raise TypeError(f"{name} must be a NumPy array or numpy.memmap, got {type(array).__name__}.{advice}")
    if isinstance(array, np.ndarray) and not array.flags.writeable:
        raise TypeError(f"{name} is read-only; open a numpy.memmap with mode 'r+' or 'w+'.")
    if not len(array.shape):
        raise TypeError(f"{name} must have an axis of rows, got an array of shape ().")
    return int(array.shape[0])


def _unequal(arrays: Mapping[str, Any]) -> str:
    sizes = ", ".join(f"{name} has {array.shape[0]} rows" for name, array in arrays.items())
    return f"the arrays of out must have the same number of rows, but {sizes}."


def to_arrays(outputs: Any) -> Any:
    """Return the outputs of a batch as new NumPy arrays, in their structure.

    An output may be a tensor of the batch, whose memory the data may use again, so that it is copied.
    """
    if not isinstance(outputs, Tensor):
        check_predictions(outputs)
    return map_structure(lambda output: _copied(output, _numpy(output)), outputs)


def _copied(output: Tensor, array: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    shares_memory = output.device.type == "cpu" and array.ctypes.data == output.data_ptr()
    return array.copy() if shares_memory else array


def _numpy(output: Tensor) -> np.ndarray[Any, Any]:
    output = output.detach().cpu().contiguous()  # the array has the default layout, whatever the memory format was
    output = output.float() if output.dtype == torch.bfloat16 else output  # NumPy has no bfloat16
    found: np.ndarray[Any, Any] = output.numpy() if output.ndim else output.reshape(1).numpy()
    return found
