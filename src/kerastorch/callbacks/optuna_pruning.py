"""OptunaPruning: report a monitored log to Optuna, and end trials that its pruner gives up."""

from __future__ import annotations

import copy
import math
import sys
from typing import Any, Self

from kerastorch.callbacks.base import Logs
from kerastorch.callbacks.monitor import MonitorCallback, is_improvement, monitor_sign
from kerastorch.core.errors import check_int, shown
from kerastorch.core.optional_dependency import require_package


class OptunaPruning(MonitorCallback):
    """A callback that reports `monitor` to an Optuna trial, and prunes the trial if its pruner says so.

    After each epoch the value is reported under the number of the epoch, from 0. If the pruner of the study gives the
    trial up, training stops after that epoch: the other callbacks and the history receive the epoch, `on_train_end` of
    all callbacks runs, and then `fit` raises `optuna.TrialPruned`, which Optuna expects from the objective function.

    A trial is trained by one `fit`, or by several that continue the count of epochs with `initial_epoch`. A resumed
    training reports only the epochs that the trial does not have yet.

    Args:
        trial: What Optuna passes to the objective function.
        monitor: Name of the log to report.
        interval: Number of epochs between two reports. Default 1: after each epoch.
        mode: `'min'` if smaller is better, `'max'` if larger is better, `'auto'` (default) to infer it from the
            metric or name. It must agree with the direction of the study, which decides if the name does not.

    Attributes:
        best: Best value of this `fit` so far; `None` before the first value. Return it from the objective function
            to compare trials by their best epochs.
        best_epoch: Number of the epoch of the best value, from 0.
        pruned_epoch: Number of the epoch after which the trial was pruned, from 0; `None` if it was not.

    Raises:
        ImportError: Optuna is not installed.
        TypeError: `trial` is no trial of Optuna.
        ValueError: The study has several objectives; `interval` or `mode` is out of range; or, when `fit` begins, the
            study minimizes a log whose larger values are better, or the reverse, or `monitor` will not be logged.
    """

    state_attributes = ("_seen", "best", "best_epoch", "pruned_epoch")

    def __init__(self, trial: Any, monitor: str = "val_loss", interval: int = 1, mode: str = "auto") -> None:
        require_package("OptunaPruning", "optuna")
        self.trial = _check_trial(trial)
        self.interval = check_int("interval", interval, 1)
        super().__init__(monitor, mode)

    def __deepcopy__(self, memo: dict[int, Any]) -> Self:
        """Return a copy for the same trial, since estimators copy their callbacks, and a copied trial is none."""
        copied = copy.copy(self)
        memo[id(self)] = copied
        return copied

    def _reset(self) -> None:
        super()._reset()
        self.best_epoch = 0
        self.pruned_epoch: int | None = None

    def on_train_begin(self, logs: Logs | None = None) -> None:
        self._reset()
        self._find_sign()
        self._reported = _reported_values(self.trial)
        self._outer_error = sys.exception()  # handled by an `except` around `fit`, so it is not an error of training

    def on_epoch_end(self, epoch: int, logs: Logs | None = None) -> None:
        value = self._read(epoch, logs or {})
        if value is None:
            return
        if is_improvement(value, self.best, self._sign):
            self.best, self.best_epoch = value, epoch
        if (epoch + 1) % self.interval:
            return
        self._report(value, epoch)
        if self.trial.should_prune():
            self.pruned_epoch = epoch
            self.model.stop_training = True

    def on_train_end(self, logs: Logs | None = None) -> None:
        self._warn_if_never_logged(logs)
        if self.pruned_epoch is not None and sys.exception() is self._outer_error:
            import optuna

            raise optuna.TrialPruned(f"pruned after epoch {self.pruned_epoch + 1}, with {self.monitor} {self.best}.")

    def _find_sign(self) -> None:
        """Determine the direction of the study, and check that it is the direction of the log."""
        study = getattr(self.trial, "study", None)
        if study is None:  # a trial with fixed parameters, outside of a study
            super()._find_sign()
            return
        self._sign = 1 if study.direction.name == "MAXIMIZE" else -1
        try:
            wanted = monitor_sign(self.monitor, self.mode, self.model)
        except ValueError:  # neither the metric nor the name decides
            return
        if wanted != self._sign:
            verb, size, other = ("maximizes", "smaller", "max") if self._sign > 0 else ("minimizes", "larger", "min")
            direction = "minimize" if self._sign > 0 else "maximize"
            raise ValueError(
                f"OptunaPruning: the study {verb}, but {size} values of {self.monitor!r} are better, so that the best "
                f"trials would be pruned. Pass direction={direction!r} to optuna.create_study, or mode={other!r} here "
                "if it is the other way round."
            )

    def _report(self, value: float, epoch: int) -> None:
        """Report the value of an epoch, unless the trial has it already.

        Raises:
            ValueError: The trial has another value for this epoch.
        """
        if epoch not in self._reported:
            self.trial.report(value, epoch)
            self._reported[epoch] = value
            return
        known = self._reported[epoch]
        if not (math.isclose(known, value, rel_tol=1e-3) or (math.isnan(known) and math.isnan(value))):
            raise ValueError(
                f"OptunaPruning: the trial has a value for epoch {epoch + 1} already, {known:g}, and this fit gives "
                f"{value:g}. If this is a second phase of the same trial, pass initial_epoch={max(self._reported) + 1} "
                "to fit. In a cross-validation, report the mean over the folds so far with trial.report(mean, fold)."
            )


def _check_trial(trial: Any) -> Any:
    """Return a trial of a study with one objective.

    Raises:
        TypeError: It is something else.
        ValueError: The study has several objectives.
    """
    import optuna

    if not isinstance(trial, optuna.trial.BaseTrial):
        raise TypeError(f"trial must be what Optuna passes to the objective function, got {shown(trial)}.")
    study = getattr(trial, "study", None)
    if study is not None and len(study.directions) > 1:
        raise ValueError(
            f"OptunaPruning works with one objective, and the study has {len(study.directions)}: Optuna has no pruning "
            "for several. Leave the callback out, or create the study with one direction."
        )
    return trial


def _reported_values(trial: Any) -> dict[int, float]:
    """Return the values that a trial has already, by their epochs."""
    study = getattr(trial, "study", None)
    if study is None:
        return {}
    found = [one for one in study.get_trials(deepcopy=False) if one.number == trial.number]
    return dict(found[0].intermediate_values) if found else {}
