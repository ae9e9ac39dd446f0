"""A model as a program for others: traced by torch, compared with the model, then written."""

from __future__ import annotations

import logging
import os
import warnings
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import torch
from torch import nn

from kerastorch.checkpoint import atomic_file
from kerastorch.core.errors import ExportError, check_choice, mismatch
from kerastorch.core.module_tree import modules
from kerastorch.core.path_checks import check_writable, parse_path
from kerastorch.core.torch_private import EXPORT_LOGGERS
from kerastorch.core.train_mode import evaluation_mode
from kerastorch.export.check import check
from kerastorch.export.inputs import ExportInputs
from kerastorch.export.pt2_file import traced
from kerastorch.module.weights_mixin import check_built
from kerastorch.runtime.dry_run import isolated
from kerastorch.runtime.model_lock import model_lock

_LOGGERS = ("torch.onnx", "torch.export", *EXPORT_LOGGERS, "torch.fx", "onnxscript", "onnx_ir")
_MODULES = r"(torch|onnx|onnxscript|onnx_ir|onnxruntime)(\.|$)"  # warnings of the user's own modules are shown
_ENDINGS = {".pt2": "torch", ".onnx": "onnx"}


def export(
    model: nn.Module, filepath: str | os.PathLike[str], kind: str | None, verbose: bool | None, signature: Any
) -> None:
    """Write `model` as a program; see `Model.export`."""
    path, kind = _target(filepath, kind)
    check_writable(path)
    check_built(model)
    if kind == "onnx":
        from kerastorch.export.onnx_file import encoded, require

        require()
    else:
        from kerastorch.export.pt2_file import encoded
    parts = modules(model)
    _refuse_stateful(parts)
    with (
        model_lock(model, "export"),
        evaluation_mode(model),
        torch.no_grad(),
        isolated(parts),
        _buffers_kept(parts),
        _mute_exporters(),
    ):
        inputs = ExportInputs(model, signature)
        data, run = encoded(traced(inputs), inputs)
        worst = check(run, inputs, kind)
    atomic_file.write(path, [data])
    if verbose:
        print(f"{path}: {len(data) / 2**20:.1f} MiB; it gives what the model gives, up to {worst:.1e} of the largest.")


def _refuse_stateful(parts: Sequence[nn.Module]) -> None:
    found = next((part for part in parts if getattr(part, "stateful", False) is True), None)
    if found is not None:
        raise ExportError(
            f"{type(found).__name__} is stateful: it goes on from call to call where the last one ended, which a "
            "program does not. Export a model with stateful=False and the same weights."
        )


@contextmanager
def _buffers_kept(parts: Sequence[nn.Module]) -> Iterator[None]:
    """What a forward writes into buffers, even in evaluation mode, is undone."""
    held = [(part, name, one, one.clone()) for part in parts for name, one in part._buffers.items() if one is not None]
    try:
        yield
    finally:
        for part, name, one, numbers in held:
            part._buffers[name] = one
            one.copy_(numbers)


def _target(filepath: str | os.PathLike[str], kind: str | None) -> tuple[Path, str]:
    path = parse_path("filepath", filepath)
    expected = _ENDINGS.get(path.suffix.lower())
    if expected is None:
        raise mismatch("filepath", str(path), "a file name that ends in .pt2 (torch.export) or .onnx")
    if kind is not None and check_choice("format", kind, _ENDINGS.values()) != expected:
        raise ValueError(f"format={kind!r} does not go with {path.name}, whose ending means {expected!r}.")
    return path, expected


@contextmanager
def _mute_exporters() -> Iterator[None]:
    """Mute the logs and warnings of torch and onnx during an export; errors are still raised."""
    with ExitStack() as stack, warnings.catch_warnings():
        warnings.filterwarnings("ignore", module=_MODULES)
        # torch imports copyreg, whose use of LeafSpec torch itself warns about
        warnings.filterwarnings("ignore", message=r".*isinstance\(treespec, LeafSpec\)")
        for name in _LOGGERS:
            logger = logging.getLogger(name)
            stack.callback(logger.setLevel, logger.level)
            logger.setLevel(logging.ERROR)
        yield
