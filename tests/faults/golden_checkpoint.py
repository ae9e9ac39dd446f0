"""The checkpoint of a fit in the golden files; run as a script, it writes the folder of this release.

    python tests/faults/golden_checkpoint.py

A folder is never written anew: a fit that a release has interrupted is resumed by all that follow.
"""

import sys

import numpy as np
import torch
from golden_states import FOLDER, LABEL

import kerastorch as kt
from kerastorch import callbacks, layers


class StopHereError(Exception):
    pass


def fit(folder=None, stop_at=None):
    """Train a small model with as many kinds of state as fit into one.

    Args:
        folder: where the checkpoint is; `None` keeps none.
        stop_at: raise `StopHereError` after this many batches.

    Returns:
        The model, its history and the number of batches it was trained on.
    """
    seen = []

    def count(batch, logs=None):
        seen.append(batch)
        if len(seen) == stop_at:
            raise StopHereError

    kt.utils.set_random_seed(3)
    x = (np.arange(40 * 3 * 2) % 23 / 11 - 1).reshape(40, 3, 2).astype("float32")
    y = (x.sum((1, 2)) > 0).astype("int64")
    model = kt.Sequential([
        layers.GRU(4),
        layers.BatchNormalization(),
        layers.Dropout(0.2, seed=1),
        torch.nn.Linear(4, 3),
        layers.Dense(2, "softmax"),
    ])  # fmt: skip
    optimizer = kt.optimizers.Adam(0.01, clipnorm=1.0, use_ema=True, gradient_accumulation_steps=2)
    model.compile(optimizer, "sparse_categorical_crossentropy", metrics=["accuracy", "auc"])
    told = [
        callbacks.EarlyStopping("loss", patience=10),
        callbacks.ReduceLROnPlateau("loss", patience=1, min_delta=10.0),
        callbacks.LambdaCallback(on_train_batch_end=count),
        *([] if folder is None else [callbacks.BackupAndRestore(folder, save_freq=2, delete_checkpoint=False)]),
    ]
    history = model.fit(x, y, epochs=4, batch_size=6, verbose=0, callbacks=told, validation_data=(x[:9], y[:9]))
    return model, history, len(seen)


if __name__ == "__main__":
    folder = FOLDER / f"fit-{LABEL}"
    if folder.exists():
        sys.exit(f"{folder} is there already.")
    try:
        fit(folder, stop_at=12)
    except StopHereError:
        print(sorted(folder.iterdir()))
