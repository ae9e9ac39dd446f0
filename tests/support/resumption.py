"""A fit that is interrupted between two batches and resumed, beside the same fit without interruption."""

import pytest

import kerastorch as kt


class StopAt(kt.callbacks.Callback):
    """Interrupt a fit after a batch, as Ctrl-C does.

    Args:
        at: Numbers of the epoch and the batch, from 0.
    """

    def __init__(self, at):
        self.at = at

    def on_train_batch_end(self, batch, logs=None):
        if (self.model.trainer.state.epoch, batch) == self.at:
            raise KeyboardInterrupt


def whole_and_resumed(fit, at, folder):
    """Return what `fit(callbacks)` returns without interruption, and when it is resumed after one.

    Args:
        fit: Trains a new model with the callbacks that it is given.
        at: Epoch and batch of the interruption, from 0.
        folder: Where the state is saved, after each batch.
    """

    def backup():
        return kt.callbacks.BackupAndRestore(folder / "state", save_freq=1)

    kt.utils.set_random_seed(1)
    whole = fit([])
    kt.utils.set_random_seed(1)
    with pytest.raises(KeyboardInterrupt):
        fit([StopAt(at), backup()])
    return whole, fit([backup()])
