"""Sentences on what a diagnosis had to do without."""

from __future__ import annotations

from kerastorch.diagnosis.rules_negative_loss import NOT_COMPARED
from kerastorch.diagnosis.run import Run


def missing_facts(run: Run, *, reads_outputs: bool) -> tuple[str, ...]:
    """Return sentences on what the diagnosis of a fit had to do without.

    Args:
        run: The fit.
        reads_outputs: Whether the losses of several outputs were read one by one.
    """
    settings, found = run.settings, []
    if run.curves.is_negative:
        found.append(NOT_COMPARED)
    elif not settings.is_known:
        found.append("The settings of the fit are unknown, so these findings follow from the curves alone.")
    elif run.known_baseline is None and not reads_outputs:
        found.append(
            "The loss of a constant prediction is unknown, because of the kind of the loss, weights of classes or "
            "rows, or targets that are not in memory. Losses are compared with those of the first epoch, so "
            "underfitting may be missed."
        )
    if settings.has_several_losses and not reads_outputs:
        found.append("The model has several outputs, and only the sum of their losses was read.")
    if not run.data.is_known and run.validation is not None:
        found.append(
            "The data were not looked at: history.diagnose(x, y, validation_data) also finds copied rows, wrong labels "
            "and columns that give the target away."
        )
    return tuple(found)
