"""F10: workers of a DataLoader that are killed, that raise, that hang."""

from __future__ import annotations

import gc
import multiprocessing
import os
import random
import signal
import time

import pytest
import torch
from harness import in_child, needs_fork, trains_in_fork, tries
from job import BATCH, Noisy, data, digest, model
from torch.utils.data import DataLoader

import kerastorch as kt
from kerastorch import callbacks

pytestmark = [needs_fork, trains_in_fork]


class Faulty(Noisy):
    """Does something bad when a row is asked for, once: the next run of the same script finds the marker."""

    def __init__(self, row, fault, marker):
        self.row, self.fault, self.marker = row, fault, marker

    def __getitem__(self, index):
        if index == self.row and not self.marker.exists():
            self.marker.touch()
            self.fault()
        return super().__getitem__(index)


def killed():
    os.kill(os.getpid(), signal.SIGKILL)


def raising():
    raise ValueError("row 17 cannot be decoded")


def hanging():
    time.sleep(3600)


class Last(callbacks.Callback):
    """The weights after the last step that was finished."""

    weights = None

    def on_train_batch_end(self, batch, logs=None):
        self.weights = {name: tensor.clone() for name, tensor in self.model.state_dict().items()}


def train(dataset, folder, timeout, *also):
    kt.utils.set_random_seed(3)
    torch.set_num_threads(1)
    net = model()
    loader = DataLoader(dataset, BATCH, shuffle=True, num_workers=2, timeout=timeout)
    history = net.fit(loader, epochs=2, verbose=0, callbacks=[*also, callbacks.BackupAndRestore(folder, 2)])
    return net, history


def train_whole(dataset, folder, timeout):
    return digest(*train(dataset, folder, timeout))


def train_into_fault(dataset, folder, timeout):
    """The error, whether the weights are those of the last whole step, the processes left."""
    last, others = Last(), multiprocessing.active_children()  # those of other tests, which a fork inherits
    try:
        train(dataset, folder, timeout, last)
    except Exception as error:
        kept = last.weights is None or all(
            torch.equal(tensor, last.weights[name]) for name, tensor in last.model.state_dict().items()
        )
        message = "\n".join([f"{type(error).__name__}: {error}", *getattr(error, "__notes__", [])])
    else:
        return "no error", True, 0
    gc.collect()  # the traceback has held the loader
    until = time.monotonic() + 10
    while len(multiprocessing.active_children()) > len(others) and time.monotonic() < until:
        time.sleep(0.05)
    return message, kept, len(multiprocessing.active_children()) - len(others)


@tries(quick=1, full=20)
@pytest.mark.parametrize(
    ("fault", "timeout", "words"),
    [
        (killed, 0, ["RuntimeError", "DataLoader", "worker (pid", "killed", "memory runs out", "num_workers=0"]),
        (raising, 0, ["ValueError", "row 17 cannot be decoded", "raised for batch", "worker"]),
        (hanging, 1, ["RuntimeError", "timeout of 1 s", "num_workers=0"]),
    ],
    ids=["killed", "raising", "hanging"],
)
def test_a_worker_that_fails_is_a_clear_error_and_nothing_is_lost(fault, timeout, words, tries, tmp_path, report):
    rows = random.Random(fault.__name__)
    for number in range(tries):
        here = tmp_path / str(number)
        here.mkdir()
        dataset = Faulty(rows.randrange(len(data()[0])), fault, here / "marker")
        (here / "marker").touch()
        whole = in_child(train_whole, dataset, here / "whole", timeout).value
        (here / "marker").unlink()
        ended = in_child(train_into_fault, dataset, here / "kept", timeout, timeout=60)
        assert not ended.hung
        message, kept, left = ended.value
        assert all(word in message for word in words), message
        assert kept
        assert left == 0
        assert in_child(train_whole, dataset, here / "kept", timeout).value == whole
    report("F10", f"a worker {fault.__name__}", tries, "a clear error, weights of the last step, then the same bits")
