"""Histories whose diagnosis is known: curves of a formula, and small trainings."""

import numpy as np

import kerastorch as kt

EPOCHS = np.arange(1, 41)
FALLING = 0.1 + np.exp(-EPOCHS / 8)


def history(**logs):
    """A history with the values of these logs, without settings."""
    made = kt.History()
    for epoch in range(max(map(len, logs.values()))):
        made.on_epoch_end(epoch, {name: float(values[epoch]) for name, values in logs.items() if epoch < len(values)})
    return made


def fitted(x, y, layers, *, loss="cross_entropy", rate=0.01, optimizer=kt.optimizers.Adam, epochs=20, **options):
    kt.utils.set_random_seed(0)
    model = kt.Sequential(layers)
    model.compile(optimizer(rate), loss, metrics=["accuracy"] if loss == "cross_entropy" else None)
    return model.fit(x, y, epochs=epochs, verbose=0, **options)


def circles(rows, seed=0):
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(rows, 2)).astype("float32")
    return x, (np.linalg.norm(x, axis=1) > 1.18).astype("int64")
