"""A training with all that a resumed one must bring back, and the digest of how it ended."""

from __future__ import annotations

import functools
import hashlib

import torch
import torch._dynamo  # as an optimizer does, but here and not in every process that trains
import torchmetrics.classification  # noqa: F401
from torch.utils.data import DataLoader, Dataset

import kerastorch as kt
from kerastorch import callbacks, layers

ROWS, BATCH, EPOCHS = 103, 10, 4  # the last batch is a partial one
STEPS = -(-ROWS // BATCH)


def data():
    x = torch.randn(ROWS, 8, generator=torch.Generator().manual_seed(0))
    return x, (x[:, :3].sum(1) > 0).long()


class Noisy(Dataset):
    """Rows with noise from torch's random numbers, those of a worker's own where there are any."""

    def __len__(self):
        return ROWS

    def __getitem__(self, index):
        x, y = data()
        return x[index] + 0.01 * torch.randn(8), y[index]


def source(kind):
    """What is trained on: `'arrays'`, `'dataset'`, or a shuffling loader of so many workers, `'loader2'`."""
    if kind == "arrays":
        return data()
    return (Noisy() if kind == "dataset" else DataLoader(Noisy(), BATCH, shuffle=True, num_workers=int(kind[-1])),)


def model():
    """Dropout with a seed and without, statistics that move, Adam."""
    net = kt.Sequential([
        layers.Dense(16, activation="relu"), layers.BatchNormalization(), layers.Dropout(0.3),
        layers.Dropout(0.1, seed=4), layers.Dense(2),
    ])  # fmt: skip
    net.compile(kt.optimizers.Adam(0.01, use_ema=True), "cross_entropy", metrics=["accuracy", "f1"])
    return net


def train(kind, *also, folder=None, save_freq=3, seed=3, epochs=EPOCHS):
    """Train from the start, or from what is in `folder`: the model and its history."""
    kt.utils.set_random_seed(seed)
    torch.set_num_threads(1)
    net = model()
    told = [
        callbacks.EarlyStopping("val_loss", patience=2, restore_best_weights=True),
        callbacks.LRScheduler(functools.partial(torch.optim.lr_scheduler.StepLR, step_size=2, gamma=0.5)),
        *also,
    ]
    if folder is not None:
        told.append(callbacks.BackupAndRestore(folder, save_freq))
    x, y = data()
    size = {} if kind.startswith("loader") else {"batch_size": BATCH}
    history = net.fit(*source(kind), epochs=epochs, verbose=0, callbacks=told, validation_data=(x[:30], y[:30]), **size)
    return net, history


def digest(net, history):
    """SHA-256 of every weight, buffer, number of the optimizer and of the history, and of torch's random state."""
    found = hashlib.sha256()
    for name, tensor in net.state_dict().items():
        found.update(name.encode() + tensor.numpy().tobytes())
    for state in net.optimizer.state.values():
        for name, value in sorted(state.items()):
            found.update(name.encode() + torch.as_tensor(value).numpy().tobytes())
    found.update(repr([group["lr"] for group in net.optimizer.param_groups]).encode())
    found.update(repr((history.history, history.epoch)).encode())
    found.update(torch.get_rng_state().numpy().tobytes())
    return found.hexdigest()


def run(kind, *also, **about):
    """The digest of `train`."""
    return digest(*train(kind, *also, **about))
