"""Normalization: values with the mean and spread of the data given to `adapt` become 0 and 1."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from kerastorch.core.errors import mismatch
from kerastorch.layers.adaptable import AdaptableLayer, batches, not_adapted_error, to_array
from kerastorch.layers.axes import LAST
from kerastorch.layers.channels_check import warn_if_channels_first

EPSILON = 1e-7  # the least standard deviation that is divided by


class Normalization(AdaptableLayer):
    """`(x - mean) / sqrt(variance)`, with the mean and variance of data that `adapt` looked at, or given ones.

    Args:
        axis: the axis or axes (0 is the batch) along which every index has a mean and variance of its own; all others
            are averaged over. `-1`: each feature; `1`: each channel of images; `None`: one mean for everything.
        mean: instead of `adapt`: a number, or an array of the sizes along `axis`.
        variance: beside `mean`, of the same shape.
        invert: `x * sqrt(variance) + mean`, the way back.
        name: see `Layer`; so is `trainable`.

    Shape: any, unchanged. `mean` and `variance` are buffers with the sizes of the input along `axis`, saved and loaded
    with the model. A standard deviation below 1e-7 counts as 1e-7.

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
        self.axis, self.axis_given = _axes(axis), axis is not LAST
        self.invert = invert
        self._given = _given(mean, variance, self.axis)
        found = (torch.empty(0), torch.empty(0)) if self._given is None else map(torch.tensor, self._given)
        for kept, value in zip(("mean", "variance"), found, strict=True):
            self.register_buffer(kept, value.to(torch.get_default_dtype()))

    def adapt(self, data: Any) -> None:
        """Find mean and variance, in one pass, in float64; what was found before is forgotten.

        Args:
            data: an array, a tensor, a `DataLoader` or another iterable of batches; of batches `(x, y)`, `x` counts.

        Raises:
            ValueError: `mean` and `variance` were given; batches that do not fit each other; no data.
        """
        if self._given is not None:
            raise ValueError("Normalization was made with a mean and variance; adapt finds them where none are given.")
        kept: tuple[int, ...] | None = None
        count, mean, squares = 0, np.zeros(()), np.zeros(())
        for batch in batches(data):
            x = to_array(batch, "Normalization").astype(np.float64, copy=False)
            if not count and not self.axis_given:
                warn_if_channels_first(self, x.shape)
            keep = _places(self.axis, x.ndim)
            sizes = tuple(x.shape[axis] for axis in keep)
            if kept not in (None, sizes):
                raise ValueError(f"adapt was given batches of size {kept} and of size {sizes} along axis {self.axis}.")
            kept = sizes
            over = tuple(axis for axis in range(x.ndim) if axis not in keep)
            found = x.mean(axis=over)
            here = x.size // int(np.prod(sizes))
            # Chan, Golub, LeVeque 1979: sums of squares about the mean of each part, never of the numbers themselves
            apart = found - mean
            squares = squares + x.var(axis=over) * here + apart**2 * (count * here / (count + here))
            mean = mean + apart * (here / (count + here))
            count += here
        for name, value in (("mean", mean), ("variance", squares / count)):
            buffer = self._buffers[name]
            assert buffer is not None
            self._buffers[name] = torch.as_tensor(value).to(buffer)

    def forward(self, x: Tensor) -> Tensor:
        if self.mean.shape == (0,):
            raise not_adapted_error(self, "give mean= and variance=")
        mean, deviation = self._along(self.mean, x), self._along(self.variance, x).sqrt().clamp_min(EPSILON)
        return x * deviation + mean if self.invert else (x - mean) / deviation

    def _along(self, found: Tensor, x: Tensor) -> Tensor:
        """With an axis of size 1 wherever the input's was averaged over."""
        keep = _places(self.axis, x.ndim)
        sizes = [1] * x.ndim
        for axis, size in zip(reversed(keep), reversed(found.shape), strict=False):
            sizes[axis] = size
            if size not in (1, x.shape[axis]):
                raise ValueError(
                    f"Normalization has {size} means along axis {axis}, the input has shape {tuple(x.shape)}."
                )
        return found.view(sizes)

    def get_config(self) -> dict[str, Any]:
        mean, variance = (None, None) if self._given is None else self._given
        axis = list(self.axis) if isinstance(self.axis, tuple) else self.axis
        own = {"axis": axis, "mean": mean, "variance": variance, "invert": self.invert}
        own |= self._learned("mean", "variance") if self._given is None else {}
        return {**own, "name": self.name, "trainable": self.trainable}

    def extra_repr(self) -> str:
        return f"axis={self.axis}{'' if self.mean.shape != (0,) else ', not adapted'}"


def _axes(axis: Any) -> int | tuple[int, ...] | None:
    several = axis if isinstance(axis, (list, tuple)) else [] if axis is None else [axis]
    if any(isinstance(one, bool) or not isinstance(one, (int, np.integer)) for one in several):
        raise mismatch("axis", axis, "an integer, several of them, or None")
    return tuple(map(int, axis)) if isinstance(axis, (list, tuple)) else None if axis is None else int(axis)


def _places(axis: int | tuple[int, ...] | None, ndim: int) -> tuple[int, ...]:
    """The axes as they are counted from the front, in order."""
    several = () if axis is None else (axis,) if isinstance(axis, int) else axis
    for one in several:
        if not -ndim <= one < ndim:
            raise ValueError(f"Normalization has axis={axis}, the input has {ndim} axes.")
    return tuple(sorted({one % ndim for one in several}))


def _given(mean: Any, variance: Any, axis: Any) -> tuple[Any, Any] | None:
    if mean is None and variance is None:
        return None
    if mean is None or variance is None:
        raise ValueError(f"mean and variance go together, got mean={mean!r} and variance={variance!r}.")
    first, second = to_array(mean, "Normalization"), to_array(variance, "Normalization")
    if first.shape != second.shape:
        raise ValueError(f"mean has shape {first.shape}, variance {second.shape}.")
    axes = 0 if axis is None else 1 if isinstance(axis, int) else len(axis)
    if first.ndim > axes:
        raise ValueError(f"mean has {first.ndim} axes, more than there are in axis={axis!r}.")
    if not np.isfinite(first).all() or not (np.isfinite(second) & (second >= 0)).all():
        raise ValueError("mean must be finite, and variance finite and >= 0.")
    return first.astype(np.float64).tolist(), second.astype(np.float64).tolist()
