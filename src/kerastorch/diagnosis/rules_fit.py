"""Rules on the two ways to fail: overfitting and underfitting."""

from __future__ import annotations

import math
import re

import numpy as np

from kerastorch.diagnosis import remedies
from kerastorch.diagnosis.curves import Curve, trend
from kerastorch.diagnosis.findings import OVERFITTING, UNDERFITTING, Finding
from kerastorch.diagnosis.run import Run

_RISE = 0.1
_GAP = 0.16
_NEAR = 0.03  # of the loss of a constant prediction
_BY_HEART = 50  # the validation loss divided by the training loss, if each training row is known
_VISIBLE = 0.02  # of the loss of a constant prediction
_STRONG_PENALTY = 0.02
_FEW_UNITS = 4
RARE = "rare"  # kind of an underfitting
_FREQUENT = 0.8  # share of the rows of the most frequent class, beside which others are rare
_UNLEARNED = 0.35
_LIMIT = 0.78  # skill of a network that learned the rule


def overfitting(run: Run) -> Finding | None:
    """Find a validation loss that rises while the training loss falls, or that is far above it."""
    validation = run.validation
    if validation is None or len(validation) < 4:
        return None
    rise = _rise(run, validation)
    if rise is None and not _has_gap(run, validation):
        return None
    if rise is not None:
        since, evidence = rise
    else:
        since, evidence = _gap_since(run, validation)
    more = []
    metric, held = run.curves.metric, run.curves.validation_metric
    if metric is not None and held is not None and metric.end - held.end > 0.02:
        more.append(f"At the end {metric.name} is {metric.end:.3f}, and {held.name} {held.end:.3f}.")
    parameters, rows = run.settings.parameters, run.settings.rows
    if parameters and rows and parameters > rows:
        more.append(f"The network has {parameters:,} weights for {rows:,} training rows.")
    return Finding(
        OVERFITTING, remedies.BY_HEART, since, (evidence, *more), remedies.against_overfitting(run),
    )  # fmt: skip


def _rise(run: Run, validation: Curve) -> tuple[int, str] | None:
    """Return since which epoch the validation loss rises while the training loss falls, and a sentence with it."""
    smooth, best = validation.smooth, _best(validation)
    is_lowest = best == int(validation.values.argmin())  # else the lowest value is a jump, and the smoothed ones count
    lowest, after = float(smooth[best]), smooth[best:]
    loss_then = float(np.interp(validation.epochs[best], run.loss.epochs, run.loss.smooth))
    rise = validation.end / lowest - 1 if lowest > 0 else 0.0
    visible = (validation.end - lowest) / run.baseline
    is_rising = (
        len(after) >= 3
        and loss_then - run.loss.end > 0.04 * loss_then
        and visible >= _VISIBLE
        and rise >= max(0.05, 3 * run.validation_roughness, run.validation_error)
        and (rise >= _RISE or (trend(after)[0] > 0.6 and len(after) >= 5))
    )
    if not is_rising or not (visible >= 2 * _VISIBLE or rise >= 3 * _RISE or _has_gap(run, validation)):
        return None
    shown = max(float((validation.values if is_lowest else smooth)[best]), 1e-12)
    return int(validation.epochs[min(best + 1, len(validation) - 1)]), (
        f"{validation.name}{'' if is_lowest else ', smoothed,'} was lowest in epoch {validation.epochs[best]}, "
        f"{shown:.3g}, and is {validation.end:.3g} at the end, {validation.end / shown - 1:.0%} more, while "
        f"{run.loss.name} fell from {loss_then:.3g} to {run.loss.end:.3g}."
    )


def _has_gap(run: Run, validation: Curve) -> bool:
    """Return whether the validation loss is far above the training loss at the end."""
    gap, ratio = run.training_skill - run.validation_skill, validation.end / max(run.loss.end, 1e-12)
    is_useless = run.training_skill > 0.5 and run.validation_skill < 0.2  # as a constant prediction
    errors = 1 if ratio >= _BY_HEART or is_useless else 2.5  # the least gap in standard errors of the validation loss
    is_large = (gap >= _GAP and ratio >= 2.2) or (gap >= 0.6 * _GAP and ratio >= 8)
    return is_large and gap >= errors * run.validation_error * validation.end / run.baseline


def _best(curve: Curve) -> int:
    """Return the index of the lowest value among those whose smoothed values are lowest, so that jumps do not count."""
    smooth = curve.smooth
    lowest = np.flatnonzero(smooth <= 1.02 * smooth.min())
    return int(lowest[curve.values[lowest].argmin()])


def _gap_since(run: Run, validation: Curve) -> tuple[int, str]:
    """Return since which epoch the validation loss hardly falls while the training loss does, and a sentence with it.

    That is the epoch in which the smoothed validation loss first comes near its lowest value, if a quarter of the gap
    is there, or the first one that has this gap.
    """
    smooth = validation.smooth
    loss = np.interp(validation.epochs, run.loss.epochs, run.loss.smooth)
    is_near = smooth - smooth.min() <= _NEAR * run.baseline
    has_part = smooth - loss >= (validation.end - run.loss.end) / 4
    index = int(np.flatnonzero(is_near & has_part)[0]) if (is_near & has_part).any() else int(smooth.argmin())
    return int(validation.epochs[index]), (
        f"Since epoch {validation.epochs[index]} {validation.name} hardly falls, from {smooth[index]:.3g} to "
        f"{validation.end:.3g}, while {run.loss.name} falls from {loss[index]:.3g} to {run.loss.end:.3g}."
    )


def underfitting(run: Run, *, still_falls: bool = True) -> Finding | None:
    """Find a training loss that stays high: too few epochs, too strong a penalty or dropout, too small a network.

    Args:
        run: The fit.
        still_falls: Whether more epochs may help. Default `True`.
    """
    kind, why = _kind_of_underfitting(run, still_falls)
    if not kind:
        return None
    values = run.loss.values
    known = run.known_baseline
    level = f"; a constant prediction has {known:.3g}" if known is not None else ""
    evidence = [f"{run.loss.name} is {run.loss.end:.3g} at the end{level}."]
    if run.validation is not None:
        evidence.append(f"{run.validation.name} is {run.validation.end:.3g}, not far from it.")
    if kind == "epochs":
        evidence.append(f"It fell from {values[0]:.3g} and was still falling when training ended.")
    evidence += [why] if why else []
    summary = {
        "penalty": "The penalty on the weights is so strong that the network cannot learn the rule.",
        "dropout": "So much is dropped in training that the network cannot learn the rule.",
        "epochs": "Training ended before the network had learned the rule.",
        RARE: "The network hardly tells the rare class from the others.",
        "size": "The network is too small for the rule, or the features do not contain it.",
        "unknown": "The network does not learn the rule: it is too small, or the features do not contain it.",
    }[kind]
    return Finding(UNDERFITTING, summary, None, tuple(evidence), remedies.against_underfitting(run, kind), kind)


def _kind_of_underfitting(run: Run, still_falls: bool) -> tuple[str, str]:
    """Return what the evidence speaks for, and a sentence with it; empty text if the network does not underfit."""
    settings, hidden = run.settings, run.settings.hidden_widths
    limit, lack = _limit(run)
    penalty, is_most = _strongest_penalty(run), run.curves.penalty > 0.5
    if run.best_skill < (0.88 if limit and (is_most or penalty >= 5 * _STRONG_PENALTY) else limit):
        if penalty >= _STRONG_PENALTY or is_most:
            return (
                "penalty",
                f"The penalty is {', '.join(settings.penalties) or f'{run.curves.penalty:.0%} of the loss'}.",
            )
        if run.has_strong_dropout:
            return "dropout", f"{max(settings.dropout):.0%} of the values are dropped."
    is_short = (
        min(run.late_share, run.validation_late_share) * (1 - run.best_skill) >= (0.025 if run.epochs <= 10 else 0.07)
        and run.fall < -0.6
    )
    if still_falls and is_short and run.best_skill < max(0.85, limit):
        return "epochs", f"The last third of the epochs has {run.late_share:.0%} of the fall."
    if not run.settings.is_known or run.known_baseline is None:
        return "", ""
    rare = _rare_class(run)
    if rare:
        return RARE, rare
    if run.best_skill >= limit:
        return "", ""
    if not hidden or min(hidden) <= _FEW_UNITS:
        units = f"The smallest hidden layer has {min(hidden)} units." if hidden else "The network has no hidden layer."
        return "size", f"{units} {lack}".strip()
    if lack or run.best_skill < _UNLEARNED:
        return "unknown", lack
    return "", ""


def _rare_class(run: Run) -> str:
    """Return a sentence on a class of few rows that the network does not find; empty if there is none."""
    targets, accuracy = run.settings.targets, run.curves.validation_metric or run.curves.metric
    if targets is None or not targets.shares or run.best_skill >= _UNLEARNED:
        return ""
    most = max(targets.shares, key=lambda name: targets.shares[name])
    largest, least = targets.shares[most], min(targets.shares, key=lambda name: targets.shares[name])
    if largest < _FREQUENT or (accuracy is not None and accuracy.end > largest + 0.3 * (1 - largest)):
        return ""
    rows = round(targets.shares[least] * targets.rows)
    return (
        f"Class {least} has {rows:,} of {targets.rows:,} training rows. Always answering class {most} has the accuracy "
        f"{largest:.3f}."
    )


def _limit(run: Run) -> tuple[float, str]:
    """Return the skill below which a network is said to underfit, and a sentence if the data say more than it found."""
    score = run.data.reference.validation_score or run.data.reference.score
    if score is None:
        return _LIMIT, ""
    metric = run.curves.validation_metric or run.curves.metric
    if run.data.reference.wrong_labels is None:  # a regression, whose score is R²
        found = run.best_skill if run.known_baseline is not None else math.nan
        is_worse = score - found > 0.1
        name = "R²"
    else:
        found = math.nan if metric is None or "acc" not in metric.name else metric.end
        is_worse = score - found > 0.05
        name = "accuracy"
    if math.isnan(found):
        return _LIMIT, ""
    if is_worse:
        return 0.9, f"A forest of scikit-learn has the {name} {score:.2f} on the same rows, the network {found:.2f}."
    return (_LIMIT if score > found else 0.0), ""


def _strongest_penalty(run: Run) -> float:
    """Return the largest factor of the penalties, and of a weight decay that is larger than usual."""
    numbers = [float(one) for text in run.settings.penalties for one in re.findall(r"=?(\d[\d.e-]*)\)?", text)[-1:]]
    decay = run.settings.weight_decay
    return max([*numbers, decay if decay > 0.1 else 0.0], default=0.0)
