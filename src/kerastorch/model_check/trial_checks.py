"""Checks of a trial: gradients, dead units, the first loss, the learning rate, memory and time."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence

from torch import Tensor, nn

from kerastorch.inspection.text_table import format_bytes
from kerastorch.losses.base import Loss
from kerastorch.losses.classification import (
    BinaryCrossentropy,
    CategoricalCrossentropy,
    SparseCategoricalCrossentropy,
)
from kerastorch.losses.regression import MeanSquaredError
from kerastorch.model_check.report import Finding
from kerastorch.model_check.target_checks import Target
from kerastorch.model_check.trial import STEPS, Trial

_MOST_NAMED = 5
_DEAD = 0.5  # share of the units of a layer
_FAR_FROM_GUESS, _FAR_FROM_MEAN = 3.0, 100.0  # factors of the loss of a constant guess


def gradient_findings(trial: Trial, model: nn.Module) -> Iterator[Finding]:
    """Yield findings about parameters without a gradient, and about frozen ones."""
    if trial.without_gradient:
        yield Finding(
            "warning",
            "no gradient",
            f"{_named(trial.without_gradient)} no gradient: the loss does not depend on them.",
            "Use them in forward(), or freeze them with requires_grad_(False).",
        )
    if trial.zero_gradient:
        yield Finding(
            "warning",
            "no gradient",
            f"{_named(trial.zero_gradient)} a gradient of 0 in each of {STEPS + 1} steps.",
            "Look for detach(), for units that are always 0, and for inputs that are always 0.",
        )
    parameters = list(model.parameters())
    frozen = sum(one.numel() for one in parameters if not one.requires_grad)
    if frozen:
        total = sum(one.numel() for one in parameters)
        yield Finding("note", "frozen", f"{frozen:,} of {total:,} weights are frozen.")


def _named(names: Sequence[str]) -> str:
    shown = ", ".join(names[:_MOST_NAMED]) + (", ..." if len(names) > _MOST_NAMED else "")
    return f"{len(names)} parameter{' has' if len(names) == 1 else 's have'} ({shown})"


def dead_unit_findings(trial: Trial, rows: int) -> Iterator[Finding]:
    """Yield findings about layers in which most ReLU units are 0 for all rows.

    Args:
        trial: Its last call is that after the steps.
        rows: Rows of the batch.
    """
    for path, share in trial.last.dead_shares.items():
        if share >= _DEAD:
            before = trial.first.dead_shares.get(path, 0.0)
            when = "before the first step already" if before >= _DEAD else f"after {STEPS} steps"
            yield Finding(
                "warning",
                "dead units",
                f"In layer {path!r}, {share:.0%} of the units are 0 for all {rows} rows of a batch, {when}: they get "
                "no gradient.",
                "Scale the inputs, take a smaller learning rate, or LeakyReLU.",
            )


def expected_loss(target: Target) -> tuple[float, str] | None:
    """Return the loss of a guess that knows nothing of the inputs, and its name; `None` if it is unknown.

    It is `ln C` for a crossentropy over `C` classes, and the variance of the targets for the mean squared error.

    Args:
        target: The only target of the model.
    """
    loss = target.loss
    if loss is None or target.has_weights or loss.reduction not in ("sum_over_batch_size", "mean"):
        return None
    classes = target.n_classes
    if _is(loss, nn.CrossEntropyLoss, SparseCategoricalCrossentropy, CategoricalCrossentropy) and classes:
        return math.log(classes), f"an equal guess for all classes has {math.log(classes):.3g}, ln {classes}"
    if _is(loss, nn.BCEWithLogitsLoss, BinaryCrossentropy) or _is(loss, nn.BCELoss):
        return math.log(2), f"a guess of 0.5 has {math.log(2):.3g}, ln 2"
    if _is(loss, nn.MSELoss, MeanSquaredError) and len(target.rows) > 1:
        variance = float(target.rows.double().var(0, correction=0).mean())
        return variance, f"the mean of {target.name} as prediction has {variance:.4g}"
    return None


def _is(loss: Loss, *kinds: type) -> bool:
    """Return whether a loss, or the module of torch that it calls, is of one of these classes itself."""
    return type(loss) in kinds or type(getattr(loss, "function", None)) in kinds


def loss_findings(trial: Trial, expected: tuple[float, str] | None, rates: Sequence[float]) -> Iterator[Finding]:
    """Yield findings about the first loss, and about the losses after steps.

    Args:
        trial: The trial.
        expected: What `expected_loss` returned.
        rates: Learning rates of the optimizers.
    """
    if not trial.losses:
        return
    first, later = trial.losses[0], trial.losses[1:]
    shown = " and ".join(dict.fromkeys(f"{rate:g}" for rate in rates))
    with_rate = f" with the learning rate {shown}" if shown else ""
    if not math.isfinite(first):
        yield Finding("error", "first loss", f"The loss of the first batch is {first:g}.", "Look at its inputs.")
        return
    if expected is not None:
        value, guess = expected
        factor = _FAR_FROM_MEAN if "mean of" in guess else _FAR_FROM_GUESS
        is_far = first > factor * value and first > value + 1e-6
        yield Finding(
            "warning" if is_far else "note",
            "first loss",
            f"Before the first step the loss of a batch is {first:.4g}; {guess}.",
            "Scale the inputs and targets, or make the initial weights smaller." if is_far else "",
        )
    if not all(map(math.isfinite, later)):
        yield Finding(
            "error",
            "learning rate",
            f"After {STEPS} steps on one batch{with_rate} the loss is not finite.",
            "Take a smaller learning rate; model.find_lr(x, y) suggests one.",
        )
    elif later and max(later) - first > 0.5 * abs(first) + 0.1 * (0.0 if expected is None else expected[0]):
        yield Finding(
            "warning",
            "learning rate",
            f"The loss of a batch rises from {first:.4g} to {max(later):.4g} within {STEPS} steps on it{with_rate}.",
            "Take a smaller learning rate; model.find_lr(x, y) suggests one.",
        )


def memory_finding(trial: Trial, weights: int, gradients: int, rows: int) -> Finding:
    """Return the finding about the memory of a training.

    Args:
        trial: The trial.
        weights: Bytes of the parameters.
        gradients: Bytes of their gradients.
        rows: Rows of the batch.
    """
    parts = {"weights": weights, "gradients": gradients, "state of the optimizer": trial.optimizer_bytes}
    if trial.activation_bytes is not None:
        parts[f"activations of a batch of {rows}"] = trial.activation_bytes
    shown = ", ".join(f"{name} {format_bytes(size)}" for name, size in parts.items())
    return Finding("note", "memory", f"Training needs about {format_bytes(sum(parts.values()))}: {shown}.")


def time_finding(trial: Trial, steps: int | None, seconds_per_batch: float | None) -> Finding:
    """Return the finding about the time of an epoch.

    Args:
        trial: The trial.
        steps: Batches of an epoch; `None` if unknown.
        seconds_per_batch: Time that the data take for a batch; `None` for data in memory.
    """
    step = trial.seconds + (seconds_per_batch or 0.0)
    data = "" if seconds_per_batch is None else f", of which the data take {_words(seconds_per_batch)}"
    if steps is None:
        return Finding("note", "time", f"A batch takes about {_words(step)}{data}.")
    return Finding(
        "note",
        "time",
        f"An epoch takes about {_words(steps * step)}: {steps} batch{'' if steps == 1 else 'es'} of "
        f"{_words(step)} each{data}. The validation is not included.",
    )


def _words(seconds: float) -> str:
    """Return a duration with two digits and a unit.

    >>> _words(0.0123), _words(3.21), _words(600), _words(9000)
    ('12 ms', '3.2 s', '10 min', '2.5 h')
    """
    for limit, size, unit in ((1e-3, 1e-6, "µs"), (1.0, 1e-3, "ms"), (120.0, 1.0, "s"), (7200.0, 60.0, "min")):
        if seconds < limit:
            return f"{seconds / size:.2g} {unit}" if seconds / size < 10 else f"{seconds / size:.0f} {unit}"
    return f"{seconds / 3600:.2g} h"


def shape_finding(x: dict[str, Tensor], y: dict[str, Tensor], outputs: dict[str, Tensor]) -> Finding:
    """Return the finding about the shapes and dtypes of a batch and of the outputs.

    Args:
        x: Rows of each input by name.
        y: Rows of each target by name.
        outputs: Each output by name.
    """
    given = ", ".join(f"{name} {_shape(one)}" for name, one in {**x, **y}.items())
    made = ", ".join(f"{name} {_shape(one)}".strip() for name, one in outputs.items())
    return Finding("note", "shapes", f"A row of the data has {given}" + (f"; the model makes {made}." if made else "."))


def _shape(tensor: Tensor) -> str:
    return f"{tuple(tensor.shape[1:])} {str(tensor.dtype).removeprefix('torch.')}"
