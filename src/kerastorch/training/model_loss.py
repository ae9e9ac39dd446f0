"""ModelLoss: the loss that a model computes and returns itself, and AddedLosses: what layers add to no loss at all."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from torch import Tensor

from kerastorch.core.errors import warn
from kerastorch.core.loss_names import check_summed, summed_names
from kerastorch.core.model_outputs import ReturnedLoss, describe, returned_loss
from kerastorch.core.name_lookup import check_log_name, is_free_log_name
from kerastorch.training.loss_dependence import parameter_reason
from kerastorch.training.step_output import LossOutput

MODEL = "model"  # the value of `compile(loss=...)`


def is_model_loss(given: Any) -> bool:
    """Return whether `loss` of `compile` names the loss that the model returns."""
    return isinstance(given, str) and given.lower() == MODEL


class NoLossReturnedError(ValueError):
    """Raised if the loss is the one that the model returns, and it returned none."""


class ModelLoss:
    """The loss among the outputs of a model.

    Args:
        factors: `loss_weights`: one factor, or factors by name for a dict of losses; `None` for 1.
    """

    def __init__(self, factors: Any) -> None:
        self._factors = factors

    def __call__(self, y: Any, y_pred: Any, sample_weight: Any) -> LossOutput:
        """Return the loss of a batch.

        Raises:
            NoLossReturnedError: The outputs carry no loss.
            ValueError: The rows have weights, which the model does not know.
        """
        found = returned_loss(y_pred, self._by_name)
        if found is None:
            raise NoLossReturnedError(
                "compile(loss='model') takes the loss that the model returns: an attribute, field or key 'loss', the "
                f"only scalar of a tuple, or a scalar. The model returned {describe(y_pred)}. Are the labels missing "
                "in the batch? A model that returns its loss in training mode only, as detection models do, can be "
                "validated by metrics alone: compile(metrics=[...])."
            )
        if sample_weight is not None:
            raise ValueError(
                "the loss that the model returns takes no sample weights (sample_weight or class_weight, or the third "
                "item of a batch). Leave them out, or give compile() a loss that is computed from the outputs."
            )
        is_one = self._by_name is not None or self._factors in (None, 1)
        return LossOutput(found.total if is_one else self._factors * found.total, logged_parts(found), None, {})

    @property
    def _by_name(self) -> Mapping[str, float | None] | None:
        """Return the factors by name; `None` if there is one factor or none."""
        return self._factors if isinstance(self._factors, Mapping) else None

    def check(self, y_pred: Any) -> None:
        """Check the outputs of a first batch: names of parts, factors, and what is added.

        Raises:
            ValueError: A part has the name of another log; a factor is for a part that there is not; a scalar may be no
                loss.
        """
        found = returned_loss(y_pred, self._by_name)
        parts = {} if found is None else found.parts
        if self._by_name is not None and not set(self._by_name) <= set(parts):
            raise ValueError(
                f"loss_weights are for {', '.join(map(repr, self._by_name))}, and the model returned "
                f"{describe(y_pred)}. Names are for a dict of losses; one loss takes one number."
            )
        if found is not None:
            check_parts(found, self._by_name or {})
            reason = None if parts else parameter_reason(found.total, y_pred)
            if reason is not None:
                raise ValueError(
                    f"the loss is the only scalar that the model returned, and {reason}. The model returned "
                    f"{describe(y_pred)}. Give compile() a loss that is computed from the outputs, or return the loss "
                    "under the name 'loss'."
                )


def check_parts(found: ReturnedLoss, factors: Mapping[str, float | None] | None) -> None:
    """Check the scalars that are returned by name in a first batch.

    Args:
        found: The loss with its parts.
        factors: `loss_weights` by name; `None` if the loss takes none.

    Raises:
        ValueError: A loss has the name of another log; a scalar may be no loss.
    """
    if not found.is_sum:
        return
    for name in summed_names(found.parts, factors or ()):
        check_log_name(name)
    check_summed(found.parts, factors or (), takes_factors=factors is not None)


def logged_parts(found: ReturnedLoss) -> dict[str, Tensor]:
    """Return the scalars that are logged beside the loss: all whose names are not those of other logs."""
    return {name: part for name, part in found.parts.items() if is_free_log_name(name)}


class AddedLosses:
    """No loss of outputs: only what layers add with `add_loss`, and penalties.

    Args:
        added: The losses that layers have added in the running step.
    """

    def __init__(self, added: Sequence[Tensor]) -> None:
        self._added = added

    def __call__(self, y: Any, y_pred: Any, sample_weight: Any) -> LossOutput:
        return LossOutput(self._added[0].new_zeros(()), {}, None, {})


def warn_of_model_loss(y_pred: Any) -> None:
    """Say that the loss of the model is used, because `compile` was given none.

    Warns:
        UserWarning: Always.
    """
    warn(
        "compile() was given no loss, so the loss that the model returns is used. It returned "
        f"{describe(y_pred)}. To say so yourself, write compile(..., loss='model')."
    )


def no_loss(y_pred: Any, is_training: bool) -> ValueError:
    """Return the error for a model without any loss.

    Args:
        y_pred: What the model returned.
        is_training: Whether a training step needs it.
    """
    verb = "fit()" if is_training else "evaluate()"
    return ValueError(
        f"{verb} needs a loss: compile() was given none, and the model returned {describe(y_pred)}, which holds none. "
        "Call compile(loss=...); loss='model' is for models that return their loss, and needs the labels in the "
        "batch. Or call add_loss in a layer, or override compute_loss."
    )


def unnamed_loss(y_pred: Any, reason: str) -> ValueError:
    """Return the error for a scalar among the outputs that may be no loss.

    Args:
        y_pred: What the model returned.
        reason: Why it may be none.
    """
    return ValueError(
        f"compile() was given no loss, the model returned {describe(y_pred)}, and {reason}. If this scalar is the "
        "loss, write compile(..., loss='model'); else give compile() a loss that is computed from the outputs."
    )
