"""Does a program give what the model gives?"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from kerastorch.core.errors import ExportError
from kerastorch.core.torch_private import pytree
from kerastorch.export.inputs import ExportInputs

# The largest difference allowed, as a share of the largest number in an output (or of 0.01, where that is less).
# What torch.export writes are the model's own operations; onnxruntime's kernels add in another order.
_ALLOWED = {
    "torch": {torch.float64: 1e-12, torch.float32: 1e-5, torch.float16: 2e-3, torch.bfloat16: 2e-2},
    "onnx": {torch.float64: 1e-7, torch.float32: 1e-4, torch.float16: 2e-2, torch.bfloat16: 1e-1},
}
_LEAST = 0.01


def check(run: Any, inputs: ExportInputs, kind: str) -> float:
    """The largest difference over all trials, as a share of the largest number.

    Raises:
        ExportError: it is too large; the program fails; nothing could be compared.
    """
    worst = 0.0
    for x, expected in zip(inputs.trials, inputs.expected, strict=True):
        rows = ", ".join(str(tuple(leaf.shape)) for leaf in pytree.tree_leaves(x))
        try:
            given = run(x)
        except Exception as error:
            line = str(error).strip().partition("\n")[0]
            raise ExportError(f"the exported program fails on inputs of shape {rows}: {line}") from error
        wanted, found = _tensors(expected), _tensors(given)
        if len(wanted) != len(found):
            raise ExportError(f"the exported program gives {len(found)} outputs, the model {len(wanted)}.")
        for number, (one, other) in enumerate(zip(wanted, found, strict=True)):
            where = f"output {number} for inputs of shape {rows}"
            worst = max(worst, _compared(one, other, kind, where))
    return worst


def _tensors(value: Any) -> list[Tensor]:
    return [leaf.detach().cpu() for leaf in pytree.tree_leaves(value) if isinstance(leaf, Tensor)]


def _compared(one: Tensor, other: Tensor, kind: str, where: str) -> float:
    if one.shape != other.shape:
        raise ExportError(f"{where}: the program gives shape {tuple(other.shape)}, the model {tuple(one.shape)}.")
    if not one.is_floating_point():
        if not torch.equal(one, other.to(one.dtype)):
            share = float((one != other.to(one.dtype)).double().mean())
            raise ExportError(f"{where}: the program and the model differ in {share:.0%} of the numbers.")
        return 0.0
    allowed = _ALLOWED[kind].get(one.dtype, 0.0)
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
    share = float(difference / one[finite].abs().max().clamp_min(_LEAST))
    if share > allowed:
        raise ExportError(
            f"{where}: the program and the model differ by up to {float(difference):.2g}, {share:.1e} of the largest "
            f"number; {allowed:.0e} is allowed."
        )
    return share
