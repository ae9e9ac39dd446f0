"""The oracle: what a case means, as a careful user of torch would write it. Nothing of kerastorch but its order."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor, nn

from fuzz.case import Case, Output
from fuzz.data import Data, class_weights, data
from fuzz.losses import LOSSES
from fuzz.models import plain
from fuzz.optimizers import OPTIMIZERS
from fuzz.scores import score
from kerastorch.data import permutation

VALIDATION_ROWS = 9


class NoMeaningError(Exception):
    """There is no loop for this case: kerastorch must refuse it."""


class Loop:
    """A loop in plain torch.

    Args:
        case: what it does.
    """

    def __init__(self, case: Case) -> None:
        refuse(case)
        self.case, self.rule = case, OPTIMIZERS[case.optimizer]
        self.net = plain(case)
        self.weights = list(self.net.parameters())
        self.optimizer = self.rule.plain(self.weights)
        self.sums, self.waiting, self.epochs_done = [torch.zeros_like(w) for w in self.weights], 0, 0
        everything = data(case, case.rows, case.seed)
        kept = int(case.rows * (1 - case.split))
        self.training = everything.rows(slice(None, kept))
        self.all = everything
        self.validation = everything.rows(slice(kept, None)) if case.split else None
        if case.validation is not None:
            self.validation = data(case, VALIDATION_ROWS, case.seed + 1)

    def batches(self, rows: int, size: int | None) -> list[slice]:
        """Rows one after the other; 32 a batch if nobody says."""
        size = size or 32
        return [slice(start, start + size) for start in range(0, rows, size)]

    def epoch_batches(self, number: int) -> Iterator[Data]:
        """The batches of one epoch of training, in its order."""
        case, rows = self.case, len(self.training.x)
        slices = self.batches(rows, case.batch_size)
        order, batches = torch.arange(rows), range(len(slices))
        if case.shuffle and case.container in ("numpy", "tensor", "list", "TensorDataset", "Dataset"):
            order = permutation(rows, case.seed, number)
        if case.shuffle and case.container == "sequence":
            batches = permutation(len(slices), case.seed, number).tolist()
        for index in batches:
            yield self.training.rows(order[slices[index]])

    def fit(self) -> dict[str, list[float]]:
        """All epochs of one fit: its history."""
        history: dict[str, list[float]] = {}
        for _ in range(self.case.epochs):
            logs = self.one_pass(self.epoch_batches(self.epochs_done), training=True)
            self.epochs_done += 1
            if self.validation is not None:
                found = self.evaluate(self.validation, self.validation_size())
                logs |= {f"val_{name}": value for name, value in found.items()}
            for name, value in logs.items():
                history.setdefault(name, []).append(value)
        return history

    def validation_size(self) -> int | None:
        return self.case.batch_size

    def evaluate(self, rows: Data, size: int | None) -> dict[str, float]:
        """Loss and metrics, in evaluation mode."""
        with torch.no_grad():
            return self.one_pass(map(rows.rows, self.batches(len(rows.x), size)), training=False)

    def predict(self) -> list[Tensor]:
        """The outputs for all rows."""
        self.net.eval()
        with torch.no_grad():
            return as_list(self.net(self.inputs(self.all.x)))

    def inputs(self, x: Tensor) -> Tensor:
        return x.long() if self.case.body == "embedding" else x.to(getattr(torch, self.case.precision))

    def one_pass(self, batches: Iterator[Data], training: bool) -> dict[str, float]:
        """Go through batches: means over what they count, metrics over all rows."""
        self.net.train(training)
        names = self.case.names
        sums = {name: [0.0, 0.0] for name in names}
        penalties, seen = [0.0, 0.0], {name: ([], []) for name in names}
        for batch in batches:
            outputs = as_list(self.net(self.inputs(batch.x)))
            total, counted = 0.0, len(batch.x)
            for index, (name, output) in enumerate(zip(names, self.case.outputs, strict=True)):
                weights = self.sample_weights(batch, training)
                value, count = loss_of(output, batch.meant[index], outputs[index], weights)
                total = total + (1.0 if self.case.loss_weights is None else self.case.loss_weights[index]) * value
                sums[name][0] += float(value.detach()) * count if count else 0.0
                sums[name][1] += count
                seen[name][0].append(outputs[index].detach())
                seen[name][1].append(batch.meant[index])
                counted = count if len(names) == 1 else counted
            penalty = self.penalty()
            penalties = [penalties[0] + float(penalty.detach()) * counted, penalties[1] + counted]
            if training:
                self.step(total + penalty)
        return self.logs(sums, penalties, seen)

    def logs(self, sums: dict[str, list[float]], penalties: list[float], seen: Any) -> dict[str, float]:
        """The numbers of a pass, by name."""
        case = self.case
        means = {name: total / count if count else float("nan") for name, (total, count) in sums.items()}
        scales = case.loss_weights or (1.0,) * len(means)
        data_loss = sum(scale * mean for scale, mean in zip(scales, means.values(), strict=True))
        logs = {"loss": data_loss}
        if case.penalty is not None:
            mean = penalties[0] / penalties[1] if penalties[1] else float("nan")
            logs = {"loss": data_loss + mean, "data_loss": data_loss}
        if len(means) > 1:
            logs |= {f"{name}_loss": mean for name, mean in means.items()}
        for (name, (outputs, targets)), output in zip(seen.items(), case.outputs, strict=True):
            for metric in output.metrics:
                found = score(metric, output, torch.cat(outputs), torch.cat(targets))
                logs[f"{name}_{metric}".lstrip("_")] = found
        return logs

    def sample_weights(self, batch: Data, training: bool) -> Tensor | None:
        if self.case.weights == "class":
            table = class_weights(self.case)
            labels = batch.meant[0].flatten().long().tolist()
            return torch.tensor([table[label] for label in labels]) if training else None
        return None if batch.weights is None else batch.weights.flatten()

    def penalty(self) -> Tensor:
        """`l1 |w| + l2 w^2` of all matrices."""
        if self.case.penalty is None:
            return torch.zeros(())
        l1, l2 = self.case.penalty
        matrices = [weight for weight in self.weights if weight.ndim > 1]
        return sum(l1 * weight.abs().sum() + l2 * weight.pow(2).sum() for weight in matrices)

    def step(self, loss: Tensor) -> None:
        """Backward, and a step every so many batches."""
        self.optimizer.zero_grad()
        loss.backward()
        self.waiting += 1
        for total, weight in zip(self.sums, self.weights, strict=True):
            total += weight.grad
        if self.waiting < self.rule.every:
            return
        for total, weight in zip(self.sums, self.weights, strict=True):
            weight.grad = total / self.rule.every
            total.zero_()
        self.waiting = 0
        if self.rule.clip is not None:
            self.rule.clip(self.weights)
        with torch.no_grad():
            for weight in self.weights:
                weight.mul_(1 - self.rule.decay)
        self.optimizer.step()


def loss_of(output: Output, y: Tensor, out: Tensor, weights: Tensor | None) -> tuple[Tensor, float]:
    """The loss of a batch, and how much it counts in the mean over an epoch."""
    meaning = LOSSES[output.loss]
    y = y if output.task == "classes" else y.reshape(out.shape).to(out.dtype)
    values = meaning.values(y, out)
    if values.ndim == 0:
        return values, len(y)
    spread = torch.ones((), dtype=out.dtype)
    if weights is not None:
        spread = weights.to(out.dtype).reshape(-1, *[1] * (values.ndim - 1)).expand_as(values)
    if meaning.reduce == "sum":
        return (values * spread).sum(), len(y)
    if meaning.reduce == "weighted mean" and weights is not None:
        return (values * spread).sum() / (spread.sum() if weights.any() else 1), float(weights.sum())
    if meaning.counts is not None:
        count = meaning.counts(y).sum()
        if count == 0 and not meaning.empty_is_nan:
            return (values * 0).sum(), 0.0
        return (values * spread).sum() / count, float(count)
    return (values * spread).mean(), len(y)


def refuse(case: Case) -> None:
    """Raise an error for what has no meaning."""
    for output in case.outputs:
        meaning = LOSSES[output.loss]
        if output.form == "wider":
            raise NoMeaningError("a column of targets too many")
        if output.task == "classes":
            hot = output.form == "one-hot"
            if hot and meaning.takes == "numbers":
                raise NoMeaningError("one-hot for a loss of class numbers")
            if not hot and meaning.takes == "one-hot":
                raise NoMeaningError("class numbers for a loss of one-hot targets")
            if hot and meaning.takes == "both" and not output.dtype.startswith("float"):
                raise NoMeaningError("one-hot integers for a loss whose one-hot targets are probabilities")
        one = torch.full((2, max(output.width, 1)), 0.25)
        y = torch.zeros(2, dtype=torch.long) if output.task == "classes" else one.clone()
        scalar = meaning.values(y, one).ndim == 0
        if scalar and case.weights is not None:
            raise NoMeaningError("weights for a function that returns a scalar")
        if meaning.plain_scalar and not scalar and (case.weights is None or case.weights == "class"):
            raise NoMeaningError("rows of a function in torch's order")
    if case.weights == "class" and len(case.outputs) > 1:
        raise NoMeaningError("class weights of several outputs")
    if case.weights == "class" and case.body == "image":
        raise NoMeaningError("class weights of pixels")


def as_list(outputs: Any) -> list[Tensor]:
    """The outputs of a model, whatever their structure."""
    if isinstance(outputs, dict):
        return list(outputs.values())
    return list(outputs) if isinstance(outputs, (tuple, list)) else [outputs]


def modules_with_buffers(net: nn.Module) -> list[Tensor]:
    """All floating-point weights and buffers, in order."""
    return [one.detach() for one in net.state_dict().values() if one.is_floating_point()]
