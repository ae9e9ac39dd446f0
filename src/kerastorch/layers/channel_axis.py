"""ChannelAxis, the base of layers whose argument `axis` names the channel axis."""

from __future__ import annotations

from typing import Any

from kerastorch.core.image_format import chosen_image_format
from kerastorch.layers.axes import check_axis, positive_channel_axis
from kerastorch.layers.base import Layer
from kerastorch.layers.channels_check import warn_if_channels_last


class ChannelAxis(Layer):
    """Base of layers that work along the channel axis.

    Attributes:
        axis: Channel axis. `None` if it was not given: axis 1 of images and volumes, else the last axis.
    """

    axis: int | None

    @staticmethod
    def given_or_chosen_axis(axis: int | None) -> int | None:
        """Return a checked axis; if none is given, the last one if `config.set_image_data_format` was called so."""
        if axis is None:
            return None if chosen_image_format() is None else -1
        return check_axis(axis)

    def check_shapes(self, *input_shapes: Any) -> None:
        """Warn of images and volumes that look channels-last, unless `axis` was given."""
        if self.axis is None and len(input_shapes[0]) in (4, 5):
            warn_if_channels_last(self, input_shapes[0], "axis")

    def default_channel_axis(self, ndim: int) -> int | None:
        """Return the channel axis of an input with `ndim` axes if `axis` was not given, else `None`."""
        return None if self.axis is not None else positive_channel_axis(self, None, ndim)

    @property
    def takes_channels_first(self) -> bool:
        """Whether the layer was built on images or volumes and takes axis 1 as their channels."""
        return self.axis in (None, 1) and self.built_on is not None and len(self.built_on[0]) in (4, 5)
