"""The findings on each output of a model that has several."""

from __future__ import annotations

from dataclasses import replace

from kerastorch.diagnosis.curves import Curves, Logs
from kerastorch.diagnosis.findings import (
    DATA_ORDER,
    EXPLODING,
    HEALTHY,
    LABELS,
    OVERFITTING,
    PLATEAU,
    RATE_TOO_HIGH,
    RATE_TOO_LOW,
    UNDERFITTING,
    Finding,
)
from kerastorch.diagnosis.judge import findings_of
from kerastorch.diagnosis.run import Run
from kerastorch.diagnosis.settings import FitSettings

_OF_OUTPUTS = (DATA_ORDER, LABELS, OVERFITTING, UNDERFITTING, PLATEAU)  # causes that the loss of an output shows
_ALONE = (EXPLODING, RATE_TOO_HIGH, RATE_TOO_LOW)  # causes of the optimizer, which hide those of the outputs


def findings_of_outputs(logs: Logs, settings: FitSettings) -> tuple[Finding, ...] | None:
    """Return what each output shows by itself; `None` if the loss of an output was not logged.

    Args:
        logs: Logs of the whole fit.
        settings: Settings of the whole fit, with those of its outputs.
    """
    found: list[Finding] = []
    for output in settings.outputs:
        curves = Curves.of(logs, output.name)
        if curves is None:
            return None
        run = Run(curves, settings.of_output(output))
        found += (replace(one, output=output.name) for one in findings_of(run) if one.cause in _OF_OUTPUTS)
    return tuple(found) if settings.outputs else None


def with_outputs(whole: tuple[Finding, ...], parts: tuple[Finding, ...]) -> tuple[Finding, ...]:
    """Return the findings on a model: those on its outputs take the place of those that the sum of the losses shows.

    Args:
        whole: Findings on the sum of the losses. If the steps of the optimizer are at fault, these alone are returned.
        parts: Findings on the outputs.
    """
    if any(one.cause in _ALONE for one in whole):
        return whole
    rest = tuple(one for one in whole if one.cause not in _OF_OUTPUTS)
    return (*parts, *(one for one in rest if one.cause != HEALTHY or not parts))
