"""AllOutputsCriterion: a criterion in torch's order that takes all outputs of a model at once."""

from __future__ import annotations

import copy
from typing import Any

from torch import Tensor, nn

from kerastorch.core.model_outputs import describe, outer_parts, returned_loss, tensors_of
from kerastorch.core.rng_state import preserved_rng_states
from kerastorch.losses.criterion_signature import CriterionSignature
from kerastorch.losses.torch_losses import TorchLoss
from kerastorch.training.model_loss import check_parts, logged_parts
from kerastorch.training.step_output import LossOutput


class AllOutputsCriterion:
    """A criterion of the user's, called as a loop of torch calls it: `criterion(model(x), y)`.

    A criterion with one parameter gets the outputs alone. One with more than two gets each output in a parameter of its
    own: by name if the outputs have these names, else in their order.

    Args:
        loss: The criterion, as `compile` was given it.
        signature: Its parameters.
        factor: Its `loss_weights`.
    """

    def __init__(self, loss: TorchLoss, signature: CriterionSignature, factor: float) -> None:
        self._loss, self._signature, self._factor = loss, signature, factor
        self._function = loss.function
        self._is_checked = False  # the names of the parts, in the first batch

    def __call__(self, y: Any, y_pred: Any, sample_weight: Any) -> LossOutput:
        """Compute the loss of a batch.

        Raises:
            ValueError: The criterion needs targets, takes no sample weights, or takes another number of outputs.
            TypeError: It returned something else than a loss.
        """
        signature, name = self._signature, self._loss.name
        weights = {} if signature.weight is None else {signature.weight: sample_weight}
        if sample_weight is not None and not weights:
            raise ValueError(
                f"loss {name!r} is called with all outputs and takes no sample weights (sample_weight and class_weight "
                "of fit). Give it a parameter sample_weight, or leave the weights out."
            )
        arguments = self.arguments(y, y_pred)
        try:
            found = returned_loss(self._function(*arguments, **weights))
        except Exception as error:
            error.add_note(
                f"loss {name!r} was called with all outputs, {describe(y_pred)}. To use it for each output instead, "
                "give y a target for each."
            )
            raise
        if found is None:
            raise TypeError(f"{name} must return a scalar tensor, or a dict of scalars, got something else.")
        if not self._is_checked:
            check_parts(found, None)
            self._is_checked = True
        total = found.total if self._factor == 1 else self._factor * found.total
        return LossOutput(total, logged_parts(found), None, {})

    def arguments(self, y: Any, y_pred: Any) -> list[Any]:
        """Return the outputs and targets in the order of the criterion's parameters.

        Raises:
            ValueError: They do not fit the parameters.
        """
        names, target = self._signature.names, self._signature.target
        if len(names) < 3:
            return self._of_whole(y, y_pred)
        parts = outer_parts(y_pred)
        keys = self._signature.arrange(parts)
        if keys is None:
            raise ValueError(
                f"loss {self._loss.name!r} takes {self._signature}, and the model returned {describe(y_pred)}. Name "
                "the parameter of the targets target and give each other parameter an output, or take all outputs in "
                "one parameter: (outputs, target)."
            )
        if target is not None and y is None:
            raise ValueError(f"loss {self._loss.name!r} needs y, got None.")
        assert parts is not None
        values = dict(zip(self._signature.output_names(), (parts[key] for key in keys), strict=True))
        return [y if name == target else values[name] for name in names]

    def _of_whole(self, y: Any, y_pred: Any) -> list[Any]:
        """Return the arguments of a criterion that takes all outputs in one parameter."""
        names = self._signature.names
        if len(names) == 1:
            return [y_pred] if y is None or not self._signature.takes_optional_target else [y_pred, y]
        if y is not None:
            return [y_pred, y]
        parts = None if self._signature.target else outer_parts(y_pred)
        keys = self._signature.arrange(parts)
        if keys is None or parts is None:
            raise ValueError(
                f"loss {self._loss.name!r} needs y, got None. A criterion without targets has one parameter, the "
                "outputs."
            )
        return [parts[key] for key in keys]

    def to_device_of(self, outputs: Any) -> AllOutputsCriterion:
        """Move a criterion that is a module to the device of the outputs; return this object."""
        device = next((one.device for one in tensors_of(outputs)), None)
        if isinstance(self._function, nn.Module) and device is not None:
            self._function.to(device)
        return self

    def works(self, y: Any, y_pred: Any) -> bool:
        """Return whether the criterion can be called with all outputs; a copy of it is called.

        Gradients are recorded as in a step, because the criterion may compute with them.
        """
        trial = copy.copy(self)
        with preserved_rng_states():
            try:
                trial._function = copy.deepcopy(self._function)
                return bool(trial(y, y_pred, None).total.numel() == 1)
            except Exception:  # whatever the criterion does with a structure that it does not know
                return False


def criterion_of_all_outputs(
    loss: TorchLoss, factor: float, y: Any, y_pred: Any, *, has_alternative: bool
) -> AllOutputsCriterion | None:
    """Return the criterion for a batch's outputs, or `None` if the loss is one of single outputs.

    Args:
        loss: The only loss of `compile`.
        factor: Its `loss_weights`.
        y: Targets of the first batch.
        y_pred: Outputs of the first batch.
        has_alternative: Whether the criterion can also be called on a single output: then it gets all of them only if
            that call works.
    """
    signature = loss.criterion
    is_one_output = isinstance(y_pred, Tensor) and y_pred.ndim > 0
    if signature is None or (is_one_output and signature.has_order):
        return None
    found = AllOutputsCriterion(loss, signature, factor).to_device_of(y_pred)
    if has_alternative and len(signature.names) < 3 and not found.works(y, y_pred):
        return None
    return found
