"""Rules on the learning rate: exploding, too high, too low, plateau, noise."""

from __future__ import annotations

import numpy as np

from kerastorch.diagnosis import remedies
from kerastorch.diagnosis.curves import trend
from kerastorch.diagnosis.findings import (
    EXPLODING,
    NOISE,
    PLATEAU,
    RATE_TOO_HIGH,
    RATE_TOO_LOW,
    Finding,
    Remedy,
)
from kerastorch.diagnosis.run import Run

_STRONG_JUMPS = 0.05  # of the training loss, from epoch to epoch
_TOO_FEW_ROWS = 15  # of the validation
FEW_ROWS = "few rows"  # kind of a noise of the validation, which the other findings depend on
STRONG = "strong"  # kind of a noise that explains why the training loss stays high


def exploding(run: Run) -> Finding | None:
    """Find losses that are NaN or infinite, or that grow without end."""
    infinite = [
        (int(curve.epochs[np.flatnonzero(~np.isfinite(curve.values))[0]]), curve)
        for curve in (run.loss, run.validation)
        if curve is not None and not curve.is_finite
    ]
    if infinite:
        epoch, curve = min(infinite, key=lambda pair: pair[0])
        value = curve.values[list(curve.epochs).index(epoch)]
        evidence = f"{curve.name} is {'NaN' if np.isnan(value) else 'infinite'} in epoch {epoch}."
    else:
        values, start = run.loss.values, max(run.baseline, abs(float(run.loss.values[0])))
        if run.epochs < 2 or run.loss.end <= 3 * start or trend(values)[0] < 0.3:
            return None
        epoch = run.epoch(int(np.flatnonzero(values > 2 * start)[0]))
        evidence = f"{run.loss.name} grew from {values[0]:.3g} to {values[-1]:.3g}."
    lower, find = remedies.against_high_rate(run)[:2]
    finite = Remedy("Look for NaN and infinity in the data.", "np.isfinite(x).all()")
    scale = [remedies.SCALE_TARGETS] if remedies.has_unscaled_targets(run) else []
    rest = [lower, remedies.clip(run), remedies.SCALE]
    is_over = bool(infinite) and all(one is None or np.isfinite(one.values[-1]) for one in (run.loss, run.validation))
    if is_over:
        text = "A loss could not be computed in single epochs. It could later, so the weights are finite."
        order = [finite, *scale, *rest]
    else:
        text = "The weights grew until the losses could no longer be computed, or had no use."
        order = [*scale, *rest, finite, find]
    return Finding(EXPLODING, text, epoch, (evidence, *run.rate.evidence), tuple(order))


def rate_too_high(run: Run) -> Finding | None:
    """Find steps that are too long: losses far above a constant prediction, jumps, or no progress at a high rate."""
    targets = run.settings.targets
    mean = 0.0 if targets is None or targets.mean is None or run.known_baseline is None else targets.mean
    start = run.baseline + mean**2  # of a network whose outputs are near 0
    peak = float(run.loss.values.max()) / start
    rough, rough_validation = run.training_roughness, run.validation_roughness
    if run.has_strong_dropout and run.rate.excess < 1:  # what is dropped makes the training loss large and rough
        peak, rough = 0.0, min(rough, rough_validation)
    is_stuck = run.best_skill < 0.15 and run.is_flat
    is_useless = run.validation is not None and run.validation.end > 1.5 * run.baseline
    if run.rate.excess >= 1:
        is_high = peak > 1.5 or rough > 0.03 or rough_validation > 0.06 or is_stuck or is_useless
    elif run.rate.excess > 0:
        is_high = (rough > 0.1 and not run.has_small_batches) or peak > 20
    else:
        is_high = rough > 0.1 or peak > 10
    if not is_high:
        return None
    evidence = list(run.rate.evidence)
    if peak > 1.5:
        what = "a constant prediction" if run.known_baseline is not None else "the first epoch"
        evidence.append(f"{run.loss.name} was {peak:.3g} times that of {what}.")
    if rough > 0.03 or rough_validation > 0.06:
        name = run.loss.name if rough >= rough_validation or run.validation is None else run.validation.name
        evidence.append(f"From epoch to epoch {name} jumps by {max(rough, rough_validation):.0%}.")
    if is_stuck:
        evidence.append(f"At the end {run.loss.name} is {run.loss.end:.3g}, as that of a constant prediction.")
    return Finding(
        RATE_TOO_HIGH, "The steps of the optimizer are too long: they jump over good weights.", None, tuple(evidence),
        remedies.against_high_rate(run),
    )  # fmt: skip


def rate_too_low(run: Run) -> Finding | None:
    """Find a training loss that falls steadily and far too slowly."""
    if run.epochs < 4 or run.best_skill > 0.75 or run.fall > -0.6:
        return None
    is_steady = run.late_share >= 0.08
    total = float(run.loss.smooth[0] - run.loss.smooth[-1]) / run.baseline
    if run.rate.lack > 1:
        is_low = is_steady or total < 0.1
    else:
        is_low = run.rate.lack == 0 and run.epochs >= 12 and is_steady and run.pace < 0.012 and run.fall < -0.9
    if not is_low:
        return None
    values = run.loss.values
    evidence = (
        *run.rate.evidence,
        f"{run.loss.name} falls in nearly every epoch, but only from {values[0]:.4g} to {values[-1]:.4g}.",
        f"The last third of the epochs has {run.late_share:.0%} of this fall.",
    )
    return Finding(
        RATE_TOO_LOW, "The steps of the optimizer are too short: training moves in the right direction, but slowly.",
        None, evidence, remedies.against_low_rate(run),
    )  # fmt: skip


def plateau(run: Run) -> Finding | None:
    """Find a training loss that stands still at a high value."""
    if run.epochs < 6 or not run.is_flat:
        return None
    smooth = run.loss.smooth
    index = run.flat_since(smooth)
    decayed = _rate_decay(run)
    is_early = index <= 0.5 * run.epochs
    metric = run.curves.validation_metric or run.curves.metric
    is_good = run.best_skill > (0.4 if run.is_regression else 0.6) or (
        run.known_baseline is None and metric is not None and metric.end > 0.85
    )
    if decayed is not None and run.best_skill < 0.85 and index <= 0.7 * run.epochs:
        rates = run.curves.rates
        assert rates is not None
        why = f"The learning rate went from {rates.values[0]:.3g} to {rates.values[-1]:.3g}."
        first = Remedy("Let the learning rate fall later, or less.", "kt.callbacks.ReduceLROnPlateau(patience=5)")
    elif is_early and not is_good and run.best_skill < (0.1 if run.known_baseline is not None else 0.25):
        beside = "larger than that" if run.best_skill < -0.2 else "that"
        why = f"The loss is {beside} of a constant prediction, {run.baseline:.3g}: nothing was learned."
        first = remedies.SCALE_TARGETS if remedies.has_unscaled_targets(run) else remedies.CHECK
    elif is_early and not is_good:
        why = f"The losses stay at {1 - run.best_skill:.0%} of that of a constant prediction."
        first = Remedy(
            "Raise the learning rate for a while, or let a schedule vary it.", remedies.optimizer_line(run, 3)
        )
    else:
        return None
    evidence = (f"{run.loss.name} stays at {run.loss.end:.4g} for {run.epochs - index} of {run.epochs} epochs.", why)
    start = Remedy("Look at the start: random weights, no saturated activation.", 'kernel_initializer="he_normal"')
    ask = () if decayed is not None else remedies.ask_for_data(run)
    rest = (*ask, remedies.SCALE, start, Remedy("Measure which rates work.", "model.find_lr(x, y)"))
    return Finding(
        PLATEAU, "The training loss stands still, although it is still high.", run.epoch(index), evidence,
        (first, *rest),
    )  # fmt: skip


def noise(run: Run) -> Finding | None:
    """Find curves that jump from epoch to epoch although they have a trend."""
    size, held = run.settings.batch_size, run.settings.validation_rows
    rough, rough_validation = run.training_roughness, run.validation_roughness
    if rough > 0.03 and run.has_small_batches:
        evidence = f"{run.loss.name} jumps by {rough:.0%} from epoch to epoch, and a batch has {size} rows."
        text = "The gradients of small batches vary, so the curves jump."
        kind = STRONG if rough > _STRONG_JUMPS else ""
        return Finding(NOISE, text, None, (evidence,), remedies.against_noise(run, of_batches=True), kind)
    if run.validation is not None and held is not None and held <= _TOO_FEW_ROWS:
        evidence = f"The validation has {held} rows, so {run.validation.name} is uncertain by {held**-0.5:.0%} or more."
        text = "The validation has so few rows that its curves say little."
        return Finding(NOISE, text, None, (evidence,), remedies.against_noise(run, of_batches=False), FEW_ROWS)
    if (
        run.validation is None
        or rough_validation < (0.05 if run.has_few_validation_rows else 0.12)
        or rough_validation < 2 * rough
    ):
        return None
    evidence = (
        f"{run.validation.name} jumps by {rough_validation:.0%} from epoch to epoch, {run.loss.name} by {rough:.0%}."
    )
    count = () if held is None else (f"The validation has {held} rows.",)
    return Finding(
        NOISE, "The validation loss jumps, so that single epochs say little.", None, (evidence, *count),
        remedies.against_noise(run, of_batches=False),
    )  # fmt: skip


def _rate_decay(run: Run) -> float | None:
    """Return by which factor the learning rate fell during the fit, if it fell to a tenth or less."""
    rates = run.curves.rates
    if rates is None or len(rates) < 2 or rates.values[0] <= 0:
        return None
    factor = float(rates.values[-1] / rates.values[0])
    return factor if factor < 0.1 else None
