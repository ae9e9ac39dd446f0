"""Resizing and CenterCrop: what their table does not say."""

import pytest
import torch

from kerastorch.layers import CenterCrop, Resizing


def test_antialiasing_keeps_the_mean_of_every_patch():
    x = torch.randn(2, 1, 8, 8, generator=torch.Generator().manual_seed(0))
    smooth, rough = Resizing(1, 1, antialias=True)(x), Resizing(1, 1)(x)
    assert not torch.allclose(smooth, rough)
    torch.testing.assert_close(rough, x[:, :, 3:5, 3:5].mean((2, 3), keepdim=True))


def test_whole_numbers_become_floats():
    for layer in (Resizing(2, 2), CenterCrop(2, 2)):
        assert layer(torch.zeros(1, 3, 4, 4, dtype=torch.uint8)).dtype == torch.float32


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Resizing(0, 3), "height must be an integer >= 1"),
        (lambda: Resizing(3, 3, "linear"), "Unknown interpolation 'linear'"),
        (lambda: Resizing(3, 3, crop_to_aspect_ratio=True, pad_to_aspect_ratio=True), "not both"),
        (lambda: Resizing(3, 3, "nearest", antialias=True), "needs interpolation"),
        (lambda: Resizing(3, 3, fill_mode="wrap"), "Unknown fill_mode 'wrap'"),
        (lambda: Resizing(3, 3)(torch.zeros(3, 4)), "takes images"),
    ],
)
def test_what_cannot_be_is_refused(make, message):
    with pytest.raises(ValueError, match=message):
        make()
