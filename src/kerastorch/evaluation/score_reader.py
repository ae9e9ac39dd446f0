"""Reading the outputs of a classification as probabilities, or as other scores if they are none."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from torch import Tensor

from kerastorch.evaluation.predictions import Array, Task
from kerastorch.losses.base import Loss
from kerastorch.metrics.task import TaskSpec

_SUM_TOLERANCE = 1e-2  # of probabilities that were computed with 16 bits


class OutputFacts(NamedTuple):
    """Facts about one output of a model, and what the user says about it.

    Attributes:
        loss: Its loss.
        ends_in: Activation that it ends in, if it is known.
        channel_axis: Axis of its channels, if it is known.
        task: The task, if the user names it.
        from_logits: Whether outputs are logits, if the user says it.
        threshold: Probability above which the second class, or a label, is predicted.
        names: Names of classes, labels or columns, if they are given.
    """

    loss: Loss | None
    ends_in: str | None
    channel_axis: int | None
    task: Task | None
    from_logits: bool | None
    threshold: float
    names: tuple[str, ...] | None


class ScoreReader:
    """Converts outputs of classification to probabilities, or to other scores if they cannot be probabilities.

    Args:
        spec: The task of the output.
        facts: What is known about the output.

    Attributes:
        are_probabilities: Whether the scores are probabilities.
        notes: Sentences on how the outputs were read.
    """

    def __init__(self, spec: TaskSpec, facts: OutputFacts) -> None:
        self.spec, self.facts = spec, facts
        self.are_probabilities = True
        self.notes: list[str] = []

    def answers(self, outputs: Array) -> Array:
        """Return the probability, or another score, of each yes-or-no question, and of its opposite, `(..., 2)`."""
        link = self._link()
        if link == "sigmoid":
            return np.stack((sigmoid(-outputs), sigmoid(outputs)), -1)
        if link is None:
            low, high = float(outputs.min()), float(outputs.max())
            if low < -1e-6 or high > 1 + 1e-6:
                raise ValueError(
                    f"the outputs should be probabilities, and have values from {low:.3g} to {high:.3g}. End the model "
                    "in a sigmoid, give compile() a loss from logits, or pass from_logits=True."
                )
            positive = np.clip(outputs, 0, 1)
            return np.stack((1 - positive, positive), -1)
        self._say_scores()
        middle = 0.5 if link == "half" and not self.spec.signed else 0.0
        return np.stack((middle - outputs, outputs - middle), -1)

    def _link(self) -> str | None:
        """Return `'sigmoid'`; `None` for probabilities; `'half'` or `'margin'` for scores.

        Raises:
            ValueError: Nothing tells what the outputs are.
        """
        if self.facts.from_logits is not None:
            return "sigmoid" if self.facts.from_logits else None
        if self.spec.margins and self.spec.link == "sigmoid":
            return "margin"
        if self.spec.link != "unknown":
            return self.spec.link
        raise ValueError(
            "nothing says whether the outputs are probabilities or logits: the loss is unknown to kerastorch, and the "
            "model ends in no activation that is. Pass from_logits=True or from_logits=False; or task='regression' if "
            "the targets are values."
        )

    def classes(self, outputs: Array) -> Array:
        """Return the probability, or another score, of each class, `(places, classes)`."""
        loss = self.facts.loss
        if self.facts.from_logits is not None:
            return softmax(outputs) if self.facts.from_logits else checked_probabilities(outputs)
        if loss is not None and loss.task == "multiclass" and loss.link:
            return softmax(outputs) if self.spec.link == "softmax" else checked_probabilities(outputs)
        if self.spec.link is None:
            return checked_probabilities(outputs)
        exponentials = np.exp(outputs) if outputs.max() < 1 else None
        if exponentials is not None and np.abs(exponentials.sum(1) - 1).max() < _SUM_TOLERANCE:  # log-probabilities
            return np.asarray(exponentials / exponentials.sum(1, keepdims=True))
        self._say_scores()
        return outputs

    def note_soft_targets(self, y: Tensor | Array) -> None:
        """Add a note if targets are between 0 and 1, so that they are no classes."""
        sentence = "Some targets are between 0 and 1: the nearest class counts as the true one."
        if sentence not in self.notes and bool(np.any(np.asarray(y) != np.round(np.asarray(y)))):
            self.notes.append(sentence)

    def _say_scores(self) -> None:
        self.are_probabilities = False
        loss = self.facts.loss
        given = "there is no loss that says what they are" if loss is None else f"loss {loss.name!r} makes them none"
        sentence = (
            f"The outputs are not probabilities ({given}): calibration, log loss and Brier score are left out. If they "
            "are logits, pass from_logits=True."
        )
        if sentence not in self.notes:
            self.notes.append(sentence)


def checked_probabilities(outputs: Array) -> Array:
    """Return probabilities of classes with a sum of exactly 1.

    Raises:
        ValueError: They are negative, or their sum is not 1.
    """
    sums = outputs.sum(1)
    wrong = (outputs.min(1) < -1e-6) | (np.abs(sums - 1) > _SUM_TOLERANCE)
    if wrong.any():
        row = int(wrong.argmax())
        raise ValueError(
            f"the outputs should be probabilities of {outputs.shape[1]} classes, and {int(wrong.sum())} of "
            f"{len(outputs)} are not: those of place {row} go from {outputs[row].min():.3g} to "
            f"{outputs[row].max():.3g}, with a sum of {sums[row]:.4g}. End the model in a softmax, or pass "
            "from_logits=True if they are logits."
        )
    positive = np.clip(outputs, 0, None)
    return np.asarray(positive / positive.sum(1, keepdims=True))


def softmax(logits: Array) -> Array:
    """Return the probabilities of logits `(places, classes)`."""
    exponentials = np.exp(logits - logits.max(1, keepdims=True))
    found: Array = exponentials / exponentials.sum(1, keepdims=True)
    return found


def sigmoid(logits: Array) -> Array:
    """Return the probabilities of logits of yes-or-no questions."""
    exponentials = np.exp(-np.abs(logits))
    return np.asarray(np.where(logits >= 0, 1, exponentials) / (1 + exponentials))
