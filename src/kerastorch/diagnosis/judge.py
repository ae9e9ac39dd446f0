"""The rules in their order, and which finding explains another one."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from kerastorch.diagnosis import remedies, rules_data, rules_fit, rules_rate, rules_validation
from kerastorch.diagnosis import rules_negative_loss as negative
from kerastorch.diagnosis.findings import (
    HEALTHY,
    NO_VALIDATION,
    TOO_FEW_EPOCHS,
    Finding,
    Remedy,
)
from kerastorch.diagnosis.run import Run

FEWEST_EPOCHS = 4
EXPLAIN_THE_LEVEL = (rules_data.OUTLIERS, rules_data.UNRELATED)  # kinds of label problems: why the loss stays high
EVIDENT = ("penalty", "dropout", "size")  # kinds of underfitting that explain a plateau


def findings_of(run: Run) -> tuple[Finding, ...]:
    """Return the findings on a fit, the most important first."""
    found = [*_certain(run)]
    explodes = rules_rate.exploding(run)
    if explodes is not None:
        found.insert(0, explodes)
    elif run.epochs >= FEWEST_EPOCHS:
        found += _of_negative_losses(run) if run.curves.is_negative else _of_curves(run, found)
    else:
        found.append(_too_few_epochs(run))
    if run.validation is None and explodes is None:
        found.append(_no_validation())
    if all(one.cause == NO_VALIDATION for one in found):
        found.insert(0, _healthy(run))
    return tuple(found)


def _certain(run: Run) -> Iterator[Finding]:
    """Yield the findings that follow from facts on the data, whatever the curves are."""
    for rule in (rules_data.data_order, rules_data.leakage, rules_data.label_problems):
        finding = rule(run)
        if finding is not None:
            yield finding


def _of_negative_losses(run: Run) -> Iterator[Finding]:
    """Yield the findings on losses that have no zero to compare with."""
    for rule in (negative.negative_overfitting, negative.negative_plateau, negative.negative_noise):
        finding = rule(run)
        if finding is not None:
            yield finding


def _of_curves(run: Run, certain: Sequence[Finding]) -> Iterator[Finding]:
    """Yield the findings on the shapes of the curves.

    Args:
        run: The fit.
        certain: Findings that follow from the data.
    """
    high, jumps = rules_rate.rate_too_high(run), rules_rate.noise(run)
    if high is not None:
        yield high
        if jumps is not None:
            yield jumps
        return
    low, flat = rules_rate.rate_too_low(run), rules_rate.plateau(run)
    over = None if low is not None else rules_fit.overfitting(run)
    under = None if low is not None or over is not None else rules_fit.underfitting(run, still_falls=flat is None)
    if low is not None or over is not None:
        flat = None
    better = rules_validation.validation_better(run)
    if (jumps is not None and jumps.kind == rules_rate.STRONG) or any(one.kind in EXPLAIN_THE_LEVEL for one in certain):
        under = flat = None
    if under is not None and under.kind == rules_fit.RARE:
        flat = None  # the rows of the frequent class are learned at once
    stands_still = (under, flat) if under is not None and under.kind in EVIDENT else (flat, under)
    remarks = (better, jumps) if better is not None and better.kind == "far" else (jumps, better)
    main = (over, low, *stands_still)
    order = (jumps, *main, better) if jumps is not None and jumps.kind == rules_rate.FEW_ROWS else (*main, *remarks)
    yield from (one for one in order if one is not None)


def _too_few_epochs(run: Run) -> Finding:
    return Finding(
        TOO_FEW_EPOCHS, f"{run.epochs} epoch{'s are' if run.epochs > 1 else ' is'} too few to say more.", None,
        (f"The rules compare {FEWEST_EPOCHS} epochs at least.",),
        (Remedy("Train longer.", "model.fit(..., epochs=20)"),),
    )  # fmt: skip


def _no_validation() -> Finding:
    return Finding(
        NO_VALIDATION, "Without validation data, overfitting cannot be seen.", None, (),
        (Remedy("Validate on rows that are not trained on.", "model.fit(..., validation_split=0.2)"),),
    )  # fmt: skip


def _healthy(run: Run) -> Finding:
    curves = [curve for curve in (run.loss, run.validation) if curve is not None]
    numbers = " and ".join(f"{curve.name} is {curve.end:.3g}" for curve in curves)
    stops = run.validation is None or "EarlyStopping" in run.settings.callbacks
    more = () if stops else (remedies.EARLY_STOPPING,)
    return Finding(
        HEALTHY, "The curves show no fault.", None, (f"At the end {numbers}.",),
        (Remedy("Test on rows that no choice was made with.", "model.evaluate(x_test, y_test)"), *more),
    )  # fmt: skip
