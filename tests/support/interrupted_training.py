"""A training that is interrupted and run again must end with the bits of one that was not."""

import itertools
import signal

import pytest
import torch
from torch.utils import _pytree as pytree
from torch.utils.data import Dataset

import kerastorch as kt
from kerastorch import callbacks, layers

ROWS, BATCH = 53, 10
X = torch.randn(ROWS, 6, generator=torch.Generator().manual_seed(0))
Y = (X[:, :2].sum(1) > 0).long()


class BrokenOffError(Exception):
    pass


class BreakOff(callbacks.Callback):
    def __init__(self, batches):
        self.left = batches

    def on_train_batch_end(self, batch, logs=None):
        self.left -= 1
        if not self.left:
            raise BrokenOffError


class Rows(Dataset):
    def __len__(self):
        return ROWS

    def __getitem__(self, index):
        return X[index] + 0.1 * torch.randn(6), Y[index]


def dense():
    return kt.Sequential(
        [layers.Dense(8, activation="relu"), layers.BatchNormalization(), layers.Dropout(0.4), layers.Dense(2)]
    )


def script(folder, broken=None, make=dense, optimizer="adam", data=lambda: (X, Y), also=(), save_freq=2, **fit):
    """What a user runs, and runs again: weights, buffers, optimizer, history and random state in the end."""
    kt.utils.set_random_seed(1)
    net = make()
    net.compile(optimizer() if callable(optimizer) else optimizer, "cross_entropy", metrics=["accuracy", "auc"])
    told = [*also, *([] if broken is None else [BreakOff(broken)])]
    if folder is not None:
        told.append(callbacks.BackupAndRestore(folder, save_freq))
    given = data()
    fit = {"epochs": 3, "batch_size": BATCH, "verbose": 0, **fit}
    if not isinstance(given, tuple):
        given, sized = (given,), isinstance(given, Dataset)
        fit = fit if sized else {name: value for name, value in fit.items() if name != "batch_size"}
    history = net.fit(*given, callbacks=told, **fit)
    held = [net.state_dict(), list(net.optimizer.state.values()), torch.get_rng_state()]
    return [torch.as_tensor(leaf) for leaf in pytree.tree_leaves(held) if leaf is not None], history.history, net


def check(tmp_path, broken_at=(1, 4, 6, 11), **about):
    """Broken off at several batches, in the middle of an epoch and at its end, and run again."""
    whole, curves, _ = script(None, **about)
    for number, broken in enumerate(broken_at):
        folder = tmp_path / str(number)
        with pytest.raises(BrokenOffError):
            script(folder, broken, **about)
        found, again, _ = script(folder, **about)
        assert again == curves or repr(again) == repr(curves)
        assert len(found) == len(whole)
        assert all(torch.equal(one, other) for one, other in zip(found, whole, strict=True))
        assert [leaf.dtype for leaf in found] == [leaf.dtype for leaf in whole]
        assert not folder.exists()


class Signal(callbacks.Callback):
    """Ctrl-C or SIGTERM when a hook is called for the n-th time."""

    def __init__(self, hook, number, which):
        calls = itertools.count(1)
        setattr(self, hook, lambda *_: signal.raise_signal(which) if next(calls) == number else None)
