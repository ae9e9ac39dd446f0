"""Objective: what is minimised — the losses of all outputs, weighted, plus the penalties."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn

from kerastorch.checkpoint.module_state import capture_module_state, restore_module_state
from kerastorch.core.channel_tracking import known_channel_axes
from kerastorch.core.errors import check_float
from kerastorch.data.arrays import check_weights
from kerastorch.losses import registry
from kerastorch.losses.alignment import to_class_numbers
from kerastorch.losses.base import Loss
from kerastorch.losses.class_axis import find_class_axis
from kerastorch.losses.torch_losses import TorchLoss
from kerastorch.regularizers import Penalty
from kerastorch.training.auxiliary_losses import collect_auxiliary_losses
from kerastorch.training.constant_output_check import warn_of_constant_end
from kerastorch.training.fused_activation import FinalActivation, LogitsRecorder, record_logits
from kerastorch.training.output_masks import masked
from kerastorch.training.output_names import by_output, check_outputs, quoted, targets_by_output


@dataclass
class LossPassState:
    """What holds for one pass over data."""

    tail: FinalActivation | None = None  # the activation the model ends in
    tap: LogitsRecorder | None = None  # hears what goes into it
    on_logits: Loss | None = None  # the loss on that
    module: nn.Module | None = None  # the model
    losses: dict[str, Loss] = field(default_factory=dict)  # with the axis of their classes
    targets: Any = None  # all of them, where they are in memory
    checked: bool = False  # the first batch was looked at
    counts_rows: bool = False  # a batch counts its rows
    class_numbers: set[str] = field(default_factory=set)  # outputs whose targets are class numbers in floats
    masked: bool = False  # one of several outputs has a mask
    charges: bool = False  # outputs of layers are charged for
    activities: list[Tensor] = field(default_factory=list)  # those of the running step


class CompiledLoss:
    """Called with targets and outputs; leaves what it found in `parts` and `count`.

    Args:
        loss: one loss, or a list or dict of them by output; anything `losses.get` takes.
        loss_weights: how much each counts, in the same structure.
        names: of the model's outputs where they are a list and have names.

    Attributes:
        parts: the summands of the last call that logs show beside `loss`: `data_loss`, `<output>_loss`.
        count: how much the last batch counts in a mean over batches; `None` for its number of rows.
        counts: the same for single names of `parts`.
        total: what the last call returned.
    """

    def __init__(self, loss: Any, loss_weights: Any = None, names: Sequence[str] | None = None) -> None:
        self.names = names
        self._several = isinstance(loss, (list, tuple, Mapping))
        self.losses: dict[str, Loss | None] = {
            name: None if one is None else registry.get(one) for name, one in by_output(loss, names).items()
        }
        self._weights = _weights(loss_weights, self.losses, names)
        self.penalties: list[Penalty] = []
        self.parts: dict[str, Tensor] = {}
        self.count: int | Tensor | None = None
        self.counts: dict[str, int | Tensor] = {}
        self.total: Tensor | None = None
        self._pass = LossPassState()

    def parameters(self) -> list[nn.Parameter]:
        """What the losses themselves learn."""
        return [p for module in self._modules() for p in module.parameters()]

    def _modules(self) -> list[nn.Module]:
        functions = [getattr(loss, "function", loss) for loss in self.losses.values()]
        return [function for function in functions if isinstance(function, nn.Module)]

    @property
    def any_loss(self) -> bool:
        """Whether there is a loss at all."""
        return any(loss is not None for loss in self.losses.values())

    @property
    def averages(self) -> bool:
        """Whether batches of any size give the same mean."""
        return all(loss is None or loss.is_mean_over_rows() for loss in self.losses.values())

    @property
    def names_parts(self) -> bool:
        """Whether outputs' losses are logged one by one: where there are several."""
        return sum(loss is not None for loss in self.losses.values()) > 1

    def settled(self, logs: dict[str, float]) -> dict[str, float]:
        """The numbers of a pass, the loss of several outputs being made of theirs, whose batches may count unalike."""
        names = [name for name, loss in self.losses.items() if loss is not None and f"{name}_loss" in logs]
        if not self._unalike or len(names) < 2:
            return logs
        total = sum(self._weights.get(name, 1.0) * logs[f"{name}_loss"] for name in names)
        if "data_loss" not in logs:
            return logs | {"loss": total}
        return logs | {"loss": total + logs["loss"] - logs["data_loss"], "data_loss": total}

    @property
    def _unalike(self) -> bool:
        return self._pass.masked or any(
            loss is not None and not loss.counts_rows(None) for loss in self.losses.values()
        )

    def loss_of(self, output: str) -> Loss | None:
        """The loss of an output, `''` being the only one."""
        return self.losses.get(output)

    @property
    def checked(self) -> bool:
        """Whether the first batch of the pass was looked at."""
        return self._pass.checked

    def settled_facts(self) -> Any:
        """What the first batch settled for the pass; `None` before it."""
        now = self._pass
        return (now.counts_rows, now.charges, now.on_logits is None, sorted(now.class_numbers)) if now.checked else None

    def state_dict(self) -> dict[str, Any]:
        """What the losses learn, and what the first batch settled for this pass."""
        now = self._pass
        return {
            "losses": [capture_module_state(module) for module in self._modules()],
            "checked": now.checked,
            "counts_rows": now.counts_rows,
            "class_numbers": sorted(now.class_numbers),
            "masked": now.masked,
            "on_logits": now.on_logits is not None,
            "class_axes": {name: loss.class_axis for name, loss in now.losses.items()},
        }

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on from there, in a pass that is under way."""
        if len(self._modules()) != len(state["losses"]) or not state.get("class_axes", {}).keys() <= self.losses.keys():
            return  # other losses, which the resumed fit warns about; the first batch is checked again
        for module, saved in zip(self._modules(), state["losses"], strict=True):
            restore_module_state(module, saved)
        now = self._pass
        now.checked, now.counts_rows, now.masked = state["checked"], state["counts_rows"], state["masked"]
        now.class_numbers = set(state["class_numbers"])
        for name, axis in state.get("class_axes", {}).items():
            loss = self.losses[name]
            assert loss is not None
            now.losses[name] = loss if axis is None else loss.on_axis(axis)
            if now.on_logits is not None and axis is not None:
                now.on_logits = now.on_logits.on_axis(axis)
        if not state["on_logits"]:
            now.on_logits = None

    def forget(self) -> None:
        """Drop what the last step left; called before each."""
        self.count = None
        if self._pass.activities:
            self._pass.activities.clear()

    def __call__(
        self, y: Any, y_pred: Any, sample_weight: Tensor | None, masks: Mapping[str, Tensor] | None = None
    ) -> Tensor:
        """The loss: a scalar to be minimised; of an output in `masks`, of the values that are `True` there."""
        if not self._pass.checked:
            self._check(y, y_pred, sample_weight)
        self.parts = {}
        masks = masks or {}
        try:
            if not self.any_loss:
                total = self._pass.activities[0].new_zeros(())  # what the model adds by itself is all there is
            elif isinstance(y_pred, Tensor) and not self._several:
                total = self._single(y, y_pred, sample_weight, masks.get(""))
            else:
                total = self._sum(by_output(y_pred, self.names), self._targets(y, y_pred), sample_weight, masks)
        except (IndexError, RuntimeError):
            self._pass.targets = None
            self._check(y, y_pred, None)  # in words, if it is what a first batch is refused for
            raise
        charges = [penalty.regularizer(penalty.weight) for penalty in self.penalties] + self._pass.activities
        if charges or self._pass.charges:
            self.parts["data_loss"] = total
        for charge in charges:
            total = total + charge
        self.total = total
        return total

    def _targets(self, y: Any, y_pred: Any) -> dict[str, Any]:
        return targets_by_output(y, y_pred, self.names, [name for name, loss in self.losses.items() if loss])

    def _single(self, y: Any, y_pred: Tensor, sample_weight: Tensor | None, mask: Tensor | None) -> Tensor:
        now = self._pass
        loss = now.losses.get("") or self.losses[""]
        assert loss is not None
        y = y if isinstance(y, Tensor) else self._targets(y, y_pred)[""]
        if "" in now.class_numbers:
            y = self._class_numbers(y)
        self.count = None if now.counts_rows else loss.count(y, sample_weight)
        if mask is not None:
            sample_weight, self.count = masked(sample_weight, mask)
        if now.tap is not None and now.on_logits is not None:
            logits = now.tap.logits(y_pred)
            if logits is not None:
                loss, y_pred = now.on_logits, logits
        weight = self._weights.get("", 1.0)
        value = loss(y, y_pred, sample_weight)
        return value if weight == 1 else weight * value

    def _sum(
        self,
        y_pred: dict[str, Tensor],
        y: dict[str, Any],
        sample_weight: Tensor | None,
        masks: Mapping[str, Tensor],
    ) -> Tensor:
        total: Tensor | None = None
        for name, loss in self.losses.items():
            if loss is None:
                continue
            loss = self._pass.losses.get(name, loss)
            target = self._class_numbers(y[name]) if name in self._pass.class_numbers else y[name]
            weights, count = sample_weight, loss.count(target, sample_weight)
            if name in masks:
                weights, count = masked(sample_weight, masks[name])
                self._pass.masked = True
            value = loss(target, y_pred[name], weights)
            if self.names_parts:
                self.parts[f"{name}_loss"] = value
                self.counts[f"{name}_loss"] = count
            else:
                self.count = count
            if self.names_parts and isinstance(count, Tensor):
                value = torch.where(count > 0, value, 0.0)  # a mean of nothing is NaN, and adds nothing
            weight = self._weights.get(name, 1.0)
            value = value if weight == 1 else weight * value
            total = value if total is None else total + value
        assert total is not None
        return total

    def _class_numbers(self, y: Tensor) -> Tensor:
        """Return class numbers that are floats as int64; those in memory were looked at already."""
        return to_class_numbers(y) if self._pass.targets is None else y.to(torch.int64)

    @contextmanager
    def attach(self, module: nn.Module, tail: FinalActivation | None, targets: Any) -> Iterator[None]:
        """For one call of `fit` or `evaluate`: hear the tail's logits and the activity penalties of layers.

        Args:
            module: the model.
            tail: the activation it ends in.
            targets: all targets where they are in memory: checked whole, at the first batch.
        """
        loss = None if self._several else self.losses.get("")
        fuses = loss is not None and tail is not None and loss.link == tail.kind
        now = LossPassState(
            module=module,
            tail=tail,
            targets=targets,
            on_logits=loss.on_logits() if loss is not None and fuses else None,
        )
        outer, self._pass = self._pass, now
        try:
            with ExitStack() as stack:
                now.tap = stack.enter_context(record_logits(tail if now.on_logits is not None else None))
                now.charges = stack.enter_context(collect_auxiliary_losses(module, now.activities))
                yield
        finally:
            self._pass = outer

    def _check(self, y: Any, y_pred: Any, sample_weight: Tensor | None) -> None:
        """At the first batch: outputs and targets that cannot be meant are refused in words."""
        now = self._pass
        now.checked = True
        check_outputs(y_pred, [name for name, loss in self.losses.items() if loss], self.names)
        if not self.any_loss:
            if not now.activities:
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
            loss = now.losses[name] = self._with_class_axis(name, loss, targets[name], predicted[name])
            self._check_tail(loss, predicted[name].ndim)
            if not self._several:
                warn_of_constant_end(now.tail, predicted[name])
                now.counts_rows = loss.counts_rows(None if now.targets is None else targets[name])
            with torch.no_grad():
                given, seen = targets[name].to(predicted[name].device), predicted[name].detach()
                loss.check(given, seen)
                if given.is_floating_point() and loss.align(given[: len(seen)], seen).dtype == torch.int64:
                    now.class_numbers.add(name)

    def _with_class_axis(self, name: str, loss: Loss, y: Tensor, y_pred: Tensor) -> Loss:
        """Return the loss of an output with the axis of its classes, as this pass has it."""
        if not loss.has_class_axis or loss.class_axis is not None:
            return loss
        module = self._pass.module
        known = known_channel_axes(module).get(name) if module is not None and y_pred.ndim > 2 else None
        return loss.on_axis(find_class_axis(loss.name, y[: len(y_pred)], y_pred, known=known))

    def _check_tail(self, loss: Loss, axes: int) -> None:
        tail = self._pass.tail
        if (
            tail is not None
            and tail.kind == "softmax"
            and (tail.axis is None or loss.class_axis is None or tail.axis % axes != loss.class_axis % axes)
        ):
            self._pass.on_logits = None  # a softmax over something else than the classes
        elif self._pass.on_logits is not None and loss.class_axis is not None:
            self._pass.on_logits = self._pass.on_logits.on_axis(loss.class_axis)
        if tail is None or not loss.from_logits or self._several:
            return
        ends = tail.kind
        if ends == loss.link:
            word = {"softmax": "Softmax", "sigmoid": "Sigmoid"}[ends]
            instead = f"'{_PROBABILITY_LOSS[ends]}'" if isinstance(loss, TorchLoss) else "from_logits=False"
            raise ValueError(
                f"The model ends in {word} but loss {loss.name!r} expects logits. Remove the {word}, or use {instead}."
            )


_PROBABILITY_LOSS = {"softmax": "sparse_categorical_crossentropy", "sigmoid": "binary_crossentropy"}


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
