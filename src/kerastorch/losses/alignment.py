"""Targets in the dtype and shape that a loss needs beside its outputs; what cannot be meant raises an error."""

from __future__ import annotations

import torch
from torch import Tensor


def align_targets(name: str, y_true: Tensor, y_pred: Tensor) -> Tensor:
    """Return targets ready for a function of `(y_true, y_pred)` whose formula is not known.

    Targets with as many elements as the outputs get their shape and dtype: `(n,)` beside `(n, 1)` is never broadcast,
    and bool targets can be subtracted. Integers of any other shape are class numbers and become int64. Other targets,
    such as several columns for a function that takes them apart, stay as they are.

    Args:
        name: of the loss or metric, for messages.
        y_true: targets, `(batch, ...)`.
        y_pred: outputs, `(batch, ...)`.
    """
    if _without_one(y_true.shape, y_pred.shape):
        return align_values(name, y_true, y_pred)
    return y_true if y_true.is_floating_point() or y_true.is_complex() else y_true.to(torch.int64)


def align_values(name: str, y_true: Tensor, y_pred: Tensor) -> Tensor:
    """Return targets in the dtype and shape of the outputs; one axis of size 1 may come or go.

    Raises:
        ValueError: the shapes differ otherwise; nothing is ever broadcast.
    """
    if y_true.dtype != y_pred.dtype:
        y_true = y_true.to(y_pred.dtype)
    if y_true.shape == y_pred.shape:
        return y_true
    if _without_one(y_true.shape, y_pred.shape):
        return y_true.reshape(y_pred.shape)
    raise ValueError(
        f"{name}: y has shape {tuple(y_true.shape)} but the model outputs {tuple(y_pred.shape)}. "
        "Shapes must match; kerastorch never broadcasts a loss."
    )


def _without_one(one: torch.Size, other: torch.Size) -> bool:
    """Return whether two shapes are equal, or equal without one axis of size 1 behind the batch axis."""
    if one == other:
        return True
    longer, shorter = (one, other) if len(one) > len(other) else (other, one)
    if len(longer) != len(shorter) + 1:
        return False
    return any(
        longer[axis] == 1 and (*longer[:axis], *longer[axis + 1 :]) == tuple(shorter) for axis in range(1, len(longer))
    )


def align_classes(name: str, y_true: Tensor, y_pred: Tensor, axis: int) -> Tensor:
    """Return class numbers as int64 without the class axis of `y_pred`; `(N, 1)` is squeezed, one-hot is refused."""
    expected = list(y_pred.shape)
    classes = expected.pop(axis if y_pred.ndim > 1 else 0)
    if y_true.ndim == y_pred.ndim and y_true.shape[axis] == 1:
        y_true = y_true.squeeze(axis)
    if list(y_true.shape) != expected:
        if y_true.shape == y_pred.shape:
            raise ValueError(
                f"{name}: y looks one-hot (shape {tuple(y_true.shape)}, one column a class). "
                f"Use y.argmax({axis}) or loss='categorical_crossentropy'."
            )
        raise ValueError(
            f"{name}: y has shape {tuple(y_true.shape)} but the model outputs {tuple(y_pred.shape)}, "
            f"{classes} classes on axis {axis}; y must have shape {tuple(expected)}."
            f"{_other_axis(y_true, y_pred)}"
        )
    return whole_classes(y_true)


def _other_axis(y_true: Tensor, y_pred: Tensor) -> str:
    """Return advice for `y` that fits outputs with classes on axis 1."""
    sizes = list(y_pred.shape)
    if y_pred.ndim < 3 or list(y_true.shape) not in ([sizes[0], *sizes[2:]], [sizes[0], 1, *sizes[2:]]):
        return ""
    return " If the classes are the channels, use loss=SparseCategoricalCrossentropy(axis=1)."


def whole_classes(y_true: Tensor) -> Tensor:
    """Return class numbers as int64; floats pass where they are whole."""
    if y_true.dtype == torch.int64:
        return y_true
    if y_true.is_floating_point():
        broken = (y_true != y_true.round()).flatten()
        if bool(broken.any()):
            at = int(broken.to(torch.uint8).argmax())
            raise ValueError(f"y must hold whole class numbers; y[{at}] = {float(y_true.flatten()[at]):g}.")
    return y_true.to(torch.int64)


def check_classes(y_true: Tensor, classes: int, ignore: int | None) -> None:
    """Refuse class numbers outside `0..classes - 1`, other than `ignore`."""
    labels = whole_classes(y_true).flatten()
    wrong = (labels < 0) | (labels >= classes)
    if ignore is not None:
        wrong &= labels != ignore
    if bool(wrong.any()):
        at = int(wrong.to(torch.uint8).argmax())
        hint = " Labels starting at 1? Use y - 1." if int(labels.max()) == classes and int(labels.min()) > 0 else ""
        raise ValueError(
            f"y[{at}] = {int(labels[at])}, but the model has {classes} outputs (valid: 0..{classes - 1}).{hint}"
        )


def check_unit(name: str, y_true: Tensor) -> None:
    """Refuse targets outside 0..1."""
    values = y_true.flatten()
    wrong = (values < 0) | (values > 1)
    if bool(wrong.any()):
        at = int(wrong.to(torch.uint8).argmax())
        raise ValueError(f"{name} needs targets in [0, 1]; found {float(values[at]):g} at y[{at}].")


def check_signs(name: str, y_true: Tensor) -> None:
    """Refuse labels other than -1 and 1."""
    values = y_true.flatten()
    wrong = values.abs() != 1
    if bool(wrong.any()):
        at = int(wrong.to(torch.uint8).argmax())
        hint = " Labels 0 and 1? Use 2 * y - 1." if bool(((values == 0) | (values == 1)).all()) else ""
        raise ValueError(f"{name} needs labels -1 and 1; found {float(values[at]):g} at y[{at}].{hint}")


def check_probabilities(name: str, y_pred: Tensor) -> None:
    """Refuse outputs that cannot be probabilities."""
    low, high = float(y_pred.min()), float(y_pred.max())
    if low < 0 or high > 1.0001:
        raise ValueError(
            f"{name} expects probabilities, the model output ranges {low:.3g}..{high:.3g}. "
            "End the model in a softmax or sigmoid, or pass from_logits=True."
        )
