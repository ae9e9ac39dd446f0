"""Profile a module: call it on fake tensors, or else on zeros, and record calls, multiply-adds and activations.

The numbers are those of the module's own forward, so that they hold for any module. A copy made of fake tensors is
called, because such a call can change nothing in the module. It is called with two batch sizes: sizes of outputs that
differ vary.
"""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from typing import Any

from torch import nn

from kerastorch.core.tensor_spec import TRIAL_BATCH_SIZES, TRIAL_SIZES
from kerastorch.inspection.call_recorder import Call, merge_calls, record_calls
from kerastorch.inspection.flops_and_memory import MultiplyAdds, SavedActivationBytes
from kerastorch.runtime.dry_run import DryRun, with_possible_sizes
from kerastorch.runtime.input_specs import has_varying_axes


@dataclass
class ModuleProfile:
    """The result of `profile_module`.

    Attributes:
        module: The profiled module; a built copy of a module that is not built.
        calls: The calls of the module and its submodules, its own first.
        multiply_adds: Number of multiply-adds for one sample, or for one call if the batch size does not vary.
        activation_bytes: Bytes saved for the backward pass, likewise; `None` if they cannot be measured.
        specs: Specs of the inputs of the calls.
    """

    module: nn.Module
    calls: list[Call]
    multiply_adds: int
    activation_bytes: int | None
    specs: Any


def profile_module(module: nn.Module, specs: Any) -> ModuleProfile:
    """Call a module in evaluation mode on inputs of the given specs, and return its profile.

    The module is not changed. It is called on fake tensors; if that fails, on zeros. If it cannot be called with other
    lengths of the first axis than the data had, it is called with these.

    Args:
        module: A module; a copy is built if it is not built.
        specs: Specs of the inputs, in their structure.

    Raises:
        ValueError: The module cannot take such inputs.
    """
    return with_possible_sizes(specs, partial(_profile, module))


def _profile(module: nn.Module, specs: Any) -> ModuleProfile:
    with suppress(Exception):  # the forward needs values, or the inputs are wrong
        dry_run = DryRun(module, specs, fake=True)
        calls, multiply_adds = _profile_calls(dry_run, specs)
        activation_bytes = None
        with suppress(Exception):  # the module can be called, but not trained
            activation_bytes = _activation_bytes(dry_run, specs)
        return ModuleProfile(dry_run.module, calls, multiply_adds, activation_bytes, specs)
    dry_run = DryRun(module, specs, fake=False)  # its errors have the better message
    return ModuleProfile(dry_run.module, *_profile_calls(dry_run, specs), None, specs)


def _profile_calls(dry_run: DryRun, specs: Any) -> tuple[list[Call], int]:
    """Return calls and multiply-adds of a sample: the difference between two batches whose sizes differ by one."""
    runs, counts = [], []
    for batch_size, varying in zip(TRIAL_BATCH_SIZES, TRIAL_SIZES, strict=True):
        with record_calls(dry_run.module) as calls, MultiplyAdds() as counter:
            dry_run.run(dry_run.inputs(batch_size, varying))
        runs.append(calls)
        counts.append(counter.total)
    if has_varying_axes(specs, beside_batch=True):  # both counts are to be of equal lengths
        with MultiplyAdds() as counter:
            dry_run.run(dry_run.inputs(TRIAL_BATCH_SIZES[1], TRIAL_SIZES[0]))
        counts[1] = counter.total
    return merge_calls(*runs), counts[1] - counts[0] if has_varying_axes(specs) else counts[0]


def _activation_bytes(dry_run: DryRun, specs: Any) -> int:
    """Return the bytes that autograd saves for a sample, as the difference between two batches."""
    sizes = []
    for batch_size in TRIAL_BATCH_SIZES:
        saved = SavedActivationBytes(dry_run.module)
        with saved:
            x, _ = dry_run.run(dry_run.inputs(batch_size, TRIAL_SIZES[0]), training=True)
        sizes.append(saved.bytes(x))
    return sizes[1] - sizes[0] if has_varying_axes(specs) else sizes[0]
