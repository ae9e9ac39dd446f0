"""Export a model as a program: trace it, compare the program with the model, write the file.

Before the file is written, the program is run beside the model, for several values of each size that is `None`. A
tracer may take such a size for a constant, which otherwise the users of the program would find.
"""

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
from kerastorch.export.pt2_file import trace
from kerastorch.module.evaluation_weights import evaluation_weights
from kerastorch.module.weights_mixin import check_built
from kerastorch.runtime.dry_run import isolated
from kerastorch.runtime.model_lock import model_lock

_LOGGERS = ("torch.onnx", "torch.export", *EXPORT_LOGGERS, "torch.fx", "onnxscript", "onnx_ir")
_MODULES = r"(torch|onnx|onnxscript|onnx_ir|onnxruntime)(\.|$)"  # warnings of the user's own modules are shown
_FORMATS = {".pt2": "torch", ".onnx": "onnx"}


def export(
    model: nn.Module, filepath: str | os.PathLike[str], kind: str | None, verbose: bool | None, signature: Any
) -> None:
    """Write a model as a program, as `Model.export` documents.

    Args:
        model: A built model.
        filepath: Path of the file, which ends in `.pt2` or `.onnx`.
        kind: `"torch"` or `"onnx"`. Default: according to the suffix.
        verbose: Whether to print the size of the file and the largest difference to the model.
        signature: The `input_signature` of `Model.export`.
    """
    path, kind = _check_target(filepath, kind)
    check_writable(path)
    check_built(model)
    if kind == "onnx":
        from kerastorch.export.onnx_file import encode, require_packages

        require_packages()
    else:
        from kerastorch.export.pt2_file import encode
    parts = modules(model)
    _check_stateless(parts)
    with (
        model_lock(model, "export"),
        evaluation_weights(model),
        evaluation_mode(model),
        torch.no_grad(),
        isolated(parts),
        _restored_buffers(parts),
        _mute_exporters(),
    ):
        inputs = ExportInputs(model, signature)
        data, run = encode(trace(inputs), inputs)
        worst = check(run, inputs, kind)
    atomic_file.write(path, [data])
    if verbose:
        print(f"{path}: {len(data) / 2**20:.1f} MiB; it gives what the model gives, up to {worst:.1e} of the largest.")


def _check_stateless(parts: Sequence[nn.Module]) -> None:
    """Raise `ExportError` if a layer carries states from call to call, which a program cannot."""
    found = next((part for part in parts if getattr(part, "stateful", False) is True), None)
    if found is not None:
        raise ExportError(
            f"{type(found).__name__} is stateful: it carries states from call to call, which a program cannot. "
            "Export a model with stateful=False and the same weights."
        )


@contextmanager
def _restored_buffers(parts: Sequence[nn.Module]) -> Iterator[None]:
    """Restore the buffers afterwards, because a forward may write into them even in evaluation mode."""
    saved = [
        (part, name, buffer, buffer.clone())
        for part in parts
        for name, buffer in part._buffers.items()
        if buffer is not None
    ]
    try:
        yield
    finally:
        for part, name, buffer, values in saved:
            part._buffers[name] = buffer
            buffer.copy_(values)


def _check_target(filepath: str | os.PathLike[str], kind: str | None) -> tuple[Path, str]:
    """Return path and format of the file.

    Raises:
        TypeError: `filepath` is not a path.
        ValueError: The suffix is unknown, or does not go with `kind`.
    """
    path = parse_path("filepath", filepath)
    expected = _FORMATS.get(path.suffix.lower())
    if expected is None:
        raise mismatch("filepath", str(path), "a file name that ends in .pt2 (torch.export) or .onnx")
    if kind is not None and check_choice("format", kind, _FORMATS.values()) != expected:
        raise ValueError(f"format={kind!r} does not go with {path.name}, whose ending means {expected!r}.")
    return path, expected


@contextmanager
def _mute_exporters() -> Iterator[None]:
    """Mute the logs and warnings of torch and onnx during an export; errors are still raised."""
    with ExitStack() as stack, warnings.catch_warnings():
        warnings.filterwarnings("ignore", module=_MODULES)
        # torch warns of LeafSpec, which copyreg uses when torch itself imports it; the warning is silenced
        warnings.filterwarnings("ignore", message=r".*isinstance\(treespec, LeafSpec\)")
        for name in _LOGGERS:
            logger = logging.getLogger(name)
            stack.callback(logger.setLevel, logger.level)
            logger.setLevel(logging.ERROR)
        yield
