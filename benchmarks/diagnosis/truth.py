"""The truth of a run: which runs show what they are made for, and which causes may be named first.

All conditions are on the losses on held-out rows and, after the last epoch, on the training rows, both without dropout
and penalties. They were fixed before the rules were written. `skill` is `1 - loss / baseline`: 1 is perfect, 0 is as
good as a constant prediction. `reference` of a data set is the median, over its healthy runs, of the best skill on
held-out rows.
"""

from __future__ import annotations

from dataclasses import dataclass
from statistics import median

import numpy as np

RISE = 0.15  # of the held-out loss after its minimum, as a share of the minimum: overfitting
GAP = 0.15  # skill on training rows minus skill on held-out rows: overfitting, if the latter is below the reference
SMALL_RISE = 0.05
SHORT_OF = 0.15  # skill below the reference: underfitting


@dataclass(frozen=True)
class Truth:
    """What a diagnosis of a run is compared with.

    Attributes:
        must: A cause that has to be among the findings.
        first: Causes that may be named first.
    """

    must: str
    first: frozenset[str]


def skill(loss: float, baseline: float) -> float:
    return 1 - loss / baseline if baseline else float("nan")


@dataclass(frozen=True)
class Numbers:
    """Numbers on a run that its truth is decided with."""

    end: float  # skill on held-out rows, mean of the last tenth of the epochs
    best: float  # the best of a running median over three epochs
    training: float  # skill on the training rows at the end
    rise: float  # of the held-out loss from its minimum to the end, as a share of the minimum
    best_at: float  # where the minimum is, as a share of the epochs
    late: float  # change of the held-out skill in the last three fifths
    unrest: float  # median change between neighboring epochs of val_loss in the last half, as a share of its median
    below: float  # how much lower val_loss is than loss in the last half, as a share
    is_finite: bool

    @classmethod
    def of(cls, run: dict) -> Numbers:
        held = np.array([float(value) for value in run["held"]])
        base = float(run["baseline"])
        smooth = np.array([np.median(held[max(0, i - 1) : i + 2]) for i in range(len(held))])
        last = held[-max(1, len(held) // 10) :].mean()
        low = smooth.min()
        loss, val = (np.array([float(v) for v in run["curves"][name]]) for name in ("loss", "val_loss"))
        half = slice(len(val) // 2, None)
        with np.errstate(all="ignore"):
            return cls(
                skill(last, base), skill(low, base), skill(float(run["on_training"]), base), last / low - 1,
                int(smooth.argmin() + 1) / len(held), skill(last, base) - skill(smooth[int(0.4 * len(held))], base),
                float(np.median(np.abs(np.diff(val[half]))) / np.median(val[half])),
                float(1 - np.median(val[half] / loss[half])),
                bool(np.isfinite(held).all() and np.isfinite(loss).all()),
            )  # fmt: skip


def references(runs: list[dict]) -> dict[str, float]:
    """Return the reference of each data set."""
    best: dict[str, list[float]] = {}
    for run in runs:
        cause, data_set, _ = run["name"].split("/")
        if cause == "healthy":
            best.setdefault(data_set, []).append(Numbers.of(run).best)
    return {name: median(values) for name, values in best.items()}


def truth_of(run: dict, reference: float) -> Truth | None:
    """Return the truth of a run; `None` if it does not show what it was made for."""
    cause, n = run["name"].split("/")[0], Numbers.of(run)
    first = {cause}
    is_well = n.is_finite and n.rise <= SMALL_RISE and n.end >= 0.85 * reference
    is_short = n.is_finite and n.training <= reference - SHORT_OF
    has_gap = n.training - n.end >= GAP and n.end <= reference - 0.05
    overfits = n.is_finite and ((n.rise >= RISE and n.best_at <= 0.75) or has_gap)
    grows = not n.is_finite or max(float(value) for value in run["curves"]["loss"]) > 100 * float(run["baseline"])
    shows = {
        "healthy": is_well and n.below < 0.05 and n.late <= 0.1 and n.training - n.end <= 0.12,
        "overfitting": overfits,
        "underfitting": is_short and n.rise <= SMALL_RISE,
        "rate too high": not n.is_finite or n.end <= reference - 0.1,
        "rate too low": is_short,
        "exploding": grows,
        "plateau": is_short and abs(n.late) <= 0.04,
        "noise": n.is_finite and n.unrest >= 0.1 and n.best >= 0.7 * reference,
        "validation better than training": n.is_finite and n.below >= 0.05 and n.end >= 0.7 * reference,
        "label problems": True,
        "suspected leakage": True,
        "data order": True,
    }
    if not shows[cause]:
        return None
    if overfits and cause in ("label problems", "suspected leakage", "noise", "data order", "rate too high"):
        first.add("overfitting")
    if grows and cause == "rate too high":
        first.add("exploding")
    if cause == "exploding":
        first.add("rate too high")  # the rate is what makes it explode
    if cause in ("rate too low", "plateau"):
        first.add("underfitting")  # the training loss stays large
    if cause == "noise":
        if run["kind"] == "small batches":
            first.add("rate too high")  # noise of the steps is the rate divided by the size of a batch
        if n.below >= 0.05:
            first.add("validation better than training")  # few rows may be easier ones
    if cause == "underfitting" and n.below >= 0.05:
        first.add("validation better than training")  # strong dropout
    if cause == "validation better than training" and is_short:
        first.add("underfitting")
    if cause in ("data order", "suspected leakage") and n.below >= 0.05:
        first.add("validation better than training")
    must = cause
    if cause == "rate too high" and grows:
        must = "exploding or rate too high"
    if cause == "exploding":
        must = "exploding or rate too high"
    return Truth(must, frozenset(first))
