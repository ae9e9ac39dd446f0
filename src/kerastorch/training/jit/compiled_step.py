"""CompiledStep: runs training steps as compiled graphs if that is correct and faster."""

from __future__ import annotations

import time
from collections.abc import Callable, Hashable
from enum import Enum, auto

import torch

from kerastorch.callbacks.callback_list import CallbackList
from kerastorch.core.errors import warn
from kerastorch.core.rng_state import preserved_rng_states
from kerastorch.core.torch_optimizer_private import step_post_hooks
from kerastorch.data.batches import Batch, BatchGroup, shape_of
from kerastorch.optimizers.scheduled_rate import scheduled_rate
from kerastorch.optimizers.step_hooks import optimizer_parameters
from kerastorch.training.compile_options import CompileOptions
from kerastorch.training.constrain_hook import ConstrainHook
from kerastorch.training.jit.eligibility import check_batch, check_model, check_optimizer
from kerastorch.training.jit.errors import UntraceableError
from kerastorch.training.jit.executable import Executable
from kerastorch.training.jit.graph_output import join_step_outputs
from kerastorch.training.jit.guards import GuardSet
from kerastorch.training.jit.parameter_buckets import ParameterBucket, make_buckets
from kerastorch.training.jit.trainer_protocol import TrainerProtocol
from kerastorch.training.jit.verify import find_difference
from kerastorch.training.optimizer_step import OptimizerStep
from kerastorch.training.own_steps import OwnStep, step_of
from kerastorch.training.step_output import StepOutput

MAX_SHAPES = 4  # batch shapes that are compiled
MIN_REPEATS = 8  # batches of one more shape in an epoch, before it is compiled, too
MAX_VIOLATIONS = 4  # changes of guarded values, after which no step is compiled any more
TIMED_STEPS = 5  # compiled steps, and eager steps, whose durations are compared
MAX_SLOWDOWN = 1.1  # a compiled step may take this multiple of the duration of an eager one

Step = Callable[[Batch | BatchGroup], StepOutput]


class Policy(Enum):
    """How training steps are run."""

    COMPILE = auto()  # compiled, once a batch shape has passed its checks
    PAUSE = auto()  # eager in this epoch: a guard examines each loss, or a callback has hooks within a step
    FALL_BACK = auto()  # eager from now on, because of `fallback_reason`


class CompiledStep:
    """Replacement of `model.train_step`: a compiled graph, if it is correct and not slower.

    The first step of each fit is eager: it validates the data and creates the optimizer's state. The next batch is
    run both ways from the same weights, and the results are compared. Then compiled and eager steps alternate while
    their durations are measured, and the faster kind is used from then on. Any failure leads to eager steps.

    Args:
        trainer: Holds the model and the losses.
        optimizer_step: Step of the optimizer.
        options: Number of steps that run as one graph.

    Attributes:
        policy: How steps are run.
        fallback_reason: Why steps are no longer compiled; `None` while they are.
        steps_per_graph: Number of steps that run as one graph.
    """

    def __init__(self, trainer: TrainerProtocol, optimizer_step: OptimizerStep, options: CompileOptions) -> None:
        self.policy = Policy.COMPILE
        self.fallback_reason: str | None = None
        self.steps_per_graph = 1
        self._trainer, self._optimizer_step, self._options = trainer, optimizer_step, options
        self._steps: dict[Hashable, Step] = {}  # by batch shape
        self._repeats: dict[Hashable, int] = {}  # batches of each shape without a compiled step
        self._buckets: list[ParameterBucket] = []
        self._guards: GuardSet | None = None  # `None` while nothing is compiled
        self._n_violations = 0
        self._checks_each_step = False
        self._has_optimizer_state = False  # an eager step has made it, for the weights that are trainable now
        self._train_step = step_of(trainer, "train_step")
        self._has_own_loss = False  # a step of the user's does not call the compiled loss, which validates the data

    def __call__(self, batch: Batch | BatchGroup) -> StepOutput:
        """Make one step, or one for each batch of a group."""
        if not (self._trainer.compiled_loss.is_checked or self._has_own_loss):
            output = self._run_eager(batch)  # the first batch of a pass is validated, outside any graph
            self._has_own_loss = not self._trainer.compiled_loss.is_checked
            self._check_guards()
            self._has_optimizer_state = True
            return output
        if self._checks_each_step:
            self._check_guards()
        shape = shape_of(batch)
        step = self._steps.get(shape)
        return self._run_new_shape(shape, batch) if step is None else step(batch)

    # --- policy -----------------------------------------------------------------------------------------------

    def begin_epoch(self, callbacks: CallbackList) -> None:
        """Choose the policy and `steps_per_graph` of an epoch.

        Args:
            callbacks: If their batch hooks can change training, guards are checked before each step.
        """
        self.steps_per_graph, self._has_own_loss = 1, False
        self._train_step = step_of(self._trainer, "train_step")
        if self._optimizer_step.listeners.is_guarded or self._optimizer_step.listeners.has_functions:
            if self.policy is Policy.COMPILE:
                guarded = self._optimizer_step.listeners.is_guarded
                why = "each step is examined before it is made" if guarded else "callbacks have hooks within a step"
                warn(f"jit_compile: training continues uncompiled while {why}.")
                self.policy = Policy.PAUSE
            return
        if self.policy is Policy.PAUSE:
            self.policy = Policy.COMPILE
        self._checks_each_step = callbacks.modifies_training("on_train_batch_begin", "on_train_batch_end")
        if self.policy is Policy.COMPILE:
            try:
                check_model(self._trainer.model)
                check_optimizer(self._optimizer_step)
            except UntraceableError as error:
                self._fall_back(str(error))
        self._check_guards()
        if self._steps:
            self._repeats.clear()
        if self.policy is Policy.COMPILE and self._can_join_steps():
            self.steps_per_graph = self._options.steps_per_graph(
                len(optimizer_parameters(self._optimizer_step.optimizer))
            )

    def _can_join_steps(self) -> bool:
        """Return whether no hook of the optimizer, no callback and no step of the user's has to run between two."""
        optimizer = self._optimizer_step.optimizer
        if step_post_hooks(optimizer) or scheduled_rate(optimizer) is not None or isinstance(self._train_step, OwnStep):
            return False
        return self._options.steps != "auto" or not self._checks_each_step

    def _check_guards(self) -> None:
        """Discard the compiled steps if a value has changed that they take as constant."""
        if self._guards is None:
            return
        optimizer = self._optimizer_step.optimizer
        violation = GuardSet(self._trainer, optimizer).first_violation(self._guards)
        if violation is None and all(bucket.is_valid for bucket in self._buckets):
            return
        self._steps, self._repeats, self._buckets, self._guards = {}, {}, [], None
        self._has_optimizer_state = False
        self._n_violations += 1
        if self._n_violations > MAX_VIOLATIONS:
            self._fall_back(f"{violation or 'the state of the optimizer'} changed {self._n_violations} times")

    def _fall_back(self, reason: str) -> None:
        """Make all further steps eager, with a warning."""
        self.policy, self.fallback_reason = Policy.FALL_BACK, reason
        self._steps, self._guards = {}, None
        warn(f"jit_compile: training continues uncompiled: {reason}.")

    def _fall_back_for(self, shape: Hashable, reason: str) -> None:
        """Make steps on batches of one shape eager; all steps, if no other shape is compiled."""
        self._steps.pop(shape, None)
        if any(step != self._run_eager for step in self._steps.values()):
            self._steps[shape] = self._run_eager
        else:
            self._fall_back(reason)

    # --- steps ------------------------------------------------------------------------------------------------

    def _run_eager(self, batch: Batch | BatchGroup) -> StepOutput:
        """Make the steps that a compiled graph stands for, one after the other."""
        if not isinstance(batch, BatchGroup):
            return self._make_step(batch)
        outputs = []
        for member in batch:
            self._trainer.compiled_loss.begin_step()
            outputs.append(self._make_step(member))
        return join_step_outputs(outputs)

    def _make_step(self, batch: Batch) -> StepOutput:
        output = self._train_step(batch)
        return output if isinstance(output, StepOutput) else self._trainer.context.take_output(output)

    def _run_new_shape(self, shape: Hashable, batch: Batch | BatchGroup) -> StepOutput:
        """Make a step on a batch of a shape without compiled step; compile one if it is worth it."""
        repeats = self._repeats[shape] = self._repeats.get(shape, 0) + 1
        is_due = repeats == MIN_REPEATS if self._steps else self._has_optimizer_state
        self._has_optimizer_state = True
        if self.policy is Policy.FALL_BACK or not is_due or len(self._steps) == MAX_SHAPES:
            return self._run_eager(batch)
        try:
            executable = self._compile(batch)
        except Exception as error:
            self._fall_back_for(shape, _reason(error))
            return self._run_eager(batch)
        return self._verify(executable, shape, batch)

    def _compile(self, batch: Batch | BatchGroup) -> Executable:
        """Trace and compile the step for batches like this one.

        Raises:
            UntraceableError: The step cannot be traced.
            Exception: The compiler failed.
        """
        check_batch(batch)
        schedule = scheduled_rate(self._optimizer_step.optimizer)
        if schedule is not None:
            schedule.set_rates(self._optimizer_step.optimizer)  # the rates of this step, which is then verified
        if self._guards is None:
            self._buckets = self._make_buckets()
            self._guards = GuardSet(self._trainer, self._optimizer_step.optimizer)
        self._trainer.notify("compiling the training step")
        executable = Executable(self._trainer, self._optimizer_step, self._buckets, batch)
        self._trainer.notify(f"compiled the training step in {executable.seconds:.1f}s")
        return executable

    def _make_buckets(self) -> list[ParameterBucket]:
        """Distribute the parameters that had a gradient in the last step."""
        optimizer = self._optimizer_step.optimizer
        trainable = [weight for weight in optimizer_parameters(optimizer) if weight.requires_grad]
        # without any gradient, somebody has cleared them since the last step
        trained = [weight for weight in trainable if weight.grad is not None] or trainable
        if any(weight.grad is not None and weight.grad.layout != torch.strided for weight in trained):
            raise UntraceableError("gradients are sparse")
        return make_buckets(optimizer, trained)

    def _verify(self, executable: Executable, shape: Hashable, batch: Batch | BatchGroup) -> StepOutput:
        """Make an eager step; fall back unless the compiled step gives the same.

        Both start from the same weights and random numbers.

        Returns:
            The output of the eager step.
        """
        before = [tensor.detach().clone() for tensor in executable.inputs]
        result, error = None, None
        try:
            with preserved_rng_states():
                result = executable(batch)
        except Exception as raised:
            error = raised
        eager = executable.inputs[: executable.n_model_tensors]
        compiled = [tensor.detach().clone() for tensor in eager]
        with torch.no_grad():
            for tensor, old in zip(executable.inputs, before, strict=True):
                tensor.copy_(old)
        output = self._run_eager(batch)
        if result is None:
            self._fall_back(_reason(error))
            return output
        difference = find_difference(eager, before[: len(eager)], compiled, output.logs, result.step.logs)
        if difference is not None:
            self._fall_back(f"the compiled step gives another {difference} than train_step")
            return output
        step = _ExecutableStep(executable, self._trainer, self._optimizer_step)
        self._steps[shape] = _TimingTrial(
            step, self._run_eager, lambda seconds, eager_seconds: self._end_trial(shape, step, seconds, eager_seconds)
        )
        return output

    def _end_trial(self, shape: Hashable, step: Step, seconds: float, eager_seconds: float) -> None:
        """Use the compiled step for a batch shape, unless it is slower than an eager one."""
        if seconds > MAX_SLOWDOWN * eager_seconds:
            reason = f"a compiled step takes {seconds * 1e3:.3g} ms, an eager one {eager_seconds * 1e3:.3g} ms"
            self._fall_back_for(shape, reason)
            return
        self._steps[shape] = step
        self._optimizer_step.optimizer.zero_grad()  # compiled steps write no gradients: frees the memory of the last


def make_compiled_step(
    trainer: TrainerProtocol, step: object, options: CompileOptions, *, is_joint: bool
) -> CompiledStep | None:
    """Return the compiled step of a trainer, or `None` with a warning if it trains uncompiled.

    Args:
        trainer: The trainer.
        step: What computes gradients and steps the optimizer.
        options: Options of `compile`.
        is_joint: Whether other ranks train the same model.
    """
    if is_joint or not isinstance(step, OptimizerStep):
        reason = "several processes train the model together" if is_joint else "there are several optimizers"
        warn(f"jit_compile: training continues uncompiled: {reason}.")
        return None
    return CompiledStep(trainer, step, options)


class _ExecutableStep:
    """Training step by an executable, with metrics and hooks of the optimizer, which run eagerly."""

    def __init__(self, executable: Executable, trainer: TrainerProtocol, optimizer_step: OptimizerStep) -> None:
        self._executable, self._trainer, self._optimizer = executable, trainer, optimizer_step.optimizer
        self._schedule = scheduled_rate(self._optimizer)

    def __call__(self, batch: Batch | BatchGroup) -> StepOutput:
        if self._schedule is not None:
            self._schedule(self._optimizer, (), {})
        result = self._executable(batch)
        metrics = self._trainer.context.metrics
        for pairs in result.metric_inputs:
            metrics.update(
                {name: y_pred for name, (y_pred, _, _) in pairs.items()},
                {name: y_true for name, (_, y_true, _) in pairs.items()},
                {name: weight for name, (_, _, weight) in pairs.items()},
            )
        for hook in step_post_hooks(self._optimizer).values():
            if not isinstance(hook, ConstrainHook):  # constraints are part of the graph
                hook(self._optimizer, (), {})
        return result.step


class _TimingTrial:
    """Step that alternates between compiled and eager steps and measures their durations.

    Args:
        compiled: Compiled step.
        eager: Eager step.
        on_end: Called with the shortest durations in seconds of a compiled and an eager step, after `TIMED_STEPS` each.
    """

    def __init__(self, compiled: Step, eager: Step, on_end: Callable[[float, float], None]) -> None:
        self._compiled, self._eager, self._on_end = compiled, eager, on_end
        self._seconds: list[float] = []
        self._eager_seconds: list[float] = []

    def __call__(self, batch: Batch | BatchGroup) -> StepOutput:
        is_eager = len(self._seconds) > len(self._eager_seconds)
        step, seconds = (self._eager, self._eager_seconds) if is_eager else (self._compiled, self._seconds)
        _synchronize()
        start = time.perf_counter()
        output = step(batch)
        _synchronize()
        seconds.append(time.perf_counter() - start)
        if len(self._eager_seconds) == TIMED_STEPS:
            self._on_end(min(self._seconds), min(self._eager_seconds))
        return output


def _synchronize() -> None:
    if torch.accelerator.is_available():
        torch.accelerator.synchronize()


def _reason(error: Exception | None) -> str:
    """Return an error as one line for the fallback warning."""
    if isinstance(error, UntraceableError):
        return str(error)
    if "DataDependent" in type(error).__name__:
        return "the step is data-dependent: it reads the value of a tensor, as `if loss > 1` and `.item()` do"
    first_line = next((line for line in str(error).splitlines() if line.strip()), "")
    return f"{type(error).__name__}: {first_line.strip()[:200]}".rstrip(".: ")
