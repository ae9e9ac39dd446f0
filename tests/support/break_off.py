"""A fit that is broken off after some batches, as a process that ends would."""

import kerastorch as kt


class BrokenOffError(Exception):
    """The fit was broken off."""


class BreakOff(kt.callbacks.Callback):
    """Raises an error after a number of batches, on all ranks."""

    every_rank = True

    def __init__(self, batches):
        self.left = batches

    def on_train_batch_end(self, batch, logs=None):
        self.left -= 1
        if not self.left:
            raise BrokenOffError
