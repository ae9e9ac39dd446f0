"""What layers over sequences, images and volumes share: their arguments, which axis is which, and 'same'."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from torch import Tensor

from kerastorch.core.channel_tracking import Channels
from kerastorch.core.errors import check_choice, check_int, mismatch
from kerastorch.layers.base import Layer
from kerastorch.layers.channels_check import warn_if_channels_last

FORMATS = ("channels_first", "channels_last")
_AXES = {1: "steps", 2: "height, width", 3: "depth, height, width"}


class Spatial(Layer):
    """A layer over `rank` axes beside the batch's and the channels'.

    Args:
        data_format: `'channels_first'`, `(batch, channels, ...)`; `'channels_last'`, `(batch, ..., channels)`;
            `None` is the latter for sequences, as the recurrent layers have them, and the former for images and
            volumes, as torch has them. Images that look channels-last are then warned of, or refused by layers for
            images alone; a format that is given is obeyed.
        name: see `Layer`; so are `trainable` and `activity_regularizer`.
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
        self.data_format_given = data_format is not None
        if data_format is None:
            data_format = "channels_last" if self.rank == 1 else "channels_first"
        self.data_format = check_choice("data_format", data_format, FORMATS)
        self._last = self.data_format == "channels_last"

    def get_config(self) -> dict[str, Any]:
        """Return the arguments that make another one like this; a `data_format` that was not given is `None`."""
        config = super().get_config()
        return config if self.data_format_given else config | {"data_format": None}

    def check_shapes(self, *input_shapes: Any) -> None:
        """Warn of images and volumes that look channels-last, unless `data_format` was given."""
        shape = input_shapes[0] if input_shapes else ()
        if self.rank > 1 and not self.data_format_given and len(shape) == self.rank + 2:
            warn_if_channels_last(self, shape, "data_format")

    def default_channel_axis(self, ndim: int) -> int | None:
        """Return the axis taken for the channels if no `data_format` was given."""
        return None if self.data_format_given or ndim != self.rank + 2 else -1 if self._last else 1

    def axis_advice(self, axis: int) -> str:
        """Say what to write for the channels on this axis."""
        return f"data_format={FORMATS[axis == -1]!r}"

    @property
    def takes_channels_first(self) -> bool:
        """Whether it takes axis 1 of images and volumes for the channels."""
        return self.rank > 1 and not self._last

    def channels_after(self, given: Channels | None) -> Channels | None:
        """Return the channel axis that `data_format` says."""
        return Channels(-1 if self._last else 1, self.rank + 2, self.named())

    def check(self, x: Tensor) -> None:
        """Raises where the number of axes is another."""
        if x.ndim != self.rank + 2:
            raise self._refused(x.shape)

    def first(self, x: Tensor) -> Tensor:
        """`x`, checked, as torch has it, `(batch, channels, ...)`."""
        self.check(x)
        return x.movedim(-1, 1) if self._last else x

    def back(self, x: Tensor) -> Tensor:
        """From torch's `(batch, channels, ...)` to `data_format`."""
        return x.movedim(1, -1) if self._last else x

    def split(self, input_shape: Sequence[int]) -> tuple[int, tuple[int, ...]]:
        """The number of channels, and the sizes of the other axes, of inputs of this shape."""
        if len(input_shape) != self.rank + 2:
            raise self._refused(input_shape)
        sizes = input_shape[1:-1] if self._last else input_shape[2:]
        return input_shape[-1] if self._last else input_shape[1], tuple(sizes)

    def axes(self) -> str:
        """For messages: `(batch, channels, height, width)`, or as `data_format` has them."""
        return f"(batch, {_AXES[self.rank]}, channels)" if self._last else f"(batch, channels, {_AXES[self.rank]})"

    def other_format(self) -> str:
        """For messages: what to do with data in the other format."""
        return f"Data in the other order need data_format={FORMATS[not self._last]!r}."

    def _refused(self, shape: Sequence[int]) -> ValueError:
        return ValueError(
            f"{self.named()} takes {self.rank + 2} axes, {self.axes()}, and got {len(shape)}: {tuple(shape)}."
        )


def sizes(what: str, given: Any, rank: int, least: int = 1) -> tuple[int, ...]:
    """An integer for every axis, or `rank` of them.

    >>> sizes("strides", 2, 3)
    (2, 2, 2)
    """
    several = isinstance(given, Sequence) and not isinstance(given, str)
    if several and len(given) != rank:
        raise mismatch(what, given, f"an integer or {rank} of them" if rank > 1 else "an integer")
    return tuple(check_int(what, one, least) for one in given) if several else (check_int(what, given, least),) * rank
