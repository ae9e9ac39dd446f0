"""The choice of a loss that is computed from all that a model returns, on the first batch of a pass."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from kerastorch.core.model_outputs import returned_loss
from kerastorch.training.all_outputs_criterion import AllOutputsCriterion, criterion_of_all_outputs
from kerastorch.training.loss_dependence import adoption_reason
from kerastorch.training.loss_pass import LossPassState, WholeLoss
from kerastorch.training.model_loss import AddedLosses, ModelLoss, no_loss, unnamed_loss, warn_of_model_loss
from kerastorch.training.output_losses import OutputLosses


def choose_whole_loss(outputs: OutputLosses, now: LossPassState, y: Any, y_pred: Any) -> WholeLoss | None:
    """Return the loss of all that a model has returned; `None` if single outputs have losses of their own.

    Args:
        outputs: The losses of `compile`. If there are none and the model returns one, they remember it.
        now: State of the pass, with what layers have added to the loss.
        y: Targets of the first batch.
        y_pred: What the model returned.

    Raises:
        ValueError: There is no loss at all; `loss_weights` do not fit the losses that the model returns.
    """
    if outputs.any_loss:
        return _criterion(outputs, y, y_pred)
    has_added = bool(now.aux_losses) and not now.has_activity_penalties  # a penalty alone trains nothing
    if not outputs.is_of_model and not has_added and returned_loss(y_pred) is not None:
        reason = adoption_reason(y_pred)
        if reason is not None:
            raise unnamed_loss(y_pred, reason)
        warn_of_model_loss(y_pred)
        outputs.adopt_model_loss()
    if outputs.is_of_model:
        loss = ModelLoss(outputs.factors)
        loss.check(y_pred)
        return loss
    if not now.aux_losses:
        raise no_loss(y_pred, is_training=now.module is None or now.module.training)
    return AddedLosses(now.aux_losses)


def _criterion(outputs: OutputLosses, y: Any, y_pred: Any) -> AllOutputsCriterion | None:
    """Return the only loss as a criterion of all outputs; `None` if it is that of one output, or of each."""
    loss = outputs.only_criterion()
    if loss is None:
        return None
    has_alternative = outputs.main_output(y, y_pred) is not None or outputs.names.has_targets_of(y, y_pred)
    factor = 1.0 if outputs.factors is None or isinstance(outputs.factors, Mapping) else outputs.factors
    return criterion_of_all_outputs(loss, factor, y, y_pred, has_alternative=has_alternative)
