"""A training that other processes are started for: its results do not depend on their number, up to rounding.

Argument, as a script: folder for the result of each rank.
"""

import json
import sys
from pathlib import Path

import torch

import kerastorch as kt

X = torch.randn(46, 6, generator=torch.Generator().manual_seed(0))
Y = (X[:, :2].sum(1) > 0).long()


def train(folder):
    """Fit, evaluate and predict; write what comes out to a file named by the rank."""
    torch.set_num_threads(1)
    kt.utils.set_random_seed(1)
    model = kt.Sequential([kt.layers.Dense(8, activation="tanh"), kt.layers.Dense(2)])
    model.compile("adam", "cross_entropy", metrics=["accuracy"])
    history = model.fit(X, Y, batch_size=10, epochs=3, validation_split=0.2, verbose=0).history
    rank, world = kt.distribution.rank(), kt.distribution.world_size()
    result = {
        "world": world,
        "weights": [weight.tolist() for weight in model.parameters()],
        "history": {name: values for name, values in history.items() if "time" not in name},
        "scores": model.evaluate(X, Y, verbose=0),
        "outputs": model.predict(X, verbose=0).tolist(),
    }
    model.save(Path(folder) / "model.kt")
    Path(folder, f"result.{rank}").write_text(json.dumps(result))


if __name__ == "__main__":
    train(sys.argv[1])
