"""`drop_last=True` in `evaluate` and `predict`: refused if rows would be dropped, and only then."""

import numpy as np
import pytest
import torch
from torch import nn
from torch.utils.data import BatchSampler, DataLoader, SequentialSampler, SubsetRandomSampler, TensorDataset

import kerastorch as kt

X, Y = torch.randn(12, 3), torch.randn(12, 1)
DATA = TensorDataset(X, Y)


def model():
    torch.manual_seed(0)
    found = kt.Model(nn.Linear(3, 1))
    found.compile("sgd", "mse")
    return found


def loader(batch_size, **options):
    return DataLoader(DATA, batch_size, drop_last=True, **options)


@pytest.mark.parametrize("batch_size", [1, 3, 4, 6, 12])
def test_nothing_is_refused_where_nothing_is_dropped(batch_size):
    net = model()
    with torch.no_grad():
        outputs = net(X)
    loss = net.evaluate(loader(batch_size), verbose=0)
    assert loss == pytest.approx((outputs - Y).square().mean().item(), rel=1e-6)
    np.testing.assert_allclose(net.predict(loader(batch_size), verbose=0), outputs.numpy(), rtol=1e-5)


@pytest.mark.parametrize(("batch_size", "dropped"), [(5, 2), (7, 5), (8, 4), (11, 1), (13, 12)])
@pytest.mark.parametrize("verb", ["evaluate", "predict"])
def test_dropped_rows_are_counted_in_the_refusal(verb, batch_size, dropped):
    with pytest.raises(ValueError, match=rf"{verb}\(\).* would drop {dropped} of 12 rows"):
        getattr(model(), verb)(loader(batch_size), verbose=0)


def test_it_is_the_samplers_rows_that_count():
    part = SubsetRandomSampler(range(10))  # 10 of the 12 rows
    model().evaluate(loader(5, sampler=part), verbose=0)
    with pytest.raises(ValueError, match="would drop 2 of 10 rows"):
        model().evaluate(loader(4, sampler=part), verbose=0)


def test_a_batch_sampler_has_its_own_say():
    batches = BatchSampler(SequentialSampler(DATA), 4, drop_last=True)
    assert model().predict(DataLoader(DATA, batch_sampler=batches), verbose=0).shape == (12, 1)


def test_training_may_drop_rows():
    model().fit(loader(5), verbose=0)
