"""Losses for classes as functions of targets and outputs: see `functions`."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any

from torch import Tensor

from kerastorch.core.array_conversion import to_tensors
from kerastorch.losses.array_calls import Array, call_on_arrays, to_numpy_unless_tensors
from kerastorch.losses.base import Loss
from kerastorch.losses.circle_loss import Circle, circle_values
from kerastorch.losses.classification import (
    BinaryCrossentropy,
    CategoricalCrossentropy,
    SparseCategoricalCrossentropy,
)
from kerastorch.losses.ctc_loss import CTC
from kerastorch.losses.focal import (
    BinaryFocalCrossentropy,
    CategoricalFocalCrossentropy,
    CategoricalGeneralizedCrossEntropy,
)
from kerastorch.losses.overlap import Dice, Tversky

if TYPE_CHECKING:
    from numpy.typing import ArrayLike


def binary_crossentropy(
    y_true: Array,
    y_pred: Array,
    from_logits: bool = False,
    label_smoothing: float = 0.0,
    axis: int = -1,
) -> Array:
    """Return `-mean(y log p + (1 - y) log(1 - p))` over an axis.

    Args:
        y_true: Targets in 0..1, `(batch, ...)`.
        y_pred: Probabilities, in the shape of the targets.
        from_logits: Whether `y_pred` has not been through a sigmoid.
        label_smoothing: `s` turns the targets 0 and 1 into `s / 2` and `1 - s / 2`.
        axis: Axis of the mean.

    >>> binary_crossentropy([0, 1], [0.5, 0.5]).round(4)
    np.float32(0.6931)
    """
    return sample_values(BinaryCrossentropy(from_logits, label_smoothing, axis, "none"), y_true, y_pred)


def categorical_crossentropy(
    y_true: Array,
    y_pred: Array,
    from_logits: bool = False,
    label_smoothing: float = 0.0,
    axis: int = -1,
) -> Array:
    """Return `-sum(y log p)` over the classes, for targets that are one-hot or probabilities.

    Args:
        y_true: Targets, `(batch, ..., classes)`.
        y_pred: Probabilities, in the shape of the targets.
        from_logits: Whether `y_pred` has not been through a softmax.
        label_smoothing: `s` turns targets `y` into `y * (1 - s) + s / classes`.
        axis: Axis of the classes.

    >>> categorical_crossentropy([0, 1, 0], [0.25, 0.5, 0.25]).round(4)
    np.float32(0.6931)
    """
    return sample_values(CategoricalCrossentropy(from_logits, label_smoothing, axis, "none"), y_true, y_pred)


def sparse_categorical_crossentropy(
    y_true: Array,
    y_pred: Array,
    from_logits: bool = False,
    ignore_class: int | None = None,
    axis: int = -1,
) -> Array:
    """Return `-log p[y]` for class numbers `y`.

    Args:
        y_true: Class numbers, in the shape of `y_pred` without the axis of the classes, or with that axis of size 1.
        y_pred: Probabilities, `(batch, ..., classes)`.
        from_logits: Whether `y_pred` has not been through a softmax.
        ignore_class: Class number whose values are 0. Default: none.
        axis: Axis of the classes.

    >>> sparse_categorical_crossentropy([1, 0], [[0.5, 0.5], [0.25, 0.75]]).round(4)
    array([0.6931, 1.3863], dtype=float32)
    """
    loss = SparseCategoricalCrossentropy(from_logits, ignore_class, "none", axis)
    return sample_values(loss, y_true, y_pred)


def binary_focal_crossentropy(
    y_true: Array,
    y_pred: Array,
    apply_class_balancing: bool = False,
    alpha: float = 0.25,
    gamma: float = 2.0,
    from_logits: bool = False,
    label_smoothing: float = 0.0,
    axis: int = -1,
) -> Array:
    """Return `-mean((1 - p_t)^gamma log(p_t))` over an axis, where `p_t` is the probability of the right answer.

    Args:
        y_true: Targets in 0..1, `(batch, ...)`.
        y_pred: Probabilities, in the shape of the targets.
        apply_class_balancing: Whether to multiply by `alpha` for targets 1 and by `1 - alpha` for targets 0.
        alpha: Weight of the class 1, 0 to 1.
        gamma: Focusing exponent, >= 0.
        from_logits: Whether `y_pred` has not been through a sigmoid.
        label_smoothing: `s` turns the targets 0 and 1 into `s / 2` and `1 - s / 2`.
        axis: Axis of the mean.

    >>> binary_focal_crossentropy([[0, 1], [0, 0]], [[0.5, 0.5], [0.0, 0.5]]).round(4)
    array([0.1733, 0.0866], dtype=float32)
    """
    loss = BinaryFocalCrossentropy(apply_class_balancing, alpha, gamma, from_logits, label_smoothing, axis, "none")
    return sample_values(loss, y_true, y_pred)


def categorical_focal_crossentropy(
    y_true: Array,
    y_pred: Array,
    alpha: float | Iterable[float] = 0.25,
    gamma: float = 2.0,
    from_logits: bool = False,
    label_smoothing: float = 0.0,
    axis: int = -1,
) -> Array:
    """Return `-sum(alpha * (1 - p)^gamma * y log(p))` over the classes.

    Args:
        y_true: Targets that are one-hot or probabilities, `(batch, ..., classes)`.
        y_pred: Probabilities, in the shape of the targets.
        alpha: Factor of all classes, or a list with a factor for each class, >= 0.
        gamma: Focusing exponent, >= 0.
        from_logits: Whether `y_pred` has not been through a softmax.
        label_smoothing: `s` turns targets `y` into `y * (1 - s) + s / classes`.
        axis: Axis of the classes.

    >>> categorical_focal_crossentropy([[0, 1], [1, 0]], [[0.5, 0.5], [0.5, 0.5]], alpha=[1, 2]).round(4)
    array([0.3466, 0.1733], dtype=float32)
    """
    loss = CategoricalFocalCrossentropy(alpha, gamma, from_logits, label_smoothing, axis, "none")
    return sample_values(loss, y_true, y_pred)


def categorical_generalized_cross_entropy(y_true: Array, y_pred: Array, q: float = 0.5) -> Array:
    """Return `(1 - p[y]^q) / q` for class numbers `y`.

    Args:
        y_true: Class numbers, in the shape of `y_pred` without the last axis, or with that axis of size 1.
        y_pred: Probabilities, `(batch, ..., classes)`.
        q: Exponent, between 0 and 1.

    >>> categorical_generalized_cross_entropy([1, 0], [[0.75, 0.25], [0.64, 0.36]]).round(4)
    array([1. , 0.4], dtype=float32)
    """
    return sample_values(CategoricalGeneralizedCrossEntropy(q, "none", axis=-1), y_true, y_pred)


def dice(y_true: Array, y_pred: Array, axis: int | Iterable[int] | None = None) -> Array:
    """Return `1 - 2 sum(y p) / (sum(y) + sum(p))`; the sums are over `axis`.

    Args:
        y_true: Targets in 0..1, `(batch, ...)`.
        y_pred: Probabilities, in the shape of the targets.
        axis: Axes of the sums. Default: all of them, so that the result is one number.

    >>> dice([[1.0, 1.0], [0.0, 0.0]], [[1.0, 0.0], [0.0, 1.0]])
    np.float32(0.5)
    """
    return call_on_arrays(Dice("none", axis=axis), y_true, y_pred)  # type: ignore[no-any-return]


def tversky(
    y_true: Array, y_pred: Array, alpha: float = 0.5, beta: float = 0.5, axis: int | Iterable[int] | None = None
) -> Array:
    """Return `1 - o / (o + alpha * sum(y (1 - p)) + beta * sum(p (1 - y)))` with `o = sum(y p)`.

    Args:
        y_true: Targets in 0..1, `(batch, ...)`.
        y_pred: Probabilities, in the shape of the targets.
        alpha: Weight of the missed part, the false negatives, >= 0.
        beta: Weight of the extra part, the false positives, >= 0.
        axis: Axes of the sums. Default: all of them, so that the result is one number.
    """
    return call_on_arrays(Tversky(alpha, beta, "none", axis=axis), y_true, y_pred)  # type: ignore[no-any-return]


def circle(
    y_true: Array,
    y_pred: Array,
    ref_labels: Tensor | ArrayLike | None = None,
    ref_embeddings: Tensor | ArrayLike | None = None,
    remove_diagonal: bool = True,
    gamma: float = 80.0,
    margin: float = 0.4,
) -> Array:
    """Return the circle loss of each sample, whose formula is that of `Circle`.

    Args:
        y_true: Class numbers, `(batch,)` or `(batch, 1)`.
        y_pred: Embeddings of length 1, `(batch, features)`.
        ref_labels: Class numbers of `ref_embeddings`, `(references,)`. Default: `y_true`.
        ref_embeddings: Embeddings to compare with, `(references, features)`. Default: `y_pred`.
        remove_diagonal: Whether to leave out the pairs of the same number.
        gamma: Scale of the similarities, > 0.
        margin: Relaxation of the distances.

    Raises:
        ValueError: The shapes do not fit.
    """
    loss = Circle(gamma, margin, remove_diagonal, "none")
    y, outputs, _ = to_tensors(y_true, y_pred, None)
    labels, references, _ = to_tensors(
        y if ref_labels is None else ref_labels, outputs if ref_embeddings is None else ref_embeddings, None
    )
    y, labels = loss.align(y, outputs), loss.align(labels, references)
    values = circle_values(y, outputs, labels, references, remove_diagonal, loss.gamma, loss.margin)
    return to_numpy_unless_tensors(values, y_true, y_pred, ref_labels, ref_embeddings)  # type: ignore[no-any-return]


def ctc(y_true: Array, y_pred: Array) -> Array:
    """Return minus the logarithm of the probability of each sequence of labels; see `CTC`.

    Args:
        y_true: Class numbers from 1, `(batch, labels)`, padded with 0 at the end.
        y_pred: Logits, `(batch, steps, classes)`; class 0 is the blank.

    >>> ctc([[1]], [[[0.0, 0.0], [0.0, 0.0]]]).round(4)
    array([0.2877], dtype=float32)
    """
    return CTC("none")(y_true, y_pred)


def sample_values(loss: Loss, y_true: Array, y_pred: Array) -> Array:
    """Return the values of a loss without a reduction; vectors are a single sample, except `(n, 1)` beside `(n,)`."""

    def compute(targets: Tensor, outputs: Tensor, _: None) -> Tensor:
        if outputs.ndim == 1 and targets.shape == (len(outputs), 1):
            outputs = outputs[:, None]
        values = loss(targets, outputs)
        return values.mean() if values.ndim == outputs.ndim == 1 else values

    return call_on_arrays(compute, y_true, y_pred)  # type: ignore[no-any-return]


# function -> class of the same formula, with the same names of arguments
CLASSES: dict[Callable[..., Any], type[Loss]] = {
    binary_crossentropy: BinaryCrossentropy,
    categorical_crossentropy: CategoricalCrossentropy,
    sparse_categorical_crossentropy: SparseCategoricalCrossentropy,
    binary_focal_crossentropy: BinaryFocalCrossentropy,
    categorical_focal_crossentropy: CategoricalFocalCrossentropy,
    categorical_generalized_cross_entropy: CategoricalGeneralizedCrossEntropy,
    dice: Dice,
    tversky: Tversky,
    circle: Circle,
    ctc: CTC,
}
