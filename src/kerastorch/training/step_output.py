"""The values that pass from the loss to the step, and from the step to the loop."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple, Protocol

from torch import Tensor


class LossOutput(NamedTuple):
    """Result of the compiled loss for one batch.

    Attributes:
        total: Scalar to minimize, penalties included.
        parts: Values that are logged beside `loss`: `data_loss`, `<output>_loss`.
        weight: Weight of the batch in a mean over batches; `None` for its number of rows.
        weights: The same for single names of `parts`.
    """

    total: Tensor
    parts: dict[str, Tensor]
    weight: int | Tensor | None
    weights: dict[str, int | Tensor]


class StepOutput(NamedTuple):
    """Result of a train or test step; of several steps that run as one, with vectors for numbers.

    Attributes:
        logs: Numbers to average over the batches of the pass, by name.
        weight: Weight of the batch in these means; `None` for its number of rows.
        weights: The same for single names of `logs`.
        has_compiled_loss: `logs["loss"]` is what the compiled loss returned.
    """

    logs: Mapping[str, Any]
    weight: int | Tensor | None
    weights: Mapping[str, int | Tensor]
    has_compiled_loss: bool


class Metrics(Protocol):
    """Receiver of the outputs and targets of each batch."""

    def update(self, y_pred: Mapping[str, Any], y_true: Mapping[str, Any]) -> None:
        """Add one batch, by output name."""


class BackwardAndStep(Protocol):
    """Computes the gradients of a loss and makes a step, of one optimizer by its name if there are several."""

    def __call__(self, loss: Tensor, optimizer: str | None = None) -> None: ...


class StepContext:
    """What the overridable steps of a model work with during one pass over data.

    Args:
        metrics: Receives the outputs and targets of each batch.
        backward_and_step: Computes the gradients of a loss and makes a step of the optimizer.
    """

    def __init__(self, metrics: Metrics, backward_and_step: BackwardAndStep) -> None:
        self.metrics, self.backward_and_step = metrics, backward_and_step
        self._loss: LossOutput | None = None

    def record_loss(self, output: LossOutput) -> Tensor:
        """Store the output of the compiled loss for `take_output`; return the scalar to minimize."""
        self._loss = output
        return output.total

    @property
    def loss_parts(self) -> dict[str, Tensor]:
        """Values of the recorded loss that are logged beside `loss`."""
        return {} if self._loss is None else self._loss.parts

    def take_output(self, logs: Mapping[str, Any]) -> StepOutput:
        """Join the logs of a step with the weights of its recorded loss, which is cleared.

        Args:
            logs: Numbers that the step returned. A step that has not called the compiled loss counts by its rows.
        """
        loss, self._loss = self._loss, None
        if loss is None:
            return StepOutput(logs, None, {}, False)
        return StepOutput(logs, loss.weight, loss.weights, logs.get("loss") is loss.total)
