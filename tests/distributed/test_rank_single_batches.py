"""`train_on_batch` and `test_on_batch` of several ranks: the step, the loss and the counts of one process."""

import numpy as np
import pytest
import torch
from torch import distributed, nn

import kerastorch as kt
from kerastorch.core.distributed_tensors import full_tensor
from kerastorch.distribution import DataParallel, FullyShard, TensorParallel

X = torch.randn(9, 4, generator=torch.Generator().manual_seed(0))
Y = torch.randint(0, 2, (9, 1), generator=torch.Generator().manual_seed(1)).float()


def _model(distribution, rank=0):
    torch.manual_seed(rank)  # weights come from rank 0
    model = kt.Model(nn.Sequential(nn.Linear(4, 6), nn.Tanh(), nn.Linear(6, 1), nn.Sigmoid()))
    metrics = ["accuracy", kt.metrics.TruePositives(), kt.metrics.FalseNegatives()]
    model.compile("adam", "binary_crossentropy", metrics=metrics, distribution=distribution)
    return model


def _steps(distribution, rows, fits_first=False):
    model = _model(distribution, distributed.get_rank() if distribution else 0)
    found = []
    if fits_first:
        model.fit(X, Y, batch_size=4, epochs=1, shuffle=False, verbose=0)
    else:
        found.append(model.test_on_batch(X[:rows], Y[:rows]))
    for weights in (None, torch.arange(float(rows)) + 1):
        found.append(model.train_on_batch(X[:rows], Y[:rows], weights))
    found.append(model.train_on_batch(X[:rows], Y[:rows], class_weight={0: 1.0, 1: 3.0}))
    found.append(model.test_on_batch(X[:rows], Y[:rows]))
    return found, [full_tensor(weight.detach()).numpy() for weight in model.parameters()]


SETTINGS = {"data parallel": DataParallel(), "sharded": FullyShard(), "divided": TensorParallel({"0": "column"})}


@pytest.mark.parametrize("rows", [9, 1])
@pytest.mark.parametrize("fits_first", [False, True])
@pytest.mark.parametrize("name", SETTINGS)
def test_batches_give_the_numbers_of_one_process(two, name, rows, fits_first):
    expected = _steps(None, rows, fits_first)
    for found, weights in two.run(_steps, SETTINGS[name], rows, fits_first):
        np.testing.assert_allclose(found, expected[0], atol=2e-6)
        for one, other in zip(weights, expected[1], strict=True):
            np.testing.assert_allclose(one, other, atol=2e-6)


def _own_rows():
    model = _model(DataParallel(shard_data=False), distributed.get_rank())
    part = slice(0, 6) if distributed.get_rank() == 0 else slice(6, 9)
    found = [model.train_on_batch(X[part], Y[part]), model.test_on_batch(X[part], Y[part])]
    return found, [weight.detach().numpy() for weight in model.parameters()]


def test_ranks_with_rows_of_their_own_make_the_step_of_all_rows(two):
    model = _model(None)
    expected = [model.train_on_batch(X, Y), model.test_on_batch(X, Y)]
    for found, weights in two.run(_own_rows):
        np.testing.assert_allclose(found, expected, atol=1e-6)
        for one, other in zip(weights, model.parameters(), strict=True):
            np.testing.assert_allclose(one, other.detach().numpy(), atol=1e-6)


def _other_batch():
    model = _model(DataParallel())
    with pytest.raises(ValueError, match="different batches") as error:
        model.train_on_batch(X + distributed.get_rank(), Y)
    return str(error.value)


def test_ranks_with_different_batches_get_an_error(two):
    assert all("shard_data=False" in text for text in two.run(_other_batch))
