"""Program: a recorded step, compiled, and called on one batch after the other."""

from __future__ import annotations

import logging
import time
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor

from kerastorch.core import torch_private
from kerastorch.core.nested import leaves
from kerastorch.core.rng_state import preserved_rng_states
from kerastorch.data.batches import Batch, BatchGroup
from kerastorch.training.jit.graph_capture import Trace, trace
from kerastorch.training.jit.parameter_buckets import ParameterBucket
from kerastorch.training.jit.step_outputs import StepOutputs
from kerastorch.training.optimizer_step import OptimizerStep

_OPTIONS = {
    "cpp_wrapper": True,  # halves the cost of a call
    "cpp.min_chunk_size": 8192,  # elements for each thread: with fewer, starting threads takes longer than the work
    # random numbers come from torch's generator in the order of eager mode
    "fallback_random": True,
    "reorder_for_locality": False,
    "reorder_for_peak_memory": False,
}

Run = Callable[..., list[Tensor]]


class Program:
    """Steps on batches of one shape; it changes weights, buffers and optimizer state in place.

    Args:
        trainer: whose step.
        update: of the optimizer.
        cells: what the optimizer works on.
        batch: of the shape meant, or several.

    Attributes:
        seconds: what recording and compiling took.
        inputs: all tensors that a step changes, weights and buffers first, and the learning rates.
        owned: how many weights and buffers there are.

    Raises:
        UntraceableError: the step cannot be recorded.
        Exception: the compiler failed.
    """

    def __init__(
        self, trainer: Any, update: OptimizerStep, cells: list[ParameterBucket], batch: Batch | BatchGroup
    ) -> None:
        began = time.perf_counter()
        recorded = trace(trainer, update, cells, batch if isinstance(batch, BatchGroup) else [batch])
        groups = update.optimizer.param_groups
        # a rate that is a tensor already is among the inputs itself
        self._rates = [(g, rate) for g, rate in zip(groups, recorded.rates, strict=True) if rate is not g["lr"]]
        self._last = [group["lr"] for group, _ in self._rates]
        self.inputs, self.owned = recorded.inputs, recorded.owned
        self._assemble = recorded.assemble
        self._run = _compiled(recorded, _parts(batch))
        self.seconds = time.perf_counter() - began

    def __call__(self, batch: Batch | BatchGroup) -> StepOutputs:
        """One step, or several."""
        for at, (group, rate) in enumerate(self._rates):
            if group["lr"] != self._last[at]:
                self._last[at] = group["lr"]
                rate.fill_(group["lr"])
        parts = _parts(batch)
        with torch.no_grad():
            returned = self._run(*self.inputs, *parts)
        return self._assemble(returned, parts)


def _parts(batch: Batch | BatchGroup) -> list[Tensor]:
    if isinstance(batch, BatchGroup):
        return [part for one in batch for part in _parts(one)]
    x, y, sample_weight = batch
    if isinstance(x, Tensor) and isinstance(y, Tensor):  # by far the most frequent
        return [x, y] if sample_weight is None else [x, y, sample_weight]
    return [leaf for _, leaf in leaves(tuple(batch))]


def _compiled(recorded: Trace, parts: list[Tensor]) -> Run:
    with warnings.catch_warnings():  # of torch's about itself
        warnings.simplefilter("ignore")
        inductor = torch_private.inductor()  # on first use: its import takes a second
    given: list[Any] = [*recorded.inputs, *parts]
    with torch.no_grad(), warnings.catch_warnings(), _quiet():
        warnings.simplefilter("ignore")
        run: Run = inductor.compile(recorded.graph, given, _OPTIONS)
    return Captured(run, recorded.inputs, parts) if parts[0].device.type == "cuda" else run


@contextmanager
def _quiet() -> Iterator[None]:
    """Without Inductor's remarks on operations that its C++ wrapper calls through Python."""
    before = logging.root.manager.disable
    logging.disable(logging.WARNING)
    try:
        yield
    finally:
        logging.disable(before)


class Captured:
    """A function on the GPU as one CUDA graph: launched at once instead of kernel by kernel.

    Args:
        run: called with `inputs`, which it changes in place, and a batch.
        inputs: where they are now, they stay.
        parts: a batch of the shape meant.
    """

    def __init__(self, run: Run, inputs: list[Tensor], parts: list[Tensor]) -> None:
        self._parts = [part.clone() for part in parts]
        before = [tensor.clone() for tensor in inputs]
        side = torch.cuda.Stream()
        side.wait_stream(torch.cuda.current_stream())
        with torch.no_grad(), preserved_rng_states():
            with torch.cuda.stream(side):  # once before capturing: libraries set themselves up
                run(*inputs, *self._parts)
            torch.cuda.current_stream().wait_stream(side)
            self._graph = torch.cuda.CUDAGraph()
            with torch.cuda.graph(self._graph):
                self._returned = run(*inputs, *self._parts)
            for tensor, old in zip(inputs, before, strict=True):
                tensor.copy_(old)

    def __call__(self, *tensors: Tensor) -> list[Tensor]:
        """As `run`; what it returns is copied out, as the next call writes to the same place."""
        given = tensors[len(tensors) - len(self._parts) :]
        for part, new in zip(self._parts, given, strict=True):
            part.copy_(new, non_blocking=True)
        self._graph.replay()
        return [tensor.clone() for tensor in self._returned]
