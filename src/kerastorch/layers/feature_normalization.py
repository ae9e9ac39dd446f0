"""Normalization of features with the mean and variance of a data set."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from kerastorch.core.errors import mismatch
from kerastorch.core.name_lookup import own_name
from kerastorch.layers.adaptable import AdaptableLayer, input_batches, not_adapted_error, to_numpy
from kerastorch.layers.axes import LAST
from kerastorch.layers.channels_check import warn_if_channels_first

EPSILON = 1e-7  # smallest divisor: smaller standard deviations are replaced by it


class Normalization(AdaptableLayer):
    """Feature normalization: `(x - mean) / sqrt(variance)`, with given statistics or those of the data for `adapt`.

    Args:
        axis: Axis or axes along which each index has its own mean and variance; 0 is the batch. The other axes are
            averaged over. -1 (default) for each feature; 1 for each channel of images; `None` for one mean and
            variance.
        mean: Mean, if it is not to be learned by `adapt`: a number, or an array with the sizes along `axis`.
        variance: Variance, given together with `mean` and of the same shape.
        invert: Whether the layer computes the inverse, `x * sqrt(variance) + mean`. Default `False`.
        name: Name of the layer. Default none.
        trainable: No effect: the layer has no weights.

    Shape: any, unchanged. `mean` and `variance` are buffers with the sizes of the input along `axis`, saved and loaded
    with the model. A standard deviation below 1e-7 is replaced by 1e-7.

    >>> layer = Normalization()
    >>> layer.adapt([[0.0, 7.0], [2.0, 9.0]])
    >>> layer(torch.tensor([[0.0, 8.0]]))
    tensor([[-1.,  0.]])
    """

    supports_masking = True
    keeps_axes = True
    mean: Tensor
    variance: Tensor

    def __init__(
        self,
        axis: int | Sequence[int] | None = LAST,
        mean: Any = None,
        variance: Any = None,
        invert: bool = False,
        *,
        name: str | None = None,
        trainable: bool = True,
    ) -> None:
        super().__init__(name=name, trainable=trainable)
        self.axis, self.axis_given = _check_axes(axis), axis is not LAST
        self.invert = invert
        self._given_moments = _check_moments(mean, variance, self.axis)
        moments: Any = ([], []) if self._given_moments is None else self._given_moments
        for buffer, value in zip(("mean", "variance"), moments, strict=True):
            self.register_buffer(buffer, torch.tensor(value).to(torch.get_default_dtype()))

    def adapt(self, data: Any) -> None:
        """Compute mean and variance in one pass, in float64; earlier values are replaced.

        Args:
            data: An array, a tensor, a `DataLoader` or another iterable of batches; of batches `(x, y)` only `x` is
                used.

        Raises:
            ValueError: The layer was made with `mean` and `variance`, batches have different sizes along `axis`, or
                there are no data.
        """
        if self._given_moments is not None:
            raise ValueError("Normalization was made with a mean and variance; adapt is for layers without.")
        sizes_before: tuple[int, ...] | None = None
        count, mean, squares = 0, np.zeros(()), np.zeros(())
        for batch in input_batches(data):
            x = to_numpy(batch, "Normalization").astype(np.float64, copy=False)
            if not count and not self.axis_given:
                warn_if_channels_first(self, x.shape)
            kept_axes = _positive_axes(self.axis, x.ndim)
            sizes = tuple(x.shape[axis] for axis in kept_axes)
            if sizes_before not in (None, sizes):
                raise ValueError(
                    f"adapt was given batches of size {sizes_before} and of size {sizes} along axis {self.axis}."
                )
            sizes_before = sizes
            averaged_axes = tuple(axis for axis in range(x.ndim) if axis not in kept_axes)
            batch_count = x.size // int(np.prod(sizes))
            # Chan, Golub, LeVeque 1979: sums of squared deviations are merged, since sums of squares lose precision
            difference = x.mean(axis=averaged_axes) - mean
            between = difference**2 * (count * batch_count / (count + batch_count))
            squares = squares + x.var(axis=averaged_axes) * batch_count + between
            mean = mean + difference * (batch_count / (count + batch_count))
            count += batch_count
        for name, value in (("mean", mean), ("variance", squares / count)):
            buffer = self._buffers[name]
            assert buffer is not None
            self._buffers[name] = torch.as_tensor(value).to(buffer)

    def forward(self, x: Tensor) -> Tensor:
        if self.mean.shape == (0,):
            raise not_adapted_error(self, "give mean= and variance=")
        mean = self._broadcast(self.mean, x)
        deviation = self._broadcast(self.variance, x).sqrt().clamp_min(EPSILON)
        return x * deviation + mean if self.invert else (x - mean) / deviation

    def _broadcast(self, moment: Tensor, x: Tensor) -> Tensor:
        """Return the mean or the variance with the axes of `x`, of size 1 if they are averaged over."""
        sizes = [1] * x.ndim
        for axis, size in zip(reversed(_positive_axes(self.axis, x.ndim)), reversed(moment.shape), strict=False):
            sizes[axis] = size
            if size not in (1, x.shape[axis]):
                raise ValueError(
                    f"Normalization has {size} means along axis {axis}, the input has shape {tuple(x.shape)}."
                )
        return moment.view(sizes)

    def get_config(self) -> dict[str, Any]:
        """Return the constructor arguments, and the mean and variance that `adapt` found."""
        mean, variance = (None, None) if self._given_moments is None else self._given_moments
        axis = list(self.axis) if isinstance(self.axis, tuple) else self.axis
        own = {"axis": axis, "mean": mean, "variance": variance, "invert": self.invert}
        own |= self._learned_config("mean", "variance") if self._given_moments is None else {}
        return {**own, "name": own_name(self), "trainable": self.trainable}

    def extra_repr(self) -> str:
        return f"axis={self.axis}{'' if self.mean.shape != (0,) else ', not adapted'}"


def _check_axes(axis: Any) -> int | tuple[int, ...] | None:
    """Return the argument `axis` with Python integers, or raise a `ValueError` if it has no integers."""
    entries = axis if isinstance(axis, (list, tuple)) else [] if axis is None else [axis]
    if any(isinstance(entry, bool) or not isinstance(entry, (int, np.integer)) for entry in entries):
        raise mismatch("axis", axis, "an integer, several of them, or None")
    return tuple(map(int, axis)) if isinstance(axis, (list, tuple)) else None if axis is None else int(axis)


def _positive_axes(axis: int | tuple[int, ...] | None, ndim: int) -> tuple[int, ...]:
    """Return the axes counted from the front, the batch being 0, in ascending order."""
    axes = () if axis is None else (axis,) if isinstance(axis, int) else axis
    for entry in axes:
        if not -ndim <= entry < ndim:
            raise ValueError(f"Normalization has axis={axis}, the input has {ndim} axes.")
    return tuple(sorted({entry % ndim for entry in axes}))


def _check_moments(mean: Any, variance: Any, axis: int | tuple[int, ...] | None) -> tuple[Any, Any] | None:
    """Return mean and variance as (nested lists of) floats; `None` if neither was given.

    Raises:
        ValueError: Only one was given, their shapes differ or have too many axes, or a number is out of range.
    """
    if mean is None and variance is None:
        return None
    if mean is None or variance is None:
        raise ValueError(f"mean and variance go together, got mean={mean!r} and variance={variance!r}.")
    means, variances = to_numpy(mean, "Normalization"), to_numpy(variance, "Normalization")
    if means.shape != variances.shape:
        raise ValueError(f"mean has shape {means.shape}, variance {variances.shape}.")
    n_axes = 0 if axis is None else 1 if isinstance(axis, int) else len(axis)
    if means.ndim > n_axes:
        raise ValueError(f"mean has {means.ndim} axes, more than there are in axis={axis!r}.")
    if not np.isfinite(means).all() or not (np.isfinite(variances) & (variances >= 0)).all():
        raise ValueError("mean must be finite, and variance finite and >= 0.")
    return means.astype(np.float64).tolist(), variances.astype(np.float64).tolist()
