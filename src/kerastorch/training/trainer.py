"""Trainer: what `compile` made of its arguments. A plain object, which torch does not register in the model."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, ExitStack, contextmanager, nullcontext
from typing import Any

from torch import Tensor

from kerastorch import regularizers
from kerastorch.constraints import collect_constraints
from kerastorch.core.module_tree import is_built, modules, tensors
from kerastorch.core.process_group import is_alone
from kerastorch.core.sharded_modules import reshard
from kerastorch.core.trainable import sync_trainable
from kerastorch.data.batch_reader import BatchReader
from kerastorch.data.batches import Batch, Batches
from kerastorch.data.data_device import parse_device
from kerastorch.data.prepared_batches import name_of
from kerastorch.metrics.metric_spec import MetricSpec
from kerastorch.optimizers.step_hooks import TorchOptimizer
from kerastorch.regularizers import collect_penalties
from kerastorch.runtime.batch_transfer import BatchTransfer
from kerastorch.runtime.dry_run import build_lazy
from kerastorch.training.compile_options import EAGER, CompileOptions
from kerastorch.training.compile_settings import Settings
from kerastorch.training.compiled_loss import CompiledLoss
from kerastorch.training.jit.compiled_step import CompiledStep, make_compiled_step
from kerastorch.training.make_parallel import divide_weights, make_parallel
from kerastorch.training.memory_format import MemoryFormat
from kerastorch.training.metrics_tracker import MetricsTracker
from kerastorch.training.model_optimizers import ModelOptimizers
from kerastorch.training.optimizer_step import OptimizerStep
from kerastorch.training.output_masks import OutputMask
from kerastorch.training.own_steps import own_metrics
from kerastorch.training.parallel import SINGLE_PROCESS, SingleProcess
from kerastorch.training.pass_metrics import make_tracker
from kerastorch.training.precision import Precision
from kerastorch.training.preflight import check_parameters, find_device
from kerastorch.training.several_steps import SeveralSteps
from kerastorch.training.signals import InterruptHandler
from kerastorch.training.step_output import BackwardAndStep, GlobalWeights, Metrics, StepContext
from kerastorch.training.train_state import TrainState
from kerastorch.training.weight_averaging import WeightAveraging


class Trainer:
    """The parts that train a model.

    After `setup` its parts stay the same. What changes is `state`, and the context of the running pass (`using`).

    Args:
        model: The module with `train_step` and `test_step`.
        optimizer: Optimizer as `optimizers.get` returns it, or a dict of them; `None` for prediction alone.
        compiled_loss: Losses of all outputs.
        metrics: Output name -> metrics.
        weight_regularizers: Regularizers by pattern of parameter names.
        device: `'auto'` or a device.
        memory_format: Memory format of images; `None` leaves them as they are.
        data_device: Where arrays in memory are stored while `fit`, `evaluate` or `predict` runs.
        compile_options: Whether steps are compiled, and how many run between two calls of the batch hooks.
        compile_args: Arguments of `compile` as they were given, for saving.
        precision: Number format that steps compute in; `None` for that of the global policy.
        distribution: How several processes train the model together; see `compile`.
        completed_fits: Fits of the model that ended normally under an earlier `compile`.

    Attributes:
        state: Progress of training.
        context: What the overridable steps of the model work with in the running pass.
        optimizers: The optimizers of the model.
        output_mask: Finds which time steps of each output count.
        reader: Reads what data yield as batches; a verb adds what it needs.
        interrupt: Ctrl-C and SIGTERM.
        compiled_step: The compiled training step, with `jit_compile=True`.
        weight_averaging: Lets callbacks evaluate other weights than those that are trained.
    """

    def __init__(
        self,
        model: Any,
        optimizer: Any,
        compiled_loss: CompiledLoss,
        metrics: Mapping[str, list[MetricSpec]],
        weight_regularizers: Mapping[str, Any],
        device: Any,
        memory_format: MemoryFormat | None = None,
        data_device: Any = "auto",
        compile_options: CompileOptions = EAGER,
        *,
        compile_args: Mapping[str, Any] | None = None,
        precision: Precision | None = None,
        distribution: Any = "auto",
        completed_fits: int = 0,
    ) -> None:
        self.model, self.compiled_loss, self.metrics = model, compiled_loss, metrics
        self.has_weighted_metrics = any(one.is_weighted for some in metrics.values() for one in some)
        self.optimizers = ModelOptimizers(model, optimizer, compiled_loss)
        self.precision = precision or Precision.of(None)
        self.device, self.data_device = parse_device(device, "device"), parse_device(data_device)
        self.memory_format, self.compile_options = memory_format, compile_options
        self.distribution, self._parallel = distribution, SINGLE_PROCESS
        self.compile_args: Mapping[str, Any] = compile_args or {}
        self.reader = BatchReader(prepare=self.compile_args.get("prepare_batch"))
        self.state = TrainState(completed_fits=completed_fits)
        self.output_mask = OutputMask(model, compiled_loss.outputs.names)
        self.interrupt = InterruptHandler()
        penalties = {name: regularizers.get(one) for name, one in weight_regularizers.items()}
        self.weight_regularizers = {name: one for name, one in penalties.items() if one}
        if self.weight_regularizers and is_built(model):
            collect_penalties(model, self.weight_regularizers)  # raises an error for a pattern without a match
        self.compiled_step: CompiledStep | None = None
        self._optimizer_step: OptimizerStep | SeveralSteps | None = None
        self._backward_and_step: BackwardAndStep = _no_optimizer
        self.context = StepContext(MetricsTracker({}), _no_optimizer)
        self._pass_exit_stack = ExitStack()
        self._listeners: list[Callable[[str], None]] = []
        self.weight_averaging = WeightAveraging()
        self._recorded_step: Any = None

    # --- several processes ------------------------------------------------------------------------------------

    @property
    def parallel(self) -> SingleProcess:
        """What the ranks of a process group do together; nothing in one process, or while a rank works alone."""
        return SINGLE_PROCESS if is_alone() else self._parallel

    def find_ranks(self) -> SingleProcess:
        """Find the process group, if there is one; return what its ranks do together."""
        if self._parallel is SINGLE_PROCESS and not is_alone():
            self._parallel = make_parallel(self.distribution, self.model)
            if self._parallel is not SINGLE_PROCESS:
                self.optimizers.forget_steps()  # those of one process do not average gradients
                self._optimizer_step = None
        return self.parallel

    @contextmanager
    def joined(self, verb: str, *, one_batch: bool = False) -> Iterator[SingleProcess]:
        """Surround the method `verb`, which all ranks must call with the same arguments.

        Args:
            verb: The method with its arguments.
            one_batch: Whether it takes one batch; weights are then compared until the first training.
        """
        parallel = self.find_ranks()
        has_steps = one_batch and self._optimizer_step is not None
        with parallel.watched(verb) if has_steps else parallel.together(self.model, verb):
            divide_weights(self.model, parallel, self.optimizers, self.device)
            yield parallel

    # --- what a step works with -------------------------------------------------------------------------------

    @contextmanager
    def using(
        self,
        metrics: Metrics,
        backward_and_step: BackwardAndStep | None = None,
        global_weights: GlobalWeights | None = None,
    ) -> Iterator[StepContext]:
        """Give a pass over data, or a part of one, a context of its own; the outer one returns afterwards.

        Args:
            metrics: Receives outputs and targets.
            backward_and_step: Used in place of the optimizer's step.
            global_weights: Scales losses if the part is one of several ranks.
        """
        outer = self.context
        self.context = StepContext(metrics, backward_and_step or self._backward_and_step, global_weights)
        try:
            yield self.context
        finally:
            self.context = outer

    @property
    def backward_and_step(self) -> BackwardAndStep:
        """Function of a scalar loss that computes its gradients and makes a step of the optimizer.

        For a `train_step` of your own: `self.trainer.backward_and_step(loss)`. If `compile` was given several
        optimizers, `backward_and_step(loss, "generator")` steps one of them, and computes the gradients of its weights
        alone; without a name all step after one backward pass.
        """
        return self.context.backward_and_step

    minimize = backward_and_step  # the short name

    @property
    def pass_exit_stack(self) -> ExitStack:
        """Callbacks of the running `evaluate` or `predict` push here what must be undone on every way out of it."""
        return self._pass_exit_stack

    @contextmanager
    def pass_cleanup(self) -> Iterator[None]:
        """Undo at the end of a pass what callbacks have pushed to `pass_exit_stack`.

        Hooks of callbacks could not undo it, because none is called after an error.
        """
        with ExitStack() as stack:
            outer, self._pass_exit_stack = self._pass_exit_stack, stack
            try:
                yield
            finally:
                self._pass_exit_stack = outer

    @property
    def optimizer_step(self) -> OptimizerStep | SeveralSteps:
        """Computes gradients and steps the optimizer; exists once the model is built."""
        assert self._optimizer_step is not None
        return self._optimizer_step

    def evaluation_weights(self) -> AbstractContextManager[None]:
        """Give the weights the values to evaluate with, for a while, if an optimizer trains others (schedule-free)."""
        if self.weight_averaging.is_registered:
            return self.weight_averaging.in_place()
        return nullcontext() if self._optimizer_step is None else self._optimizer_step.evaluating()

    @property
    def recorded_step(self) -> Any:
        """The step that keeps its last batch, so that it can be repeated; `None` unless a guard decides about steps."""
        return self._recorded_step

    def record_step(self, step: Any) -> Any:
        """Store the step that keeps its last batch, and return it; `None` frees the batch."""
        self._recorded_step = step
        return step

    # --- messages ---------------------------------------------------------------------------------------------

    def notify(self, sentence: str) -> None:
        """Send a sentence about what takes long to the callbacks that show progress."""
        for listener in self._listeners[-1:]:
            listener(sentence)

    def register_listener(self, listener: Callable[[str], None]) -> Callable[[], None]:
        """Call `listener` for each notification, in place of an earlier one; return a function that removes it."""
        self._listeners.append(listener)
        return lambda: self._listeners.remove(listener)

    # --- made from the model ----------------------------------------------------------------------------------

    @property
    def is_compiled(self) -> bool:
        """Return whether training steps are compiled, as far as is known before."""
        return self.compiled_step is not None and self.compiled_step.fallback_reason is None

    def new_metrics(self, is_part: bool | None = None) -> MetricsTracker:
        """Return a tracker with fresh accumulators.

        Args:
            is_part: Whether it is merged with trackers of other rows. Default: if several ranks train the model.
        """
        own = own_metrics(self) if (self.parallel.merges_metrics if is_part is None else is_part) else None
        return make_tracker(self.model, self.metrics, self.compiled_loss, own)

    @contextmanager
    def with_metrics(self, more: Mapping[str, list[MetricSpec]]) -> Iterator[None]:
        """Add metrics to those of `compile`, by output name, in the passes within a block."""
        outer = self.metrics, self.has_weighted_metrics
        self.metrics = {name: [*outer[0].get(name, []), *more.get(name, [])] for name in {**outer[0], **more}}
        self.has_weighted_metrics = any(one.is_weighted for some in self.metrics.values() for one in some)
        try:
            yield
        finally:
            self.metrics, self.has_weighted_metrics = outer

    def batch_transfer(self, class_weight: Any = None) -> BatchTransfer:
        """Move the model to its device; return what moves batches there, with weights by class number in training."""
        parts = modules(self.model)
        reshard(parts)
        found = {tensor.device for tensor in tensors(parts)}
        device = find_device(found, self.device)
        if found - {device} and not self.parallel.divides_weights:  # they are where the settings want them
            self.model.to(device)
            self.optimizers.move_state()
        to_format = None if self.memory_format is None else self.memory_format.to_format(device)
        return BatchTransfer(parts, device, class_weight, to_format, self.data_device)

    def build(self, x: Any) -> None:
        """Make the parameters of lazy layers by a dry run, in eval mode, so that buffers stay unchanged."""
        build_lazy(self.model, x)

    def prepared(self, batches: Batches, transfer: BatchTransfer, number: int) -> Iterator[Batch]:
        """Return the batches of an epoch; the first one builds a model that is not built.

        No batch is drawn for building alone, since a generator could not yield it again.

        Args:
            batches: The data.
            transfer: Moves batches to the model's device.
            number: Number of the pass, on which the order of rows depends.
        """
        transfer.validate_targets(batches.targets)
        stream = batches.epoch(number)
        if is_built(self.model, transfer.parts):
            return stream
        first = next(stream, None)
        if first is None:
            return iter(())
        self.build(transfer.inputs(first.x))
        self.parallel.setup(self.model)
        divide_weights(self.model, self.parallel, self.optimizers, self.device)
        return itertools.chain((first,), stream)

    @property
    def optimizer(self) -> TorchOptimizer | None:
        """The only optimizer; `None` until the model is built, and if there are several."""
        return self.optimizers.made.get("")

    def compile_settings(self) -> Settings:
        """Return the arguments of `compile`, and what the script set before the first step, as comparable values."""
        weights = self.compile_args.get("loss_weights")
        found = self.optimizers.settings(bool(self.state.epochs_done), weights, self.weight_regularizers)
        named = {} if self.reader.prepare is None else {"prepare_batch": name_of(self.reader.prepare)}
        return {**found, "script": {**found["script"], **named}}

    def setup(self) -> None:
        """Prepare a built model for training: optimizers, penalties, constraints, as they are at this fit."""
        sync_trainable(modules(self.model))
        made = self.optimizers.get_or_create()
        check_parameters(self.model, [*made.values()], self.compiled_loss.outputs.parameters())
        if self._optimizer_step is None:
            self.parallel.check_settings({**self.optimizers.kinds(), **self.compile_settings()})
            self._make_steps()
        self.find_penalties()
        self.optimizer_step.set_constraints(collect_constraints(self.model))
        self.output_mask.reset()

    def _make_steps(self) -> None:
        device_type = self.device_type()
        self._optimizer_step = self.optimizers.make_steps(self.precision, device_type, self.parallel.gradient_sync)
        self._backward_and_step = self.precision.outside(self._optimizer_step.backward_and_step, device_type)
        if self.compile_options.jit:
            step, is_joint = self._optimizer_step, self.parallel.is_joint
            self.compiled_step = make_compiled_step(self, step, self.compile_options, is_joint=is_joint)

    def device_type(self) -> str:
        """Return the kind of the device that the model computes on."""
        return next((tensor.device.type for tensor in tensors(modules(self.model))), "cpu")

    def find_penalties(self) -> None:
        """Let the loss include the penalties of the weights that the model has now."""
        self.compiled_loss.set_penalties(collect_penalties(self.model, self.weight_regularizers))


def _no_optimizer(loss: Tensor, optimizer: str | None = None) -> None:  # noqa: ARG001
    raise RuntimeError("a step of the optimizer is made within fit() or train_on_batch().")
