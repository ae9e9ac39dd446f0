"""Trace a model with `torch.export`, and encode it as a `.pt2` file."""

from __future__ import annotations

import contextlib
import functools
import io
from collections.abc import Callable, Iterator
from typing import Any

import torch
from torch.export import ExportedProgram

from kerastorch.core.errors import ExportError
from kerastorch.core.model_outputs import predictions_in
from kerastorch.export.inputs import ExportInputs

Run = Callable[[Any], Any]  # a program as a function of the model's input, which returns its outputs


def trace(inputs: ExportInputs) -> ExportedProgram:
    """Return the model, traced by `torch.export` on its first trial input.

    Raises:
        ExportError: Torch cannot trace the model.
    """
    args, kwargs = inputs.call(inputs.trials[0])
    try:
        # torch prints what it traced before an error
        with contextlib.redirect_stderr(io.StringIO()), _tensor_outputs(inputs):
            program = torch.export.export(inputs.target, args, kwargs, dynamic_shapes=inputs.dynamic())
    except Exception as error:
        raise ExportError(f"torch cannot export this model. {_cause(error)}") from error
    program.example_inputs = None  # they may be the user's data, so they are not written
    for module in program.graph_module.modules():
        for node in getattr(getattr(module, "graph", None), "nodes", ()):
            node.meta.pop("stack_trace", None)  # it has paths of this machine
    return program


@contextlib.contextmanager
def _tensor_outputs(inputs: ExportInputs) -> Iterator[None]:
    """Let the module return its tensors alone, without caches and other objects, which a program cannot return."""
    module = inputs.target
    if not inputs.returns_objects:
        yield
        return
    forward, own = module.forward, vars(module).get("forward")

    @functools.wraps(forward)
    def tensors_of_forward(*args: Any, **kwargs: Any) -> Any:
        return predictions_in(forward(*args, **kwargs), drops_scalars=False)

    vars(module)["forward"] = tensors_of_forward
    try:
        yield
    finally:
        del vars(module)["forward"]
        if own is not None:
            vars(module)["forward"] = own


def encode(program: ExportedProgram, inputs: ExportInputs) -> tuple[bytes, Run]:
    """Return the bytes of a `.pt2` file, and the program loaded from these bytes as a function."""
    written = io.BytesIO()
    torch.export.save(program, written)
    # torch.export.load may unpickle; that is safe here, because the bytes were made above and have not left the memory
    loaded = torch.export.load(io.BytesIO(written.getvalue())).module()

    def run(x: Any) -> Any:
        args, kwargs = inputs.call(x)
        return loaded(*args, **kwargs)

    return written.getvalue(), run


def _cause(error: Exception) -> str:
    """Return a sentence about an error of `torch.export`, with advice for common causes."""
    text = str(error)
    if "specialized" in text or "onstraint" in text:
        lines = [line.strip(" -") for line in text.splitlines() if "specialized" in line]
        reason = lines[0].partition(". ")[0] if lines else text.strip().partition("\n")[0]
        return (
            f"A size that is None is a fixed number within it: {reason}. Give that size a number in input_signature, "
            "as (None, 28, 28), or (1, 28, 28) for a fixed batch."
        )
    if "ata-dependent" in text or "DataDependent" in type(error).__name__:
        return (
            "Its forward depends on values of its input, as `if x.sum() > 0` does, but a program is traced without "
            "values; write it with torch.where or torch.cond."
        )
    line = next((line for line in text.splitlines() if line.strip()), type(error).__name__)
    return f"{type(error).__name__}: {line.strip()}"
