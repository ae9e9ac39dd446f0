"""Random filters of images: RandomSharpness and RandomGaussianBlur."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn import functional as F

from kerastorch.core.errors import mismatch
from kerastorch.layers.augmentation import Augmentation, AugmentationOptions, Range, factor_range, value_pair
from kerastorch.layers.spatial import check_sizes


class RandomSharpness(Augmentation):
    """Random sharpness: `smooth + sharpness * (x - smooth)` with a smoothed image, in training.

    Args:
        factor: The sharpness of each image is twice a number that is uniform between 0 and `factor`, or between the
            numbers of a pair, 0 to 1. 0 smooths, 0.5 leaves images as they are, 1 sharpens.
        value_range: Lowest and highest value of a pixel; the result is clipped to this range.
        data_format: `"channels_first"` (default) or `"channels_last"`.
        seed: Seed of the random numbers; `None` uses torch's global generator.
        bounding_box_format: Format of boxes in a dict of images, see `RandomFlip`.
        name: Name of the layer.
        trainable: Accepted as in every layer; there are no weights.

    Shape: `(batch, channels, height, width)`, or one image without the batch axis; the output has the same shape. A
    floating-point dtype is preserved, and integers become floats. Beyond the edges, pixels are 0.

    >>> RandomSharpness((0.5, 0.5))(torch.full((1, 1, 2, 2), 3.0)).flatten()
    tensor([3., 3., 3., 3.])
    """

    def __init__(
        self,
        factor: float | Range,
        value_range: Range = (0, 255),
        data_format: str | None = None,
        seed: int | None = None,
        *,
        bounding_box_format: str | None = None,
        name: str | None = None,
        trainable: bool = True,
    ) -> None:
        super().__init__(AugmentationOptions.from_arguments(locals()))
        self.factor = factor_range("factor", factor, 0, 1)
        self.value_range = value_pair(value_range)

    def augment(self, x: Tensor) -> Tensor:
        sharpness = 2 * self._sample_uniform(x, self.factor).view(-1, 1, 1, 1).to(x.dtype)
        kernel = x.new_full((3, 3), 1 / 13)
        kernel[1, 1] = 5 / 13
        smooth = F.conv2d(x, kernel.expand(x.shape[1], 1, 3, 3), padding=1, groups=x.shape[1])
        return (x + (1 - sharpness) * (smooth - x)).clamp(*self.value_range)


class RandomGaussianBlur(Augmentation):
    """Random blur: an image is smoothed by a Gaussian window with a probability, in training.

    Args:
        factor: The probability is itself random: uniform between 0 and `factor`, or between the numbers of a pair.
            `(1.0, 1.0)` blurs every image.
        kernel_size: Height and width of the window in pixels, odd; one integer for both.
        sigma: The standard deviations along height and width, in pixels, are uniform between 0 and `sigma`, or between
            the numbers of a pair, 0 to 1.
        value_range: Lowest and highest value of a pixel; the result is clipped to this range.
        data_format: `"channels_first"` (default) or `"channels_last"`.
        seed: Seed of the random numbers; `None` uses torch's global generator.
        bounding_box_format: Format of boxes in a dict of images, see `RandomFlip`.
        name: Name of the layer.
        trainable: Accepted as in every layer; there are no weights.

    Shape: `(batch, channels, height, width)`, or one image without the batch axis; the output has the same shape. A
    floating-point dtype is preserved, and integers become floats. Beyond the edges, pixels are 0.

    >>> RandomGaussianBlur((1.0, 1.0))(torch.ones(2, 3, 8, 8)).shape
    torch.Size([2, 3, 8, 8])
    """

    def __init__(
        self,
        factor: float | Range = 1.0,
        kernel_size: int | Sequence[int] = 3,
        sigma: float | Range = 1.0,
        value_range: Range = (0, 255),
        data_format: str | None = None,
        seed: int | None = None,
        *,
        bounding_box_format: str | None = None,
        name: str | None = None,
        trainable: bool = True,
    ) -> None:
        super().__init__(AugmentationOptions.from_arguments(locals()))
        self.factor = factor_range("factor", factor, 0, 1)
        self.kernel_size = check_sizes("kernel_size", kernel_size, 2)
        if any(size % 2 == 0 for size in self.kernel_size):
            raise mismatch("kernel_size", kernel_size, "odd")
        self.sigma = factor_range("sigma", sigma, 0, 1)
        self.value_range = value_pair(value_range)

    def augment(self, x: Tensor) -> Tensor:
        is_blurred = self._sample_uniform(x, (0.0, 1.0)) < self._sample_uniform(x, self.factor)
        rows, columns = (self._sample_windows(x, size) for size in self.kernel_size)
        batch, channels, height, width = x.shape
        # each image has a window of its own: all channels of all images are groups of one convolution
        kernel = (rows[:, :, None] * columns[:, None, :]).repeat_interleave(channels, 0).unsqueeze(1).to(x.dtype)
        padding = [size // 2 for size in self.kernel_size]
        y = F.conv2d(x.reshape(1, batch * channels, height, width), kernel, padding=padding, groups=batch * channels)
        blurred = y.view(batch, channels, height, width).clamp(*self.value_range)
        return torch.where(is_blurred.view(-1, 1, 1, 1), blurred, x)

    def _sample_windows(self, x: Tensor, size: int) -> Tensor:
        """Sample a Gaussian window along one axis for each image, `(batch, size)`."""
        sigma = self._sample_uniform(x, self.sigma)[:, None] + 1e-6
        distance = torch.arange(size, dtype=sigma.dtype, device=x.device) - size // 2
        window = torch.exp(-((distance / sigma) ** 2) / 2)
        return window / window.sum(1, keepdim=True)
