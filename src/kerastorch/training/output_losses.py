"""OutputLosses: which loss, and which factor in the sum, belongs to which output of a model."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from torch import Tensor, nn

from kerastorch.core.errors import check_float, mismatch
from kerastorch.core.model_outputs import main_output
from kerastorch.core.output_structure import (
    NameTree,
    StructureError,
    assign,
    flatten_given,
    given_parts,
    is_container,
    map_values,
    name_tree,
    names_in,
    quoted,
)
from kerastorch.losses import registry
from kerastorch.losses.base import Loss
from kerastorch.losses.torch_losses import TorchLoss
from kerastorch.training.model_loss import is_model_loss
from kerastorch.training.output_names import OutputNames


class OutputLosses:
    """The losses of `compile` by output. One loss is the loss of each output.

    The outputs of a functional model are known at once, those of other models when they are called.

    Args:
        loss: One loss, or a list, dict or nested structure of them by output; anything `losses.get` takes.
        loss_weights: Factor of each loss in the sum, in the same structure. Default 1.
        names: Names of the model's outputs, as far as they are known.

    Attributes:
        names: Names of the model's outputs, as far as they are known.
        losses: Losses by output name, as far as the outputs are known; `''` stands for one loss of unknown outputs.
        tree: Names of the outputs in their structure, as far as model or losses tell them; `None` if unknown.
        is_of_model: The loss is the one that the model returns; `losses` holds none then.
        any_loss: Whether any output has a loss.

    Raises:
        ValueError: Losses or factors do not fit the outputs or each other.
    """

    def __init__(self, loss: Any, loss_weights: Any, names: OutputNames) -> None:
        self.names = names
        tree = names.known_tree
        given = names.unwrap(loss) if tree in (None, "") else loss
        self.is_of_model = is_model_loss(given)
        given = None if self.is_of_model else given
        self._is_shared = not is_container(given)
        self._is_for_one = self._is_shared and is_container(loss)  # a list of one loss
        self._given = map_values(lambda one: None if one is None else registry.get(one), given)
        may_be_of_model = self.is_of_model or (given is None and tree is None)
        checked = _check_model_factors if may_be_of_model else _check_factors
        self._factors = checked(loss_weights, self._given, names)
        self.losses: dict[str, Loss | None] = (
            flatten_given(self._given) if tree is None else names.settings("loss", self._given, tree)
        )
        self.tree: NameTree | None = (
            name_tree(self._given, parts_of=given_parts) if tree is None and not self._is_shared else tree
        )
        if tree is not None and not self.is_of_model:
            names.settings("loss_weights", self._factors, tree)
        self.any_loss = any(one is not None for one in self.losses.values())
        self._seen: list[str] = []

    @property
    def factors(self) -> Any:
        """`loss_weights` as checked."""
        return self._factors

    @property
    def are_by_output(self) -> bool:
        """Return whether the losses were given in a structure of outputs."""
        return not self._is_shared

    def adopt_model_loss(self) -> None:
        """Use the loss that the model returns, because none was given."""
        self.is_of_model = True

    @property
    def needs_targets(self) -> bool:
        """Return whether the loss of a batch surely needs targets."""
        criterion = self.only_criterion()
        signature = None if criterion is None else criterion.criterion
        return self.any_loss and (signature is None or signature.needs_targets)

    def only_criterion(self) -> TorchLoss | None:
        """Return the loss if it is one callable in torch's order, given for all outputs."""
        loss = self._given if self._is_shared and not self._is_for_one else None
        return loss if isinstance(loss, TorchLoss) else None

    def main_output(self, y: Any, y_pred: Any) -> Tensor | None:
        """Return the output that one loss and one target are for, if the model returns more than a tensor.

        `None` if each output has a loss of its own, or several could be meant.
        """
        is_for_one = self._is_shared and self.names.known_tree is None and not isinstance(self._factors, Mapping)
        return main_output(y_pred) if is_for_one and isinstance(y, Tensor) and not isinstance(y_pred, Tensor) else None

    @property
    def may_have_more_outputs(self) -> bool:
        """Return whether the only loss may turn out to be that of several outputs."""
        is_unknown = self.names.known_tree is None and not self._seen
        return is_unknown and self._is_shared and not self._is_for_one and self.losses[""] is not None

    def logged(self) -> list[str]:
        """Return the outputs whose losses are logged: those that have one, if there are several."""
        names = self._seen or self._wanted()
        return names if len(names) > 1 else []

    def loss_of(self, output: str) -> Loss | None:
        """Return the loss of an output; the only output has the name `''`."""
        if output in self.losses:
            return self.losses[output]
        wanted = self._wanted()
        is_only = self._is_shared or not output
        return self.losses[wanted[0]] if is_only and len(wanted) == 1 else None

    def parameters(self) -> list[nn.Parameter]:
        """Return the parameters that the losses themselves learn."""
        return [p for module in self.modules() for p in module.parameters()]

    def modules(self) -> list[nn.Module]:
        """Return the losses that are torch modules."""
        functions = [getattr(loss, "function", loss) for loss in self.losses.values()]
        unique = {id(function): function for function in functions}  # one loss may be that of several outputs
        return [function for function in unique.values() if isinstance(function, nn.Module)]

    def modules_with_state(self) -> list[nn.Module]:
        """Return the losses that are torch modules with parameters or buffers."""
        return [module for module in self.modules() if module.state_dict()]

    @property
    def averages(self) -> bool:
        """Return whether the mean over an epoch is independent of the batch size."""
        given = [loss for loss in self.losses.values() if loss is not None]
        return bool(given) and all(loss.is_mean_over_rows() for loss in given)

    def assign(self, outputs: Mapping[str, Any], tree: NameTree) -> tuple[dict[str, Loss | None], dict[str, float]]:
        """Return the losses and their factors by output name.

        Args:
            outputs: Outputs of the model by name.
            tree: Their names in their structure.

        Raises:
            ValueError: The losses or factors are for other outputs.
        """
        given = [self._given] if self._is_for_one and len(outputs) > 1 else self._given
        losses: dict[str, Loss | None] = self.names.settings("loss", given, tree)
        if self._is_shared and any(isinstance(one, Tensor) for one in outputs.values()):
            losses = {name: loss if isinstance(outputs[name], Tensor) else None for name, loss in losses.items()}
            self._seen = [name for name, loss in losses.items() if loss is not None]
        if all(loss is None for loss in losses.values()):
            raise ValueError(f"no output of the model has a loss: {quoted(list(losses))}.")
        factors = self.names.settings("loss_weights", self._factors, tree)
        return losses, {name: 1.0 if factor is None else factor for name, factor in factors.items()}

    def target_tree(self, y: Any) -> NameTree:
        """Return the names of the outputs that targets are for, in the structure of the targets."""
        wanted = self._seen or self._wanted()
        if not is_container(y):
            return wanted[0] if len(wanted) == 1 else ""
        if isinstance(y, (list, tuple)) and len(y) > 1 and not any(map(is_container, y)):
            for names in (list(self.losses), wanted):
                if len(names) == len(y):
                    return names
        return self.names.tree(y)

    def aliases(self, tree: NameTree) -> Mapping[str, str]:
        """Return the other names that a user may write for the outputs in a tree."""
        return self.names.aliases(tree)

    def _wanted(self) -> list[str]:
        return [name for name, loss in self.losses.items() if loss is not None]


def _check_model_factors(given: Any, *_: Any) -> Any:
    """Return `loss_weights` for the loss that the model returns: a number, numbers by name of a loss, or `None`.

    Raises:
        ValueError: They are something else.
    """
    if is_container(given) and not isinstance(given, Mapping):
        raise mismatch("loss_weights", given, "a number, or a dict by the names of the losses that the model returns")
    return map_values(lambda one: None if one is None else check_float("loss_weights", one), given)


def _check_factors(given: Any, losses: Any, names: OutputNames) -> Any:
    """Return `loss_weights`, checked to be numbers in the structure of the losses.

    Args:
        given: `loss_weights`; that of the only output may stand alone, in a list or in a dict.
        losses: The losses, one or a structure of them.
        names: Names of the model's outputs.

    Raises:
        ValueError: There is a loss without a weight, or a weight without a loss; or a weight is no number.
    """
    if given is None:
        return None
    advice = "Metrics go to metrics=[...]."
    factors = map_values(lambda one: None if one is None else check_float("loss_weights", one, advice=advice), given)
    if not is_container(losses):
        factors = names.unwrap(factors)
        is_only = isinstance(factors, Mapping) and len(factors) == 1 and names.known_tree is None
        return next(iter(factors.values())) if is_only else factors
    tree = names.known_tree if is_container(names.known_tree) else name_tree(losses, parts_of=given_parts)
    by_name = assign(losses, tree, fills=True, aliases=names.aliases(tree))
    try:
        found = assign(factors, tree, fills=is_container(factors) or len(by_name) == 1, aliases=names.aliases(tree))
    except StructureError:
        found = {}
    if not all(name in found for name, loss in by_name.items() if loss is not None):
        raise ValueError(
            f"loss_weights are for {quoted(sorted(flatten_given(factors)))}, losses for "
            f"{quoted(sorted(names_in(tree)))}; give both alike."
        )
    return factors
