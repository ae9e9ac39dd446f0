"""Compilation of traced steps with Inductor and, on a GPU, as CUDA graphs."""

from __future__ import annotations

import logging
import time
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

import torch
from torch import Tensor
from torch.fx import GraphModule

from kerastorch.core import torch_private
from kerastorch.core.nested import leaves
from kerastorch.core.onednn_limits import overruns_in_channels_last
from kerastorch.core.rng_state import preserved_rng_states
from kerastorch.data.batches import Batch, BatchGroup
from kerastorch.training.jit.graph_capture import trace_steps
from kerastorch.training.jit.graph_output import GraphOutput
from kerastorch.training.jit.parameter_buckets import ParameterBucket
from kerastorch.training.jit.trainer_protocol import TrainerProtocol
from kerastorch.training.optimizer_step import OptimizerStep

_INDUCTOR_OPTIONS = {
    "cpp_wrapper": True,  # halves the cost of a call
    "cpp.min_chunk_size": 8192,  # elements for each thread: with fewer, starting threads takes longer than the work
    # torch's generator gives the random numbers, and operations keep their order, so draws equal those of eager mode
    "fallback_random": True,
    "reorder_for_locality": False,
    "reorder_for_peak_memory": False,
}

CompiledGraph = Callable[..., list[Tensor]]


class Executable:
    """Compiled training steps for batches of one shape.

    A call updates weights, buffers and optimizer state in place.

    Args:
        trainer: Holds the model and the losses.
        optimizer_step: Step of the optimizer, which has made its state.
        buckets: Parameters that have gradients.
        batch: Example of the batches, or of the groups whose steps run as one graph.

    Attributes:
        seconds: Duration of tracing and compiling.
        inputs: Tensors that a step reads and updates, and the learning rates.
        n_model_tensors: Number of weights and buffers, which come first in `inputs`.

    Raises:
        UntraceableError: The step cannot be traced.
        Exception: The compiler failed.
    """

    def __init__(
        self,
        trainer: TrainerProtocol,
        optimizer_step: OptimizerStep,
        buckets: Sequence[ParameterBucket],
        batch: Batch | BatchGroup,
    ) -> None:
        start = time.perf_counter()
        traced = trace_steps(trainer, optimizer_step, buckets, batch if isinstance(batch, BatchGroup) else [batch])
        groups = zip(optimizer_step.optimizer.param_groups, traced.learning_rates, strict=True)
        # a learning rate that is a tensor in the optimizer is an input itself
        self._learning_rates = [(group, tensor) for group, tensor in groups if tensor is not group["lr"]]
        self._last_rates = [group["lr"] for group, _ in self._learning_rates]
        self.inputs, self.n_model_tensors = traced.inputs, traced.n_model_tensors
        self._build_output = traced.build_output
        self._graph = _compile(traced.graph, traced.inputs, _tensors(batch))
        self.seconds = time.perf_counter() - start

    def __call__(self, batch: Batch | BatchGroup) -> GraphOutput:
        """Make one step, or one for each batch of a group."""
        for index, (group, tensor) in enumerate(self._learning_rates):
            if group["lr"] != self._last_rates[index]:
                self._last_rates[index] = group["lr"]
                tensor.fill_(group["lr"])
        batch_tensors = _tensors(batch)
        with torch.no_grad():
            returned = self._graph(*self.inputs, *batch_tensors)
        return self._build_output(returned, batch_tensors)


def _tensors(batch: Batch | BatchGroup) -> list[Tensor]:
    """Return the tensors of a batch, in the order of the graph's arguments."""
    if isinstance(batch, BatchGroup):
        return [tensor for member in batch for tensor in _tensors(member)]
    x, y, sample_weight = batch
    if isinstance(x, Tensor) and isinstance(y, Tensor) and sample_weight is None:  # the most frequent case
        return [x, y]
    return [leaf for _, leaf in leaves(tuple(batch))]


def _compile(graph: GraphModule, inputs: list[Tensor], batch_tensors: list[Tensor]) -> CompiledGraph:
    """Compile a graph with Inductor; on a GPU, capture it as a CUDA graph, too."""
    with torch.no_grad(), warnings.catch_warnings(), _silenced_logging():
        warnings.simplefilter("ignore")  # torch warns about its own modules
        device = batch_tensors[0].device.type
        options = {**_INDUCTOR_OPTIONS, "layout_optimization": device != "cpu" or not _needs_contiguous_images(graph)}
        compiled: CompiledGraph = torch_private.inductor().compile(graph, [*inputs, *batch_tensors], options)
    return CudaGraphCallable(compiled, inputs, batch_tensors) if device == "cuda" else compiled


def _needs_contiguous_images(graph: GraphModule) -> bool:
    """Return whether a gradient is in the graph that oneDNN computes wrongly for channels-last images."""
    backward = [node for node in graph.graph.nodes if node.target is torch.ops.aten.convolution_backward.default]
    return any(overruns_in_channels_last(node.args[2].meta["val"], node.args[4]) for node in backward)


@contextmanager
def _silenced_logging() -> Iterator[None]:
    """Silence log records up to WARNING.

    Inductor reports each operation that its C++ wrapper calls through Python.
    """
    before = logging.root.manager.disable
    logging.disable(logging.WARNING)
    try:
        yield
    finally:
        logging.disable(before)


class CudaGraphCallable:
    """Function of GPU tensors, captured as a CUDA graph: one launch runs all its kernels.

    Args:
        function: Called with `inputs`, which it updates in place, and the tensors of a batch.
        inputs: Tensors that stay in the same memory.
        batch_tensors: Tensors of a batch; each call copies its own batch to their copies.
    """

    def __init__(self, function: CompiledGraph, inputs: list[Tensor], batch_tensors: list[Tensor]) -> None:
        self._batch_tensors = [tensor.clone() for tensor in batch_tensors]
        before = [tensor.clone() for tensor in inputs]
        side_stream = torch.cuda.Stream()
        side_stream.wait_stream(torch.cuda.current_stream())
        with torch.no_grad(), preserved_rng_states():
            with torch.cuda.stream(side_stream):  # a call before the capture initializes CUDA libraries
                function(*inputs, *self._batch_tensors)
            torch.cuda.current_stream().wait_stream(side_stream)
            self._graph = torch.cuda.CUDAGraph()
            with torch.cuda.graph(self._graph):
                self._returned = function(*inputs, *self._batch_tensors)
            for tensor, old in zip(inputs, before, strict=True):
                tensor.copy_(old)

    def __call__(self, *tensors: Tensor) -> list[Tensor]:
        """Call the function; return copies of its results, whose memory the next call overwrites."""
        batch_tensors = tensors[len(tensors) - len(self._batch_tensors) :]
        for static, tensor in zip(self._batch_tensors, batch_tensors, strict=True):
            static.copy_(tensor, non_blocking=True)
        self._graph.replay()
        return [tensor.clone() for tensor in self._returned]
