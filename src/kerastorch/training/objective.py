"""Objective: what is minimised — the losses of all outputs, weighted, plus the penalties."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn

from kerastorch.data.arrays import check_weights
from kerastorch.errors import number
from kerastorch.layers.state import load_state, state_of
from kerastorch.losses import lookup
from kerastorch.losses.base import Loss
from kerastorch.losses.foreign import TorchLoss
from kerastorch.regularizers import Penalty
from kerastorch.training.charges import heard
from kerastorch.training.constant_end import warn_of_constant_end
from kerastorch.training.masking import masked
from kerastorch.training.tail import Tail, Tap, tapped


@dataclass
class _Pass:
    """What holds for one pass over data."""

    tail: Tail | None = None  # the activation the model ends in
    tap: Tap | None = None  # hears what goes into it
    on_logits: Loss | None = None  # the loss on that
    targets: Any = None  # all of them, where they are in memory
    checked: bool = False  # the first batch was looked at
    counts_rows: bool = False  # a batch counts its rows
    class_numbers: set[str] = field(default_factory=set)  # outputs with targets that are floats, but all of them whole
    masked: bool = False  # one of several outputs has a mask
    charges: bool = False  # outputs of layers are charged for
    activities: list[Tensor] = field(default_factory=list)  # those of the running step


class Objective:
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
            name: None if one is None else lookup.get(one) for name, one in by_output(loss, names).items()
        }
        self._weights = {
            name: 1.0 if weight is None else number("loss_weights", weight, advice="Metrics go to metrics=[...].")
            for name, weight in by_output(loss_weights, names).items()
        }
        if loss_weights is not None and set(self._weights) != set(self.losses):
            raise ValueError(
                f"loss_weights are for {_names(self._weights)}, losses for {_names(self.losses)}; give both alike."
            )
        self.penalties: list[Penalty] = []
        self.parts: dict[str, Tensor] = {}
        self.count: int | Tensor | None = None
        self.counts: dict[str, int | Tensor] = {}
        self.total: Tensor | None = None
        self._pass = _Pass()

    def _outputs(self, data: Any, like: Any = None) -> dict[str, Any]:
        return outputs(data, like, self.names)

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
        return all(loss is None or loss.averages() for loss in self.losses.values())

    @property
    def names_parts(self) -> bool:
        """Whether outputs' losses are logged one by one: where there are several."""
        return sum(loss is not None for loss in self.losses.values()) > 1

    def settled(self, logs: dict[str, float]) -> dict[str, float]:
        """The numbers of a pass, the loss of several outputs being made of theirs, whose batches may count unalike."""
        names = [name for name, loss in self.losses.items() if loss is not None and f"{name}_loss" in logs]
        if not self._unalike or len(names) < 2 or "data_loss" in logs:
            return logs
        return logs | {"loss": sum(self._weights.get(name, 1.0) * logs[f"{name}_loss"] for name in names)}

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
            "losses": [state_of(module) for module in self._modules()],
            "checked": now.checked,
            "counts_rows": now.counts_rows,
            "class_numbers": sorted(now.class_numbers),
            "masked": now.masked,
            "on_logits": now.on_logits is not None,
        }

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on from there, in a pass that is under way."""
        for module, saved in zip(self._modules(), state["losses"], strict=True):
            load_state(module, saved)
        now = self._pass
        now.checked, now.counts_rows, now.masked = state["checked"], state["counts_rows"], state["masked"]
        now.class_numbers = set(state["class_numbers"])
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
                total = self._sum(self._outputs(y_pred), self._outputs(y, y_pred), sample_weight, masks)
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

    def _single(self, y: Any, y_pred: Tensor, sample_weight: Tensor | None, mask: Tensor | None) -> Tensor:
        loss = self.losses[""]
        assert loss is not None
        now = self._pass
        if "" in now.class_numbers:
            y = y.to(torch.int64)  # so that no batch needs a look
        self.count = None if now.counts_rows else loss.count(y, sample_weight)
        if mask is not None:
            sample_weight, self.count = masked(sample_weight, mask)
        if now.tap is not None and now.on_logits is not None:
            logits = now.tap.logits(y_pred)
            if logits is not None:
                return now.on_logits(y, logits, sample_weight)
        return loss(y, y_pred, sample_weight)

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
            target = y[name].to(torch.int64) if name in self._pass.class_numbers else y[name]
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
            weight = self._weights.get(name, 1.0)
            value = value if weight == 1 else weight * value
            total = value if total is None else total + value
        assert total is not None
        return total

    @contextmanager
    def listening(self, module: nn.Module, tail: Tail | None, targets: Any) -> Iterator[None]:
        """For one call of `fit` or `evaluate`: hear the tail's logits and the activity penalties of layers.

        Args:
            module: the model.
            tail: the activation it ends in.
            targets: all targets where they are in memory: checked whole, at the first batch.
        """
        loss = None if self._several else self.losses.get("")
        fuses = loss is not None and tail is not None and loss.link == tail.kind
        now = _Pass(tail=tail, targets=targets, on_logits=loss.on_logits() if loss is not None and fuses else None)
        outer, self._pass = self._pass, now
        try:
            with ExitStack() as stack:
                now.tap = stack.enter_context(tapped(tail if now.on_logits is not None else None))
                now.charges = stack.enter_context(heard(module, now.activities))
                yield
        finally:
            self._pass = outer

    def _check(self, y: Any, y_pred: Any, sample_weight: Tensor | None) -> None:
        """At the first batch: outputs and targets that cannot be meant are refused in words."""
        now = self._pass
        now.checked = True
        check_outputs(y_pred)
        if not self.any_loss:
            if not now.activities:
                raise ValueError("compile() was given no loss; give one, call add_loss, or override compute_loss.")
            return
        if y is None:
            names = ", ".join(loss.name for loss in self.losses.values() if loss is not None)
            raise ValueError(f"loss {names!r} needs y, got None.")
        if sample_weight is not None and bool(((sample_weight < 0) | ~torch.isfinite(sample_weight)).any()):
            check_weights(sample_weight)
        predicted = self._outputs(y_pred)
        if set(predicted) != set(self.losses):
            raise ValueError(
                f"The model has outputs {_names(predicted)}, compile() was given losses for {_names(self.losses)}."
            )
        targets = self._outputs(y if now.targets is None else now.targets, y_pred)
        for name, loss in self.losses.items():
            if loss is None:
                continue
            self._check_tail(loss, predicted[name].ndim)
            if not self._several:
                warn_of_constant_end(now.tail, predicted[name])
                now.counts_rows = loss.counts_rows(None if now.targets is None else targets[name])
            with torch.no_grad():
                given, seen = targets[name].to(predicted[name].device), predicted[name].detach()
                loss.check(given, seen)
                whole = now.targets is not None and given.is_floating_point()
                if whole and loss.align(given[: len(seen)], seen).dtype == torch.int64:
                    now.class_numbers.add(name)

    def _check_tail(self, loss: Loss, axes: int) -> None:
        tail = self._pass.tail
        if (
            tail is not None
            and tail.kind == "softmax"
            and (tail.axis is None or tail.axis % axes != loss.class_axis % axes)
        ):
            self._pass.on_logits = None  # a softmax over something else than the classes
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


def by_output(given: Any, names: Sequence[str] | None = None) -> dict[str, Any]:
    """Something given alone, in a list or in a dict -> by output name; `''` is the name of the only one.

    Args:
        given: losses, metrics, outputs, targets.
        names: of the outputs, where they are a list; `output_0`, `output_1`, ... if `None`.
    """
    if isinstance(given, Mapping):
        return dict(given)
    if isinstance(given, (list, tuple)):
        if names is None or len(names) != len(given):
            names = [f"output_{index}" for index in range(len(given))]
        return dict(zip(names, given, strict=True))
    return {"": given}


def outputs(data: Any, like: Any = None, names: Sequence[str] | None = None) -> dict[str, Any]:
    """Outputs, or targets in the structure of the outputs `like`, by output name."""
    if names is not None and isinstance(like, (tuple, list)) and isinstance(data, Mapping):
        like = by_output(like, names)
    if isinstance(like, Tensor) and isinstance(data, Mapping):
        raise ValueError(f"The model has one output, y is a dict with {_names(data)}; pass the target itself.")
    if like is not None and isinstance(like, Mapping):
        if not isinstance(data, Mapping) or not set(like) <= set(data):
            given = _names(data) if isinstance(data, Mapping) else type(data).__name__
            raise ValueError(f"The model's outputs are {_names(like)}; y must be a dict with these, got {given}.")
        return {name: data[name] for name in like}
    if isinstance(like, (tuple, list)) and isinstance(data, Sequence) and len(like) != len(data):
        raise ValueError(f"The model has {len(like)} outputs, y has {len(data)} parts.")
    return by_output(data, names)


def check_outputs(y_pred: Any) -> None:
    """Refuse what no loss can be computed of."""
    if y_pred is None:
        raise ValueError("forward() returned None; is a return missing?")
    for name, one in outputs(y_pred).items():
        if not isinstance(one, Tensor):
            raise TypeError(f"forward() returned a {type(one).__name__}{' as ' + name if name else ''}, not a tensor.")


def _names(mapping: Mapping[str, Any]) -> str:
    return ", ".join(repr(name) if name else "one output" for name in sorted(mapping))
