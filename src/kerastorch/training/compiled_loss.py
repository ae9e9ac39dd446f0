"""CompiledLoss: the losses of all outputs, weighted, plus the penalties."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from typing import Any

import torch
from torch import Tensor, nn

from kerastorch.checkpoint.module_state import capture_module_state, check_module_state, restore_module_state
from kerastorch.core.errors import check_float
from kerastorch.data.arrays import check_weights
from kerastorch.losses import registry
from kerastorch.losses.alignment import to_class_numbers
from kerastorch.losses.base import Loss
from kerastorch.regularizers import Penalty
from kerastorch.training.auxiliary_losses import collect_auxiliary_losses
from kerastorch.training.fused_activation import FinalActivation, record_logits
from kerastorch.training.loss_pass import LossPassState
from kerastorch.training.output_masks import masked
from kerastorch.training.output_names import by_output, check_outputs, quoted, targets_by_output
from kerastorch.training.step_output import LossOutput


class CompiledLoss:
    """The losses that `compile` was given, called with targets and outputs.

    Args:
        loss: One loss, or a list or dict of them by output; anything `losses.get` takes.
        loss_weights: Factor of each loss in the sum, in the same structure. Default 1.
        names: Names of the model's outputs, if they are a list and have names.

    Attributes:
        any_loss: Whether any output has a loss.
    """

    def __init__(self, loss: Any, loss_weights: Any = None, names: Sequence[str] | None = None) -> None:
        self.names = names
        self._several = isinstance(loss, (list, tuple, Mapping))
        self.losses: dict[str, Loss | None] = {
            name: None if one is None else registry.get(one) for name, one in by_output(loss, names).items()
        }
        self._weights = _weights(loss_weights, self.losses, names)
        self.any_loss = any(one is not None for one in self.losses.values())
        self._penalties: list[Penalty] = []
        self._pass = LossPassState()

    def parameters(self) -> list[nn.Parameter]:
        """Return the parameters that the losses themselves learn."""
        return [p for module in self.modules() for p in module.parameters()]

    def modules(self) -> list[nn.Module]:
        """Return the losses that are torch modules."""
        functions = [getattr(loss, "function", loss) for loss in self.losses.values()]
        return [function for function in functions if isinstance(function, nn.Module)]

    @property
    def averages(self) -> bool:
        """Return whether the mean over an epoch is independent of the batch size."""
        return all(loss is None or loss.is_mean_over_rows() for loss in self.losses.values())

    @property
    def names_parts(self) -> bool:
        """Return whether the loss of each output is logged: if there are several."""
        return sum(loss is not None for loss in self.losses.values()) > 1

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
        names = [name for name, loss in self.losses.items() if loss is not None and f"{name}_loss" in logs]
        if len(names) < 2 or not self._counts_differ:
            return logs
        total = sum(self._weights.get(name, 1.0) * logs[f"{name}_loss"] for name in names)
        if "data_loss" not in logs:
            return logs | {"loss": total}
        return logs | {"loss": total + logs["loss"] - logs["data_loss"], "data_loss": total}

    @property
    def _counts_differ(self) -> bool:
        return self._pass.has_masks or any(
            loss is not None and not loss.counts_rows(None) for loss in self.losses.values()
        )

    def loss_of(self, output: str) -> Loss | None:
        """Return the loss of an output; the only output has the name `''`."""
        return self.losses.get(output)

    @property
    def is_checked(self) -> bool:
        """Return whether the first batch of the pass was validated."""
        return self._pass.is_checked

    def guard_key(self) -> Any:
        """Return what the first batch decided for the pass, for comparison; `None` before it."""
        return self._pass.guard_key()

    def state_dict(self) -> dict[str, Any]:
        """Return the state of losses that learn, and what the first batch decided for this pass."""
        return {"losses": [capture_module_state(module) for module in self.modules()], **self._pass.state_dict()}

    def check_state(self, state: Mapping[str, Any]) -> None:
        """Raise a `CheckpointError` if `load_state_dict` could restore only a part of a state."""
        if _is_of_same_outputs(self, state):
            for module, saved in zip(self.modules(), state["losses"], strict=True):
                check_module_state(module, saved)

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Restore what `state_dict` returned, in a running pass.

        If the losses are different ones, nothing is restored and the next batch is validated as a first one; the
        resumed fit warns about them.
        """
        if not _is_of_same_outputs(self, state):
            return
        for module, saved in zip(self.modules(), state["losses"], strict=True):
            restore_module_state(module, saved)
        self._pass.load_state_dict(state, self.losses)

    def begin_step(self) -> None:
        """Clear the losses that layers added since the last step."""
        if self._pass.aux_losses:
            self._pass.aux_losses.clear()

    def __call__(
        self, y: Any, y_pred: Any, sample_weight: Tensor | None, masks: Mapping[str, Tensor] | None = None
    ) -> LossOutput:
        """Compute the loss of a batch.

        Args:
            y: Targets, a tensor or a structure of them like the outputs.
            y_pred: Outputs of the model.
            sample_weight: One weight for each row.
            masks: Output name -> boolean mask of the values that count.
        """
        now = self._pass
        if not now.is_checked:
            self._check(y, y_pred, sample_weight)
        masks = masks or {}
        try:
            if not self.any_loss:  # only what the model adds to the loss itself
                output = LossOutput(now.aux_losses[0].new_zeros(()), {}, None, {})
            elif isinstance(y_pred, Tensor) and not self._several:
                output = self._single(y, y_pred, sample_weight, masks.get(""))
            else:
                output = self._sum(by_output(y_pred, self.names), self._targets(y, y_pred), sample_weight, masks)
        except (IndexError, RuntimeError):
            now.targets = None
            self._check(y, y_pred, None)  # raises a sentence instead, if the first batch would have been refused
            raise
        if not (self._penalties or now.aux_losses or now.has_activity_penalties):
            return output
        total, parts, weight, weights = output
        parts["data_loss"] = total
        for penalty in self._penalties:
            total = total + penalty.regularizer(penalty.weight)
        for auxiliary in now.aux_losses:
            total = total + auxiliary
        return LossOutput(total, parts, weight, weights)

    def _targets(self, y: Any, y_pred: Any) -> dict[str, Any]:
        return targets_by_output(y, y_pred, self.names, [name for name, loss in self.losses.items() if loss])

    def _single(self, y: Any, y_pred: Tensor, sample_weight: Tensor | None, mask: Tensor | None) -> LossOutput:
        """Compute the loss of the only output."""
        now = self._pass
        loss = now.losses.get("") or self.losses[""]
        assert loss is not None
        y = y if isinstance(y, Tensor) else self._targets(y, y_pred)[""]
        if "" in now.class_numbers:
            y = self._class_numbers(y)
        count = None if now.counts_rows else loss.count(y, sample_weight)
        if mask is not None:
            sample_weight, count = masked(sample_weight, mask)
        if now.recorder is not None and now.on_logits is not None:
            logits = now.recorder.logits(y_pred)
            if logits is not None:
                loss, y_pred = now.on_logits, logits
        weight = self._weights.get("", 1.0)
        value = loss(y, y_pred, sample_weight)
        return LossOutput(value if weight == 1 else weight * value, {}, count, {})

    def _sum(
        self,
        y_pred: dict[str, Tensor],
        y: dict[str, Any],
        sample_weight: Tensor | None,
        masks: Mapping[str, Tensor],
    ) -> LossOutput:
        """Compute the weighted sum of the losses of several outputs."""
        total: Tensor | None = None
        parts: dict[str, Tensor] = {}
        batch_weight: int | Tensor | None = None
        part_weights: dict[str, int | Tensor] = {}
        for name, loss in self.losses.items():
            if loss is None:
                continue
            loss = self._pass.losses.get(name, loss)
            target = self._class_numbers(y[name]) if name in self._pass.class_numbers else y[name]
            weights, count = sample_weight, loss.count(target, sample_weight)
            if name in masks:
                weights, count = masked(sample_weight, masks[name])
                self._pass.has_masks = True
            value = loss(target, y_pred[name], weights)
            if self.names_parts:
                parts[f"{name}_loss"] = value
                part_weights[f"{name}_loss"] = count
                if isinstance(count, Tensor):
                    value = torch.where(count > 0, value, 0.0)  # the mean of no values is NaN; it must add nothing
            else:
                batch_weight = count
            weight = self._weights.get(name, 1.0)
            value = value if weight == 1 else weight * value
            total = value if total is None else total + value
        assert total is not None
        return LossOutput(total, parts, batch_weight, part_weights)

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
        loss = None if self._several else self.losses.get("")
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

    def _check(self, y: Any, y_pred: Any, sample_weight: Tensor | None) -> None:
        """Validate the outputs and targets of the first batch of a pass."""
        now = self._pass
        now.is_checked = True
        check_outputs(y_pred, [name for name, loss in self.losses.items() if loss], self.names)
        if not self.any_loss:
            if not now.aux_losses:
                raise ValueError("compile() was given no loss; give one, call add_loss, or override compute_loss.")
            return
        if y is None:
            names = ", ".join(loss.name for loss in self.losses.values() if loss is not None)
            raise ValueError(f"loss {names!r} needs y, got None.")
        if sample_weight is not None and bool(((sample_weight < 0) | ~torch.isfinite(sample_weight)).any()):
            check_weights(sample_weight)
        predicted = by_output(y_pred, self.names)
        if set(predicted) != set(self.losses):
            raise ValueError(
                f"The model has outputs {quoted(predicted)}, compile() was given losses for {quoted(self.losses)}."
            )
        targets = self._targets(y if now.targets is None else now.targets, y_pred)
        for name, loss in self.losses.items():
            if loss is None:
                continue
            if targets[name] is None:
                raise ValueError(f"loss {loss.name!r}{f' of output {name!r}' if name else ''} needs y, got None.")
            now.add_output(name, loss, targets[name], predicted[name], is_only=not self._several)


def _weights(given: Any, losses: Mapping[str, Any], names: Sequence[str] | None) -> dict[str, float]:
    """Return `loss_weights` by output; that of the only output may stand alone, in a list or in a dict."""
    found = by_output(given, names)
    if len(found) == len(losses) == 1 and ("" in losses or not isinstance(given, Mapping)):
        found = dict(zip(losses, found.values(), strict=True))
    if given is not None and set(found) != set(losses):
        raise ValueError(f"loss_weights are for {quoted(found)}, losses for {quoted(losses)}; give both alike.")
    return {
        name: 1.0 if weight is None else check_float("loss_weights", weight, advice="Metrics go to metrics=[...].")
        for name, weight in found.items()
    }


def _is_of_same_outputs(compiled: CompiledLoss, state: Mapping[str, Any]) -> bool:
    """Return whether a state is that of as many loss modules, for the same outputs."""
    outputs = {name for name, loss in compiled.losses.items() if loss is not None}
    return len(compiled.modules()) == len(state["losses"]) and state.get("class_axes", {}).keys() <= outputs
