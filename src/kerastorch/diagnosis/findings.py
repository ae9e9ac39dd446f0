"""Finding: one cause that explains the curves of a fit, with its evidence and its remedies."""

from __future__ import annotations

from dataclasses import dataclass

EXPLODING = "exploding"
DATA_ORDER = "data order"
LEAKAGE = "suspected leakage"
LABELS = "label problems"
RATE_TOO_HIGH = "rate too high"
PLATEAU = "plateau"
OVERFITTING = "overfitting"
RATE_TOO_LOW = "rate too low"
UNDERFITTING = "underfitting"
NOISE = "noise"
VALIDATION_BETTER = "validation better than training"
HEALTHY = "healthy"
TOO_FEW_EPOCHS = "too few epochs"
NO_VALIDATION = "no validation data"
NO_LOSS = "no loss"
CAUSES = (
    EXPLODING, DATA_ORDER, LEAKAGE, LABELS, RATE_TOO_HIGH, PLATEAU, OVERFITTING, RATE_TOO_LOW, UNDERFITTING, NOISE,
    VALIDATION_BETTER, HEALTHY, TOO_FEW_EPOCHS, NO_VALIDATION, NO_LOSS,
)  # fmt: skip
REMARKS = (HEALTHY, TOO_FEW_EPOCHS, NO_VALIDATION, NO_LOSS)  # no faults of the fit


@dataclass(frozen=True)
class Remedy:
    """Something to try.

    Attributes:
        text: A sentence.
        code: The line of code to change; empty if there is none.
    """

    text: str
    code: str = ""


@dataclass(frozen=True)
class Finding:
    """One cause that explains the curves.

    Attributes:
        cause: Its name, one of `kerastorch.diagnosis.findings.CAUSES`.
        summary: What it means, in a sentence.
        since: The epoch, counted from 1, since which it is seen; `None` if it holds for the whole fit.
        evidence: Sentences with the numbers that speak for it.
        remedies: What to do, in the order to try.
        kind: A closer name of the cause, such as `"penalty"` of underfitting; empty if there is none.
        output: Name of the output that it is about, if the model has several; empty if it is about all.
    """

    cause: str
    summary: str
    since: int | None = None
    evidence: tuple[str, ...] = ()
    remedies: tuple[Remedy, ...] = ()
    kind: str = ""
    output: str = ""

    @property
    def title(self) -> str:
        """The cause, its output and the epoch, such as `"overfitting since epoch 12"`."""
        cause = f"{self.cause} (output {self.output!r})" if self.output else self.cause
        return cause if self.since is None else f"{cause} since epoch {self.since}"
