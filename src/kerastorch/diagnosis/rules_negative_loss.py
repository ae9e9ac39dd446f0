"""Rules for losses below zero, such as a log-likelihood, whose ratios mean nothing."""

from __future__ import annotations

import numpy as np

from kerastorch.diagnosis import remedies
from kerastorch.diagnosis.curves import Array, trend
from kerastorch.diagnosis.findings import NOISE, OVERFITTING, PLATEAU, Finding
from kerastorch.diagnosis.run import Run

_RISE, _GAP, _NEAR = 0.1, 0.25, 0.02  # of the whole fall of the losses
_JUMPS = 0.12
_STILL = 0.001  # of the values themselves
NOT_COMPARED = (
    "The loss is below zero, so it has no value that means perfect or useless: whether it is high or low is unknown. "
    "Only its shape was read."
)


def negative_overfitting(run: Run) -> Finding | None:
    """Find a validation loss that rises while the training loss falls, or that ends far above it."""
    loss, validation = run.loss, run.validation
    if validation is None or len(validation) < 4:
        return None
    smooth = validation.smooth
    fall = max(float(validation.values[0] - smooth.min()), float(loss.values[0] - loss.end))
    near = np.flatnonzero(smooth <= smooth.min() + _NEAR * fall)
    lowest = int(near[validation.values[near].argmin()])
    rise = validation.end - float(smooth[lowest])
    is_rising = rise >= max(_RISE * fall, 3 * _jumps(validation.values)) and trend(smooth[lowest:])[0] > 0.3
    has_gap = validation.end - loss.end >= _GAP * fall
    best = lowest if is_rising else int(near[0])
    then = float(np.interp(validation.epochs[best], loss.epochs, loss.smooth))
    still_falls = len(smooth) - best >= 3 and then - loss.end > 0.04 * fall
    if not still_falls or not (is_rising or has_gap):
        return None
    evidence = (
        f"{validation.name} is {smooth[best]:.3g} in epoch {validation.epochs[best]} and {validation.end:.3g} at the "
        f"end, while {loss.name} fell from {then:.3g} to {loss.end:.3g}."
    )
    since = int(validation.epochs[min(best + 1, len(validation) - 1)])
    return Finding(OVERFITTING, remedies.BY_HEART, since, (evidence,), remedies.against_overfitting(run))


def negative_noise(run: Run) -> Finding | None:
    """Find losses that jump from epoch to epoch, by a part of their whole fall."""
    worst = max(
        (
            (_jumps(one.values) / max(float(np.ptp(one.smooth)), 1e-12), one)
            for one in (run.loss, run.validation)
            if one
        ),
        key=lambda pair: pair[0],
    )
    share, curve = worst
    if share < _JUMPS or len(curve) < 6:
        return None
    evidence = f"{curve.name} jumps by {share:.0%} of its range from epoch to epoch."
    return Finding(
        NOISE, "The loss jumps, so that single epochs say little.", None, (evidence,),
        remedies.against_noise(run, of_batches=curve is run.loss),
    )  # fmt: skip


def negative_plateau(run: Run) -> Finding | None:
    """Find a training loss that has stood still since the first epoch."""
    values = run.loss.values
    if run.epochs < 6 or float(np.ptp(values)) > _STILL * float(np.abs(values).max()):
        return None
    evidence = f"{run.loss.name} stays at {run.loss.end:.4g} for all {run.epochs} epochs."
    return Finding(PLATEAU, "The training loss has not changed.", run.epoch(0), (evidence,), (remedies.CHECK,))


def _jumps(values: Array) -> float:
    """Return how far values without their first third lie from the mean of their neighbors: the median."""
    late = values[len(values) // 3 :]
    return float(np.median(np.abs(late[1:-1] - (late[:-2] + late[2:]) / 2))) if len(late) > 2 else 0.0
