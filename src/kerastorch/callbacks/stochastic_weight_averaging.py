"""StochasticWeightAveraging: average the weights at the ends of the last epochs."""

from __future__ import annotations

import numbers
from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim.swa_utils import SWALR, AveragedModel

from kerastorch.callbacks.averaging_callback import AveragingCallback
from kerastorch.callbacks.base import Logs
from kerastorch.callbacks.weight_replacement import Replacement, WeightAverage
from kerastorch.core.errors import check_choice, check_float, check_int, mismatch, warn
from kerastorch.optimizers.learning_rate import rates, set_rates
from kerastorch.optimizers.scheduled_rate import scheduled_rate
from kerastorch.optimizers.step_hooks import TorchOptimizer
from kerastorch.runtime.batch_statistics import batch_statistics, learns_batch_statistics, recompute_batch_statistics
from kerastorch.runtime.call_module import call_module


class StochasticWeightAveraging(AveragingCallback):
    """A callback that averages the weights at the ends of the last epochs, with a constant learning rate.

    Source: Izmailov et al. 2018, https://arxiv.org/abs/1803.05407. It does what a loop with
    `torch.optim.swa_utils.AveragedModel`, `SWALR` and `update_bn` does: from `start_epoch` on, the learning rate goes
    to `learning_rate`, and the average is the mean of the weights after each epoch.

    Running statistics of batch normalization belong to certain weights. For the average they are computed anew after
    each averaged epoch, by one pass over the training data without gradients. Frozen batch normalization keeps its own.

    From the end of the first averaged epoch on, the average is in place during `evaluate` and `predict` within `fit`,
    so also during validation, for what callbacks do at the end of an epoch, and after `fit`. The hooks of this callback
    are called before those of others. After an error or Ctrl-C the model has the trained weights.

    Args:
        start_epoch: First epoch after which the weights are averaged: an integer counts epochs from 1, a float in
            (0, 1) is the fraction of epochs before it. Default 0.75.
        learning_rate: Learning rate of the averaged epochs. It should be larger than at the end of a usual schedule.
            Default `None`: this callback does not change the rate.
        anneal_epochs: Number of epochs over which the rate goes to `learning_rate`, >= 0. Default 10.
        anneal_strategy: `'cos'` (default) or `'linear'`: the curve on which it goes there.
        update_batch_norm: Whether the statistics of batch normalization are computed for the average. Default `True`.

    Raises:
        ValueError: An argument is out of range; or, when `fit` begins, it ends before `start_epoch`, the learning rate
            has a schedule, the optimizer or another callback averages the weights, too, or the data are a generator,
            which has no second pass for the statistics of batch normalization.

    Warns:
        UserWarning: Another callback changes the learning rate in the averaged epochs, or training stops before them.

    >>> StochasticWeightAveraging(start_epoch=8, learning_rate=0.05)
    StochasticWeightAveraging(start_epoch=8, learning_rate=0.05)
    """

    def __init__(
        self,
        start_epoch: int | float = 0.75,
        learning_rate: float | None = None,
        anneal_epochs: int = 10,
        anneal_strategy: str = "cos",
        update_batch_norm: bool = True,
    ) -> None:
        super().__init__()
        self.start_epoch = _check_start(start_epoch)
        self.learning_rate = None if learning_rate is None else check_float("learning_rate", learning_rate, above=0)
        self.anneal_epochs = check_int("anneal_epochs", anneal_epochs, 0)
        self.anneal_strategy = check_choice("anneal_strategy", anneal_strategy, ("cos", "linear"))
        self.update_batch_norm = update_batch_norm
        self._annealings: list[_Annealing] = []
        self._averaged_epoch = -1  # number of the last averaged epoch

    def state_dict(self) -> dict[str, Any]:
        annealings = [one.state_dict() for one in self._annealings]
        return {**super().state_dict(), "averaged_epoch": self._averaged_epoch, "annealings": annealings}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        super().load_state_dict(state)
        self._averaged_epoch = state["averaged_epoch"]
        for one, saved in zip(self._annealings, state["annealings"], strict=True):
            one.load_state_dict(saved)

    def _begin(self) -> list[Replacement]:
        """Prepare the average and the learning rates of a fit."""
        self._averaged_epoch = -1
        epochs, start = self.params["epochs"], self.start_epoch
        self._first = (start if isinstance(start, int) else int(start * epochs) + 1) - 1
        if self._first >= epochs:
            raise ValueError(f"StochasticWeightAveraging: start_epoch={start}, but the fit ends after epoch {epochs}.")
        trainer = self.model.trainer
        if self.update_batch_norm and learns_batch_statistics(self.model):
            trainer.weight_averaging.inputs.check("StochasticWeightAveraging(update_batch_norm=True)")
        self._annealings = [self._annealing(one) for one in trainer.optimizer_step.optimizers]
        self._average = WeightAverage(self._weights, _add_to_mean)
        self._statistics = Replacement(partial(batch_statistics, self.model))
        return [self._average, self._statistics]

    def _weights(self) -> Sequence[Tensor]:
        """Return the parameters of the model and of its losses."""
        return [*self.model.parameters(), *self.model.trainer.compiled_loss.outputs.parameters()]

    def _annealing(self, optimizer: TorchOptimizer) -> _Annealing:
        """Return what sets the learning rates of an optimizer; it does nothing without `learning_rate`."""
        if self.learning_rate is not None and scheduled_rate(optimizer) is not None:
            raise ValueError(
                "StochasticWeightAveraging: learning_rate= is given, but the learning rate of the optimizer has a "
                "schedule. Leave one of both out."
            )
        strategy: Any = self.anneal_strategy
        make = partial(SWALR, anneal_epochs=self.anneal_epochs, anneal_strategy=strategy)
        return _Annealing(optimizer, self.learning_rate, make)

    def on_epoch_begin(self, epoch: int, logs: Logs | None = None) -> None:
        super().on_epoch_begin(epoch, logs)
        if epoch >= self._first:
            for one in self._annealings:
                one.begin_epoch()

    def on_epoch_end(self, epoch: int, logs: Logs | None = None) -> None:
        super().on_epoch_end(epoch, logs)
        if epoch >= self._first:
            for one in self._annealings:
                one.end_epoch()

    def on_train_end(self, logs: Logs | None = None) -> None:
        if self._replacements and self.model.trainer.state.is_completed and not self._average.count:
            warn(
                f"StochasticWeightAveraging: training stopped before epoch {self._first + 1}, the first one that is "
                "averaged; the model has the trained weights."
            )
        super().on_train_end(logs)

    def _update(self, epoch: int) -> None:
        if epoch < self._first or epoch <= self._averaged_epoch:
            return
        self._averaged_epoch = epoch
        self._average.update()
        if self.update_batch_norm and learns_batch_statistics(self.model):
            self._recompute_statistics()

    def _recompute_statistics(self) -> None:
        """Compute the statistics of batch normalization for the average, and record them."""
        trainer = self.model.trainer
        trained = Replacement(self._statistics.tensors)
        trained.record()
        self._average.put_in_place()
        try:
            call = trainer.precision.around(partial(call_module, self.model), trainer.device_type())
            with trainer.weight_averaging.inputs() as inputs:
                recompute_batch_statistics(self.model, call, inputs)
            self._statistics.record()
        finally:
            self._average.restore()
            trained.put_in_place()


def _add_to_mean(means: list[Tensor], tensors: list[Tensor], count: Tensor) -> None:
    """Update means of `count` values with one more value, in place and as torch does on this device."""
    averaged = AveragedModel(nn.ParameterList())
    averaged.module, averaged.n_averaged = _parameters(means), count.clone()
    averaged.update_parameters(_parameters(tensors))


def _parameters(tensors: list[Tensor]) -> nn.ParameterList:
    """Return a module whose parameters share the memory of tensors."""
    return nn.ParameterList(nn.Parameter(tensor, requires_grad=False) for tensor in tensors)


class _Annealing:
    """Sets the learning rates of an optimizer in the averaged epochs, as torch's `SWALR` does.

    `SWALR` works on an optimizer of its own, so that neither the step nor the groups of the real one are changed.

    Args:
        optimizer: The optimizer.
        rate: Final learning rate; `None` to leave the rates as they are.
        make: Makes a `SWALR` of an optimizer and the rate.
    """

    def __init__(self, optimizer: TorchOptimizer, rate: float | None, make: Any) -> None:
        self._optimizer, self._rate, self._make = optimizer, rate, make
        self._schedule: SWALR | None = None  # from the first averaged epoch on

    def _start(self, values: list[float]) -> SWALR:
        groups = [{"params": [torch.zeros(1)], "lr": value} for value in values]
        shadow = torch.optim.SGD(groups)
        schedule: SWALR = self._make(shadow, self._rate)
        shadow.step()  # torch warns if a schedule steps before its optimizer
        return schedule

    def begin_epoch(self) -> None:
        """Set the rates of an averaged epoch; schedules that step at the ends of epochs have no effect any more."""
        if self._rate is None:
            return
        if self._schedule is None:
            self._schedule = self._start(rates(self._optimizer))
        set_rates(self._optimizer, rates(self._schedule.optimizer))

    def end_epoch(self) -> None:
        """Make a step of the schedule.

        Warns:
            UserWarning: Something else has changed the rates in the epoch.
        """
        if self._schedule is None:
            return
        expected, found = rates(self._schedule.optimizer), rates(self._optimizer)
        if any(abs(one - other) > 1e-6 * abs(one) for one, other in zip(expected, found, strict=True)):
            warn(
                f"StochasticWeightAveraging has set the learning rate to {expected[0]:g}, but it is {found[0]:g} now. "
                "Another callback changes it; end its schedule before start_epoch, or leave learning_rate= out."
            )
        self._schedule.step()

    def state_dict(self) -> dict[str, Any]:
        """Return the rates and the state of the schedule; nothing before the first averaged epoch."""
        if self._schedule is None:
            return {}
        return {"rates": rates(self._schedule.optimizer), "schedule": self._schedule.state_dict()}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Restore what `state_dict` returned."""
        if state:
            self._schedule = self._start(state["rates"])
            self._schedule.load_state_dict(dict(state["schedule"]))
            set_rates(self._schedule.optimizer, state["rates"])


def _check_start(value: Any) -> int | float:
    """Return `start_epoch`, checked."""
    if not isinstance(value, bool):
        if isinstance(value, numbers.Integral) and int(value) >= 1:
            return int(value)
        if isinstance(value, float) and 0 < value < 1:
            return value
    raise mismatch("start_epoch", value, "an epoch counted from 1 (an integer), or a fraction of the epochs in (0, 1)")
