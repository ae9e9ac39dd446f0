"""ChannelAxis: what layers share whose `axis` names the channels, by default those of images and volumes."""

from __future__ import annotations

from typing import Any

from kerastorch.layers.axes import positive_channel_axis
from kerastorch.layers.base import Layer
from kerastorch.layers.channels_check import warn_if_channels_last


class ChannelAxis(Layer):
    """Base of layers that work on the channels.

    Attributes:
        axis: the axis of the channels; `None` if it was not given: axis 1 of images and volumes, else the last.
    """

    axis: int | None

    def check_shapes(self, *input_shapes: Any) -> None:
        """Warn of images and volumes that look channels-last, unless `axis` was given."""
        if self.axis is None and len(input_shapes[0]) in (4, 5):
            warn_if_channels_last(self, input_shapes[0], "axis")

    def default_channel_axis(self, ndim: int) -> int | None:
        """Return the axis taken for the channels if none was given."""
        return None if self.axis is not None else positive_channel_axis(self, None, ndim)

    @property
    def takes_channels_first(self) -> bool:
        """Return whether it takes axis 1 of images and volumes for the channels."""
        return self.axis in (None, 1) and self.built_on is not None and len(self.built_on[0]) in (4, 5)
