"""Compiled: `train_step` as a compiled graph where that can be, as it is where not."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import torch

from kerastorch.callbacks.callback_list import CallbackList
from kerastorch.core.errors import warn
from kerastorch.core.rng_state import preserved_rng_states
from kerastorch.core.torch_private import step_post_hooks
from kerastorch.data.batches import Batch, BatchGroup, shape_of
from kerastorch.optimizers.base import optimizer_parameters
from kerastorch.training.compile_options import CompileOptions
from kerastorch.training.jit.eligibility import refuse_model, refuse_optimizer
from kerastorch.training.jit.errors import UntraceableError
from kerastorch.training.jit.executable import Program
from kerastorch.training.jit.guards import GuardSet
from kerastorch.training.jit.parameter_buckets import ParameterBucket, make_buckets
from kerastorch.training.jit.verify import difference
from kerastorch.training.optimizer_step import ConstrainHook, OptimizerStep
from kerastorch.training.step_output import StepOutput

SHAPES = 4  # of batches, compiled at most
OFTEN = 8  # batches of another shape in one epoch before that is compiled too
AGAIN = 4  # how often what a step takes as fixed may change
TRIES = 5  # steps of either kind that are timed
SLOWER = 1.1  # a compiled step that takes longer than this times an eager one is dropped

Step = Callable[[Batch | BatchGroup], StepOutput]


class CompiledStep:
    """Called as `model.train_step`, and does what it does.

    The first step of each `fit` is eager: data are looked at then, and the optimizer makes its state. A compiled step
    is compared with an eager one on its first batch, and then timed beside it; it is used where it does the same and
    is not slower.

    Args:
        trainer: whose step.
        update: of the optimizer.
        execution: how many steps run as one.

    Attributes:
        cause: why training goes on uncompiled, `None` if it does not.
        together: how many steps run as one.
        resting: whether steps are not compiled for now.
    """

    def __init__(self, trainer: Any, update: OptimizerStep, execution: CompileOptions) -> None:
        self.fallback_reason: str | None = None
        self._careful = False
        self.is_resting = False
        self.steps_per_graph = 1
        self._trainer, self._update, self._execution = trainer, update, execution
        self._steps: dict[Any, Step] = {}
        self._seen: dict[Any, int] = {}
        self._cells: list[ParameterBucket] = []
        self._constants: GuardSet | None = None
        self._changes = 0
        self._warm = False  # an eager step has made the optimizer's state for the weights that learn now

    def __call__(self, batch: Batch | BatchGroup) -> StepOutput:
        """One step."""
        if not self._trainer.compiled_loss.is_checked:  # the first batch of a pass is looked at, which no graph does
            output = self._eager(batch)
            self.refresh()
            self._warm = True
            return output
        if self._careful:
            self.refresh()
        shape = shape_of(batch)
        step = self._steps.get(shape)
        return self._other(shape, batch) if step is None else step(batch)

    def prepare(self, callbacks: CallbackList) -> None:
        """Before an epoch: look whether what was compiled still holds; in it, wherever a callback could change that."""
        guarded = self._update.is_guarded
        if guarded and not self.is_resting and self.fallback_reason is None:
            warn("jit_compile: training goes on uncompiled while each step is looked at first.")
        self.is_resting = guarded
        if guarded:
            self.steps_per_graph = 1
            return
        self._careful = callbacks.modifies_training("on_train_batch_begin", "on_train_batch_end")
        if self.fallback_reason is None:
            try:
                refuse_model(self._trainer.model)
                refuse_optimizer(self._update)
            except UntraceableError as error:
                self.give_up(str(error))
        self.refresh()
        if self._steps:
            self._seen.clear()
        optimizer = self._update.optimizer
        # hooks of the optimizer look at every step
        alone = self.fallback_reason is not None or bool(step_post_hooks(optimizer))
        if self._execution.steps == "auto":
            alone = alone or self._careful
        self.steps_per_graph = 1 if alone else self._execution.steps_per_graph(len(optimizer_parameters(optimizer)))

    def refresh(self) -> None:
        """Drop what was compiled if anything changed that it takes as fixed."""
        if self._constants is None:
            return
        changed = GuardSet(self._trainer, self._update.optimizer).first_violation(self._constants)
        if changed is None and all(cell.current for cell in self._cells):
            return
        self._steps, self._seen, self._cells, self._constants = {}, {}, [], None
        self._changes += 1
        self._warm = False
        if self._changes > AGAIN:
            self.give_up(f"{changed or 'the state of the optimizer'} changed {self._changes} times")

    def give_up(self, cause: str) -> None:
        """Go on uncompiled; said once."""
        self._steps, self._constants, self.fallback_reason = {}, None, cause
        warn(f"jit_compile: training goes on uncompiled: {cause}.")

    def _eager(self, batch: Batch | BatchGroup) -> StepOutput:
        """Run the step that the compiled one stands for."""
        if not isinstance(batch, BatchGroup):
            return self._train_step(batch)
        outputs = []
        for single in batch:
            self._trainer.compiled_loss.begin_step()
            outputs.append(self._train_step(single))
        first = outputs[0]
        return StepOutput(
            {name: _vector([output.logs[name] for output in outputs]) for name in first.logs},
            None if first.weight is None else _vector([output.weight for output in outputs]),
            {name: _vector([output.weights[name] for output in outputs]) for name in first.weights},
        )

    def _train_step(self, batch: Batch) -> StepOutput:
        output: StepOutput = self._trainer.context.take_output(self._trainer.model.train_step(batch))
        return output

    def _drop(self, shape: Any, cause: str) -> None:
        """Batches of this shape go on uncompiled; all, where nothing else is compiled."""
        self._steps.pop(shape, None)
        if self._steps:
            self._steps[shape] = self._eager
        else:
            self.give_up(cause)

    def _other(self, shape: Any, batch: Batch | BatchGroup) -> StepOutput:
        """A batch of a shape for which nothing is compiled."""
        seen = self._seen[shape] = self._seen.get(shape, 0) + 1
        due = seen == OFTEN if self._steps else self._warm
        self._warm = True
        if self.fallback_reason is not None or not due or len(self._steps) == SHAPES:
            return self._eager(batch)
        try:
            program = self._compile(batch)
        except Exception as error:
            self._drop(shape, _words(error))
            return self._eager(batch)
        return self._compare(program, shape, batch)

    def _compile(self, batch: Batch | BatchGroup) -> Program:
        if self._constants is None:
            optimizer = self._update.optimizer
            held = [weight for group in optimizer.param_groups for weight in group["params"]]
            learning = [weight for weight in held if weight.requires_grad]
            # none where somebody has dropped the gradients
            learned = [weight for weight in learning if weight.grad is not None] or learning
            if any(weight.grad is not None and weight.grad.layout != torch.strided for weight in learned):
                raise UntraceableError("gradients are sparse")
            self._cells = make_buckets(optimizer, learned)
            self._constants = GuardSet(self._trainer, optimizer)
        self._trainer.notify("compiling the training step")
        program = Program(self._trainer, self._update, self._cells, batch)
        self._trainer.notify(f"compiled the training step in {program.seconds:.1f}s")
        return program

    def _compare(self, program: Program, shape: Any, batch: Batch | BatchGroup) -> StepOutput:
        """The step of this batch, eager; the compiled one, tried before from the same weights, must do the same."""
        before = [tensor.detach().clone() for tensor in program.inputs]
        found = error = None
        try:
            with preserved_rng_states():
                found = program(batch)
        except Exception as raised:
            error = raised
        owned = program.owned
        after = [tensor.detach().clone() for tensor in program.inputs[:owned]]
        with torch.no_grad():
            for tensor, old in zip(program.inputs, before, strict=True):
                tensor.copy_(old)
        output = self._eager(batch)
        if found is None:
            self.give_up(_words(error))
            return output
        other = difference(program.inputs[:owned], before[:owned], after, found.logs, output.logs)
        if other is not None:
            self.give_up(f"the compiled step gives another {other} than train_step")
            return output
        run = _Run(program, self._trainer, self._update)
        self._steps[shape] = _Trial(run, self._eager, lambda taken: self._settle(shape, run, taken))
        return output

    def _settle(self, shape: Any, run: Step, seconds: tuple[float, float]) -> None:
        compiled, eager = seconds
        if compiled > SLOWER * eager:
            self._drop(shape, f"a compiled step takes {compiled * 1e3:.3g} ms, an eager one {eager * 1e3:.3g} ms")
            return
        self._steps[shape] = run
        self._update.optimizer.zero_grad()  # gradients no longer appear there: no memory for the last ones


class _Run:
    """A program as a step: puts what it found where `train_step` leaves it."""

    def __init__(self, program: Program, trainer: Any, update: OptimizerStep) -> None:
        self._program, self._trainer, self._optimizer = program, trainer, update.optimizer
        self._hooks = step_post_hooks(update.optimizer)

    def __call__(self, batch: Batch | BatchGroup) -> StepOutput:
        found = self._program(batch)
        metrics = self._trainer.context.metrics
        for scores in found.scores:
            predicted = {name: pair[0] for name, pair in scores.items()}
            metrics.update(predicted, {name: pair[1] for name, pair in scores.items()})
        for hook in self._hooks.values():
            if not isinstance(hook, ConstrainHook):  # constraints are in the graph
                hook(self._optimizer, (), {})
        return StepOutput(found.logs, found.weight, found.weights)


class _Trial:
    """Takes turns with two steps, and says in the end how long the faster ones took."""

    def __init__(self, compiled: Step, eager: Step, end: Callable[[tuple[float, float]], None]) -> None:
        self._turns, self._end = (compiled, eager), end
        self._taken: tuple[list[float], list[float]] = ([], [])

    def __call__(self, batch: Batch | BatchGroup) -> StepOutput:
        which = int(len(self._taken[0]) > len(self._taken[1]))
        _wait()
        began = time.perf_counter()
        found = self._turns[which](batch)
        _wait()
        self._taken[which].append(time.perf_counter() - began)
        if len(self._taken[1]) == TRIES:
            self._end((min(self._taken[0]), min(self._taken[1])))
        return found


def _wait() -> None:
    if torch.accelerator.is_available():
        torch.accelerator.synchronize()


def _vector(values: list[Any]) -> torch.Tensor:
    return torch.stack([torch.as_tensor(value).detach().reshape(()) for value in values])


def _words(error: Exception | None) -> str:
    """The cause in one line."""
    if isinstance(error, UntraceableError):
        return str(error)
    first = next((line for line in str(error).splitlines() if line.strip()), "")
    return f"{type(error).__name__}: {first.strip()[:200]}".rstrip(".: ")
