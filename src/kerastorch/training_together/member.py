"""Member: one of several models that are trained together."""

from __future__ import annotations

from collections.abc import Generator, Iterator
from contextlib import contextmanager
from typing import Any

import torch

from kerastorch.core.rng_state import capture_rng_states, restore_rng_states
from kerastorch.training.fit_loop import EpochPass
from kerastorch.training.jit.functional_step import StepModule
from kerastorch.training.optimizer_step import OptimizerStep
from kerastorch.training.signals import InterruptHandler
from kerastorch.training.trainer import Trainer


class Member:
    """A model whose fit runs, and waits for its next epoch to be trained.

    The random numbers of its fit are those of a fit alone: while it runs, torch's global generator has the state of
    this member.

    Args:
        fit: The fit, as `fit_epochs` returns it with `waits=True`.

    Attributes:
        due: The pass over the training data that is due; `None` after the last epoch.
        host_states: States of the global generators before the first epoch.
        generator: torch's random generator, in the state that this member continues from.
    """

    def __init__(self, fit: Generator[EpochPass, dict[str, float], None]) -> None:
        self._fit = fit
        self.due: EpochPass | None = next(fit, None)
        self.host_states = capture_rng_states()
        self.generator = torch.Generator()
        self.generator.set_state(self.host_states["torch"])
        self._module: StepModule | None = None

    @property
    def trainer(self) -> Trainer:
        """The trainer of a member whose epoch is due."""
        assert self.due is not None
        return self.due.trainer

    @property
    def optimizer_step(self) -> OptimizerStep:
        """The step of its only optimizer."""
        step = self.trainer.optimizer_step
        assert isinstance(step, OptimizerStep)
        return step

    @property
    def module(self) -> StepModule:
        """Module of the model and its losses."""
        if self._module is None:
            self._module = StepModule(self.trainer)
        return self._module

    @contextmanager
    def drawing(self) -> Iterator[None]:
        """Draw from torch's global generator as if this member were alone, within the block."""
        torch.set_rng_state(self.generator.get_state())
        try:
            yield
        finally:
            self.generator.set_state(torch.get_rng_state())

    def train(self, due: EpochPass) -> None:
        """Run a pass, and what follows it in the fit, up to the next pass.

        Args:
            due: The pass; its batches may have been trained on already.
        """
        with self.drawing():
            try:
                logs = due.run()
            except BaseException as error:
                self._fit.throw(error)  # the fit calls `on_train_end`, and raises the error again
                raise
            try:
                self.due = self._fit.send(logs)
            except StopIteration:
                self.due = None

    def train_to_the_end(self, interrupt: InterruptHandler) -> None:
        """Run all passes that are left, one after the other, as a fit alone does.

        Args:
            interrupt: A pending interrupt ends the training between two epochs.
        """
        restore_rng_states({**self.host_states, "torch": self.generator.get_state()})
        while self.due is not None:
            self.train(self.due)
            if interrupt.pending:
                interrupt.raise_interrupt()
        self.host_states = capture_rng_states()

    def close(self) -> None:
        """End a fit that has not ended, after an error."""
        self._fit.close()

    def parameters(self) -> dict[str, Any]:
        """Return the weights of the model and its losses by name."""
        return dict(self.module.named_parameters())
