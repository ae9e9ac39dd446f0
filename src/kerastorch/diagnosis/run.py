"""Run: everything that is known about one fit, with the numbers that several rules need."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np

from kerastorch.diagnosis.curves import Array, Curve, Curves, baseline_of, late_share, roughness, slope, trend
from kerastorch.diagnosis.data_facts import NO_DATA, DataFacts
from kerastorch.diagnosis.learning_rate import LearningRate
from kerastorch.diagnosis.settings import UNKNOWN, FitSettings

SMALL_BATCH = 8
STRONG_DROPOUT = 0.65
FEW_VALIDATION_ROWS = 60


@dataclass(frozen=True)
class Run:
    """One fit.

    Attributes:
        curves: Its curves.
        settings: Its settings, as far as they are known.
        data: Facts about its data, as far as they were given.
    """

    curves: Curves
    settings: FitSettings = UNKNOWN
    data: DataFacts = field(default=NO_DATA)

    @property
    def loss(self) -> Curve:
        """The training loss."""
        return self.curves.loss

    @property
    def validation(self) -> Curve | None:
        """The validation loss; `None` without validation."""
        return self.curves.validation

    @property
    def epochs(self) -> int:
        """Number of epochs."""
        return len(self.loss)

    @cached_property
    def known_baseline(self) -> float | None:
        """The loss of the best constant prediction; `None` if it is unknown."""
        return baseline_of(self.settings)

    @property
    def is_regression(self) -> bool:
        """Whether the targets are known to be values: noise in them, which no network can learn, is usual there."""
        targets = self.settings.targets
        return targets is not None and targets.variance is not None and self.known_baseline is not None

    @cached_property
    def baseline(self) -> float:
        """The loss of the best constant prediction; if that is unknown, the loss of the first epoch."""
        if self.known_baseline is not None:
            return self.known_baseline
        first = [curve.values[0] for curve in (self.loss, self.validation) if curve is not None]
        return max((abs(float(value)) for value in first if math.isfinite(value)), default=1.0) or 1.0

    def skill(self, loss: float) -> float:
        """Return how much of the baseline is gone: 0 for a constant prediction, 1 for no loss at all."""
        return 1 - loss / self.baseline

    @cached_property
    def training_skill(self) -> float:
        """The skill of the training loss at the end."""
        return self.skill(self.loss.end)

    @cached_property
    def validation_skill(self) -> float:
        """The skill of the validation loss at the end; NaN without validation."""
        return math.nan if self.validation is None else self.skill(self.validation.end)

    @cached_property
    def best_skill(self) -> float:
        """The larger skill of the two: dropout makes that of the training too small."""
        known = [one for one in (self.training_skill, self.validation_skill) if not math.isnan(one)]
        return max(known, default=math.nan)

    @cached_property
    def training_roughness(self) -> float:
        """The roughness of the training loss without its first third."""
        return roughness(self.loss.values[self.epochs // 3 :], 0.1 * self.baseline)

    @cached_property
    def validation_roughness(self) -> float:
        """The roughness of the validation loss without its first third."""
        if self.validation is None:
            return 0.0
        floor = 0.01 if self.has_few_validation_rows else 0.1
        return roughness(self.validation.values[len(self.validation) // 3 :], floor * self.baseline)

    @cached_property
    def late_share(self) -> float:
        """The part of the whole fall of the training loss that belongs to the last third of the epochs."""
        return late_share(self.loss, 0.005 * self.baseline)

    @cached_property
    def validation_late_share(self) -> float:
        """The same of the validation loss; that of the training loss without validation."""
        return self.late_share if self.validation is None else late_share(self.validation, 0.005 * self.baseline)

    @cached_property
    def pace(self) -> float:
        """The gain of skill of the training in one epoch, at the end."""
        return -slope(self.loss.last(0.25)) / self.baseline

    @cached_property
    def fall(self) -> float:
        """Kendall's correlation of the training loss with the epochs in the last two thirds; -1 if it always falls."""
        return trend(self.loss.values[self.epochs // 3 :])[0]

    @cached_property
    def is_flat(self) -> bool:
        """Whether the training loss hardly changes in the last third."""
        last = self.loss.last(1 / 3)
        return abs(float(last[0] - last[-1])) <= 0.03 * self.baseline

    def flat_since(self, values: Array) -> int:
        """Return the index of the first value from which on all smoothed values stay near the last ones."""
        end = float(np.median(values[-3:]))
        away = np.flatnonzero(np.abs(values - end) > 0.03 * self.baseline)
        return int(away[-1]) + 1 if len(away) else 0

    @cached_property
    def rate(self) -> LearningRate:
        """The learning rate at the start."""
        value = self.settings.learning_rate
        if value is None and self.curves.rates is not None:
            value = float(self.curves.rates.values[0])
        return LearningRate(value, self.settings.optimizer)

    @property
    def has_strong_dropout(self) -> bool:
        """Whether a layer is known to drop most of its values."""
        return max(self.settings.dropout, default=0.0) >= STRONG_DROPOUT

    @property
    def has_small_batches(self) -> bool:
        """Whether a batch is known to have few rows."""
        return self.settings.batch_size is not None and self.settings.batch_size <= SMALL_BATCH

    @property
    def has_few_validation_rows(self) -> bool:
        """Whether the validation is known to have few rows."""
        return self.settings.validation_rows is not None and self.settings.validation_rows <= FEW_VALIDATION_ROWS

    @property
    def validation_error(self) -> float:
        """The standard error of the validation loss, as a share of it.

        If the accuracy is known, most of the loss is that of the rows whose answer is wrong. Else the losses of rows
        are taken to vary as their mean.
        """
        rows, accuracy = self.settings.validation_rows, self.curves.validation_metric
        if not rows:
            return 0.0
        if accuracy is not None and "acc" in accuracy.name:
            rows = max(1, round(rows * (1 - accuracy.end)))
        return 1 / math.sqrt(rows)

    def epoch(self, index: int, curve: Curve | None = None) -> int:
        """Return the number, from 1, of the epoch of a value."""
        return int((curve or self.loss).epochs[index])
