"""F15: what is trained twice is the same twice."""

from __future__ import annotations

import hashlib
import random

import numpy as np
import pytest
import torch
from harness import in_child, needs_fork, tries
from job import BATCH, Noisy, data, digest, run
from torch import nn
from torch.utils.data import DataLoader

import kerastorch as kt
from kerastorch import callbacks, layers

pytestmark = needs_fork


def dense():
    return kt.Sequential([layers.Dense(8, activation="relu"), layers.Dropout(0.5), layers.Dense(2)])


def convolutional():
    return kt.Sequential([
        layers.Reshape((8, 1)), layers.Conv1D(4, 3), layers.BatchNormalization(), layers.Flatten(),
        layers.Dense(2),
    ])  # fmt: skip


def recurrent():
    return kt.Sequential([layers.Reshape((4, 2)), layers.LSTM(6, dropout=0.2), layers.Dense(2)])


def functional():
    x = kt.Input((8,))
    h = layers.Dense(8, activation="tanh")(x)
    return kt.Model(x, layers.Dense(2)(torch.cat([h, layers.GaussianNoise(0.1)(x)], 1)))


def foreign():
    return kt.Model(nn.Sequential(nn.Linear(8, 8), nn.ReLU(), nn.Dropout(0.2), nn.Linear(8, 2)))


MODELS = [dense, convolutional, recurrent, functional, foreign]


class Disturbs(callbacks.Callback):
    """Draws between epochs, as code of a user's own does: the order of rows must not see it.

    Args:
        everywhere: from torch too, which only a model can bear that draws nothing itself.
    """

    def __init__(self, everywhere):
        self.everywhere = everywhere

    def on_epoch_begin(self, epoch, logs=None):
        random.random()
        np.random.rand(3)
        if self.everywhere:
            torch.rand(3)


class Plain(Noisy):
    """Rows as they are."""

    def __getitem__(self, index):
        x, y = data()
        return x[index], y[index]


def trained(make, seed, dataset=None, workers=0, disturbed=False):
    kt.utils.set_random_seed(seed)
    torch.set_num_threads(1)
    net = make()
    net.compile("adam", "cross_entropy", metrics=["accuracy"])
    x, y = data()
    told = [Disturbs(everywhere=make is convolutional)] if disturbed else []
    if dataset is None:
        return _ended(net, net.fit(x, y, BATCH, epochs=2, verbose=0, callbacks=told))
    loader = DataLoader(dataset, BATCH, shuffle=True, num_workers=workers)
    return _ended(net, net.fit(loader, epochs=2, verbose=0, callbacks=told))


def _ended(net, history):
    """The digest, and that of the weights alone: drawing in between shows in the random state, not in these."""
    weights = b"".join(tensor.numpy().tobytes() for tensor in net.state_dict().values())
    return digest(net, history), hashlib.sha256(weights).hexdigest()


@tries(quick=1, full=10)
@pytest.mark.parametrize("make", MODELS)
def test_the_same_seed_gives_the_same_bits_and_another_seed_others(make, tries, report):
    for seed in range(tries):
        first = in_child(trained, make, seed).value
        assert in_child(trained, make, seed).value == first
        assert in_child(trained, make, seed, None, 0, True).value[1] == first[1]
        assert in_child(trained, make, seed + 1000).value[1] != first[1]
    report("F15", f"{make.__name__} model trained again", 2 * tries, "the same bits; others with another seed")


@pytest.mark.filterwarnings("ignore:This DataLoader will create 4")
@tries(quick=1, full=5)
def test_the_same_seed_gives_the_same_bits_for_any_number_of_workers(tries, report):
    for seed in range(tries):
        found = {in_child(trained, dense, seed, Plain(), workers).value for workers in (0, 2, 4, 0, 2, 4)}
        assert len(found) == 1
        for workers in (2, 4):  # rows with random numbers of the workers' own
            noisy = {in_child(trained, dense, seed, Noisy(), workers).value for _ in range(2)}
            assert len(noisy) == 1
    report("F15", "trained again from loaders of 0, 2 and 4 workers", 10 * tries, "the same bits")


def test_training_twice_in_one_process_is_the_same_as_in_two():
    assert in_child(run, "arrays").value == in_child(lambda: (run("arrays"), run("arrays"))[1]).value
