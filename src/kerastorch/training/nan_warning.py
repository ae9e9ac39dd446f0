"""NaNWarning: a warning about the first loss of a fit that is NaN or infinite."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from torch import Tensor

from kerastorch.checkpoint.optimizer_state import parameter_names
from kerastorch.core.errors import warn
from kerastorch.core.finite_check import free_to_read
from kerastorch.data.batches import Batch, BatchGroup
from kerastorch.runtime.nonfinite_diagnosis import find_bad_inputs
from kerastorch.runtime.tensor_stats import worst_value
from kerastorch.training.step_repetition import learning_rates
from kerastorch.training.trainer import Trainer

_ADVICE = (
    "fit(nan_report='folder') stops before such a step and names the first layer, loss or gradient that is not finite; "
    "callbacks.TerminateOnNaN() stops before such a step without writing files."
)


class NaNWarning:
    """Warns once, with epoch and batch, if the loss can be read without waiting for a device.

    The step has been made when the loss is read, so that the weights from before it are lost. The warning says what
    the batch, the gradients and the present weights show.

    Args:
        trainer: Parts that train the model.
    """

    def __init__(self, trainer: Trainer) -> None:
        self._trainer = trainer
        self._has_warned = False

    def __call__(self, loss: Any, epoch: int, number: int, batch: Batch | BatchGroup) -> None:
        """Check the loss of a batch, or a vector of the losses of several batches.

        Args:
            loss: The loss; a vector for a group of batches.
            epoch: Number of the epoch, from 0.
            number: Number of the batch, or of the first one of the group, from 0.
            batch: The batch, or the group.
        """
        if self._has_warned or not isinstance(loss, Tensor) or not free_to_read(loss):
            return
        value = (loss if loss.ndim == 0 else loss.sum()).item()
        if math.isfinite(value):
            return
        wrong = [index for index, item in enumerate(loss.detach().reshape(-1).tolist()) if not math.isfinite(item)]
        if not wrong:
            return  # only the sum overflows
        self._has_warned = True
        value = loss.detach().reshape(-1)[wrong[0]].item()
        where = f"in epoch {epoch + 1}, batch {number + wrong[0] + 1}{self._rates()}"
        one = batch[wrong[0]] if isinstance(batch, BatchGroup) else batch
        warn(f"the loss is {value} {where}: {self._describe(one)}. {_ADVICE}")

    def read_logs(self, logs: Mapping[str, Any], epoch: int) -> None:
        """Warn at the end of an epoch, on devices whose losses are not read before.

        Args:
            logs: Means of the epoch.
            epoch: Number of the epoch, from 0.
        """
        loss = logs.get("loss")
        if self._has_warned or not isinstance(loss, float) or math.isfinite(loss):
            return
        self._has_warned = True
        warn(f"the loss is {loss} in epoch {epoch + 1}{self._rates()}: {self._describe_weights()}. {_ADVICE}")

    def _rates(self) -> str:
        rates = dict.fromkeys(f"{rate:.3g}" for rate in learning_rates(self._trainer))
        return f" (learning rate {', '.join(rates)})" if rates else ""

    def _describe(self, batch: Batch) -> str:
        """Return what the batch and the weights show."""
        bad = find_bad_inputs(batch)
        return bad.text if bad is not None else f"inputs and targets are finite, {self._describe_weights()}"

    def _describe_weights(self) -> str:
        """Return which weights and gradients are not finite after the step."""
        trainer = self._trainer
        weights = parameter_names(trainer.model, trainer.compiled_loss.outputs.parameters())
        bad_weights = [name for name, weight in weights.items() if worst_value(weight)]
        if not bad_weights:
            return "all weights are still finite"
        graded = {name: weight.grad for name, weight in weights.items() if weight.grad is not None}
        earlier = [name for name in bad_weights if name in graded and not worst_value(graded[name])]
        if earlier and worst_value(weights[earlier[0]]) == "nan":
            return (
                f"the weight {earlier[0]} is NaN though its gradient was finite in this step, so that an earlier step "
                "has made it or its optimizer state NaN"
            )
        return (
            f"{len(bad_weights)} of {len(weights)} weights are not finite after this step, which may have made them so "
            "or found them so"
        )
