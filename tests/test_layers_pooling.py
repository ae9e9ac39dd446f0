"""Pooling: sizes, masks, and what is refused."""

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from kerastorch import Sequential, layers
from kerastorch.layers import (
    AdaptiveMaxPooling2D,
    AveragePooling1D,
    AveragePooling3D,
    Conv1D,
    Dense,
    Embedding,
    GlobalAveragePooling1D,
    GlobalMaxPooling1D,
    MaxPooling1D,
    MaxPooling2D,
)


@pytest.mark.parametrize("size", range(1, 12))
@pytest.mark.parametrize("pool", [1, 2, 3, 4, 5])
@pytest.mark.parametrize("stride", [1, 2, 3, 6])
@pytest.mark.parametrize("grad", [True, False])
def test_same_is_centred_with_the_odd_one_behind_and_counts_only_what_is_there(size, pool, stride, grad):
    x = torch.randn(2, size, 3, requires_grad=grad)  # without gradients torch takes another kernel
    outputs = -(-size // stride)
    front = max((outputs - 1) * stride + pool - size, 0) // 2
    windows = [x[:, max(i * stride - front, 0) : i * stride - front + pool] for i in range(outputs)]
    largest, mean = torch.stack([w.amax(1) for w in windows], 1), torch.stack([w.mean(1) for w in windows], 1)
    torch.testing.assert_close(MaxPooling1D(pool, stride, "same")(x), largest)
    torch.testing.assert_close(AveragePooling1D(pool, stride, "same")(x), mean)


def test_same_takes_volumes_smaller_than_the_window():
    x = torch.randn(2, 3, 2, 2, 2)
    y = AveragePooling3D(5, padding="same")(x)
    torch.testing.assert_close(y, x.mean((2, 3, 4), keepdim=True))


def test_what_hangs_over_is_not_taken_for_zeros():
    x = torch.full((1, 5, 1), -torch.inf)
    assert (MaxPooling1D(4, 1, "same")(x) == -torch.inf).all()


def test_a_mean_over_a_mask_leaves_out_the_steps_that_do_not_count():
    x = torch.randn(3, 5, 4, dtype=torch.float64)
    x[0, 2:] = torch.nan  # nothing of them comes in
    mask = torch.tensor([[1, 1, 0, 0, 0], [1, 1, 1, 1, 1], [0, 0, 0, 0, 0]], dtype=torch.bool)
    expected = torch.stack([x[0, :2].mean(0), x[1].mean(0), torch.zeros(4)])
    torch.testing.assert_close(GlobalAveragePooling1D()(x, mask=mask), expected)
    torch.testing.assert_close(GlobalAveragePooling1D("channels_first")(x.mT, mask=mask), expected)
    kept = GlobalAveragePooling1D(keepdims=True)(x, mask=mask.float())
    torch.testing.assert_close(kept, expected[:, None])
    assert GlobalAveragePooling1D().compute_mask(x, mask) is None


def test_a_mask_over_the_wrong_axis_is_told():
    with pytest.raises(ValueError, match=r"a mask \(batch, steps\).*need data_format='channels_first'"):
        GlobalAveragePooling1D()(torch.zeros(2, 4, 5), mask=torch.ones(2, 5, dtype=torch.bool))


def test_text_goes_through_the_layers_of_sequences_as_an_embedding_gives_it():
    words = torch.randint(9, (4, 12), generator=torch.Generator().manual_seed(0))
    between = [Conv1D(6, 3, activation="relu"), MaxPooling1D(2), GlobalAveragePooling1D()]
    model = Sequential([Embedding(9, 5), *between, Dense(3)])
    y = model(words)
    plain = nn.Sequential(nn.Conv1d(5, 6, 3), nn.ReLU(), nn.MaxPool1d(2), nn.AdaptiveAvgPool1d(1), nn.Flatten())
    plain.append(nn.Linear(6, 3))
    weights = list(model.state_dict().values())
    plain.load_state_dict(dict(zip(plain.state_dict(), weights[1:], strict=True)))
    expected = plain(F.embedding(words, weights[0]).transpose(1, 2))
    torch.testing.assert_close(y, expected)
    model.compile("sgd", "mse")
    assert model.evaluate(words, torch.zeros(4, 3), verbose=0) == pytest.approx(expected.square().mean().item())


def test_a_text_model_is_the_same_in_both_orders():
    torch.manual_seed(0)
    words = torch.randint(9, (4, 7))
    last = Sequential([nn.Embedding(9, 5), Conv1D(6, 3)])
    pooled = GlobalMaxPooling1D()(last(words))
    first = Conv1D(6, 3, data_format="channels_first")
    features = last[0](words).mT
    first(features)
    first.load_state_dict(last[1].state_dict())
    torch.testing.assert_close(pooled, GlobalMaxPooling1D("channels_first")(first(features)))


@pytest.mark.parametrize("name", ["Conv", "SeparableConv", "MaxPooling", "GlobalMaxPooling", "UpSampling", "Cropping"])
def test_sequences_have_their_channels_last_and_images_first(name):
    arguments = (2, 3)[: {"Conv": 2, "SeparableConv": 2}.get(name, 0)]
    for rank, order in ((1, "channels_last"), (2, "channels_first")):
        layer = getattr(layers, f"{name}{rank}D")(*arguments)
        assert layer.data_format == order
        assert layer.get_config()["data_format"] is None  # it was not given


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: MaxPooling2D((2, 2, 2)), r"pool_size must be an integer or 2 of them, got \(2, 2, 2\)"),
        (lambda: MaxPooling2D(2, 0), "strides must be an integer >= 1, got 0"),
        (lambda: MaxPooling2D(2, padding="full"), "Unknown padding 'full'. Known: same, valid"),
        (lambda: AdaptiveMaxPooling2D(0), "output_size must be an integer >= 1, got 0"),
        (lambda: GlobalMaxPooling1D(keepdims=1), "keepdims must be True or False, got 1"),
        (
            lambda: MaxPooling2D()(torch.zeros(3, 8, 8)),
            r"MaxPooling2D takes 4 axes, \(batch, channels, height, width\)",
        ),
        (lambda: GlobalMaxPooling1D()(torch.zeros(3, 8)), "GlobalMaxPooling1D takes 3 axes"),
        (lambda: MaxPooling2D(name="p")(torch.zeros(2, 8, 8, 1)), "MaxPooling2D 'p' has pool_size=.*'channels_last'"),
    ],
)
def test_what_does_not_fit_is_told(make, message):
    with pytest.raises(ValueError, match=message):
        make()


@pytest.mark.parametrize("rank", [1, 2, 3])
def test_the_short_names_are_the_long_ones(rank):
    for short, long in (("MaxPool", "MaxPooling"), ("AvgPool", "AveragePooling")):
        for start in ("", "Global"):
            assert getattr(layers, f"{start}{short}{rank}D") is getattr(layers, f"{start}{long}{rank}D")
