"""CompiledLoss: the losses of all outputs, weighted, plus the penalties."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from typing import Any

import torch
from torch import Tensor, nn

from kerastorch.checkpoint.module_state import capture_module_state, check_module_state, restore_module_state
from kerastorch.losses.alignment import to_class_numbers
from kerastorch.losses.base import Loss
from kerastorch.regularizers import Penalty, add_penalties
from kerastorch.training.auxiliary_losses import collect_auxiliary_losses
from kerastorch.training.fused_activation import FinalActivation, record_logits
from kerastorch.training.loss_pass import LossPassState, check_batch_weights
from kerastorch.training.loss_scales import scale_losses, scale_whole
from kerastorch.training.metric_inputs import MetricInputs
from kerastorch.training.output_losses import OutputLosses
from kerastorch.training.output_masks import masked
from kerastorch.training.output_names import OutputNames, check_outputs
from kerastorch.training.step_output import GlobalWeights, LossOutput
from kerastorch.training.whole_loss import choose_whole_loss


class CompiledLoss:
    """The losses that `compile` was given, called with targets and outputs.

    One loss is the loss of each output. The outputs of a functional model are known at once, others from the first
    batch of a pass.

    Args:
        loss: One loss, or a list, dict or nested structure of them by output; anything `losses.get` takes.
        loss_weights: Factor of each loss in the sum, in the same structure. Default 1.
        names: Names of the model's outputs, as far as they are known.

    Attributes:
        outputs: Which loss belongs to which output.
        metric_inputs: Returns the outputs and targets of a batch for the metrics.
    """

    def __init__(self, loss: Any, loss_weights: Any = None, names: OutputNames | None = None) -> None:
        self.outputs = OutputLosses(loss, loss_weights, OutputNames() if names is None else names)
        self.metric_inputs = MetricInputs(self.outputs)
        self._penalties: list[Penalty] = []
        self._pass = LossPassState()

    @property
    def losses(self) -> Mapping[str, Loss | None]:
        """Losses by output name, as far as the outputs are known; `''` stands for one loss of unknown outputs."""
        return self.outputs.losses

    @property
    def penalties(self) -> tuple[Penalty, ...]:
        """Penalties on weights that are added to the loss."""
        return tuple(self._penalties)

    def set_penalties(self, penalties: Iterable[Penalty]) -> None:
        """Replace the penalties on weights."""
        self._penalties = list(penalties)

    @contextmanager
    def with_penalties(self, penalties: Iterable[Penalty]) -> Iterator[None]:
        """Use other penalties on weights for a while."""
        outer, self._penalties = self._penalties, list(penalties)
        try:
            yield
        finally:
            self._penalties = outer

    def finalize_logs(self, logs: dict[str, float]) -> dict[str, float]:
        """Replace the loss of several outputs by the sum of their means, if their batches count differently.

        Args:
            logs: Means over a pass in which `loss` is what this object returned.
        """
        return self._pass.finalize_logs(logs)

    @property
    def is_checked(self) -> bool:
        """Return whether the first batch of the pass was validated."""
        return self._pass.is_checked

    def guard_key(self) -> Any:
        """Return what the first batch decided, for comparison; `None` before it."""
        decided = self._pass.guard_key()
        return None if decided is None else (decided, self.metric_inputs.guard_key())

    def state_dict(self) -> dict[str, Any]:
        """Return the state of losses that learn, and what the first batch decided for this pass."""
        return {
            "losses": [capture_module_state(module) for module in self.outputs.modules()],
            **self._pass.state_dict(),
            "pairing": self.metric_inputs.state_dict(),
            "is_of_model": self.outputs.is_of_model,
        }

    def check_state(self, state: Mapping[str, Any]) -> None:
        """Raise a `CheckpointError` if `load_state_dict` could restore only a part of a state."""
        if _is_of_same_outputs(self, state):
            for module, saved in zip(self.outputs.modules(), state["losses"], strict=True):
                check_module_state(module, saved)

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Restore what `state_dict` returned, in a running pass.

        If the losses are different ones, nothing is restored and the next batch is validated as a first one; the
        resumed fit warns about them.
        """
        if not _is_of_same_outputs(self, state):
            return
        for module, saved in zip(self.outputs.modules(), state["losses"], strict=True):
            restore_module_state(module, saved)
        self.metric_inputs.load_state_dict(state.get("pairing", {}))
        if state.get("is_of_model", False) and not self.outputs.any_loss:
            self.outputs.adopt_model_loss()
        self._pass.load_state_dict(state, {name: self.outputs.loss_of(name) for name in state.get("class_axes", {})})

    def begin_step(self) -> None:
        """Clear the losses that layers added since the last step."""
        if self._pass.aux_losses:
            self._pass.aux_losses.clear()

    @property
    def n_auxiliary(self) -> int:
        """Return the number of losses that layers have added in the running step."""
        return len(self._pass.aux_losses)

    @property
    def is_of_all_outputs(self) -> bool:
        """Return whether the loss is the model's own, or a criterion of all outputs, as far as is known."""
        return self.outputs.is_of_model or (self._pass.whole is not None and self.outputs.any_loss)

    @property
    def counts_rows(self) -> bool:
        """Return whether the first batch has shown that batches count by their rows in a mean."""
        return self._pass.counts_rows

    def release(self) -> None:
        """Drop the tensors of a step that failed."""
        self.begin_step()
        if self._pass.recorder is not None:
            self._pass.recorder.clear()

    def __call__(
        self,
        y: Any,
        y_pred: Any,
        sample_weight: Any = None,
        masks: Mapping[str, Tensor] | None = None,
        global_weights: GlobalWeights | None = None,
    ) -> LossOutput:
        """Compute the loss of a batch, or of the part of a batch that a rank computes.

        Args:
            y: Targets, a tensor or a structure of them like the outputs.
            y_pred: Outputs of the model.
            sample_weight: One weight for each row; or a structure of such weights by output.
            masks: Output name -> boolean mask of the values that count.
            global_weights: Scales the losses of a part, so that their mean over all parts is that of the batch.
        """
        now = self._pass
        if not now.is_ready:
            self._prepare(y, y_pred, sample_weight)
        masks = masks or {}
        try:
            if now.whole is not None:
                output = scale_whole(now.whole(y, y_pred, sample_weight), global_weights)
            elif isinstance(y_pred, Tensor):
                output = self._single(y, y_pred, sample_weight, masks.get(""), global_weights)
            elif (main := self.outputs.main_output(y, y_pred)) is not None:
                output = self._single(y, main, sample_weight, None, global_weights)
            else:
                output = self._sum(y, y_pred, sample_weight, masks, global_weights)
        except (IndexError, RuntimeError):
            now.reset()
            self._prepare(y, y_pred, None)  # raises a sentence instead, if the first batch would have been refused
            raise
        if not (self._penalties or now.aux_losses or now.has_activity_penalties):
            return output
        total, parts, weight, weights = output
        if self._penalties or len(now.aux_losses) or now.has_activity_penalties:
            parts["data_loss"] = total
        parts |= now.aux_losses.metric_means()
        total = add_penalties(total, self._penalties)
        for auxiliary in now.aux_losses:
            total = total + auxiliary
        return LossOutput(total, parts, weight, weights)

    def targets(self, y: Any, also_wanted: Collection[str] = ()) -> dict[str, Any]:
        """Return the targets of a batch by output name.

        Args:
            y: The targets as the data hold them.
            also_wanted: Outputs that need a target though they have no loss.

        Raises:
            ValueError: The targets have another structure than the outputs.
        """
        now = self._pass
        return self.outputs.names.targets(y, now.tree, now.losses, also_wanted)

    def _single(
        self,
        y: Any,
        y_pred: Tensor,
        sample_weight: Any,
        mask: Tensor | None,
        global_weights: GlobalWeights | None,
    ) -> LossOutput:
        """Compute the loss of the only output."""
        now = self._pass
        loss = now.losses.get("")
        if loss is None:  # the model returned several outputs before
            self._prepare(y, y_pred, sample_weight)
            loss = now.losses[""]
        y = y if isinstance(y, Tensor) else self.targets(y)[""]
        if sample_weight is not None and not isinstance(sample_weight, Tensor):
            sample_weight = self.outputs.names.weights(sample_weight, "", now.losses)[""]
        if "" in now.class_numbers:
            y = self._class_numbers(y)
        count = None if now.counts_rows else loss.count(y, sample_weight)
        if mask is not None:
            sample_weight, count = masked(sample_weight, mask)
        if now.recorder is not None and now.on_logits is not None:
            logits = now.recorder.logits(y_pred)
            if logits is not None:
                loss, y_pred = now.on_logits, logits
        factor = now.factors[""]
        value = loss(y, y_pred, sample_weight)
        if global_weights is not None:
            (value,), (count,) = scale_losses([loss], [value], [count], global_weights)
        return LossOutput(value if factor == 1 else factor * value, {}, count, {})

    def _sum(
        self,
        y: Any,
        y_pred: Any,
        sample_weight: Any,
        masks: Mapping[str, Tensor],
        global_weights: GlobalWeights | None,
    ) -> LossOutput:
        """Compute the weighted sum of the losses of several outputs."""
        now, predicted = self._pass, self.outputs.names.flatten(y_pred)
        if predicted.keys() != now.names:  # the model returned other outputs before
            self._prepare(y, y_pred, sample_weight)
        targets = self.targets(y)
        weights = self.outputs.names.weights(sample_weight, now.tree, now.losses)
        values: list[Tensor] = []
        counts: list[Any] = []
        for name, loss in now.losses.items():
            target, weight = targets[name], weights[name]
            if name in now.class_numbers:
                target = self._class_numbers(target)
            count = loss.count(target, weight)
            if name in masks:
                weight, count = masked(weight, masks[name])
                now.has_masks = True
            values.append(loss(target, predicted[name], weight))
            counts.append(count)
        scaled, scaled_counts = scale_losses(list(now.losses.values()), values, counts, global_weights)
        if len(values) == 1:
            factor = now.factors[next(iter(now.losses))]
            return LossOutput(scaled[0] if factor == 1 else factor * scaled[0], {}, scaled_counts[0], {})
        total: Tensor | None = None
        for name, value, count in zip(now.losses, scaled, counts, strict=True):
            if isinstance(count, Tensor):
                value = torch.where(count > 0, value, 0.0)  # the mean of no values is NaN; it must add nothing
            factor = now.factors[name]
            value = value if factor == 1 else factor * value
            total = value if total is None else total + value
        assert total is not None
        names = [f"{name}_loss" for name in now.losses]
        parts = dict(zip(names, values, strict=True))
        return LossOutput(total, parts, None, dict(zip(names, counts, strict=True)))

    def _class_numbers(self, y: Tensor) -> Tensor:
        """Return class numbers that are floats as int64; targets in memory were validated with the first batch."""
        return to_class_numbers(y) if self._pass.targets is None else y.to(torch.int64)

    @contextmanager
    def attach(self, module: nn.Module, final_activation: FinalActivation | None, targets: Any) -> Iterator[None]:
        """Install for one pass the hooks that record logits and auxiliary losses.

        Args:
            module: The model.
            final_activation: Activation the model ends in.
            targets: All targets of the pass if they are in memory: they are validated whole, with the first batch.
        """
        loss = self.losses.get("")
        fuses = loss is not None and final_activation is not None and loss.link == final_activation.kind
        now = LossPassState(
            module=module,
            final_activation=final_activation,
            targets=targets,
            on_logits=loss.on_logits() if loss is not None and fuses else None,
        )
        outer, self._pass = self._pass, now
        try:
            with ExitStack() as stack:
                recorded = final_activation if now.on_logits is not None else None
                now.recorder = stack.enter_context(record_logits(recorded))
                now.has_activity_penalties = stack.enter_context(collect_auxiliary_losses(module, now.aux_losses))
                yield
        finally:
            self._pass = outer

    def _prepare(self, y: Any, y_pred: Any, sample_weight: Any) -> None:
        """Assign the losses to the outputs of the first batch of a pass, and validate the batch."""
        now = self._pass
        if y_pred is None:
            raise ValueError("forward() returned None; is a return missing?")
        now.whole = choose_whole_loss(self.outputs, now, y, y_pred)
        if now.whole is not None:
            now.bind(self.outputs.names.tree(y_pred), {}, {})
            if not now.is_checked:
                check_batch_weights(sample_weight)
            now.is_checked = True
            return
        main = self.outputs.main_output(y, y_pred)
        y_pred = y_pred if main is None else main
        tree, predicted = self.outputs.names.tree(y_pred), self.outputs.names.flatten(y_pred)
        now.bind(tree, *self.outputs.assign(predicted, tree))
        if not now.is_checked:
            self._check(y, predicted, sample_weight)

    def _check(self, y: Any, predicted: Mapping[str, Any], sample_weight: Any) -> None:
        """Validate the outputs and targets of the first batch of a pass."""
        now = self._pass
        now.is_checked = True
        check_outputs(predicted, now.losses)
        if y is None:
            names = ", ".join(dict.fromkeys(loss.name for loss in now.losses.values()))
            raise ValueError(f"loss {names!r} needs y, got None.")
        check_batch_weights(sample_weight)
        targets = self.targets(y if now.targets is None else now.targets)
        for name, loss in list(now.losses.items()):
            if targets[name] is None:
                raise ValueError(f"loss {loss.name!r}{f' of output {name!r}' if name else ''} needs y, got None.")
            now.add_output(name, loss, targets[name], predicted[name], is_only=now.tree == "")


def _is_of_same_outputs(compiled: CompiledLoss, state: Mapping[str, Any]) -> bool:
    """Return whether a state is that of as many loss modules, for the same outputs."""
    known = all(compiled.outputs.loss_of(name) is not None for name in state.get("class_axes", {}))
    return len(compiled.outputs.modules()) == len(state["losses"]) and known
