"""ModelLoss: the loss that a model computes and returns itself, and AddedLosses: what layers add to no loss at all."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from torch import Tensor

from kerastorch.core.errors import warn
from kerastorch.core.model_outputs import describe, returned_loss
from kerastorch.core.name_lookup import check_log_name
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
        found = returned_loss(y_pred)
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
        if isinstance(self._factors, Mapping):
            return LossOutput(_weighted(found.parts, self._factors), dict(found.parts), None, {})
        total = found.total if self._factors in (None, 1) else self._factors * found.total
        return LossOutput(total, dict(found.parts), None, {})

    def check(self, y_pred: Any) -> None:
        """Check the outputs of a first batch: names of parts, and factors.

        Raises:
            ValueError: A part has the name of another log; a factor is for a part that there is not.
        """
        found = returned_loss(y_pred)
        parts = {} if found is None else found.parts
        for name in parts:
            check_log_name(name)
        if isinstance(self._factors, Mapping) and not set(self._factors) <= set(parts):
            raise ValueError(
                f"loss_weights are for {', '.join(map(repr, self._factors))}, and the model returned "
                f"{describe(y_pred)}. Names are for a dict of losses; one loss takes one number."
            )


def _weighted(parts: Mapping[str, Tensor], factors: Mapping[str, float | None]) -> Tensor:
    """Return the weighted sum of losses; a loss without a factor counts once."""
    terms = [part if factors.get(name) is None else factors[name] * part for name, part in parts.items()]  # type: ignore[operator]
    total = terms[0]
    for term in terms[1:]:
        total = total + term
    return total


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
