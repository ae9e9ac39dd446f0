"""Scripts that have set up several processes themselves go on as before: wrapped models, and samplers by rank."""

import numpy as np
import pytest
import torch
from support.rank_fits import X, Y, network
from torch import distributed, nn
from torch.utils.data import DataLoader, DistributedSampler, TensorDataset

import kerastorch as kt

EPOCHS, ROWS = 4, 8


def _loop(module, batches, optimizer):
    for epoch in range(EPOCHS):
        for x, y in batches(epoch):
            optimizer.zero_grad()
            nn.functional.cross_entropy(module(x), y).backward()
            optimizer.step()
    return [weight.detach().numpy().copy() for weight in module.parameters()]


def _own_rows():
    """Return the rows of this rank, as many on each."""
    part = slice(32 * distributed.get_rank(), 32 * (distributed.get_rank() + 1))
    return X[part], Y[part]


class Parted(nn.Module):
    """A network of which a part is wrapped."""

    def __init__(self, body, head):
        super().__init__()
        self.body, self.head = body, head

    def forward(self, x):
        return self.head(self.body(x))


def _wrapped(kind):
    layers = network()
    if kind == "whole":
        return nn.parallel.DistributedDataParallel(layers)
    body = nn.parallel.DistributedDataParallel(layers[:2])
    head = nn.parallel.DistributedDataParallel(layers[2])
    return Parted(body, head)


def _arrays(kind):
    x, y = _own_rows()
    by_hand = _wrapped(kind)
    batches = lambda _: zip(x.split(ROWS), y.split(ROWS), strict=True)  # noqa: E731
    expected = _loop(by_hand, batches, torch.optim.Adam(by_hand.parameters(), lr=0.01))
    module = _wrapped(kind)
    model = kt.Model(module)
    model.compile(torch.optim.Adam(module.parameters(), lr=0.01), "cross_entropy", metrics=["accuracy"])
    model.fit(x, y, batch_size=ROWS, epochs=EPOCHS, shuffle=False, verbose=0)
    found = [weight.detach().numpy() for weight in module.parameters()]
    accuracy = model.evaluate(x, y, verbose=0)[1]
    return found, expected, accuracy, (module(x).argmax(1) == y).float().mean().item(), model.predict(x, verbose=0)


@pytest.mark.parametrize("kind", ["whole", "parts"])
def test_a_wrapped_model_trains_as_the_loop_by_hand_with_the_rows_of_its_rank(two, kind):
    ranks = two.run(_arrays, kind)
    for found, expected, accuracy, counted, outputs in ranks:
        for one, other, of_rank_0 in zip(found, expected, ranks[0][0], strict=True):
            np.testing.assert_allclose(one, other, atol=1e-6)
            np.testing.assert_array_equal(one, of_rank_0)
        assert accuracy == pytest.approx(counted)
        assert len(outputs) == 32  # of this rank alone
    assert not np.array_equal(ranks[0][4], ranks[1][4])


def _sampled():
    data = TensorDataset(X, Y)
    sampler = DistributedSampler(data, shuffle=True, seed=3)
    loader = DataLoader(data, batch_size=ROWS, sampler=sampler)

    def batches(epoch):
        sampler.set_epoch(epoch)
        return loader

    by_hand = _wrapped("whole")
    expected = _loop(by_hand, batches, torch.optim.SGD(by_hand.parameters(), lr=0.1))
    module = _wrapped("whole")
    model = kt.Model(module)
    model.compile(torch.optim.SGD(module.parameters(), lr=0.1), "cross_entropy")
    model.fit(loader, epochs=EPOCHS, verbose=0)
    return [weight.detach().numpy() for weight in module.parameters()], expected


def test_a_distributed_sampler_gets_the_number_of_each_epoch(two):
    for found, expected in two.run(_sampled):
        for one, other in zip(found, expected, strict=True):
            np.testing.assert_allclose(one, other, atol=1e-6)
