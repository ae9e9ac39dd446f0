"""Alignment of targets with outputs: conversion of dtype and shape, and checks of their values."""

from __future__ import annotations

import torch
from torch import Tensor

from kerastorch.losses.broadcasting import Form


def align_targets(name: str, y_true: Tensor, y_pred: Tensor) -> Tensor:
    """Return targets for a function of `(y_true, y_pred)` whose formula is unknown.

    Targets with the shape of the outputs, up to one axis of size 1, get the shape and dtype of the outputs: so `(n,)`
    and `(n, 1)` are not broadcast, and bool targets can be subtracted. Integers of any other shape are class numbers
    and become int64. Other targets, such as several columns that a function separates, are returned unchanged.

    Args:
        name: Name of the loss or metric, for error messages.
        y_true: Targets, `(batch, ...)`.
        y_pred: Outputs, `(batch, ...)`.
    """
    if _equal_up_to_one_axis(y_true.shape, y_pred.shape):
        return align_values(name, y_true, y_pred)
    return y_true if y_true.is_floating_point() or y_true.is_complex() else y_true.to(torch.int64)


def align_values(name: str, y_true: Tensor, y_pred: Tensor) -> Tensor:
    """Return targets in the dtype and shape of the outputs.

    If needed, one axis of size 1 is added or removed.

    Args:
        name: Name of the loss or metric, for error messages.
        y_true: Targets, `(batch, ...)`.
        y_pred: Outputs, `(batch, ...)`.

    Raises:
        ValueError: The shapes differ in more than that; targets are never broadcast.
    """
    if y_true.dtype != y_pred.dtype:
        y_true = y_true.to(y_pred.dtype)
    if y_true.shape == y_pred.shape:
        return y_true
    if _equal_up_to_one_axis(y_true.shape, y_pred.shape):
        return y_true.reshape(y_pred.shape)
    raise ValueError(
        f"{name}: y has shape {tuple(y_true.shape)} but the model outputs {tuple(y_pred.shape)}. "
        "Shapes must match; kerastorch never broadcasts a loss."
    )


def _equal_up_to_one_axis(one: torch.Size, other: torch.Size) -> bool:
    """Return whether two shapes are equal up to one axis of size 1 that is not the batch axis."""
    if one == other:
        return True
    longer, shorter = (one, other) if len(one) > len(other) else (other, one)
    if len(longer) != len(shorter) + 1:
        return False
    return any(
        longer[axis] == 1 and (*longer[:axis], *longer[axis + 1 :]) == tuple(shorter) for axis in range(1, len(longer))
    )


def align_classes(name: str, y_true: Tensor, y_pred: Tensor, axis: int) -> Tensor:
    """Return class numbers as int64 in the shape of the outputs without the class axis.

    Args:
        name: Name of the loss or metric, for error messages.
        y_true: Class numbers, `(batch, ...)`, or with the class axis of size 1, such as `(batch, 1)`.
        y_pred: Outputs, such as `(batch, classes)`.
        axis: The class axis of `y_pred`.

    Raises:
        ValueError: The targets have another shape, such as one-hot targets, or are not whole numbers.
    """
    expected = list(y_pred.shape)
    n_classes = expected.pop(axis if y_pred.ndim > 1 else 0)
    if y_true.ndim == y_pred.ndim and y_true.shape[axis] == 1:
        y_true = y_true.squeeze(axis)
    if list(y_true.shape) != expected:
        if y_true.shape == y_pred.shape:
            raise ValueError(
                f"{name}: y looks one-hot (shape {tuple(y_true.shape)}, one column a class). "
                f"Use y.argmax({axis}) or loss='categorical_crossentropy'."
            )
        if axis == 1 and y_pred.ndim > 2 and y_true.shape == y_pred.shape[:-1]:
            raise ValueError(
                f"{name} takes the classes on axis 1, as in torch, and the model outputs {tuple(y_pred.shape)} for y "
                f"of shape {tuple(y_true.shape)}: its {y_pred.shape[-1]} classes are on the last axis. Return "
                "outputs.movedim(-1, 1), or outputs.flatten(0, -2) with flat y. For logits on the last axis there is "
                "kerastorch.losses.SparseCategoricalCrossentropy(from_logits=True)."
            )
        raise ValueError(
            f"{name}: y has shape {tuple(y_true.shape)} but the model outputs {tuple(y_pred.shape)}, "
            f"{n_classes} classes on axis {axis}; y must have shape {tuple(expected)}."
            f"{_class_axis_hint(y_true, y_pred)}"
        )
    return to_class_numbers(y_true)


def class_number_forms(y_true: Tensor, y_pred: Tensor) -> dict[Form, Tensor]:
    """Return targets as int64 class numbers: `'classes'` without the class axis, `'class column'` with size 1 there.

    The dict is empty if the shape does not fit class numbers, or if floats are not whole.

    Args:
        y_true: Targets, `(batch, ...)`.
        y_pred: Scores with the classes on axis 1 or on the last axis, `(batch, ...)`.

    >>> {form: tuple(y.shape) for form, y in class_number_forms(torch.ones(4, 1), torch.zeros(4, 3)).items()}
    {'classes': (4,), 'class column': (4, 1)}
    """
    for axis in (1, -1) if y_pred.ndim > 1 else ():
        sizes = list(y_pred.shape)
        if sizes[axis] == 1:
            continue
        sizes[axis] = 1
        column = y_true.unsqueeze(axis % y_pred.ndim) if y_true.ndim == y_pred.ndim - 1 else y_true
        if list(column.shape) == sizes:
            if y_true.is_floating_point() and not bool((y_true == y_true.round()).all()):
                return {}
            column = column.to(torch.int64)
            return {"classes": column.squeeze(axis), "class column": column}
    return {}


def _class_axis_hint(y_true: Tensor, y_pred: Tensor) -> str:
    """Return the hint to use `axis=1` if targets fit it, else an empty string."""
    sizes = list(y_pred.shape)
    if y_pred.ndim < 3 or list(y_true.shape) not in ([sizes[0], *sizes[2:]], [sizes[0], 1, *sizes[2:]]):
        return ""
    return " If the classes are the channels, use loss=SparseCategoricalCrossentropy(axis=1)."


def to_class_numbers(y_true: Tensor) -> Tensor:
    """Return class numbers as int64.

    Raises:
        ValueError: A float is not a whole number.
    """
    if y_true.dtype == torch.int64:
        return y_true
    if y_true.is_floating_point():
        values = y_true.flatten()
        index = _first_index(values != values.round())
        if index is not None:
            raise ValueError(f"y must hold whole class numbers; y[{index}] = {float(values[index]):g}.")
    return y_true.to(torch.int64)


def _first_index(mask: Tensor) -> int | None:
    """Return the index of the first true element of a vector, or `None` if there is none."""
    return int(mask.to(torch.uint8).argmax()) if bool(mask.any()) else None


def check_classes(y_true: Tensor, n_classes: int, ignore: int | None) -> None:
    """Raise an error for class numbers outside `0..n_classes - 1`, except `ignore`."""
    labels = to_class_numbers(y_true).flatten()
    is_invalid = (labels < 0) | (labels >= n_classes)
    if ignore is not None:
        is_invalid &= labels != ignore
    index = _first_index(is_invalid)
    if index is not None:
        hint = " Labels starting at 1? Use y - 1." if int(labels.max()) == n_classes and int(labels.min()) > 0 else ""
        raise ValueError(
            f"y[{index}] = {int(labels[index])}, but the model has {n_classes} outputs "
            f"(valid: 0..{n_classes - 1}).{hint}"
        )


def check_unit(name: str, y_true: Tensor) -> None:
    """Raise an error for targets outside 0..1."""
    values = y_true.flatten()
    index = _first_index((values < 0) | (values > 1))
    if index is not None:
        raise ValueError(f"{name} needs targets in [0, 1]; found {float(values[index]):g} at y[{index}].")


def check_signs(name: str, y_true: Tensor) -> None:
    """Raise an error for labels other than -1 and 1."""
    values = y_true.flatten()
    index = _first_index(values.abs() != 1)
    if index is not None:
        hint = " Labels 0 and 1? Use 2 * y - 1." if bool(((values == 0) | (values == 1)).all()) else ""
        raise ValueError(f"{name} needs labels -1 and 1; found {float(values[index]):g} at y[{index}].{hint}")


def check_probabilities(name: str, y_pred: Tensor, advice: str) -> None:
    """Raise an error for outputs outside 0..1, which cannot be probabilities; `advice` ends the message."""
    low, high = float(y_pred.min()), float(y_pred.max())
    if low < 0 or high > 1.0001:
        raise ValueError(f"{name} expects probabilities, the model output ranges {low:.3g}..{high:.3g}. {advice}")
