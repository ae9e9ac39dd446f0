"""A script for torchrun: a fit that is resumed, one process of which is killed in the first attempt.

Arguments: folder of the checkpoints, file for the result, rank to kill, and `batch` or `file` with a number: after
which batch, or before which operation on a file, it is killed.
"""

import hashlib
import json
import os
import signal
import sys
from pathlib import Path

import torch
from torch.utils import _pytree as pytree

import kerastorch as kt
from kerastorch.checkpoint import atomic_file

X = torch.randn(46, 6, generator=torch.Generator().manual_seed(0))
Y = (X[:, :2].sum(1) > 0).long()


class KillAt(kt.callbacks.Callback):
    every_rank = True
    state_attributes = ()

    def __init__(self, batches):
        self.left = batches

    def on_train_batch_end(self, batch, logs=None):
        self.left -= 1
        if not self.left:
            os.kill(os.getpid(), signal.SIGKILL)


def kill_at_file_operation(number):
    """Kill the process at one of its operations on files of a checkpoint; a write is half done then."""
    left = number

    def counted(function):
        def call(*args):
            nonlocal left
            left -= 1
            if not left:
                if function is write and len(args[1]) > 1:
                    write(args[0], args[1][: len(args[1]) // 2])
                os.kill(os.getpid(), signal.SIGKILL)
            return function(*args)

        return call

    write = os.write
    for name in ("write", "fsync", "replace", "ftruncate"):
        setattr(atomic_file.os, name, counted(getattr(os, name)))


def main(folder, result, rank, kind, number):
    attempt = int(os.environ["TORCHELASTIC_RESTART_COUNT"])
    dies = attempt == 0 and os.environ["RANK"] == rank
    torch.set_num_threads(1)
    kt.utils.set_random_seed(1)
    layers = kt.layers
    model = kt.Sequential(
        [layers.Dense(8, activation="relu"), layers.BatchNormalization(), layers.Dropout(0.4), layers.Dense(2)]
    )
    model.compile("adam", "cross_entropy", metrics=["accuracy"])
    kill = KillAt(int(number) if dies and kind == "batch" else 0)
    if dies and kind == "file":
        kill_at_file_operation(int(number))
    backup = kt.callbacks.BackupAndRestore(folder, save_freq=1)
    history = model.fit(X, Y, batch_size=10, epochs=3, verbose=0, callbacks=[kill, backup]).history
    digest = hashlib.sha256()
    for leaf in pytree.tree_leaves([model.state_dict(), list(model.optimizer.state.values()), torch.get_rng_state()]):
        if isinstance(leaf, torch.Tensor):
            digest.update(leaf.detach().contiguous().reshape(-1).view(torch.uint8).numpy().tobytes())
    found = {"digest": digest.hexdigest(), "history": history, "attempt": attempt}
    Path(f"{result}.{os.environ['RANK']}").write_text(json.dumps(found))


if __name__ == "__main__":
    main(*sys.argv[1:])
