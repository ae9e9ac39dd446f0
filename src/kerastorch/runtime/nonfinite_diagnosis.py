"""Name the first tensor of an observed training step that is NaN or infinite."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import torch
from torch import Tensor, nn

from kerastorch.core.nested import leaves
from kerastorch.core.torch_private import sparse_values
from kerastorch.data.batches import Batch
from kerastorch.runtime.nonfinite_probe import GradientFault, NonFiniteProbe
from kerastorch.runtime.nonfinite_report import Finding, LayerStats
from kerastorch.runtime.tensor_stats import TensorStats, worst_value

_SHOWN = {"nan": "NaN", "inf": "inf", "-inf": "-inf"}


def find_bad_inputs(batch: Batch) -> Finding | None:
    """Return the first of inputs, targets and sample weights that is not finite; `None` if all are."""
    named = (("x", batch.x), ("y", batch.y), ("sample_weight", batch.sample_weight))
    for kind, (name, structure) in zip(("input", "target", "target"), named, strict=True):
        for label, leaf in leaves(structure, name):
            value = worst_value(leaf)
            if value:
                text = f"{label} has {_SHOWN[value]}{_describe_rows(leaf)}"
                return Finding(kind, label, "", value, "", text)
    return None


def _describe_rows(tensor: Tensor) -> str:
    """Return how many rows of a dense tensor are not finite, and the first of them."""
    if tensor.layout != torch.strided or not tensor.ndim:
        return ""
    bad = (~tensor.isfinite()).reshape(len(tensor), -1).any(1)
    return f" in {int(bad.sum())} of {len(bad)} rows, first in row {int(bad.int().argmax())} of the batch"


def find_bad_weight(weights: Mapping[str, Tensor]) -> Finding | None:
    """Return the first weight that is not finite; `None` if all are.

    Args:
        weights: Parameters by name, as they are before the step.
    """
    for name, weight in weights.items():
        value = worst_value(weight)
        if value:
            text = f"the weight {name} was {_SHOWN[value]} already before this step"
            return Finding("weight", name, "", value, "", text)
    return None


def diagnose(
    probe: NonFiniteProbe,
    batch: Batch,
    bad_weight: Finding | None,
    weights: Mapping[str, Tensor],
    loss: Tensor | float | None,
    parts: Mapping[str, Any],
) -> Finding:
    """Return the first tensor of a step that is not finite, in the order of the computation.

    Args:
        probe: It has observed the step.
        batch: The batch of the step.
        bad_weight: What `find_bad_weight` returned before the step.
        weights: Parameters by name, with the gradients of the step.
        loss: The loss of the step; `None` if it was not computed.
        parts: Values that are logged beside the loss, by name.
    """
    bad_loss = worst_value(loss)
    gradient = _find_bad_gradient(probe, weights, bad_loss)
    if not (probe.forward_fault or bad_loss or gradient):
        return Finding("none", "", "", "", "", "the repeated step was finite")
    # NaN that a model replaces, or infinity in a mask, does not reach an output, and is not the cause
    bad_input = find_bad_inputs(batch)
    if bad_input is not None and (probe.forward_fault or bad_loss) and bad_input.kind == "input":
        return bad_input
    if bad_weight is not None:
        return bad_weight
    if probe.forward_fault is not None:
        return _describe_forward(probe)
    if bad_loss:
        return bad_input or _describe_loss(probe, bad_loss, parts)
    assert gradient is not None
    return gradient


def _layer(probe: NonFiniteProbe, path: str) -> str:
    """Return the path and the class of a layer for a sentence."""
    record = probe.records.get(path)
    kind = "" if record is None else record.layer
    if not path:
        return f"the model itself ({kind})" if kind else "the model itself"
    return f"{record.label} ({kind})" if record is not None else path


def _describe_forward(probe: NonFiniteProbe) -> Finding:
    fault = probe.forward_fault
    assert fault is not None
    by = f" (in {fault.operation})" if fault.operation else ""
    between = "" if fault.before is None else f", in its own code before it called {_layer(probe, fault.before)}"
    record = probe.records.get(fault.path)
    text = f"{_layer(probe, fault.path)} gave {_SHOWN[fault.value]} in forward{by}{between}"
    if fault.value != "nan" and probe.first_nan not in (None, fault.path):
        text += f"; the first NaN came from {_layer(probe, str(probe.first_nan))}"
    return Finding("forward", fault.path, "" if record is None else record.layer, fault.value, fault.operation, text)


def _describe_loss(probe: NonFiniteProbe, value: str, parts: Mapping[str, Any]) -> Finding:
    by = f" (in {probe.loss_operation})" if probe.loss_operation else ""
    named = [name for name, part in parts.items() if name.endswith("_loss") and name != "data_loss"]
    bad = [name for name in named if worst_value(parts[name])]
    text = f"the loss is {_SHOWN[value]}{by} while all outputs of the model were finite"
    name = bad[0] if bad else ""
    if bad:
        text = f"{name} is {_SHOWN[worst_value(parts[name])]}{by} while all outputs of the model were finite"
    elif "data_loss" in parts and not worst_value(parts["data_loss"]):
        text = f"a penalty or a term of add_loss is {_SHOWN[value]}{by} while the loss without them was finite"
    return Finding("loss", name, "", value, probe.loss_operation, text)


def _find_bad_gradient(probe: NonFiniteProbe, weights: Mapping[str, Tensor], bad_loss: str) -> Finding | None:
    """Return the first gradient that is not finite, of an activation or of a weight."""
    if probe.gradient_fault is not None:
        return _describe_gradient(probe, probe.gradient_fault)
    while_finite = "" if bad_loss else " while its forward was finite"
    for name, weight in weights.items():
        value = "" if weight.grad is None else worst_value(_dense(weight.grad))
        if value:
            text = f"the gradient of {name} is {_SHOWN[value]}{while_finite}"
            return Finding("weight_gradient", name, "", value, "", text)
    return None


def _dense(gradient: Tensor) -> Tensor:
    return sparse_values(gradient) if gradient.layout == torch.sparse_coo else gradient


def _describe_gradient(probe: NonFiniteProbe, fault: GradientFault) -> Finding:
    value = _SHOWN[fault.value]
    by = f" (in {fault.operation})" if fault.operation else ""
    name = fault.consumer if fault.consumer is not None else fault.producer or ""
    record = probe.records.get(name)
    layer = "" if record is None else record.layer
    if fault.consumer is not None:
        text = f"the backward of {_layer(probe, name)} gave {value}{by} while its forward was finite"
    else:
        owner = _layer(probe, name)
        text = f"the gradient of the output of {owner} is {value}{by} while its forward was finite"
    return Finding("gradient", name, layer, fault.value, fault.operation, text)


def layer_stats(probe: NonFiniteProbe, model: nn.Module) -> Iterator[LayerStats]:
    """Yield the statistics of each layer, in the order of the forward pass.

    Args:
        probe: It has observed a step.
        model: The model, with the gradients of the step.
    """
    parts = dict(model.named_modules())
    for path, record in probe.records.items():
        own = parts[path].parameters(recurse=False)
        gradients = [weight.grad for weight in own if weight.grad is not None]
        yield LayerStats(path, record.layer, record.label, record.output, record.gradient, TensorStats.of(gradients))
