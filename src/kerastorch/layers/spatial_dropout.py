"""Dropout of whole features: one random number for all positions of a sequence, an image or a volume."""

from __future__ import annotations

from typing import Any

from torch import Tensor

from kerastorch.core.errors import check_choice
from kerastorch.core.image_format import FORMATS, chosen_image_format
from kerastorch.layers.channels_check import warn_if_channels_last
from kerastorch.layers.dropout import Dropout


class _SpatialDropout(Dropout):
    """Dropout with one random number for all positions of a feature.

    Args:
        rate: Probability that a feature is set to 0, 0 to 1.
        data_format: `"channels_first"`, `"channels_last"`, or `None` for the default of the class.
        seed: Seed of the random masks; `None` uses torch's global generator.
        name: Name of the layer.
        trainable: Accepted as in every layer; there are no weights.
    """

    _ndim: int  # number of axes of the input, including the batch and the channels

    def __init__(
        self, rate: float, *, data_format: str | None, seed: int | None, name: str | None, trainable: bool
    ) -> None:
        super().__init__(rate, seed=seed, name=name, trainable=trainable)
        if data_format is None and self._ndim > 3:
            data_format = chosen_image_format()
        self.data_format = None if data_format is None else check_choice("data_format", data_format, FORMATS)

    def check_shapes(self, *input_shapes: Any) -> None:
        """Warn of images and volumes that look channels-last, unless `data_format` was given."""
        if self.data_format is None and self._ndim > 3 and len(input_shapes[0]) == self._ndim:
            warn_if_channels_last(self, input_shapes[0], "data_format")

    def default_channel_axis(self, ndim: int) -> int | None:
        """Return the channel axis, or `None` if `data_format` is given or `ndim` is wrong."""
        return None if self.data_format is not None or ndim != self._ndim else self._channel_axis()

    def axis_advice(self, axis: int) -> str:
        """Return the argument with which the channels are on `axis`, for warnings."""
        return f"data_format={FORMATS[axis == -1]!r}"

    @property
    def takes_channels_first(self) -> bool:
        """Return whether the input is images or volumes with the channels on axis 1."""
        return self._ndim > 3 and self._channel_axis() == 1

    def _mask_shape(self, x: Tensor) -> list[int]:
        if x.ndim != self._ndim:
            raise ValueError(
                f"{type(self).__name__} takes inputs of {self._ndim} axes, the batch's among them, "
                f"got shape {tuple(x.shape)}."
            )
        axis = self._channel_axis()
        return [size if index in (0, axis) else 1 for index, size in enumerate(x.shape)]

    def torch_attributes(self) -> dict[str, Any] | None:
        return None

    def _channel_axis(self) -> int:
        """Return the axis of the channels, counted from the front."""
        return self._ndim - 1 if self.data_format == "channels_last" else 1


class SpatialDropout1D(_SpatialDropout):
    """Dropout of whole features of a sequence: each is 0 at all time steps or at none (Tompson et al. 2015).

    Args:
        rate: Probability that a feature is set to 0 in training, 0 to 1; the others are scaled by `1 / (1 - rate)`.
        seed: Seed of random numbers that are the same in each run, an integer >= 0; `None` uses torch's global
            generator.
        data_format: `"channels_last"` (default): `(batch, steps, features)`, as in Keras and as the output of
            `Embedding`, `Conv1D` and recurrent layers. `"channels_first"`: `(batch, features, steps)`, as in torch.
        name: Name of the layer.
        trainable: Accepted as in every layer; there are no weights.

    >>> import torch
    >>> y = SpatialDropout1D(0.5)(torch.ones(1, 3, 4))
    >>> torch.equal(y[:, 0], y[:, 2])
    True
    """

    _ndim = 3

    def __init__(
        self,
        rate: float,
        seed: int | None = None,
        *,
        data_format: str | None = None,
        name: str | None = None,
        trainable: bool = True,
    ) -> None:
        super().__init__(rate, data_format=data_format, seed=seed, name=name, trainable=trainable)

    def _channel_axis(self) -> int:
        return 1 if self.data_format == "channels_first" else 2


class SpatialDropout2D(_SpatialDropout):
    """Dropout of whole feature maps: each is 0 at all pixels or at none (Tompson et al. 2015).

    Args:
        rate: Probability that a feature map is set to 0 in training, 0 to 1; the others are scaled by
            `1 / (1 - rate)`.
        data_format: `"channels_first"` (default): `(batch, channels, height, width)`; `"channels_last"`: `(batch,
            height, width, channels)`.
        seed: Seed of random numbers that are the same in each run, an integer >= 0; `None` uses torch's global
            generator.
        name: Name of the layer.
        trainable: Accepted as in every layer; there are no weights.

    >>> import torch
    >>> SpatialDropout2D(0.5)(torch.ones(2, 3, 4, 4)).std((2, 3)).max()
    tensor(0.)
    """

    _ndim = 4

    def __init__(
        self,
        rate: float,
        data_format: str | None = None,
        seed: int | None = None,
        *,
        name: str | None = None,
        trainable: bool = True,
    ) -> None:
        super().__init__(rate, data_format=data_format, seed=seed, name=name, trainable=trainable)


class SpatialDropout3D(SpatialDropout2D):
    """Dropout of whole channels of a volume, `(batch, channels, depth, height, width)`.

    Arguments are those of `SpatialDropout2D`.

    >>> import torch
    >>> SpatialDropout3D(0.5)(torch.ones(2, 3, 4, 4, 4)).std((2, 3, 4)).max()
    tensor(0.)
    """

    _ndim = 5
