"""A model, optimizer and loader that accelerate has prepared in two processes train as accelerate's own loop does."""

import os

import numpy as np
import pytest
from support.rank_fits import X, Y, network
from support.ranks import Ranks

EPOCHS = 3


@pytest.fixture(scope="module")
def two():
    pytest.importorskip("accelerate", reason="accelerate is not installed: make test-foreign")
    ranks = Ranks(2)
    yield ranks
    ranks.close()


def _prepared():
    import accelerate
    import torch
    from torch.utils.data import DataLoader, TensorDataset

    rank = str(torch.distributed.get_rank())
    os.environ.update(RANK=rank, LOCAL_RANK=rank, WORLD_SIZE="2", MASTER_ADDR="127.0.0.1", MASTER_PORT="29500")
    accelerator = accelerate.Accelerator(cpu=True)
    module = network()
    optimizer = torch.optim.SGD(module.parameters(), lr=0.1)
    loader = DataLoader(TensorDataset(X[:64], Y[:64]), batch_size=8)
    return accelerator, *accelerator.prepare(module, optimizer, loader)


def _by_hand():
    import torch

    accelerator, module, optimizer, loader = _prepared()
    losses = []
    for _ in range(EPOCHS):
        found = []
        for x, y in loader:
            optimizer.zero_grad()
            loss = torch.nn.functional.cross_entropy(module(x), y)
            accelerator.backward(loss)
            optimizer.step()
            found.append(loss.item())
        losses.append(float(np.mean(found)))
    return accelerator.num_processes, losses, [weight.detach().numpy().copy() for weight in module.parameters()]


def _by_fit():
    import kerastorch as kt

    accelerator, module, optimizer, loader = _prepared()
    model = kt.Model(module)
    model.compile(optimizer, "cross_entropy")
    losses = model.fit(loader, epochs=EPOCHS, verbose=0).history["loss"]
    return accelerator.num_processes, losses, [weight.detach().numpy() for weight in module.parameters()]


def test_what_accelerate_has_prepared_trains_as_its_own_loop(two):
    for (count, losses, weights), (_, found, own) in zip(two.run(_by_hand), two.run(_by_fit), strict=True):
        assert count == 2
        np.testing.assert_allclose(found, losses, atol=1e-6)
        for one, other in zip(own, weights, strict=True):
            np.testing.assert_allclose(one, other, atol=1e-6)
