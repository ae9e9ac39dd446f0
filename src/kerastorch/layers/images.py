"""ImageLayer: what layers that only ever see images share."""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor

from kerastorch.layers.channels_check import refuse_channels_last
from kerastorch.layers.spatial import Spatial


class ImageLayer(Spatial):
    """A layer over images, `(batch, channels, height, width)`; what looks channels-last is refused at every call."""

    rank = 2

    def check_shapes(self, *input_shapes: Sequence[int]) -> None:
        """Refuse images that look channels-last, unless `data_format` was given."""
        for shape in input_shapes[:1]:
            if not self.data_format_given and len(shape) == 4:
                refuse_channels_last(self, shape)

    def first(self, x: Tensor) -> Tensor:
        """Return `x`, checked, as torch has it, `(batch, channels, height, width)`."""
        self.check_shapes(x.shape)
        return super().first(x)
