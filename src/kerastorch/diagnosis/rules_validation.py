"""The rule on a validation that is better than the training, and its reasons."""

from __future__ import annotations

import numpy as np

from kerastorch.diagnosis.findings import VALIDATION_BETTER, Finding
from kerastorch.diagnosis.remedies import COMPARE
from kerastorch.diagnosis.run import Run

_BELOW, _FAR_BELOW = 0.05, 0.15
_LEAST = 0.01  # of the loss of a constant prediction


def validation_better(run: Run) -> Finding | None:
    """Find a validation loss that stays below the training loss, and say why that may be."""
    validation = run.validation
    if validation is None or len(validation) < 3:
        return None
    half = slice(len(validation) // 2, None)
    loss = np.interp(validation.epochs, run.loss.epochs, run.loss.values)[half]
    below = 1 - validation.values[half] / np.maximum(loss, 1e-12)
    share = float(np.median(below))
    if float(np.median(loss - validation.values[half])) < _LEAST * run.baseline:
        return None
    if share < _BELOW or float((below > 0).mean()) < 0.8:
        return None
    reasons = _reasons(run)
    evidence = (
        f"In the second half of the epochs {validation.name} is {share:.0%} lower than {run.loss.name}.",
        *reasons,
    )
    summary = "The validation loss is lower than the training loss. This is no fault of the network."
    if not reasons:
        summary = "The validation loss is lower than the training loss, and the settings do not say why."
    return Finding(VALIDATION_BETTER, summary, None, evidence, COMPARE, "far" if share > _FAR_BELOW else "")


def _reasons(run: Run) -> list[str]:
    """Return sentences on what makes the validation loss lower."""
    settings, found = run.settings, []
    if settings.dropout:
        rates = ", ".join(f"{rate:.2g}" for rate in dict.fromkeys(settings.dropout))
        found.append(f"Dropout or noise ({rates}) acts in training only, and makes the training loss larger.")
    if run.pace * len(run.loss) > 0.1 and run.epochs < 20:
        found.append(
            "The training loss is a mean over the epoch, while the network improves; validation comes after it."
        )
    if run.has_few_validation_rows:
        found.append(f"The validation has only {settings.validation_rows} rows, which may be easier ones by chance.")
    if settings.has_class_weight:
        found.append("Weights of classes or rows act in the training loss only.")
    if run.curves.loss.name == "loss" and settings.penalties:
        found.append("Penalties may be a part of the training loss.")
    if not found and settings.is_known:
        found.append("The fit has no dropout: the validation rows are easier, or the training has wrong labels.")
    return found
