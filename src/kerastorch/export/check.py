"""Compare the outputs of an exported program with those of the model."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from kerastorch.core.errors import ExportError
from kerastorch.core.torch_private import pytree
from kerastorch.export.inputs import ExportInputs
from kerastorch.export.pt2_file import Run

# Tolerance of an output's elements, relative to the largest absolute value in the output (at least _MIN_SCALE).
# torch.export writes the model's own operations, so it is small; onnxruntime's kernels sum in another order.
_TOLERANCES = {
    "torch": {torch.float64: 1e-12, torch.float32: 1e-5, torch.float16: 2e-3, torch.bfloat16: 2e-2},
    "onnx": {torch.float64: 1e-7, torch.float32: 1e-4, torch.float16: 2e-2, torch.bfloat16: 1e-1},
}
_MIN_SCALE = 0.01


def check(run: Run, inputs: ExportInputs, kind: str) -> float:
    """Run a program on all trial inputs and return its largest relative difference to the model.

    Args:
        run: The program as a function of the model's input.
        inputs: Trial inputs, and the outputs of the model for them.
        kind: `"torch"` or `"onnx"`, which decides the tolerance.

    Returns:
        The largest absolute difference of an element, divided by the largest absolute value in its output.

    Raises:
        ExportError: A difference exceeds the tolerance; the program fails; an output has no finite value to compare.
    """
    worst = 0.0
    for x, expected in zip(inputs.trials, inputs.expected, strict=True):
        shapes = ", ".join(str(tuple(leaf.shape)) for leaf in pytree.tree_leaves(x))
        try:
            outputs = run(x)
        except Exception as error:
            line = str(error).strip().partition("\n")[0]
            raise ExportError(f"the exported program fails on inputs of shape {shapes}: {line}") from error
        of_model, of_program = _tensors(expected), _tensors(outputs)
        if len(of_model) != len(of_program):
            raise ExportError(f"the exported program gives {len(of_program)} outputs, the model {len(of_model)}.")
        for number, (one, other) in enumerate(zip(of_model, of_program, strict=True)):
            where = f"output {number} for inputs of shape {shapes}"
            worst = max(worst, _relative_difference(one, other, kind, where))
    return worst


def _tensors(value: Any) -> list[Tensor]:
    """Return the tensors in a nested output, on the CPU."""
    return [leaf.detach().cpu() for leaf in pytree.tree_leaves(value) if isinstance(leaf, Tensor)]


def _relative_difference(one: Tensor, other: Tensor, kind: str, where: str) -> float:
    """Return the relative difference of two outputs; raise `ExportError` if it exceeds the tolerance.

    Args:
        one: An output of the model.
        other: The same output of the program.
        kind: `"torch"` or `"onnx"`.
        where: Which output it is, for messages.
    """
    if one.shape != other.shape:
        raise ExportError(f"{where}: the program gives shape {tuple(other.shape)}, the model {tuple(one.shape)}.")
    if not one.is_floating_point():
        if not torch.equal(one, other.to(one.dtype)):
            share = float((one != other.to(one.dtype)).double().mean())
            raise ExportError(f"{where}: the program and the model differ in {share:.0%} of the numbers.")
        return 0.0
    tolerance = _TOLERANCES[kind].get(one.dtype, 0.0)
    one, other = one.double(), other.double()
    finite = one.isfinite()
    if one.numel() and not finite.any():
        raise ExportError(
            f"{where}: the model gives no finite number, so nothing can be compared. Give input_signature "
            "a batch of data in the place of a shape."
        )
    alike = torch.where(finite, other.isfinite(), (one == other) | (one.isnan() & other.isnan()))
    if not alike.all():
        raise ExportError(f"{where}: the program is finite where the model is not, or the other way round.")
    if not one.numel():
        return 0.0
    difference = (one[finite] - other[finite]).abs().max()
    share = float(difference / one[finite].abs().max().clamp_min(_MIN_SCALE))
    if share > tolerance:
        raise ExportError(
            f"{where}: the program and the model differ by up to {float(difference):.2g}, {share:.1e} of the largest "
            f"number; {tolerance:.0e} is allowed."
        )
    return share
