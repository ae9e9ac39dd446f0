"""Detection of the class axis of outputs from their shape and their targets.

Keras has its classes on the last axis, torch on axis 1, and a loss over the wrong axis trains without an error. A loss
whose axis was not given gets it at the first batch of a pass.
"""

from __future__ import annotations

from torch import Tensor


def find_class_axis(
    name: str, y_true: Tensor, y_pred: Tensor, *, known: int | None = None, default: int | None = None
) -> int:
    """Return the class axis of outputs: -1, or 1 for channels-first images.

    Outputs with up to three axes have their classes on the last axis unless their channel axis is known. For images and
    volumes the targets decide: class numbers by their shape, one-hot targets by the axis along which they sum to one.

    Args:
        name: Name of the loss or metric, for error messages.
        y_true: Class numbers, or one-hot targets in the shape of `y_pred`.
        y_pred: Outputs, `(batch, ...)`.
        known: Channel axis of the layers that the outputs come from, if these are known.
        default: Axis that is returned if the targets fit both. Default: an error.

    Raises:
        ValueError: The targets fit both axes and there is no default; or they fit only the axis that is not `known`.
    """
    if y_pred.ndim < 3 or (y_pred.ndim == 3 and known is None and default is None):
        return -1
    fitting = [axis for axis in (1, -1) if _fits(y_true, y_pred, axis)]
    if known is not None and fitting and known not in fitting:
        raise ValueError(
            f"{name}: the model's outputs {tuple(y_pred.shape)} have their channels on axis {known}, but y of shape "
            f"{tuple(y_true.shape)} has its classes on axis {fitting[0]}. Move the axis, or name it: axis={fitting[0]}."
        )
    if known is not None:
        return known
    if len(fitting) == 1:
        return fitting[0]
    if default is not None:
        return default
    if not fitting and y_true.shape != y_pred.shape:
        return -1  # the targets fit no axis; the loss raises an error about their shape
    raise ValueError(
        f"{name}: outputs of shape {tuple(y_pred.shape)} and y of shape {tuple(y_true.shape)} do not tell on which "
        "axis the classes lie. Name it: axis=1 (channels-first) or axis=-1, as in CategoricalCrossentropy(axis=1)."
    )


def is_one_hot(y_true: Tensor, axis: int) -> bool:
    """Return whether targets have a single 1 and else zeros along an axis."""
    if y_true.ndim < 2:
        return False
    values = y_true.long() if not y_true.is_floating_point() else y_true
    return bool(((values == 0) | (values == 1)).all()) and bool((values.sum(axis) == 1).all())


def _fits(y_true: Tensor, y_pred: Tensor, axis: int) -> bool:
    """Return whether targets fit outputs with their classes on this axis."""
    if y_true.shape == y_pred.shape:
        return bool(((y_true.float().sum(axis) - 1).abs() < 1e-3).all())
    sizes = list(y_pred.shape)
    if y_true.ndim == y_pred.ndim:
        sizes[axis] = 1
    else:
        sizes.pop(axis)
    return list(y_true.shape) == sizes
