"""Dropout on the CPU: the distribution of its masks, gradients, dtypes, transforms, and the same numbers compiled."""

import copy

import numpy as np
import pytest
import torch
from scipy import stats
from torch import nn
from torch.nn import functional as F

import kerastorch as kt
from kerastorch.layers.dropout_noise import LEAST, dropout

SIZE = 1 << 20


@pytest.fixture(autouse=True)
def seed():
    torch.manual_seed(0)


@pytest.mark.parametrize("rate", [0.05, 0.1, 0.25, 0.3, 0.5, 0.8, 0.9])
def test_each_of_the_four_places_of_a_number_drops_its_share(rate):
    kept = (dropout(torch.ones(SIZE), rate) != 0).view(-1, 4).sum(0).tolist()
    for count in kept:
        assert stats.binomtest(count, SIZE // 4, 1 - rate).pvalue > 1e-4


@pytest.mark.parametrize("lag", [1, 2, 3, 4, 5, 8, 512])
def test_elements_are_dropped_independently(lag):
    kept = (dropout(torch.ones(SIZE), 0.5) != 0).numpy()
    both = int((kept[lag:] & kept[:-lag]).sum())
    assert abs(both - (SIZE - lag) / 4) < 5 * (3 / 16 * SIZE) ** 0.5


def test_the_numbers_of_dropped_elements_in_rows_are_binomial():
    counts = (dropout(torch.ones(SIZE // 64, 64), 0.3) == 0).sum(1).numpy()
    edges = [-1, *range(11, 29), 64]
    observed = np.histogram(counts, bins=np.array(edges) + 0.5)[0]
    expected = np.diff(stats.binom.cdf(edges, 64, 0.3)) * len(counts)
    assert stats.chisquare(observed, expected).pvalue > 1e-4


def test_two_calls_and_two_seeds_give_other_masks_and_a_seed_repeats_them():
    x = torch.ones(100, 100)
    first, second = dropout(x, 0.5), dropout(x, 0.5)
    torch.manual_seed(0)
    assert torch.equal(dropout(x, 0.5), first)
    assert not torch.equal(first, second)


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32, torch.bfloat16, torch.float16])
@pytest.mark.parametrize("shape", [(LEAST + 1,), (7, 19, 64), (LEAST, 1)])
def test_kept_elements_are_scaled_and_the_gradient_is_the_mask(dtype, shape):
    x = torch.rand(shape, dtype=dtype).add_(0.5).requires_grad_()
    y = dropout(x, 0.25)
    y.sum().backward()
    scale = torch.tensor(1 / 0.75, dtype=dtype)
    assert y.dtype == dtype
    torch.testing.assert_close(y, x * x.grad)
    assert set(x.grad.unique().tolist()) == {0.0, scale.item()}


def test_a_view_and_channels_last_images_keep_their_order():
    images = torch.arange(2 * 8 * 32 * 32, dtype=torch.float32).view(2, 8, 32, 32).to(memory_format=torch.channels_last)
    for x in (images, images[:, :, ::2], images.transpose(1, 3)):
        y = dropout(x, 0.5)
        kept = y != 0
        assert torch.equal(y[kept], 2 * x[kept])
        assert y.stride() == F.dropout(x, 0.5).stride()
        assert 0.4 < kept.float().mean() < 0.6


@pytest.mark.parametrize("rate", [0.001, 0.9999, 1.0])
def test_a_rate_that_would_be_rounded_too_much_is_that_of_torch(rate):
    x = torch.ones(LEAST)
    first = dropout(x, rate)
    torch.manual_seed(0)
    assert torch.equal(first, F.dropout(x, rate))


def test_few_elements_are_as_in_torch():
    x = torch.ones(LEAST - 1)
    first = dropout(x, 0.5)
    torch.manual_seed(0)
    assert torch.equal(first, F.dropout(x, 0.5))


def test_vmap_gives_each_sample_a_mask_of_its_own():
    layer = kt.layers.Dropout(0.5)
    masks = torch.func.vmap(layer, randomness="different")(torch.ones(4, LEAST))
    assert len({tuple(one.tolist()) for one in masks}) == 4
    same = torch.func.vmap(layer, randomness="same")(torch.ones(4, LEAST))
    assert torch.equal(same[0], same[3])
    gradients = torch.func.vmap(torch.func.grad(lambda x: layer(x).sum()), randomness="different")(torch.ones(4, LEAST))
    assert set(gradients.unique().tolist()) == {0.0, 2.0}


def network():
    torch.manual_seed(0)
    return kt.Sequential([
        kt.Input((6,)), kt.layers.Dense(64, "tanh"), kt.layers.Dropout(0.4), kt.layers.Dense(64, "tanh"),
        kt.layers.Dropout(0.1), kt.layers.Dense(2),
    ])  # fmt: skip


def test_a_model_trains_as_a_loop_with_the_same_layers():
    x = torch.randn(256, 6)
    y = (x.sum(1) > 0).long()
    model, by_hand = network(), network()
    model.compile(kt.optimizers.SGD(0.1), "cross_entropy")
    torch.manual_seed(3)
    model.fit(x, y, batch_size=128, epochs=2, shuffle=False, verbose=0)
    torch.manual_seed(3)
    optimizer = torch.optim.SGD(by_hand.parameters(), 0.1)
    by_hand.train()
    for rows in [range(128), range(128, 256)] * 2:
        optimizer.zero_grad()
        nn.functional.cross_entropy(by_hand(x[[*rows]]), y[[*rows]]).backward()
        optimizer.step()
    for one, other in zip(model.parameters(), by_hand.parameters(), strict=True):
        torch.testing.assert_close(one, other)


@pytest.mark.filterwarnings("ignore:jit_compile.*an eager one")  # on a busy machine it may be as fast
@pytest.mark.parametrize("steps", [1, 2])
def test_compiled_steps_draw_the_numbers_of_eager_ones(steps):
    x = torch.randn(512, 6)
    y = (x.sum(1) > 0).long()
    found = []
    for jit in (False, True):
        model, said = network(), []
        model.compile(kt.optimizers.SGD(0.1), "cross_entropy", jit_compile=jit, steps_per_execution=steps if jit else 1)
        model.trainer.register_listener(said.append)
        torch.manual_seed(3)
        model.fit(x, y, batch_size=128, epochs=3, verbose=0)
        found.append(copy.deepcopy(model.state_dict()))
    assert any("compiled the training step in" in sentence for sentence in said)
    for name, value in found[0].items():
        torch.testing.assert_close(found[1][name], value, rtol=1e-4, atol=1e-5, msg=name)
    assert not torch.equal(found[0]["0.weight"], network().state_dict()["0.weight"])


@pytest.mark.parametrize("together", [False, True])
def test_torch_compile_of_a_model_drops_its_share(together):
    layer = kt.layers.Dropout(0.5)
    if together:
        layer = nn.Sequential(nn.Identity(), layer)
    kept = torch.compile(layer, backend="aot_eager")(torch.ones(200, 200)) != 0
    assert abs(kept.float().mean() - 0.5) < 0.02
