"""ImageLayer, the base of layers that take images only."""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor

from kerastorch.layers.channels_check import raise_if_channels_last
from kerastorch.layers.spatial import Spatial


class ImageLayer(Spatial):
    """Base of layers over images, `(batch, channels, height, width)`.

    Every call with images that look channels-last raises an error, unless `data_format` was given.
    """

    rank = 2

    def check_shapes(self, *input_shapes: Sequence[int]) -> None:
        """Raise an error for images that look channels-last, unless `data_format` was given."""
        for shape in input_shapes[:1]:
            if not self.data_format_given and len(shape) == 4:
                raise_if_channels_last(self, shape)

    def to_channels_first(self, x: Tensor) -> Tensor:
        """Return checked images, which are in `data_format`, as `(batch, channels, height, width)`."""
        self.check_shapes(x.shape)
        return super().to_channels_first(x)
