"""A model as a program for others: traced by torch, compared with the model, then written."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import torch
from torch import nn

from kerastorch.archive import disk
from kerastorch.errors import mismatch, one_of
from kerastorch.inspection.quiet import no_trace
from kerastorch.modes import evaluation_mode
from kerastorch.saving.export_check import check
from kerastorch.saving.export_inputs import Inputs
from kerastorch.saving.export_quiet import quiet
from kerastorch.saving.export_torch import traced
from kerastorch.tree import modules
from kerastorch.weights import refuse_unbuilt

_ENDINGS = {".pt2": "torch", ".onnx": "onnx"}


def export(
    model: nn.Module, filepath: str | os.PathLike[str], kind: str | None, verbose: bool | None, signature: Any
) -> None:
    """Write `model` as a program; see `Model.export`."""
    path, kind = _target(filepath, kind)
    refuse_unbuilt(model)
    if kind == "onnx":
        from kerastorch.saving.export_onnx import encoded, require

        require()
    else:
        from kerastorch.saving.export_torch import encoded
    with evaluation_mode(model), torch.no_grad(), no_trace(modules(model)), quiet():
        inputs = Inputs(model, signature)
        data, run = encoded(traced(inputs), inputs)
        worst = check(run, inputs, kind)
    path.parent.mkdir(parents=True, exist_ok=True)
    disk.write(path, [data])
    if verbose:
        print(f"{path}: {len(data) / 2**20:.1f} MiB; it gives what the model gives, up to {worst:.1e} of the largest.")


def _target(filepath: str | os.PathLike[str], kind: str | None) -> tuple[Path, str]:
    if not isinstance(filepath, (str, os.PathLike)):
        raise TypeError(f"filepath must be a path, got {filepath!r}.")
    path = Path(filepath)
    expected = _ENDINGS.get(path.suffix.lower())
    if expected is None:
        raise mismatch("filepath", str(path), "a file name that ends in .pt2 (torch.export) or .onnx")
    if kind is not None and one_of("format", kind, _ENDINGS.values()) != expected:
        raise ValueError(f"format={kind!r} does not go with {path.name}, whose ending means {expected!r}.")
    if path.is_dir():
        raise IsADirectoryError(f"{path} is a folder; name a file.")
    return path, expected
