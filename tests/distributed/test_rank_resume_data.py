"""A fit of two processes that is broken off, with data of each kind, and run again: the bits of one that never was."""

import numpy as np
import pytest
import torch
from support.break_off import BreakOff, BrokenOffError
from torch import distributed, nn
from torch.utils.data import DataLoader, TensorDataset

import kerastorch as kt
from kerastorch.distribution import DataParallel, FullyShard

X = torch.randn(47, 6, generator=torch.Generator().manual_seed(0))
Y = (X[:, :2].sum(1) > 0).long()
SIZE, EPOCHS = 8, 3


def _batches():
    for start in range(0, len(X), SIZE):
        yield X[start : start + SIZE], Y[start : start + SIZE]


def _own_loader():
    part = slice(0, 30) if distributed.get_rank() == 0 else slice(30, 47)
    return DataLoader(TensorDataset(X[part], Y[part]), batch_size=4, shuffle=True)


DATA = {
    "dataset": (lambda: TensorDataset(X, Y), {"batch_size": SIZE}, "auto"),
    "loader": (lambda: DataLoader(TensorDataset(X, Y), batch_size=SIZE, shuffle=True), {}, "auto"),
    "sharded": (lambda: DataLoader(TensorDataset(X, Y), batch_size=SIZE, shuffle=True), {}, FullyShard()),
    "generator": (lambda: _batches, {}, "auto"),
    "own rows": (_own_loader, {}, DataParallel(shard_data=False)),
}


def _script(kind, folder, broken):
    data, options, distribution = DATA[kind]
    kt.utils.set_random_seed(1)
    model = kt.Model(nn.Sequential(nn.Linear(6, 8), nn.ReLU(), nn.Dropout(0.4), nn.Linear(8, 2)))
    model.compile("adam", "cross_entropy", metrics=["accuracy"], distribution=distribution)
    told = [] if folder is None else [kt.callbacks.BackupAndRestore(folder, 2)]
    told += [] if broken is None else [BreakOff(broken)]
    try:
        history = model.fit(data(), epochs=EPOCHS, verbose=0, callbacks=told, **options).history
    except BrokenOffError:
        return None
    return history, [np.asarray(weight) for weight in model.get_weights()]


@pytest.mark.parametrize("kind", [pytest.param(one, marks=pytest.mark.distributed) for one in DATA])
@pytest.mark.parametrize("broken", [3, 6, 9, 14])
def test_it_ends_with_the_same_bits(two, tmp_path, kind, broken):
    whole = two.run(_script, kind, None, None)
    assert two.run(_script, kind, str(tmp_path / "state"), broken) == [None, None]
    for (history, weights), (expected, of_whole) in zip(
        two.run(_script, kind, str(tmp_path / "state"), None), whole, strict=True
    ):
        assert history == expected
        for one, other in zip(weights, of_whole, strict=True):
            np.testing.assert_array_equal(one, other)
