"""A training that was broken off and resumed ends as a plain loop of PyTorch that was never broken off: to the bit."""

import os
import signal

import numpy as np
import pytest
import torch
from harness import in_child, needs_fork, trains_in_fork
from torch import nn
from torch.nn import functional as F
from torch.utils.data import DataLoader, TensorDataset

import kerastorch as kt
from kerastorch import callbacks
from kerastorch.data import permutation

ROWS, BATCH, EPOCHS, SEED = 46, 8, 3, 11  # six batches an epoch, the last one smaller
X = torch.randn(ROWS, 5, generator=torch.Generator().manual_seed(0))
Y = (X[:, :3].sum(1) > 0).long() + (X[:, 3] > 1).long()


def net():
    return nn.Sequential(
        nn.Linear(5, 16),
        nn.BatchNorm1d(16),
        nn.ReLU(),
        nn.Dropout(0.4),
        nn.Linear(16, 8),
        nn.Dropout(0.2),
        nn.Linear(8, 3),
    )


OPTIMIZERS = {
    "Adam": lambda weights: torch.optim.Adam(weights, 0.01, weight_decay=1e-3),
    "AMSGrad": lambda weights: torch.optim.AdamW(weights, 0.01, amsgrad=True),
    "Nesterov": lambda weights: torch.optim.SGD(weights, 0.05, momentum=0.9, nesterov=True),
    "RMSprop": lambda weights: torch.optim.RMSprop(weights, 0.005, momentum=0.5, centered=True),
}


def loader():
    return DataLoader(TensorDataset(X, Y), BATCH, shuffle=True, generator=torch.Generator().manual_seed(3))


def noisy():
    """A loader whose rows are drawn with noise from torch's random numbers."""
    return DataLoader(
        range(ROWS), BATCH, shuffle=True, collate_fn=lambda rows: (X[rows] + 0.1 * torch.randn(5), Y[rows])
    )


# what fit is given, and a function that gives the batches of the epochs to a hand-written loop
SOURCES = {
    "arrays": (
        lambda: (X, Y),
        lambda: lambda epoch: [(X[rows], Y[rows]) for rows in permutation(ROWS, SEED, epoch).split(BATCH)],
    ),
    "numpy": (
        lambda: (X.numpy(), Y.numpy()),
        lambda: lambda epoch: [(X[rows], Y[rows]) for rows in permutation(ROWS, SEED, epoch).split(BATCH)],
    ),
    "seeded loader": (lambda: (loader(),), lambda: (lambda one: lambda epoch: one)(loader())),
    "noisy loader": (lambda: (noisy(),), lambda: (lambda one: lambda epoch: one)(noisy())),
}


def by_hand(source, optimizer, epochs=EPOCHS):
    """Train by a plain loop: all that is in the end, and the mean loss and accuracy of each epoch."""
    torch.manual_seed(SEED)
    module = net()
    learner = OPTIMIZERS[optimizer](module.parameters())
    batches = SOURCES[source][1]()
    curves = {"loss": [], "accuracy": []}
    for epoch in range(epochs):
        loss_sum, right, rows = 0.0, 0, 0
        for x, y in batches(epoch):
            learner.zero_grad()
            outputs = module(x)
            loss = F.cross_entropy(outputs, y)
            loss.backward()
            learner.step()
            loss_sum, right, rows = (
                loss_sum + loss.item() * len(y),
                right + (outputs.argmax(1) == y).sum().item(),
                rows + len(y),
            )
        curves["loss"].append(loss_sum / rows)
        curves["accuracy"].append(right / rows)
    return everything(module, learner), curves


def everything(module, optimizer):
    """Weights, buffers, the optimizer's state and torch's random state."""
    state = optimizer.state_dict()["state"]
    held = dict(module.state_dict())
    held |= {f"{index} {name}": torch.as_tensor(value) for index, one in state.items() for name, value in one.items()}
    return {name: value.clone() for name, value in held.items()} | {"random state": torch.get_rng_state()}


class Ending(callbacks.Callback):
    """Ends the process, or what stands for it, after so many batches."""

    state_attributes = ()

    def __init__(self, batches, end):
        self.left, self.end = batches, end

    def on_train_batch_end(self, batch, logs=None):
        self.left -= 1
        if not self.left:
            self.end()


def crash():
    raise RuntimeError("crashed")


def fitted(folder, source, optimizer, *also, save_freq=1, **options):
    """The script of a user, run from its beginning."""
    kt.utils.set_random_seed(SEED)
    module = net()
    model = kt.Model(module)
    model.compile(OPTIMIZERS[optimizer](module.parameters()), "cross_entropy", metrics=["accuracy"])
    sized = {"batch_size": BATCH} if source in ("arrays", "numpy") else {}
    keep = callbacks.BackupAndRestore(folder, save_freq)
    options = {"epochs": EPOCHS, "verbose": 0} | sized | options
    history = model.fit(*SOURCES[source][0](), callbacks=[*also, keep], **options)
    curves = {name: values for name, values in history.history.items() if name != "learning_rate"}
    return everything(module, model.optimizer), curves


def assert_same(found, expected):
    values, curves = found
    wanted, wanted_curves = expected
    assert values.keys() == wanted.keys()
    assert [name for name in wanted if not torch.equal(values[name], wanted[name])] == []
    assert curves.keys() == wanted_curves.keys()
    for name, curve in wanted_curves.items():
        np.testing.assert_allclose(curves[name], curve, rtol=1e-6)


@pytest.mark.parametrize("broken", [1, 4, 6, 7, 12, 17], ids=lambda at: f"batch {at}")
@pytest.mark.parametrize("source", SOURCES)
def test_it_ends_as_the_plain_loop_wherever_it_was_broken_off(source, broken, tmp_path):
    with pytest.raises(RuntimeError, match="crashed"):
        fitted(tmp_path, source, "Adam", Ending(broken, crash))
    assert_same(fitted(tmp_path, source, "Adam"), by_hand(source, "Adam"))


@pytest.mark.parametrize("save_freq", ["epoch", 1, 4])
@pytest.mark.parametrize("optimizer", OPTIMIZERS)
def test_the_state_of_every_optimizer_goes_on(optimizer, save_freq, tmp_path):
    with pytest.raises(RuntimeError, match="crashed"):
        fitted(tmp_path, "arrays", optimizer, Ending(9, crash), save_freq=save_freq)
    assert_same(fitted(tmp_path, "arrays", optimizer, save_freq=save_freq), by_hand("arrays", optimizer))


def test_it_may_be_broken_off_again_and_again(tmp_path):
    for batches in (2, 3, 1, 5, 2):
        with pytest.raises(RuntimeError, match="crashed"):
            fitted(tmp_path, "arrays", "Adam", Ending(batches, crash))
    assert_same(fitted(tmp_path, "arrays", "Adam"), by_hand("arrays", "Adam"))


@pytest.mark.parametrize("source", ["arrays", "seeded loader"])
@pytest.mark.parametrize("broken", [3, 6])
def test_ctrl_c_loses_nothing(source, broken, tmp_path):
    with pytest.raises(KeyboardInterrupt):
        fitted(tmp_path, source, "Adam", Ending(broken, lambda: signal.raise_signal(signal.SIGINT)), save_freq="epoch")
    assert_same(fitted(tmp_path, source, "Adam", save_freq="epoch"), by_hand(source, "Adam"))


@needs_fork
@trains_in_fork
@pytest.mark.parametrize("source", ["arrays", "seeded loader"])
def test_a_process_that_was_killed_goes_on_in_another(source, tmp_path):
    kill = Ending(10, lambda: os.kill(os.getpid(), signal.SIGKILL))
    assert in_child(fitted, tmp_path, source, "Adam", kill).code == -signal.SIGKILL
    assert_same(fitted(tmp_path, source, "Adam"), by_hand(source, "Adam"))


@pytest.mark.parametrize("source", SOURCES)
def test_an_uninterrupted_training_is_the_plain_loop_too(source, tmp_path):
    assert_same(fitted(tmp_path, source, "Adam"), by_hand(source, "Adam"))


def test_more_epochs_after_a_training_that_was_broken_off_are_those_of_a_longer_loop(tmp_path):
    with pytest.raises(RuntimeError, match="crashed"):
        fitted(tmp_path, "arrays", "Adam", Ending(8, crash))
    assert_same(fitted(tmp_path, "arrays", "Adam", epochs=5), by_hand("arrays", "Adam", epochs=5))


@pytest.mark.parametrize("broken", [2, 4, 7])
def test_epochs_of_so_many_steps_go_on_in_the_order_of_whole_passes(broken, tmp_path, monkeypatch):
    steps = 4  # of the six batches of a pass
    stream = [(X[rows], Y[rows]) for number in range(3) for rows in permutation(ROWS, SEED, number).split(BATCH)]
    monkeypatch.setitem(SOURCES, "pieces", (None, lambda: lambda epoch: stream[epoch * steps : (epoch + 1) * steps]))
    with pytest.raises(RuntimeError, match="crashed"):
        fitted(tmp_path, "arrays", "Adam", Ending(broken, crash), steps_per_epoch=steps)
    assert_same(fitted(tmp_path, "arrays", "Adam", steps_per_epoch=steps), by_hand("pieces", "Adam"))
