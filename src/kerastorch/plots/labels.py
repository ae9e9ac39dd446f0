"""Classes of data and predictions as numbers or names."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from kerastorch.plots.arrays import Array, to_array


def to_labels(name: str, value: Any) -> Array:
    """Return class numbers or names as a vector of int64 or strings.

    Args:
        name: Name of the argument, for messages.
        value: Class numbers or names, shape `(n,)` or `(n, 1)`, or one-hot rows `(n, k)`.

    Raises:
        ValueError: The value has another shape, or has numbers with a fraction.
    """
    array = to_array(name, value)
    if array.ndim == 2 and array.shape[1] > 1 and array.dtype.kind != "U":
        is_one_hot = ((array == 0) | (array == 1)).all() and (array.sum(1) == 1).all()
        if not is_one_hot:
            raise ValueError(f"{name} must hold class numbers, shape (n,), or one-hot rows, got shape {array.shape}.")
        numbers: Array = array.argmax(1)
        return numbers
    if array.ndim == 2 and array.shape[1] == 1:
        array = array[:, 0]
    if array.ndim != 1:
        raise ValueError(f"{name} must have the shape (n,), got {array.shape}.")
    if array.dtype.kind == "U":
        return array
    if array.dtype.kind == "f" and not (array == np.round(array)).all():
        wrong = array[array != np.round(array)][0]
        raise ValueError(f"{name} must hold class numbers, got {wrong:g}.")
    return array.astype(np.int64)


def to_predicted_labels(y_pred: Any) -> tuple[Array, int | None]:
    """Return predicted classes, and the number of classes that the outputs stand for, if they are outputs.

    Args:
        y_pred: Class numbers or names, shape `(n,)` or `(n, 1)`; outputs `(n, k)`, of which the largest counts; or
            probabilities of the second class, `(n,)` or `(n, 1)`.

    Raises:
        ValueError: A single column is neither class numbers nor probabilities, or the outputs contain NaN.
    """
    array = to_array("y_pred", y_pred)
    if array.dtype.kind == "U":
        return to_labels("y_pred", array), None
    if array.ndim == 2 and array.shape[1] > 1:
        if array.dtype.kind == "f" and np.isnan(array).any():
            raise ValueError("y_pred contains NaN.")
        return array.argmax(1), array.shape[1]
    if array.dtype.kind == "f" and not (array == np.round(array)).all():
        if not (array.min() >= 0 and array.max() <= 1):
            raise ValueError(
                f"y_pred has one output with values from {array.min():g} to {array.max():g}, which are no "
                "probabilities. For logits, pass the class numbers: y_pred > 0."
            )
        array = array > 0.5
        return to_labels("y_pred", array), 2
    return to_labels("y_pred", array), None


def check_same_kind(true: Array, predicted: Array) -> None:
    """Check that true and predicted classes are both numbers or both names.

    Raises:
        TypeError: They differ.
    """
    if (true.dtype.kind == "U") != (predicted.dtype.kind == "U"):
        raise TypeError("y_true and y_pred must both hold class numbers, or both names.")


def check_class_names(class_names: Any, n_classes: int) -> list[str]:
    """Return the names of classes 0 to `n_classes - 1`; by default their numbers.

    Raises:
        ValueError: There are fewer names than classes.
    """
    if class_names is None:
        return [str(number) for number in range(n_classes)]
    if isinstance(class_names, str):
        raise TypeError(f"class_names must be a list of names, got the string {class_names!r}.")
    names = [str(name) for name in class_names]
    if len(names) < n_classes:
        raise ValueError(f"class_names has {len(names)} names, but there are {n_classes} classes.")
    return names


def to_names(labels: Array, class_names: Sequence[str] | None) -> list[str]:
    """Return the name of each class in `labels`: itself, or the entry of `class_names` with its number.

    Raises:
        ValueError: A number is negative or has no name.
    """
    if class_names is None or labels.dtype.kind == "U":
        return [str(one) for one in labels]
    if labels.min() < 0:
        raise ValueError(f"class_names are those of classes 0, 1, ..., but there is a class {labels.min()}.")
    names = check_class_names(class_names, int(labels.max()) + 1)
    return [names[number] for number in labels]
