"""Trainer: what `compile` made of its arguments, made ready. A plain object: the model's state is the user's alone."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack
from functools import partial
from typing import Any

import torch
from torch import Tensor

from kerastorch import regularizers
from kerastorch.constraints import collect_constraints
from kerastorch.core.channel_tracking import known_channel_axes
from kerastorch.core.module_tree import modules, tensors
from kerastorch.core.train_mode import evaluation_mode
from kerastorch.core.trainable import sync_trainable
from kerastorch.data.batches import Batch, Batches
from kerastorch.data.data_device import parse_device
from kerastorch.layers.base import is_built
from kerastorch.layers.rnn import reset_all_states
from kerastorch.metrics.metric import Metric
from kerastorch.optimizers.base import TorchOptimizer
from kerastorch.optimizers.learning_rate import IgnoredRateCheck, make_rate_check
from kerastorch.optimizers.registry import create_optimizer, replace_parameters
from kerastorch.regularizers import collect_penalties
from kerastorch.runtime.batch_transfer import BatchTransfer
from kerastorch.runtime.call_module import call_module
from kerastorch.runtime.error_context import raise_with_context
from kerastorch.training.compile_options import EAGER, CompileOptions
from kerastorch.training.compile_settings import Settings, compile_settings, group_settings
from kerastorch.training.compiled_loss import CompiledLoss
from kerastorch.training.fused_activation import final_activations
from kerastorch.training.jit.compiled_step import CompiledStep
from kerastorch.training.memory_format import MemoryFormat
from kerastorch.training.metrics_tracker import MetricsTracker, Scores
from kerastorch.training.nan_warning import NaNWarning
from kerastorch.training.optimizer_step import OptimizerStep
from kerastorch.training.output_masks import OutputMask
from kerastorch.training.preflight import check_owner, check_parameters, find_device
from kerastorch.training.signals import InterruptHandler
from kerastorch.training.train_checkpoint import Session

Step = Callable[[Any], Mapping[str, Any]]


class Trainer:
    """What `compile` makes of its arguments, and what is done with it.

    Args:
        model: the module with `train_step` and `test_step`.
        settings: the optimizer as `optimizers.get` gives it.
        objective: the losses.
        metrics: output name -> metrics.
        patterns: regularizers by parameter name.
        device: `'auto'` or a device.
        layout: the memory format of images; as they come if `None`.
        data_device: where arrays are kept.
        execution: whether steps are compiled, and how many run between two looks of the callbacks.

    Attributes:
        output_mask: tells which steps of each output count.
        say: called with a sentence about what takes long or took long; a callback that shows progress sets it.
        epochs_done: how many epochs were trained since `compile`: the next one's place in the order of batches.
        fits: how many fits of the model have ended as they should, under an earlier `compile` too.
        session: the fit that is under way; `None` where there is none.
        evaluated: the names that the last evaluation logged; empty before the first.
        done: how many batches the last pass has gone through.
        leaving: of the running `evaluate` or `predict`: what is pushed there is undone on every way out of it.
        given: what `compile` was given, as it was, for whoever saves it.
        minimize: `minimize(loss)` makes one step of the optimizer; for a `train_step` of your own.
    """

    minimize: Callable[[Tensor], None]

    def __init__(
        self,
        model: Any,
        settings: Any,
        objective: CompiledLoss,
        metrics: Mapping[str, list[Metric]],
        patterns: Mapping[str, Any],
        device: Any,
        layout: MemoryFormat | None = None,
        data_device: Any = "auto",
        execution: CompileOptions = EAGER,
    ) -> None:
        self.model = model
        self.objective = objective
        self.metrics = metrics
        self.optimizer: TorchOptimizer | None = None
        self._made = False  # by us, and not the user's own
        self._check_rate: IgnoredRateCheck | None = None
        self._groups: list[dict[str, str]] = []  # the hyperparameters as compile() gave them
        if isinstance(settings, TorchOptimizer):
            check_owner(model, settings, objective.parameters())
            self.optimizer = settings
            self._groups = group_settings(settings)
            self._check_rate = make_rate_check(settings)
        self.epochs_done = self.completed_fits = self.done = 0
        self.session: Session | None = None
        self.compile_args: dict[str, Any] = {}
        self.meter = self.new_meter()
        self.output_mask = OutputMask(model, objective.names)
        self.interrupt = InterruptHandler()
        self.pass_exit_stack = ExitStack()
        self.first_nan: NaNWarning | None = None
        self.device = device
        self.layout = layout
        self.data_device = parse_device(data_device)
        self.columns: list[Any] | None = None
        self.evaluated: tuple[str, ...] = ()
        self.seen: Any = None
        self.weight_regularizers = {
            name: penalty for name, one in patterns.items() if (penalty := regularizers.get(one))
        }
        if self.weight_regularizers and is_built(model):
            collect_penalties(model, self.weight_regularizers)  # a pattern that matches nothing is refused now
        self.say: Callable[[str], None] = _unheard
        self.optimizer_config = settings
        self.execution = execution
        self.compiled: CompiledStep | None = None
        self._update: OptimizerStep | None = None

    @property
    def update(self) -> OptimizerStep:
        """Backward and step; there once the model is built."""
        assert self._update is not None
        return self._update

    @property
    def guard(self) -> Callable[[Tensor], bool] | None:
        """Asked with the loss after each backward pass whether a step may follow; set within `fit`."""
        return None if self._update is None else self._update.guard

    @guard.setter
    def guard(self, guard: Callable[[Tensor], bool] | None) -> None:
        if self._update is not None:
            self._update.guard = guard

    @property
    def compiles(self) -> bool:
        """Whether training steps are compiled, as far as is known before they are."""
        return self.compiled is not None and self.compiled.fallback_reason is None

    def new_meter(self) -> MetricsTracker:
        """Return a meter with fresh accumulators."""
        if not self.metrics:
            return MetricsTracker({})
        ends_in = final_activations(self.model)
        return MetricsTracker(
            {
                name: Scores(some, self.objective.loss_of(name), ends_in.get(name), partial(self._channel_axis, name))
                for name, some in self.metrics.items()
            }
        )

    def _channel_axis(self, output: str) -> int | None:
        return known_channel_axes(self.model).get(output)

    def feed(self, class_weight: Any = None) -> BatchTransfer:
        """Puts batches where the model is; the model goes to the device first."""
        parts = modules(self.model)
        found = {tensor.device for tensor in tensors(parts)}
        device = find_device(found, self.device)
        if found - {device}:
            self.model.to(device)
            if self.optimizer is not None and self.optimizer.state:
                self.optimizer.load_state_dict(self.optimizer.state_dict())  # its state goes where the weights went
        arrange = None if self.layout is None else self.layout.to_format(device)
        return BatchTransfer(parts, device, class_weight, arrange, self.data_device)

    def build(self, x: Any) -> None:
        """Make the parameters of lazy layers by a dry run, in eval mode, so that buffers stay as they are."""
        if not is_built(self.model):
            with evaluation_mode(self.model), torch.no_grad():
                try:
                    call_module(self.model, x)
                except Exception as error:
                    raise_with_context(error, self.model, x)
            reset_all_states(self.model)

    def get_or_create_optimizer(self) -> TorchOptimizer:
        """The optimizer, over the weights of a built model; until training begins also over those that came since."""
        learned = [*self.model.parameters(), *self.objective.parameters()]
        sparse = any(getattr(module, "sparse", False) is True for module in modules(self.model))
        if self.optimizer is None:
            if not learned:
                raise ValueError("the model has no parameters, so there is nothing to train.")
            self.optimizer = create_optimizer(self.optimizer_config, learned, sparse=sparse)
            self._groups, self._made = group_settings(self.optimizer), True
            self._check_rate = make_rate_check(self.optimizer)
        elif self._made and self._update is None:
            replace_parameters(self.optimizer, learned, sparse=sparse)
        return self.optimizer

    def optimizer_if_built(self) -> TorchOptimizer | None:
        """The optimizer, made now if the model has all its weights."""
        if self.optimizer is None and is_built(self.model) and any(True for _ in self.model.parameters()):
            self.get_or_create_optimizer()
        return self.optimizer

    def compile_settings(self) -> Settings:
        """What `compile` was given, and what the script set before the first step; not what training made of it."""
        optimizer = self.get_or_create_optimizer()
        begun = self.epochs_done or optimizer.state
        groups = self._groups if begun else group_settings(optimizer)
        weights = self.compile_args.get("loss_weights")
        return compile_settings(self.optimizer_config, groups, self.objective.losses, weights, self.weight_regularizers)

    def setup(self) -> OptimizerStep:
        """Of a built model: optimizer, penalties and constraints; again at each fit, for what changed in between."""
        sync_trainable(modules(self.model))
        optimizer = self.get_or_create_optimizer()
        check_parameters(self.model, optimizer, self.objective.parameters())
        if self._update is None:
            self._update = OptimizerStep(optimizer, self.optimizer_config, self._check_rate)
            self.minimize = self._update.step
            self.compiled = CompiledStep(self, self._update, self.execution) if self.execution.jit else None
        self.find_penalties()
        self._update.constraints = collect_constraints(self.model)
        self.output_mask.forget()
        return self._update

    def find_penalties(self) -> None:
        """What the loss includes for weights, as they are now."""
        self.objective.penalties = collect_penalties(self.model, self.weight_regularizers)

    def prepared(self, batches: Batches, feed: BatchTransfer, number: int) -> Iterator[Batch]:
        """The batches of an epoch, the first of which builds a model that is not built yet."""
        feed.validate_targets(batches.targets)
        stream = batches.epoch(number)
        if is_built(self.model, feed.parts):
            return stream
        first = next(stream, None)
        if first is None:
            return iter(())
        self.build(feed.inputs(first.x))
        return itertools.chain((first,), stream)


def _unheard(sentence: str) -> None:
    """Nobody watches."""
