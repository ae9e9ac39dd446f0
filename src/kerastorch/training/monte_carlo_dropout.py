"""Monte Carlo dropout (Gal & Ghahramani 2016): several outputs for each input, with active dropout layers."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from kerastorch.core.errors import check_int
from kerastorch.core.nested import map_structure, map_tensors
from kerastorch.training.dropout_layers import DropoutFunctions, active_dropout, check_has_no_state
from kerastorch.training.predictions import OutputWriter


class Sampling:
    """How often prediction computes the outputs of a batch: once, in evaluation mode."""

    @contextmanager
    def modes(self, model: nn.Module) -> Iterator[None]:
        """Switch modules of a model, which is in evaluation mode, for the time of the block."""
        yield

    def step(self, step: Callable[[Any], Any]) -> Callable[[Any], Any]:
        """Return a step that computes the outputs of a batch as often as they are wanted."""
        return step

    def samples_first(self, outputs: Any) -> Any:
        """Return the outputs of such a step, tensors or arrays, as the user receives them."""
        return outputs

    def writer(self, out: Any, rows: int | None) -> OutputWriter:
        """Return what writes the outputs of such a step into the arrays of the user.

        Args:
            out: Array, or several in the structure of the outputs.
            rows: Number of rows of all batches; `None` if unknown.
        """
        return OutputWriter(out, rows)


class MonteCarloDropout(Sampling):
    """Several outputs for each input, with active dropout layers and everything else in evaluation mode.

    A step returns tensors of shape `(rows, samples, ...)` in main memory: each sample is copied from the device before
    the next one is computed, and everything that follows the step divides or joins rows along the first axis.

    Args:
        samples: Number of outputs for each input.
    """

    def __init__(self, samples: int) -> None:
        self.samples = samples
        self._functions = DropoutFunctions()

    @contextmanager
    def modes(self, model: nn.Module) -> Iterator[None]:
        check_has_no_state(model)
        with active_dropout(model) as has_layers, self._functions:
            self._has_layers = has_layers
            yield

    def step(self, step: Callable[[Any], Any]) -> Callable[[Any], Any]:
        def sampled(x: Any) -> Any:
            first = self._sample(step, x)
            if not self._has_layers and not self._functions.were_called:
                raise ValueError(_without_dropout(self.samples))
            others = [self._sample(step, x) for _ in range(self.samples - 1)]
            return map_structure(_stack, first, *others)

        return sampled

    def samples_first(self, outputs: Any) -> Any:
        return map_structure(_swap_axes, outputs)

    def writer(self, out: Any, rows: int | None) -> OutputWriter:
        return OutputWriter(map_structure(self._swapped_out, out), rows, shown_shape=_swapped)

    def _sample(self, step: Callable[[Any], Any], x: Any) -> Any:
        """Return the outputs of one call in main memory, for copied inputs: a module may change them in place."""
        return map_tensors(lambda output: output.detach().cpu(), step(map_tensors(torch.clone, x)))

    def _swapped_out(self, array: Any) -> Any:
        """Return a view of an array of shape `(samples, rows, ...)` with its rows first.

        Raises:
            ValueError: The array has another number of samples.
        """
        if not isinstance(array, np.ndarray):
            return array
        if array.ndim < 2 or len(array) != self.samples:
            raise ValueError(
                f"with mc_dropout={self.samples}, out must have the shape ({self.samples}, rows, ...), got "
                f"{array.shape}."
            )
        return array.swapaxes(0, 1)


def sampling(mc_dropout: int | None) -> Sampling:
    """Return how often prediction computes its outputs, for the argument `mc_dropout`.

    Raises:
        ValueError: It is no integer >= 1.
    """
    if mc_dropout is None:
        return Sampling()
    advice = "It is the number of outputs for each input, as in mc_dropout=50."
    return MonteCarloDropout(check_int("mc_dropout", mc_dropout, 1, advice))


def _stack(*samples: Tensor) -> Tensor:
    """Stack outputs along a new second axis; a number becomes a row."""
    shapes = {tuple(one.shape) for one in samples}
    if len(shapes) > 1:
        raise ValueError(
            f"mc_dropout needs outputs of the same shape in each sample, got {', '.join(map(str, sorted(shapes)))}. "
            "The number of outputs of this model depends on its random numbers."
        )
    return torch.stack([one.reshape(1) if not one.ndim else one for one in samples], dim=1)


def _swap_axes(outputs: Any) -> Any:
    """Return a view of a tensor or array with its first two axes exchanged."""
    return outputs.swapaxes(0, 1) if outputs.ndim > 1 else outputs


def _swapped(shape: tuple[int, ...]) -> tuple[int, ...]:
    """Return a shape with its first two axes exchanged."""
    return (shape[1], shape[0], *shape[2:])


def _without_dropout(samples: int) -> str:
    return (
        f"mc_dropout={samples} needs dropout, and this model has no dropout with a rate above 0, so that all samples "
        "would be equal. Train it with a layer such as kt.layers.Dropout(0.2) or nn.Dropout(0.2), or call predict "
        "without mc_dropout."
    )
