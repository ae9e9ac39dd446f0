"""torch.export: a model traced with the sizes that vary, and its bytes."""

from __future__ import annotations

import contextlib
import io
from collections.abc import Callable
from typing import Any

import torch
from torch.export import ExportedProgram

from kerastorch.core.errors import ExportError
from kerastorch.export.inputs import ExportInputs

Run = Callable[[Any], Any]  # from what the model is called on to what the program gives


def traced(inputs: ExportInputs) -> ExportedProgram:
    """The model on the first of its trials.

    Raises:
        ExportError: torch cannot trace it.
    """
    args, kwargs = inputs.call(inputs.trials[0])
    try:
        with contextlib.redirect_stderr(io.StringIO()):  # where torch prints what it had before it failed
            program = torch.export.export(inputs.target, args, kwargs, dynamic_shapes=inputs.dynamic())
    except Exception as error:
        raise ExportError(f"torch cannot export this model. {_cause(error)}") from error
    program.example_inputs = None  # nobody needs them, and they may be the user's data
    for module in program.graph_module.modules():
        for node in getattr(getattr(module, "graph", None), "nodes", ()):
            node.meta.pop("stack_trace", None)  # paths on this machine
    return program


def encoded(program: ExportedProgram, inputs: ExportInputs) -> tuple[bytes, Run]:
    """The bytes of a `.pt2` file, and the program that they make when they are loaded."""
    written = io.BytesIO()
    torch.export.save(program, written)
    # torch.export.load may unpickle: these bytes are our own, and have not left the memory
    loaded = torch.export.load(io.BytesIO(written.getvalue())).module()

    def run(x: Any) -> Any:
        args, kwargs = inputs.call(x)
        return loaded(*args, **kwargs)

    return written.getvalue(), run


def _cause(error: Exception) -> str:
    text = str(error)
    if "specialized" in text or "onstraint" in text:
        lines = [line.strip(" -") for line in text.splitlines() if "specialized" in line]
        said = lines[0].partition(". ")[0] if lines else text.strip().partition("\n")[0]
        return (
            f"A size that is None is a fixed number within it: {said}. Give that size a number in input_signature, as "
            "(None, 28, 28), or (1, 28, 28) for a fixed batch."
        )
    if "ata-dependent" in text or "DataDependent" in type(error).__name__:
        return (
            "Its forward goes by the numbers in its input, as `if x.sum() > 0` does, and a program is made before "
            "there are any; write it with torch.where or torch.cond."
        )
    line = next((line for line in text.splitlines() if line.strip()), type(error).__name__)
    return f"{type(error).__name__}: {line.strip()}"
