"""MetricInputs: the outputs and targets that metrics are updated with, also for models that compute their loss."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any

from torch import Tensor

from kerastorch.core.errors import warn
from kerastorch.core.model_outputs import describe, has_outputs, main_output, returned_loss
from kerastorch.losses.base import Loss
from kerastorch.training.label_pairing import LabelPairing, find_pairing
from kerastorch.training.output_losses import OutputLosses
from kerastorch.training.output_names import OneListForSeveralOutputsError, metric_inputs, one_list_of_metrics

Inputs = tuple[dict[str, Any], dict[str, Any], dict[str, Any]]  # outputs, targets, sample weights by output name


class MetricInputs:
    """Function of a batch that returns outputs, targets and sample weights by output name.

    If the model computes its loss, the first batch decides how its logits and the labels belong together.

    Args:
        outputs: The losses of `compile` by output.
    """

    def __init__(self, outputs: OutputLosses) -> None:
        self._outputs = outputs
        self._pairing: LabelPairing | None = None
        self._said: set[str] = set()

    def __call__(
        self,
        x: Any,
        y: Any,
        y_pred: Any,
        masks: Mapping[str, Tensor],
        metrics: Collection[str],
        sample_weight: Any = None,
        *,
        shares_targets: bool = False,
    ) -> Inputs:
        """Return what the metrics are updated with.

        Args:
            x: Inputs of a batch.
            y: Its targets as the data hold them.
            y_pred: What the model returned.
            masks: Output name -> boolean mask of the values that count.
            metrics: The outputs with metrics; `''` stands for the only one.
            sample_weight: Sample weights as the data hold them, if a metric counts samples with them.
            shares_targets: Whether one target is that of each output with metrics.

        Raises:
            ValueError: Metrics were given as one list, and the model returns several outputs, or only its loss;
                targets have another structure than the outputs.
        """
        if self._outputs.is_of_model and "" in metrics and isinstance(y, Tensor):
            return self._of_model_loss(x, y, y_pred)
        if not isinstance(y_pred, Tensor) and isinstance(y, Tensor):
            main = self._outputs.main_output(y, y_pred) if "" in metrics else None
            if main is not None:
                return {"": main}, {"": y}, {"": sample_weight}
            if shares_targets:
                if "" in metrics:
                    raise OneListForSeveralOutputsError(one_list_of_metrics(self._outputs.names.tree(y_pred)))
                predicted = self._outputs.names.flatten(y_pred)
                return predicted, dict.fromkeys(metrics, y), dict.fromkeys(metrics, sample_weight)
        names = self._outputs.names
        return metric_inputs(y, y_pred, masks, names, self._outputs.loss_of, metrics, sample_weight)

    def _of_model_loss(self, x: Any, y: Tensor, y_pred: Any) -> Inputs:
        """Return the logits and the labels that belong together."""
        main, loss = main_output(y_pred), returned_loss(y_pred)
        if main is None or not main.ndim:
            raise ValueError(
                "metrics are one list, which is for the logits of a model that returns its loss, and the model "
                f"returned {describe(y_pred)}. Name the output, metrics={{name: [...]}}, or leave the metrics out."
            )
        if self._pairing is None or not self._pairing.is_final:
            self._pairing = find_pairing(None if loss is None else loss.total, main, y, x)
        predicted, true = self._pairing(main, y)
        return {"": predicted}, {"": true}, {}

    def are_missing(self, y_pred: Any) -> bool:
        """Return whether a model that computes its loss has returned nothing else, as detection models in training.

        Warns:
            UserWarning: It has.
        """
        if not self._outputs.is_of_model or has_outputs(y_pred):
            return False
        returned = describe(y_pred)
        self._say(f"in training mode the model returned {returned}: metrics are logged for the validation alone.")
        return True

    def say_no_loss(self, y_pred: Any) -> None:
        """Say that an evaluation has metrics and no loss.

        Warns:
            UserWarning: It was not said before.
        """
        returned = describe(y_pred)
        self._say(f"in evaluation mode the model returned {returned}, which holds no loss: only metrics are logged.")

    def _say(self, sentence: str) -> None:
        kind = sentence.partition(" mode ")[0]  # shapes differ between batches
        if kind not in self._said:
            self._said.add(kind)
            warn(sentence)

    def loss_of(self, output: str) -> Loss | None:
        """Return the loss that tells the task of an output; of a model's own loss the one that gives its values."""
        if self._pairing is not None and not output:
            return self._pairing.loss
        return self._outputs.loss_of(output)

    def guard_key(self) -> Any:
        """Return what the first batch has decided, for comparison."""
        return self._pairing

    def state_dict(self) -> dict[str, Any]:
        """Return what the first batch has decided, as plain values; an empty dict before it."""
        return {} if self._pairing is None else self._pairing.state_dict()

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Restore what `state_dict` returned."""
        if state:
            self._pairing = LabelPairing.of_state(state)
