"""The values that pass from the loss to the step, and from the step to the loop."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
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


class GlobalWeights(Protocol):
    """Scales the losses of a part of a batch, so that their mean over all parts is the loss of the batch."""

    def scale_sum(self, value: Tensor) -> Tensor:
        """Return a sum over the rows of the part, scaled."""

    def scale_means(self, values: Sequence[Tensor], counts: Sequence[Tensor]) -> tuple[list[Tensor], list[Tensor]]:
        """Return weighted means over the part, scaled, and their weights in a mean over batches.

        Args:
            values: The means.
            counts: Sum of the weights in each of them.
        """


class Metrics(Protocol):
    """Receiver of the outputs, targets and sample weights of each batch, and of results of metric objects."""

    @property
    def is_updated(self) -> bool:
        """Return whether any outputs were added."""

    def update(
        self, y_pred: Mapping[str, Any], y_true: Mapping[str, Any], sample_weight: Mapping[str, Any] = {}
    ) -> None:
        """Add one batch, by output name."""

    def set_results(self, results: Mapping[str, Any]) -> None:
        """Replace the values of metrics that a step has computed, by log name."""

    def mean(self, name: str) -> float | None:
        """Return the mean of one number so far; `None` if there is none of this name."""

    def metric(self, name: str) -> float | None:
        """Return the value of a metric of `compile` so far; `None` if there is none of this name."""


class BackwardAndStep(Protocol):
    """Computes the gradients of a loss and makes a step, of one optimizer by its name if there are several."""

    def __call__(self, loss: Tensor, optimizer: str | None = None) -> None: ...


class StepContext:
    """What the overridable steps of a model work with during one pass over data.

    Args:
        metrics: Receives the outputs and targets of each batch.
        backward_and_step: Computes the gradients of a loss and makes a step of the optimizer.
        global_weights: Scales losses if the batch is a part of one that several ranks compute; else `None`.

    Attributes:
        results: What `compute_metrics` returns in a step of the user's, by log name; empty in the default steps.
        x: Inputs of the running batch in a step of the user's, where it may leave them out; else `None`.
    """

    def __init__(
        self, metrics: Metrics, backward_and_step: BackwardAndStep, global_weights: GlobalWeights | None = None
    ) -> None:
        self.metrics, self.backward_and_step = metrics, backward_and_step
        self.global_weights = global_weights
        self.results: Mapping[str, Any] = {}
        self.x: Any = None
        self._loss: LossOutput | None = None
        self._total: Any = None  # what `compute_loss` returned, if it is the user's
        self._minimized: list[Tensor] = []  # losses that a step of the user's has given to the optimizer
        self._tracked: list[tuple[Any, Any]] = []  # losses that it wants in the logs, with their weights
        self._make_step = backward_and_step

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

    # --- steps of the user's ----------------------------------------------------------------------------------

    def begin_own_step(self, x: Any, results: Mapping[str, Any]) -> None:
        """Prepare for a step of the user's.

        Args:
            x: Inputs of the batch.
            results: What `compute_metrics` returns.
        """
        self.x, self.results = x, results
        self._total, self._minimized, self._tracked = None, [], []
        self.backward_and_step = self._note_and_step

    def end_own_step(self) -> None:
        """Forget the batch."""
        self.x, self.backward_and_step = None, self._make_step

    def _note_and_step(self, loss: Tensor, optimizer: str | None = None) -> None:
        self._minimized.append(loss)
        self._make_step(loss, optimizer)

    def record_total(self, total: Any) -> None:
        """Store what a `compute_loss` of the user's returned, for the logs."""
        self._total = total

    def track_loss(self, loss: Tensor | float, weight: Any = None) -> None:
        """Store a loss that a step of the user's wants in the logs.

        Args:
            loss: A number, or a tensor with one number.
            weight: Its weight in the mean of the pass. Default: the number of rows.
        """
        self._tracked.append((loss, weight))

    def loss_logs(self) -> dict[str, Any]:
        """Return the loss of a step of the user's and its parts, as the default step logs them; empty without a loss.

        It is the loss that the step has tracked, else the one that it has minimized, else that of `compute_loss`.
        """
        total = self._total if self._total is not None else None if self._loss is None else self._loss.total
        if self._tracked:
            losses = [loss for loss, _ in self._tracked]
            total = losses[0] if len(losses) == 1 else sum(losses) / len(losses)
        elif len(self._minimized) == 1:
            total = self._minimized[0]
        return {} if total is None else {"loss": total, **self.loss_parts}

    @property
    def loss_weights(self) -> dict[str, Any]:
        """Weights in means that the step has given for its loss, by log name."""
        weights = [weight for _, weight in self._tracked if weight is not None]
        return {"loss": sum(weights)} if weights else {}

    def mean(self, name: str) -> Any:
        """Return the mean of a number over the batches before this one, or its value in the first one."""
        mean = self.metrics.mean(name)
        return self.loss_logs().get(name, float("nan")) if mean is None else mean

    def metric(self, name: str) -> float:
        """Return the value of a metric of `compile` over the batches so far; NaN before the first one."""
        value = self.metrics.metric(name)
        return float("nan") if value is None else value
