"""UpSampling, ZeroPadding, Cropping: the forms of their arguments, and what is refused."""

import pytest
import torch

from kerastorch.layers import (
    Cropping1D,
    Cropping2D,
    Cropping3D,
    UpSampling1D,
    UpSampling2D,
    ZeroPadding1D,
    ZeroPadding2D,
)


@pytest.mark.parametrize("factor", [3, 7, 49, 107])
def test_every_factor_repeats_exactly(factor):
    x = torch.arange(60.0).view(1, 30, 2)
    assert torch.equal(UpSampling1D(factor)(x), x.repeat_interleave(factor, 1))


def test_a_number_a_pair_and_pairs_mean_the_same():
    x = torch.randn(1, 2, 6, 6)
    for layer in (ZeroPadding2D, Cropping2D):
        for others in (2, (2, 2), [[2, 2], [2, 2]]):
            assert torch.equal(layer(others)(x), layer(((2, 2), (2, 2)))(x))
    assert torch.equal(Cropping1D((1, 1))(x[0]), Cropping1D(1)(x[0]))


def test_cropping_undoes_padding():
    x = torch.randn(2, 3, 4, 5)
    for data_format in ("channels_first", "channels_last"):
        ends = ((1, 0), (2, 3))
        assert torch.equal(Cropping2D(ends, data_format)(ZeroPadding2D(ends, data_format)(x)), x)


def test_images_stay_in_the_memory_format_they_come_in():
    x = torch.randn(2, 3, 4, 5).contiguous(memory_format=torch.channels_last)
    for layer in (UpSampling2D(), ZeroPadding2D()):
        assert layer(x).is_contiguous(memory_format=torch.channels_last)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: UpSampling1D(1.5), "size must be an integer >= 1, got 1.5"),
        (lambda: UpSampling2D(2, interpolation="cubic"), "Unknown interpolation 'cubic'. Did you mean 'bicubic'[?]"),
        (lambda: ZeroPadding1D((1, 2, 3)), r"padding must be an integer or 2 of them, got \(1, 2, 3\)"),
        (lambda: ZeroPadding2D((1, 2, 3)), r"padding must be an integer, 2 of them, or 2 pairs, got \(1, 2, 3\)"),
        (lambda: ZeroPadding2D(((1, 2, 3), 1)), r"each of padding must be an integer or 2 of them, got \(1, 2, 3\)"),
        (lambda: Cropping3D(-1), "cropping must be an integer >= 0, got -1"),
        (
            lambda: Cropping2D(2, name="c")(torch.zeros(1, 3, 4, 9)),
            "Cropping2D 'c' has cropping=.* nothing would be left",
        ),
        (lambda: ZeroPadding2D()(torch.zeros(3, 4, 9)), "ZeroPadding2D takes 4 axes"),
    ],
)
def test_what_does_not_fit_is_told(make, message):
    with pytest.raises(ValueError, match=message):
        make()
