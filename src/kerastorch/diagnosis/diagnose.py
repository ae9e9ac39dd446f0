"""diagnose: from the logs of a fit, its settings and its data to a Diagnosis."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from kerastorch.diagnosis.curves import Curves, Logs
from kerastorch.diagnosis.data_facts import facts_of_data
from kerastorch.diagnosis.diagnosis import Diagnosis
from kerastorch.diagnosis.findings import NO_LOSS, TOO_FEW_EPOCHS, Finding, Remedy
from kerastorch.diagnosis.judge import findings_of
from kerastorch.diagnosis.missing_facts import missing_facts
from kerastorch.diagnosis.outputs import findings_of_outputs, with_outputs
from kerastorch.diagnosis.run import Run
from kerastorch.diagnosis.settings import FitSettings


def diagnose(logs: Logs, settings: FitSettings, x: Any, y: Any, validation_data: Any) -> Diagnosis:
    """Return the diagnosis of a fit.

    Args:
        logs: Name of a log -> its epochs, counted from 1, and its values, one number for each.
        settings: Settings of the fit.
        x: Inputs as `fit` got them; `None` if they are not given.
        y: Targets.
        validation_data: Validation data as `fit` got them; `None` if they are not given.

    Raises:
        ValueError: The data do not fit each other.
        TypeError: Something is no data.
    """
    data = facts_of_data(x, y, validation_data, settings)
    epochs = max((len(values) for _, values in logs.values()), default=0)
    curves = Curves.of(logs)
    if curves is None:
        return Diagnosis((_no_curves(logs, epochs),), epochs)
    if settings.targets is None and data.targets is not None:  # those of a loader, which fit does not read before
        settings = replace(settings, targets=data.targets, validation_targets=data.validation_targets)
    run = Run(curves, settings, data)
    findings, parts = findings_of(run), findings_of_outputs(logs, settings)
    if parts is not None:
        findings = with_outputs(findings, parts)
    return Diagnosis(findings, epochs, missing_facts(run, reads_outputs=parts is not None), curves)


def _no_curves(logs: Mapping[str, tuple[Sequence[int], Sequence[float]]], epochs: int) -> Finding:
    """Return the finding on a fit without a training loss."""
    if not epochs:
        return Finding(TOO_FEW_EPOCHS, "There is no epoch yet.", None, (), (Remedy("Train.", "model.fit(x, y)"),))
    names = ", ".join(logs)
    return Finding(
        NO_LOSS, "The fit logged no training loss, which a diagnosis needs.", None, (f"Logged were {names}.",),
        (Remedy("Return the loss from train_step.", 'return {"loss": loss, ...}'),),
    )  # fmt: skip
