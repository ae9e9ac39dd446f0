"""A look at a module: one call without numbers where that goes, else on zeros; its calls and what it costs."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from torch import nn

from kerastorch.core.tensor_spec import BATCHES, VARYING
from kerastorch.inspection.call_recorder import Call, listening, merged
from kerastorch.inspection.flops_and_memory import Kept, MultiplyAdds
from kerastorch.runtime.dry_run import Subject
from kerastorch.runtime.input_specs import varies


@dataclass
class Look:
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


def look(module: nn.Module, given: Any) -> Look:
    """Call a module on inputs of these specs, in evaluation mode; nothing about it changes.

    Raises:
        ValueError: inputs that it cannot take.
    """
    try:
        subject = Subject(module, given, fake=True)
        seen, adds = _calls(subject, given)
    except Exception:  # shapes are not enough for this one, or are wrong: the real thing says it best
        subject = Subject(module, given, fake=False)
        return Look(subject.module, *_calls(subject, given), None)
    try:
        kept = _kept(subject, given)
    except Exception:  # it can be called, but not trained
        kept = None
    return Look(subject.module, seen, adds, kept)


def _calls(subject: Subject, given: Any) -> tuple[list[Call], int]:
    runs, adds = [], []
    for batch, varying in zip(BATCHES, VARYING, strict=True):
        with listening(subject.module) as calls, MultiplyAdds() as counted:
            subject.run(subject.inputs(batch, varying))
        runs.append(calls)
        adds.append(counted.total)
    if varies(given, beside_batch=True):
        with MultiplyAdds() as counted:
            subject.run(subject.inputs(BATCHES[1], VARYING[0]))
        adds[1] = counted.total
    return merged(*runs), adds[1] - adds[0] if varies(given) else adds[0]


def _kept(subject: Subject, given: Any) -> int:
    found = []
    for batch in BATCHES:
        kept = Kept(subject.module)
        with kept:
            x, _ = subject.run(subject.inputs(batch, VARYING[0]), training=True)
        found.append(kept.bytes(x))
    return found[1] - found[0] if varies(given) else found[0]
