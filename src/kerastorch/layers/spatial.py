"""Spatial, the base of layers over sequences, images and volumes, with their `data_format`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from torch import Tensor

from kerastorch.core.channel_tracking import Channels
from kerastorch.core.errors import check_choice, check_int, mismatch
from kerastorch.core.image_format import FORMATS, chosen_image_format
from kerastorch.layers.base import Layer
from kerastorch.layers.channels_check import SPATIAL_AXES, warn_if_channels_last


class Spatial(Layer):
    """Base of layers over `rank` spatial axes: 1 for sequences, 2 for images, 3 for volumes.

    Sequences are channels-last by default, because `Embedding`, recurrent layers and attention return them like this:
    with another default, a pooling after an `Embedding` would train over the wrong axis without an error. Images are
    channels-first, as torchvision yields them and torch's models take them.

    Args:
        data_format: `'channels_first'` for `(batch, channels, ...)`, `'channels_last'` for `(batch, ..., channels)`.
            `None`, the default, is `'channels_last'` for sequences, as in the recurrent layers, and
            `'channels_first'` for images and volumes, as in torch, unless `config.set_image_data_format` was called.
            With `None`, images that look channels-last cause a warning, or an error in layers for images only; an
            explicit format, or one that was set, is always obeyed.
        name: Name of the layer. Default none.
        trainable: Whether the weights are trained. Default `True`.
        activity_regularizer: Penalty on the output, divided by the batch size. Default none.
    """

    rank: int

    def __init__(
        self,
        data_format: str | None = None,
        *,
        name: str | None = None,
        trainable: bool = True,
        activity_regularizer: Any = None,
    ) -> None:
        super().__init__(name=name, trainable=trainable, activity_regularizer=activity_regularizer)
        if data_format is None and self.rank > 1:
            data_format = chosen_image_format()
        self.data_format_given = data_format is not None
        if data_format is None:
            data_format = "channels_last" if self.rank == 1 else "channels_first"
        self.data_format = check_choice("data_format", data_format, FORMATS)
        self._is_channels_last = self.data_format == "channels_last"

    def get_config(self) -> dict[str, Any]:
        """Return the constructor arguments; a `data_format` that was not given stays `None`."""
        config = super().get_config()
        return config if self.data_format_given else config | {"data_format": None}

    # --- which axis has the channels --------------------------------------------------------------------------

    def check_shapes(self, *input_shapes: Any) -> None:
        """Warn of images and volumes that look channels-last, unless `data_format` was given."""
        shape = input_shapes[0] if input_shapes else ()
        if self.rank > 1 and not self.data_format_given and len(shape) == self.rank + 2:
            warn_if_channels_last(self, shape, "data_format")

    def default_channel_axis(self, ndim: int) -> int | None:
        """Return the channel axis that the default format implies; `None` if `data_format` was given."""
        return None if self.data_format_given or ndim != self.rank + 2 else -1 if self._is_channels_last else 1

    def axis_advice(self, axis: int) -> str:
        """Return the argument that puts the channels on `axis`, 1 or -1, for messages."""
        return f"data_format={FORMATS[axis == -1]!r}"

    @property
    def takes_channels_first(self) -> bool:
        """Whether the layer takes axis 1 of images or volumes as the channels."""
        return self.rank > 1 and not self._is_channels_last

    def channels_after(self, given: Channels | None) -> Channels | None:
        """Return the channel axis of the output, which `data_format` determines."""
        return Channels(-1 if self._is_channels_last else 1, self.rank + 2, self.display_name())

    # --- the input --------------------------------------------------------------------------------------------

    def check_ndim(self, x: Tensor) -> None:
        """Raise an error if `x` does not have `rank + 2` axes.

        Raises:
            ValueError: A different number of axes.
        """
        if x.ndim != self.rank + 2:
            raise self._ndim_error(x.shape)

    def to_channels_first(self, x: Tensor) -> Tensor:
        """Return `x`, which is in `data_format`, as `(batch, channels, ...)`, the order of torch.

        Raises:
            ValueError: `x` does not have `rank + 2` axes.
        """
        self.check_ndim(x)
        return x.movedim(-1, 1) if self._is_channels_last else x

    def from_channels_first(self, x: Tensor) -> Tensor:
        """Return `x`, which is `(batch, channels, ...)`, in `data_format`."""
        return x.movedim(1, -1) if self._is_channels_last else x

    def channels_and_sizes(self, input_shape: Sequence[int]) -> tuple[int, tuple[int, ...]]:
        """Return the number of channels and the sizes of the spatial axes of an input shape.

        Raises:
            ValueError: The shape does not have `rank + 2` axes.
        """
        if len(input_shape) != self.rank + 2:
            raise self._ndim_error(input_shape)
        spatial = input_shape[1:-1] if self._is_channels_last else input_shape[2:]
        return input_shape[-1] if self._is_channels_last else input_shape[1], tuple(spatial)

    # --- for messages -----------------------------------------------------------------------------------------

    def expected_axes(self) -> str:
        """Return the names of the input's axes, as `"(batch, channels, height, width)"`, for messages."""
        spatial = SPATIAL_AXES[self.rank]
        return f"(batch, {spatial}, channels)" if self._is_channels_last else f"(batch, channels, {spatial})"

    def other_format_advice(self) -> str:
        """Return the advice for users of the other format, which argument to set, for messages."""
        return f"Data in the other order need data_format={FORMATS[not self._is_channels_last]!r}."

    def _ndim_error(self, shape: Sequence[int]) -> ValueError:
        return ValueError(
            f"{self.display_name()} takes {self.rank + 2} axes, {self.expected_axes()}, and got {len(shape)}: "
            f"{tuple(shape)}."
        )


def check_sizes(what: str, given: Any, rank: int, least: int = 1) -> tuple[int, ...]:
    """Return `rank` integers from one integer for all axes, or from a sequence with one for each axis.

    Args:
        what: Name of the argument, for messages.
        given: The integer or the sequence.
        rank: Number of spatial axes.
        least: Smallest integer that is allowed.

    Raises:
        ValueError: A sequence of a different length, no integers, or integers that are too small.

    >>> check_sizes("strides", 2, 3)
    (2, 2, 2)
    """
    is_sequence = isinstance(given, Sequence) and not isinstance(given, str)
    if is_sequence and len(given) != rank:
        raise mismatch(what, given, f"an integer or {rank} of them" if rank > 1 else "an integer")
    if is_sequence:
        return tuple(check_int(what, size, least) for size in given)
    return (check_int(what, given, least),) * rank
