"""LabelPairing: which label belongs to which logits, for metrics of a model that computes its loss itself."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Literal, NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from kerastorch.core.errors import warn
from kerastorch.core.nested import leaves
from kerastorch.losses.base import Loss
from kerastorch.losses.torch_losses import TorchLoss

_LABELS = ("labels", "label", "targets", "target", "y")
IGNORED = -100  # what labels below 0 become: torch's and Hugging Face's number for labels that do not count

Kind = Literal["classes last", "classes first", "binary", "values", "unknown"]


class LabelPairing(NamedTuple):
    """How the logits of a model and the labels of a batch belong together.

    Attributes:
        kind: Classes on the last axis or on axis 1, yes-or-no questions, or values.
        is_shifted: The logits of a step predict the label of the next step, as in causal language models.
        is_final: Further batches need not be examined.
    """

    kind: Kind
    is_shifted: bool = False
    is_final: bool = True

    def __call__(self, logits: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
        """Return logits and labels that belong together; labels below 0, which do not count, become -100."""
        if self.kind in ("classes last", "classes first") and not y.is_floating_point():
            y = y.where(y >= 0, IGNORED)
        return (logits[:, :-1], y[:, 1:]) if self.is_shifted else (logits, y)

    @property
    def loss(self) -> Loss | None:
        """The loss of torch that tells metrics the task; `None` if it is unknown."""
        if self.kind in ("classes last", "classes first"):
            return TorchLoss(nn.CrossEntropyLoss(), "model").on_axis(-1 if self.kind == "classes last" else 1)
        if self.kind == "unknown":
            return None
        return TorchLoss(nn.BCEWithLogitsLoss() if self.kind == "binary" else nn.MSELoss(), "model")

    def state_dict(self) -> dict[str, Any]:
        """Return the pairing as plain values."""
        return self._asdict()

    @classmethod
    def of_state(cls, state: Mapping[str, Any]) -> LabelPairing:
        """Return the pairing that `state_dict` described."""
        return cls(state["kind"], bool(state["is_shifted"]), bool(state["is_final"]))


def find_pairing(loss: Tensor | None, logits: Tensor, y: Tensor, x: Any = None) -> LabelPairing:
    """Return how logits and labels belong together, by comparing the loss of the model with losses of torch.

    Causal language models compare `logits[:, t]` with `y[:, t + 1]`. They are recognized by the value of their loss;
    else by labels that are the inputs themselves, which no other model is trained to predict.

    Args:
        loss: The loss of the batch that the model returned.
        logits: Its logits, `(batch, ..., classes)`, `(batch, classes, ...)`, or values.
        y: The labels of the batch.
        x: The inputs of the batch.

    Warns:
        UserWarning: Labels are sequences, and nothing tells how they belong to the logits.
    """
    with torch.no_grad():
        if y.is_floating_point() or y.dtype == torch.bool:
            return _pairing_of_values(loss, logits, y)
        kind = _kind_of_classes(logits, y)
        if kind == "unknown":
            return LabelPairing(kind)
        aligned = LabelPairing(kind)
        if kind == "classes first" or y.ndim < 2 or y.shape[1] < 2:
            return aligned
        return _pairing_of_sequences(loss, logits, y, x)


def _kind_of_classes(logits: Tensor, y: Tensor) -> Kind:
    if logits.ndim < 2 or logits.ndim != y.ndim + 1:
        return "unknown"
    if logits.shape[:-1] == y.shape:
        return "classes last"
    return "classes first" if logits.shape[:1] + logits.shape[2:] == y.shape else "unknown"


def _pairing_of_sequences(loss: Tensor | None, logits: Tensor, y: Tensor, x: Any) -> LabelPairing:
    aligned, shifted = LabelPairing("classes last"), LabelPairing("classes last", is_shifted=True)
    if not bool((y >= 0).any()):  # no label counts
        return aligned._replace(is_final=False)
    target = float("nan") if loss is None else float(loss)
    tolerance = (1e-2 if logits.dtype in (torch.float16, torch.bfloat16) else 1e-4) * max(abs(target), 1e-3)
    errors = [abs(_cross_entropy(*one(logits, y)) - target) for one in (aligned, shifted)]
    is_like = [error <= tolerance for error in errors]  # False for NaN
    tells = is_like[0] != is_like[1] or (all(is_like) and abs(errors[0] - errors[1]) > tolerance / 10)
    if tells:
        return shifted if is_like[1] and (not is_like[0] or errors[1] < errors[0]) else aligned
    if _are_inputs(x, y):
        return shifted
    if not any(is_like):
        warn(
            "metrics beside the loss of the model: it is the cross-entropy neither of logits[:, t] and y[:, t] nor of "
            "logits[:, t] and y[:, t + 1]. Metrics compare logits[:, t] with y[:, t]. If that is wrong, override "
            "compute_metrics."
        )
    return aligned._replace(is_final=not all(is_like))


def _cross_entropy(logits: Tensor, y: Tensor) -> float:
    """Return the mean cross-entropy of the labels that count; NaN if one is no class."""
    counted = y >= 0
    labels = y[counted]
    if not labels.numel() or int(labels.max()) >= logits.shape[-1]:
        return float("nan")
    return float(F.cross_entropy(logits[counted].float(), labels.long()))


def _are_inputs(x: Any, y: Tensor) -> bool:
    """Return whether an input has the labels wherever a label counts.

    The labels themselves may be an input, too: by their name, or not as the first input.
    """
    found = [one for _, one in leaves(x) if isinstance(one, Tensor)][:1]
    if isinstance(x, Mapping):
        found = [one for key, one in x.items() if key not in _LABELS and isinstance(one, Tensor)]
    return any(one.shape == y.shape and bool(((one == y) | (y < 0)).all()) for one in found)


def _pairing_of_values(loss: Tensor | None, logits: Tensor, y: Tensor) -> LabelPairing:
    """Return the pairing for float targets: yes-or-no questions or values, by the loss that gives the same number."""
    if loss is None or logits.numel() != y.numel():
        return LabelPairing("unknown")
    predicted, true = logits.float().flatten(), y.float().flatten()
    candidates: dict[Kind, Callable[[Tensor, Tensor], Tensor]] = {
        "binary": F.binary_cross_entropy_with_logits,
        "values": F.mse_loss,
    }
    errors = {kind: abs(float(function(predicted, true)) - float(loss)) for kind, function in candidates.items()}
    kind = min(errors, key=lambda one: errors[one])
    return LabelPairing(kind if errors[kind] <= 1e-2 * max(abs(float(loss)), 1e-3) else "unknown")
