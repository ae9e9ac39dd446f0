"""The argument `class_weight`: a weight for each sample, depending on its class."""

from __future__ import annotations

import numbers
from collections.abc import Mapping, Sequence
from typing import Any, Literal, Protocol, TypeAlias

import numpy as np
import torch
from torch import Tensor

from kerastorch.core.errors import check_float, warn
from kerastorch.core.nested import leaves
from kerastorch.core.output_structure import (
    NameTree,
    StructureError,
    assign,
    is_container,
    names_in,
    quoted,
    replace_names,
    template,
)
from kerastorch.data.class_labels import ClassLabels
from kerastorch.losses.base import Loss

BALANCED = "balanced"
# class number -> weight, weights of all classes, `'balanced'`, or a dict or list of these by output
ClassWeight: TypeAlias = "Mapping[Any, Any] | Sequence[Any] | Literal['balanced'] | np.ndarray[Any, Any] | None"


class Outputs(Protocol):
    """What class weights need to know of the outputs of a model."""

    is_of_model: bool  # the model computes its loss itself

    def target_tree(self, y: Any) -> NameTree:
        """Return the names of the outputs that targets are for, in the structure of the targets."""

    def aliases(self, tree: NameTree) -> Mapping[str, str]:
        """Return the other names that a user may write for the outputs in a tree."""

    def loss_of(self, output: str) -> Loss | None:
        """Return the loss of an output."""


def class_weights(class_weight: Any, outputs: Outputs | None = None, *, of_one_batch: bool = False) -> Any:
    """Return the weights for the argument `class_weight` of `fit`, or `None` if it was not given.

    Args:
        class_weight: As for `ClassWeights`.
        outputs: Names and losses of the outputs. Default: one output.
        of_one_batch: Whether the weights are for a single batch, of which `'balanced'` weights would depend.

    Raises:
        ValueError: `'balanced'` is given for one batch; a weight is negative or not finite; the model computes its
            loss.
        TypeError: `class_weight` is something else.
    """
    if class_weight is None:
        return None
    if outputs is not None and outputs.is_of_model:
        raise ValueError(
            "the loss that the model returns takes no sample weights, so class_weight needs another loss in compile()."
        )
    if of_one_batch and any(one == BALANCED for _, one in leaves(class_weight) if isinstance(one, str)):
        raise ValueError(
            "class_weight='balanced' counts the classes of all training rows, of which train_on_batch knows one batch. "
            "Compute the weights once: sklearn.utils.class_weight.compute_class_weight('balanced', ...)."
        )
    return ClassWeights(class_weight, outputs)


class ClassWeights:
    """Weights by class, which turn targets into sample weights.

    Args:
        class_weight: Class number -> weight, 1 for classes that are left out; a list of the weights of all classes; or
            `'balanced'`. For several outputs a dict or list of these.
        outputs: Names and losses of the outputs. Default: one output.

    >>> ClassWeights({1: 5.0})(torch.tensor([1, 0]))
    tensor([5., 1.], dtype=torch.float64)
    """

    def __init__(self, class_weight: Any, outputs: Outputs | None = None) -> None:
        self._given, self._outputs = _checked(class_weight), outputs
        self._tables: dict[str, _Table] = {}
        self._checked_targets: Any = None

    @property
    def is_balanced(self) -> bool:
        """Return whether weights depend on how frequent the classes are."""
        return any(isinstance(one, str) for one in _values(self._given))

    def count(self, targets: Any, kind: str) -> None:
        """Compute the weights that balance the classes of all training rows.

        Args:
            targets: All targets; `None` if they are not in memory.
            kind: Kind of the data, for the message.

        Raises:
            ValueError: There are no targets in memory.
        """
        if not self.is_balanced:
            return
        if targets is None:
            raise ValueError(
                f"class_weight='balanced' needs all targets in memory, which a {kind} does not show. Pass arrays, a "
                "TensorDataset or a Dataset with an attribute targets; or compute the weights: "
                "sklearn.utils.class_weight.compute_class_weight('balanced', classes=..., y=...)."
            )
        for name, table, y in self._by_output(targets):
            if table is not None and y is not None:
                table.balance(y, self._loss_of(name))

    def validate_targets(self, targets: Any) -> None:
        """Check all targets at once if they are in memory.

        Batches then need no check, which would synchronise the device.

        Warns:
            UserWarning: No target is of a class whose weight is given.
        """
        if targets is None or targets is self._checked_targets:
            return
        for name, table, y in self._by_output(targets):
            if table is not None and isinstance(y, Tensor):
                table.validate(y, self._loss_of(name))
        self._checked_targets = targets

    def __call__(self, y: Any, sample_weight: Any = None) -> Any:
        """Return the weights of the rows in the structure of the targets, times `sample_weight`.

        Args:
            y: Targets: class numbers `(batch,)`, `(batch, 1)`, or of images `(batch, height, width)`; or one-hot.
            sample_weight: Weights of the rows, for all outputs or in the structure of the targets.
        """
        tree = self._tree(y)
        wanted = names_in(tree)
        given = self._rows(sample_weight, tree)
        found = {}
        for name, table, target in self._by_output(y):
            weight = given[name]
            if table is not None and target is not None:
                weight = _product(table(target, self._loss_of(name)), weight)
            found[name] = weight
        if isinstance(tree, str):
            return found[tree]
        weights = replace_names(tree, {name: found.get(name) for name in wanted})
        if isinstance(weights, Mapping):  # targets without an output may be among them
            weights = {key: weight for key, weight in weights.items() if weight is not None}
        return weights

    def _rows(self, sample_weight: Any, tree: NameTree) -> dict[str, Any]:
        """Return the weights of rows by output name."""
        try:
            return assign(sample_weight, tree, fills=True, aliases=self._aliases(tree))
        except StructureError as error:
            raise ValueError(
                f"sample_weight must have the structure of y, with class_weight: {error}. Write "
                f"sample_weight={template(tree)}, or one array for all."
            ) from error

    def _tree(self, y: Any) -> NameTree:
        if self._outputs is not None:
            return self._outputs.target_tree(y)
        return "" if not is_container(y) else [f"output_{index}" for index in range(len(y))]

    def _loss_of(self, name: str) -> Loss | None:
        return None if self._outputs is None else self._outputs.loss_of(name)

    def _by_output(self, y: Any) -> list[tuple[str, _Table | None, Any]]:
        """Return name, weights and targets of each output."""
        tree = self._tree(y)
        try:
            given = assign(self._given, tree, fills=False, aliases=self._aliases(tree), is_several=_is_structure)
        except StructureError as error:
            raise ValueError(
                f"class_weight is {self._given!r}, and y has the targets of {quoted(names_in(tree))}: {error}. "
                f"Write class_weight={template(tree)}, with None for an output whose classes count the same."
            ) from error
        targets = {tree: y} if isinstance(tree, str) else assign(y, tree, fills=False)
        for name, one in given.items():
            if one is not None and name not in self._tables:
                self._tables[name] = _Table(one, name)
        return [(name, None if given[name] is None else self._tables[name], targets[name]) for name in given]

    def _aliases(self, tree: NameTree) -> Mapping[str, str]:
        return {} if self._outputs is None else self._outputs.aliases(tree)


class _Table:
    """Weights by class of one output.

    Args:
        given: Class number -> weight, a list, or `'balanced'`.
        output: Name of the output, for messages.
    """

    def __init__(self, given: Any, output: str) -> None:
        self._name = f"class_weight[{output!r}]" if output else "class_weight"
        self._labels: ClassLabels | None = None
        self._is_checked = False
        self._is_list = isinstance(given, (list, tuple))
        if given != BALANCED:
            entries = dict(enumerate(given)) if self._is_list else dict(given)
            self._set(entries)

    def _set(self, entries: Mapping[int, float]) -> None:
        """Store the weights, with 1 for classes in between and at both ends."""
        self._low, high = min(entries), max(entries)
        self._table = torch.ones(high - self._low + 3, dtype=torch.float64)
        for label, weight in entries.items():
            self._table[label - self._low + 1] = weight

    def balance(self, y: Tensor, loss: Loss | None) -> None:
        """Compute weights that are inversely proportional to the frequencies of the classes.

        With n labels, K classes that occur and n_k labels of class k, the weight is n / (K n_k), as in scikit-learn's
        `compute_class_weight('balanced')`.
        """
        labels = self._labels_of(y, loss, is_checked=False)
        ignored = None if loss is None else loss.ignored
        labels = labels if ignored is None else labels[labels != ignored]
        classes, counts = labels.cpu().unique(return_counts=True)
        if not len(classes):
            raise ValueError(f"{self._name}='balanced': y has no classes.")
        weights = labels.numel() / (len(classes) * counts.to(torch.float64))
        self._set(dict(zip(classes.tolist(), weights.tolist(), strict=True)))
        self._labels = None  # a Dataset may convert its targets for batches

    def validate(self, y: Tensor, loss: Loss | None) -> None:
        """Check all targets, of which batches are a part."""
        labels = self._labels_of(y, loss, is_checked=False)
        self._check_range(labels)
        places = (labels - self._low + 1).clamp(0, len(self._table) - 1)
        if bool((self._table.to(places.device)[places] == 1).all()) and bool((self._table != 1).any()):
            present = ", ".join(str(label) for label in labels.unique().tolist()[:20])
            warn(
                f"{self._name} has no effect: no row has a class with a weight other than 1 (classes in y: {present})."
            )
        self._is_checked = True

    def __call__(self, y: Any, loss: Loss | None) -> Tensor:
        """Return the weight of each class number in the targets, float64."""
        if not isinstance(y, Tensor):
            y = torch.as_tensor(y)
        is_waiting = y.device.type != "cpu" and self._labels is not None  # a look at the values waits for the device
        labels = self._labels_of(y, loss, is_checked=self._is_checked or is_waiting)
        if not (self._is_checked or is_waiting):
            self._check_range(labels)
        if self._table.device != labels.device:
            has_float64 = labels.device.type != "mps"
            self._table = self._table.to(labels.device, torch.float64 if has_float64 else torch.float32)
        return self._table[(labels - self._low + 1).clamp(0, len(self._table) - 1)]

    def _labels_of(self, y: Tensor, loss: Loss | None, is_checked: bool) -> Tensor:
        try:
            if self._labels is None:
                self._labels = ClassLabels.of(y, loss)
            return self._labels(y, is_checked)
        except ValueError as error:
            if "class_weight" in str(error):
                raise
            raise ValueError(f"{self._name} is for targets that are classes: {error}") from error

    def _check_range(self, labels: Tensor) -> None:
        """Raise an error for classes that a list of weights has no entry for."""
        if not self._is_list:
            return
        size = len(self._table) - 2
        outside = (labels < 0) | (labels >= size)
        if bool(outside.any()):
            present = ", ".join(str(label) for label in labels.unique().tolist()[:20])
            raise ValueError(
                f"{self._name} is a list of {size} weights, which has no entry for class {int(labels[outside][0])} "
                f"(classes in y: {present}). Write a weight for each class, or a dict of class number -> weight."
            )


def _product(weight: Tensor, sample_weight: Any) -> Tensor:
    """Return weights of classes times weights of rows; the one with fewer axes counts for all places of a row."""
    if sample_weight is None:
        return weight
    rows = torch.as_tensor(sample_weight).to(weight.device)
    while rows.ndim > 1 and rows.shape[-1] == 1:
        rows = rows.squeeze(-1)
    n_axes = max(rows.ndim, weight.ndim)
    first, second = (one.reshape(*one.shape, *[1] * (n_axes - one.ndim)) for one in (weight, rows))
    return first * second


def _is_structure(given: Any) -> bool:
    """Return whether class weights are given by output."""
    if isinstance(given, Mapping):
        return any(isinstance(key, str) for key in given)
    return isinstance(given, (list, tuple)) and not all(isinstance(one, numbers.Real) for one in given)


def _values(given: Any) -> list[Any]:
    """Return the class weights of all outputs."""
    if not _is_structure(given):
        return [] if given is None else [given]
    inner = given.values() if isinstance(given, Mapping) else given
    return [one for part in inner for one in _values(part)]


def _checked(given: Any) -> Any:
    """Return `class_weight`, checked and with floats for weights.

    Raises:
        TypeError: It is no dict, list or `'balanced'`, nor a structure of them.
        ValueError: A weight is negative or not finite, or a class is no integer.
    """
    if given is None or (isinstance(given, str) and given == BALANCED):
        return given
    if isinstance(given, (np.ndarray, Tensor)) and given.ndim == 1:
        given = given.tolist()
    if not is_container(given) or not given:
        raise TypeError(
            "class_weight must be a dict of class number -> weight, a list of the weights of all classes, or "
            f"'balanced'; for several outputs a dict or list of these. Got {given!r}."
        )
    if isinstance(given, Mapping) and _is_structure(given):
        for key, part in given.items():
            if isinstance(part, numbers.Real):
                raise TypeError(f"class_weight: a class must be an integer, got {key!r}. Write {{0: 1.0, 1: 2.0}}.")
        return {key: _checked(part) for key, part in given.items()}
    if isinstance(given, Mapping):
        return {_check_label(label): _check_weight(label, weight) for label, weight in given.items()}
    if _is_structure(given):
        return [_checked(part) for part in given]
    return [_check_weight(label, weight) for label, weight in enumerate(given)]


def _check_label(label: Any) -> int:
    if isinstance(label, bool) or not isinstance(label, numbers.Real) or not float(label).is_integer():
        raise ValueError(f"class_weight: a class must be an integer, got {label!r}.")
    return int(float(label))


def _check_weight(label: Any, weight: Any) -> float:
    return check_float(f"class_weight[{label}]", weight, least=0)
