"""A look at a module: one call without numbers where that goes, else on zeros; its calls and what it costs."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from torch import nn

from kerastorch.core.tensor_spec import TRIAL_BATCH_SIZES, TRIAL_SIZES
from kerastorch.inspection.call_recorder import Call, merged, record_calls
from kerastorch.inspection.flops_and_memory import MultiplyAdds, SavedActivationBytes
from kerastorch.runtime.dry_run import DryRun
from kerastorch.runtime.input_specs import has_varying_axes


@dataclass
class ModuleProfile:
    """What was seen.

    Attributes:
        module: what was looked at: the module, built where it was not.
        calls: of all its parts, itself first.
        multiply_adds: of one sample, or of one call where no size varies.
        kept: bytes that wait for the backward pass, of the same; `None` where they cannot be told.
    """

    module: nn.Module
    calls: list[Call]
    multiply_adds: int
    kept: int | None


def profile_module(module: nn.Module, given: Any) -> ModuleProfile:
    """Call a module on inputs of these specs, in evaluation mode; nothing about it changes.

    Raises:
        ValueError: inputs that it cannot take.
    """
    try:
        subject = DryRun(module, given, fake=True)
        seen, adds = _calls(subject, given)
    except Exception:  # shapes are not enough for this one, or are wrong: the real thing says it best
        subject = DryRun(module, given, fake=False)
        return ModuleProfile(subject.module, *_calls(subject, given), None)
    try:
        kept = _kept(subject, given)
    except Exception:  # it can be called, but not trained
        kept = None
    return ModuleProfile(subject.module, seen, adds, kept)


def _calls(subject: DryRun, given: Any) -> tuple[list[Call], int]:
    runs, adds = [], []
    for batch, varying in zip(TRIAL_BATCH_SIZES, TRIAL_SIZES, strict=True):
        with record_calls(subject.module) as calls, MultiplyAdds() as counted:
            subject.run(subject.inputs(batch, varying))
        runs.append(calls)
        adds.append(counted.total)
    if has_varying_axes(given, beside_batch=True):
        with MultiplyAdds() as counted:
            subject.run(subject.inputs(TRIAL_BATCH_SIZES[1], TRIAL_SIZES[0]))
        adds[1] = counted.total
    return merged(*runs), adds[1] - adds[0] if has_varying_axes(given) else adds[0]


def _kept(subject: DryRun, given: Any) -> int:
    found = []
    for batch in TRIAL_BATCH_SIZES:
        kept = SavedActivationBytes(subject.module)
        with kept:
            x, _ = subject.run(subject.inputs(batch, TRIAL_SIZES[0]), training=True)
        found.append(kept.bytes(x))
    return found[1] - found[0] if has_varying_axes(given) else found[0]
