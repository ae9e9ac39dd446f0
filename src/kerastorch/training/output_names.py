"""OutputNames: the names of a model's outputs, and the losses, targets, weights and metrics that belong to each."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Any

from torch import Tensor, nn

from kerastorch.core.channel_tracking import graph_of, output_structure
from kerastorch.core.name_lookup import own_name
from kerastorch.core.output_structure import (
    NameTree,
    StructureError,
    assign,
    flatten,
    flatten_given,
    is_container,
    name_tree,
    names_in,
    parts_of,
    quoted,
    template,
)
from kerastorch.core.ownership import is_own


class OneListForSeveralOutputsError(ValueError):
    """Raised if metrics were given as one list, and the model returns several outputs."""


class OutputNames:
    """Names of the outputs of one model, as `compile`, data and logs use them.

    The name of the only output is `''` inside, so that its logs have no prefix.

    Args:
        leaves: Names of the layers that return the outputs, in the order of their structure; `None` if unknown.
        only: The name by which a user may call the only output; `None` if it has none.
        tree: The names in the structure of the outputs, if it is known before the model is called.
    """

    def __init__(
        self, leaves: Sequence[str] | None = None, only: str | None = None, tree: NameTree | None = None
    ) -> None:
        self._leaves, self.known_tree = leaves, tree
        self._aliases = {} if only is None else {only: ""}

    @classmethod
    def of(cls, model: nn.Module) -> OutputNames:
        """Return the names of the outputs of a model, as far as they are known before it is called."""
        viewed = getattr(model, "module_viewed", None)
        own_forward = is_own(type(model).forward)
        if getattr(model, "is_functional", False) and own_forward:
            graph = graph_of(model)
            assert graph is not None
            leaves, tree = output_structure(graph)
            return cls(None, leaves[0], tree) if tree == "" else cls(leaves, None, tree)
        if isinstance(viewed, nn.Module) and own_forward:
            inner = cls.of(viewed)
            return inner if inner.known_tree in (None, "") else cls()
        is_chain = isinstance(model, nn.Sequential) or getattr(model, "is_chain", False) is True
        last = next(reversed(model._modules.values()), None) if is_chain else None
        return cls(None, None if last is None else own_name(last))

    def tree(self, outputs: Any) -> NameTree:
        """Return the names of outputs in their structure."""
        return "" if isinstance(outputs, Tensor) else name_tree(outputs, self._leaves)

    def flatten(self, outputs: Any) -> dict[str, Any]:
        """Return outputs by name."""
        return flatten(outputs, self._leaves)

    def aliases(self, tree: NameTree) -> Mapping[str, str]:
        """Return the other names that a user may write for the outputs in a tree."""
        if tree == "":
            return self._aliases
        names = names_in(tree)
        is_known = self._leaves is not None and len(self._leaves) == len(names)
        return dict(zip(self._leaves or (), names, strict=True)) if is_known else {}

    def unwrap(self, given: Any) -> Any:
        """Return the value for the only output if it stands in a list, or in a dict under the output's name."""
        if isinstance(given, (list, tuple)) and len(given) == 1:
            return given[0]
        if isinstance(given, Mapping) and len(given) == 1 and set(given) <= set(self._aliases):
            return next(iter(given.values()))
        return given

    def settings(self, what: str, given: Any, tree: NameTree, *, optional: bool = True) -> dict[str, Any]:
        """Assign an argument of `compile` to the outputs; one value is that of each output.

        Args:
            what: The argument, for messages.
            given: Its value.
            tree: Names of the outputs in their structure.
            optional: Whether outputs may have none.

        Raises:
            ValueError: The argument has another structure.
        """
        try:
            found = assign(given, tree, fills=True, aliases=self.aliases(tree))
        except StructureError:
            found = None
        if found is None or (not optional and None in found.values()):
            raise ValueError(self._wrong_structure(what, given, tree))
        return found

    def _wrong_structure(self, what: str, given: Any, tree: NameTree) -> str:
        plural = "losses" if what == "loss" else what
        was = f"compile() was given {plural} for {quoted(sorted(flatten_given(given)))}"
        if tree == "":
            named = "".join(f", or {what}={{{name!r}: ...}}" for name in self._aliases)
            return f"The model has one output, {was}. Write {what}=... for it{named}."
        by_name = isinstance(given, Mapping) and not isinstance(tree, Mapping)
        shape = template({name: name for name in names_in(tree)} if by_name else tree)
        advice = f"Write {what}={shape}" + (", or one loss for all" if what == "loss" else "")
        return f"The model has outputs {quoted(sorted(names_in(tree)))}, {was}. {advice}."

    def targets(
        self, y: Any, tree: NameTree, wanted: Collection[str], also_wanted: Collection[str] = ()
    ) -> dict[str, Any]:
        """Return the targets of the outputs, by output name.

        Args:
            y: The target of the only output, alone or in a list of one; a structure like the outputs; a dict by their
                names; targets in the order of the wanted outputs, or one target if one output is wanted.
            tree: Names of the outputs in their structure.
            wanted: The outputs that need a target for their loss.
            also_wanted: The outputs that need one for their metrics.

        Raises:
            ValueError: `y` has another structure.
        """
        found = _same_structure(y, tree)  # the frequent case first
        if found is not None:
            return found
        parts = None if y is None or is_container(y) else parts_of(y)
        y = y if parts is None else parts  # a dataclass
        if tree == "" and not is_container(y):
            return {"": y}
        names, aliases = names_in(tree), self.aliases(tree)
        needed = [name for name in names if name in wanted or name in also_wanted]
        if isinstance(y, Mapping):  # it may hold more than the model has outputs
            known = {*names, *aliases, *(tree if isinstance(tree, Mapping) else ())}
            y = {key: part for key, part in y.items() if key in known} or y
        for some in (wanted, needed) if is_container(y) else (needed,):
            try:
                found = assign(y, tree, fills=False, wanted=some, aliases=aliases)
            except StructureError:
                continue
            if y is None or (isinstance(y, Mapping) and any(found[name] is None for name in wanted if name not in y)):
                break
            return found
        raise ValueError(self._wrong_targets(y, tree, needed))

    def has_targets_of(self, y: Any, outputs: Any) -> bool:
        """Return whether targets are a structure of several, one for each output of a model."""
        if not is_container(y) or len(y) < 2 or isinstance(outputs, Tensor):
            return False
        tree = self.tree(outputs)
        try:
            found = self.targets(y, tree, names_in(tree))
        except ValueError:
            return False
        return None not in found.values()

    def _wrong_targets(self, y: Any, tree: NameTree, needed: Sequence[str]) -> str:
        many = isinstance(y, Mapping)
        if tree == "":
            given = f"is a dict with {quoted(sorted(map(str, y)))}" if many else f"has {len(y)} parts"
            return f"The model has one output, y {given}; pass the target itself."
        if not is_container(y):
            given = "None" if y is None else "one array"
            if y is None and not needed:
                return (
                    "The metrics need targets, and a batch has no y. Yield (x, y), or write "
                    "compile(..., prepare_batch=lambda batch: (inputs, targets))."
                )
            kind = "dict by name" if isinstance(tree, Mapping) else "tuple in their order"
            return (
                f"The model has the outputs {quoted(names_in(tree))} and y is {given}; give a target for each of "
                f"{quoted(needed)}, in a {kind}: y={template(tree)}. Or give the outputs without a target no loss, "
                f"loss={template(tree)} with None; or one loss for all outputs at once, a function (outputs, target)."
            )
        if many or isinstance(tree, Mapping):
            given = quoted(sorted(map(str, y))) if many else "a list"
            return (
                f"The model's outputs are {quoted(needed)}; y must be a dict with these, got {given}. "
                f"Write y={template(tree)}."
            )
        return f"The model has {len(tree)} outputs, y has {len(y)} parts. Write y={template(tree)}."

    def weights(self, sample_weight: Any, tree: NameTree, wanted: Collection[str]) -> dict[str, Any]:
        """Return the sample weights of the wanted outputs by name, `None` for outputs whose rows count the same.

        Args:
            sample_weight: Weights for all outputs; or a structure of them, as for `targets`.
            tree: Names of the outputs in their structure.
            wanted: The outputs that have a loss.

        Raises:
            ValueError: The weights have another structure.
        """
        if sample_weight is None or isinstance(sample_weight, Tensor):
            return dict.fromkeys(wanted, sample_weight)
        try:
            return assign(sample_weight, tree, fills=True, wanted=wanted, aliases=self.aliases(tree))
        except StructureError as error:
            raise ValueError(
                f"sample_weight does not fit the outputs of the model, {quoted(names_in(tree))}: {error}. Write "
                f"sample_weight={template(tree)}, with None for an output whose rows count the same, or one array for "
                "all."
            ) from error


def _same_structure(y: Any, tree: NameTree) -> dict[str, Any] | None:
    """Return tensors by output name if they stand in a list or dict just as the outputs do, else `None`."""
    if type(y) is dict and type(tree) is dict and y.keys() == tree.keys():
        pairs = [(tree[key], one) for key, one in y.items()]
    elif type(y) in (tuple, list) and type(tree) is list and len(y) == len(tree):
        pairs = list(zip(tree, y, strict=True))
    else:
        return None
    return dict(pairs) if all(isinstance(name, str) and isinstance(one, Tensor) for name, one in pairs) else None


def metric_inputs(
    y: Any,
    y_pred: Any,
    masks: Mapping[str, Tensor],
    names: OutputNames,
    loss_of: Callable[[str], Any],
    metrics: Collection[str],
    sample_weight: Any = None,
) -> tuple[dict[str, Any], dict[str, Any], dict[str, Any]]:
    """Return the outputs, targets and sample weights that metrics are updated with, by output name.

    Args:
        y: Targets of a batch as the data hold them.
        y_pred: Outputs of the model.
        masks: Output name -> boolean mask of the values that count.
        names: Names of the outputs, as far as they are known.
        loss_of: Returns the loss of an output, `None` if it has none.
        metrics: The outputs with metrics; `''` stands for the only one.
        sample_weight: Sample weights as the data hold them, if a metric counts samples with them.

    Raises:
        ValueError: Metrics were given as one list, and the model returns several outputs; targets have another
            structure than the outputs.
    """
    predicted, tree = names.flatten(y_pred), names.tree(y_pred)
    if not isinstance(y_pred, Tensor):  # caches and other objects have no metrics
        predicted = {name: one for name, one in predicted.items() if isinstance(one, Tensor)}
    tensors = list(predicted)
    true = names.targets(y, tree, [name for name in tensors if loss_of(name) is not None], metrics)
    weights = {} if sample_weight is None else names.weights(sample_weight, tree, tensors)
    for name, mask in masks.items():
        predicted[name], true[name] = predicted[name][mask], true[name][mask]
        if weights.get(name) is not None:
            weights[name] = _of_steps(weights[name], mask)[mask]
    if "" not in metrics or "" in predicted:
        return predicted, true, weights
    if len(tensors) != 1:
        raise OneListForSeveralOutputsError(one_list_of_metrics(tree))
    only = tensors[0]
    return {"": predicted[only]}, {"": true[only]}, {"": weights.get(only)}


def _of_steps(weight: Tensor, mask: Tensor) -> Tensor:
    """Return weights of rows or of steps in the shape of a mask, `(batch, time)`."""
    return weight.reshape(weight.shape[: mask.ndim] + (1,) * (mask.ndim - weight.ndim)).expand(mask.shape)


def one_list_of_metrics(tree: NameTree) -> str:
    """Return the message for one list of metrics given to a model of several outputs."""
    return (
        f"metrics are one list, but the model returns the outputs {quoted(names_in(tree))}; pass a list for each: "
        f"metrics={template(tree).replace('...', '[...]')}."
    )


def check_predictions(outputs: Any) -> None:
    """Check that outputs are tensors or `None`, and one of them is a tensor.

    Args:
        outputs: What the model returned.
    """
    by_name = flatten(outputs)
    tensors = [name for name, one in by_name.items() if one is not None]
    check_outputs(by_name if not tensors else {name: by_name[name] for name in tensors})


def check_outputs(outputs: Mapping[str, Any], wanted: Collection[str] | None = None) -> None:
    """Check that outputs are tensors.

    Args:
        outputs: The outputs by name.
        wanted: The outputs with a loss, which must be tensors; default all.
    """
    for name, one in outputs.items():
        if not isinstance(one, Tensor) and (wanted is None or name in wanted):
            if one is None and not name:
                raise ValueError("forward() returned None; is a return missing?")
            raise TypeError(f"forward() returned a {type(one).__name__}{' as ' + name if name else ''}, not a tensor.")
