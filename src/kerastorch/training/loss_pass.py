"""LossPassState: what the first batch of a pass over data decides for the compiled loss."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

import torch
from torch import Tensor, nn

from kerastorch.core.channel_tracking import known_channel_axes
from kerastorch.core.nested import leaves
from kerastorch.core.output_structure import NameTree, names_in
from kerastorch.data.arrays import check_weights
from kerastorch.losses.base import Loss
from kerastorch.losses.class_axis import find_class_axis
from kerastorch.losses.torch_losses import TorchLoss
from kerastorch.module.base_module import AuxiliaryLosses
from kerastorch.training.constant_output_check import warn_of_constant_output
from kerastorch.training.fused_activation import FinalActivation, LogitsRecorder
from kerastorch.training.step_output import LossOutput

_PROBABILITY_LOSS = {"softmax": "sparse_categorical_crossentropy", "sigmoid": "binary_crossentropy"}


class WholeLoss(Protocol):
    """A loss that is computed from all that the model returns."""

    def __call__(self, y: Any, y_pred: Any, sample_weight: Any) -> LossOutput: ...


@dataclass
class LossPassState:
    """State of the compiled loss during one pass over data.

    Targets in memory are validated as a whole when the outputs of the first batch exist, those of a loader or generator
    in the first batch only: examining each batch would wait for the device.

    Attributes:
        module: The model.
        final_activation: Activation that the model ends in.
        on_logits: Loss that takes the input of that activation instead of its output; `None` if the losses differ.
        recorder: Records this input.
        targets: All targets of the pass, if they are in memory.
        tree: Names of the outputs in their structure.
        names: Names of the outputs.
        losses: Losses by output, with the axis of their classes; outputs without a loss are left out.
        factors: Factors of the losses in their sum, by output.
        whole: Loss of all that the model returns, if it is not the sum of the losses of single outputs.
        is_ready: The losses are assigned to the outputs of this pass, and the first batch was validated.
        is_checked: The first batch was validated, here or before the checkpoint that was resumed from.
        counts_rows: A batch counts by its rows in a mean.
        class_numbers: Outputs whose targets are class numbers stored as floats.
        has_masks: One of several outputs has a mask.
        has_activity_penalties: Layers have an `activity_regularizer`.
        aux_losses: Losses that layers have added in the running step.
    """

    module: nn.Module | None = None
    final_activation: FinalActivation | None = None
    on_logits: Loss | None = None
    recorder: LogitsRecorder | None = None
    targets: Any = None
    tree: NameTree = ""
    names: set[str] = field(default_factory=set)
    losses: dict[str, Loss] = field(default_factory=dict)
    factors: dict[str, float] = field(default_factory=dict)
    whole: WholeLoss | None = None
    is_ready: bool = False
    is_checked: bool = False
    counts_rows: bool = False
    class_numbers: set[str] = field(default_factory=set)
    has_masks: bool = False
    has_activity_penalties: bool = False
    aux_losses: AuxiliaryLosses = field(default_factory=AuxiliaryLosses)

    def bind(self, tree: NameTree, losses: Mapping[str, Loss | None], factors: dict[str, float]) -> None:
        """Assign the losses to the outputs of the model.

        Args:
            tree: Names of the outputs in their structure.
            losses: Compiled losses by output; those restored from a checkpoint know the axis of their classes.
            factors: Factors of the losses in their sum, by output.
        """
        self.tree, self.names, self.factors = tree, set(names_in(tree)), factors
        self.losses = {name: self.losses.get(name, loss) for name, loss in losses.items() if loss is not None}
        self.is_ready = True

    def reset(self) -> None:
        """Let the next batch be validated as a first one."""
        self.targets, self.losses, self.is_checked, self.is_ready = None, {}, False, False

    def finalize_logs(self, logs: dict[str, float]) -> dict[str, float]:
        """Replace the loss of several outputs by the sum of their means, if their batches count differently."""
        names = [name for name in self.losses if f"{name}_loss" in logs]
        if len(names) < 2 or not (self.has_masks or not all(self.losses[name].counts_rows(None) for name in names)):
            return logs
        total = sum(self.factors[name] * logs[f"{name}_loss"] for name in names)
        if "data_loss" not in logs:
            return logs | {"loss": total}
        return logs | {"loss": total + logs["loss"] - logs["data_loss"], "data_loss": total}

    def guard_key(self) -> Any:
        """Return what the first batch decided, for comparison; `None` before it."""
        if not self.is_checked:
            return None
        return self.counts_rows, self.has_activity_penalties, self.on_logits is None, sorted(self.class_numbers)

    def state_dict(self) -> dict[str, Any]:
        """Return what the first batch decided, as plain values."""
        return {
            "checked": self.is_checked,
            "counts_rows": self.counts_rows,
            "class_numbers": sorted(self.class_numbers),
            "masked": self.has_masks,
            "on_logits": self.on_logits is not None,
            "class_axes": {name: loss.class_axis for name, loss in self.losses.items()},
        }

    def load_state_dict(self, state: Mapping[str, Any], losses: Mapping[str, Loss | None]) -> None:
        """Restore what `state_dict` returned.

        Args:
            state: What `state_dict` returned in another process.
            losses: The compiled losses by output.
        """
        self.is_checked, self.counts_rows, self.has_masks = state["checked"], state["counts_rows"], state["masked"]
        self.class_numbers = set(state["class_numbers"])
        for name, axis in state.get("class_axes", {}).items():
            loss = losses[name]
            assert loss is not None
            self.losses[name] = loss if axis is None else loss.on_axis(axis)
            if self.on_logits is not None and axis is not None:
                self.on_logits = self.on_logits.on_axis(axis)
        if not state["on_logits"]:
            self.on_logits = None

    def add_output(self, name: str, loss: Loss, y: Tensor, y_pred: Tensor, *, is_only: bool) -> None:
        """Validate the targets and the first batch of one output; store what they decide for the pass.

        Args:
            name: Output, `''` for the only one.
            loss: Its compiled loss.
            y: Targets of the first batch, or all of them if they are in memory.
            y_pred: Outputs of the first batch.
            is_only: The model has no other output.

        Raises:
            ValueError: Targets or outputs that the loss cannot take.
        """
        if not y_pred.ndim:
            raise ValueError(
                f"loss {loss.name!r} compares outputs with targets, and the model returned a scalar"
                f"{f' as {name!r}' if name else ''}. If it is the loss itself, write compile(loss='model')."
            )
        loss = self.losses[name] = self._with_class_axis(name, loss, y, y_pred)
        self._choose_logits(loss, y_pred.ndim, is_only)
        if is_only:
            warn_of_constant_output(self.final_activation, y_pred)
            self.counts_rows = loss.counts_rows(None if self.targets is None else y)
        with torch.no_grad():
            here, outputs = y.to(y_pred.device), y_pred.detach()
            loss.check(here, outputs)
            if here.is_floating_point() and loss.align(here[: len(outputs)], outputs).dtype == torch.int64:
                self.class_numbers.add(name)

    def _with_class_axis(self, name: str, loss: Loss, y: Tensor, y_pred: Tensor) -> Loss:
        """Return the loss of an output with the axis of its classes."""
        if not loss.has_class_axis or loss.class_axis is not None:
            return loss
        known = known_channel_axes(self.module).get(name) if self.module is not None and y_pred.ndim > 2 else None
        return loss.on_axis(find_class_axis(loss.name, y[: len(y_pred)], y_pred, known=known))

    def _choose_logits(self, loss: Loss, n_axes: int, is_only: bool) -> None:
        """Drop the loss on logits if the softmax is over another axis than the classes.

        Raises:
            ValueError: The loss expects logits, and the model ends in the activation that the loss applies.
        """
        last = self.final_activation
        if (
            last is not None
            and last.kind == "softmax"
            and (last.axis is None or loss.class_axis is None or last.axis % n_axes != loss.class_axis % n_axes)
        ):
            self.on_logits = None
        elif self.on_logits is not None and loss.class_axis is not None:
            self.on_logits = self.on_logits.on_axis(loss.class_axis)
        if last is not None and loss.from_logits and is_only and last.kind == loss.link:
            word = {"softmax": "Softmax", "sigmoid": "Sigmoid"}[last.kind]
            instead = f", or use '{_PROBABILITY_LOSS[last.kind]}'" if isinstance(loss, TorchLoss) else ""
            if "from_logits" in vars(loss) and not instead:  # an option, not a constant of the class
                instead = ", or use from_logits=False"
            raise ValueError(
                f"The model ends in {word} but loss {loss.name!r} expects logits. Remove the {word}{instead}."
            )


def check_batch_weights(sample_weight: Any) -> None:
    """Raise an error if a weight of the first batch is negative or not finite."""
    for _, weight in leaves(sample_weight):
        if bool(((weight < 0) | ~torch.isfinite(weight)).any()):
            check_weights(weight)
