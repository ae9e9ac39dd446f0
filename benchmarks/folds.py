"""Folds of a small model, trained together and one after the other, alternately, in one process.

    python benchmarks/folds.py --rounds 5 --epochs 20

The model is 30-16-16-2 on the breast cancer data of scikit-learn: 569 rows, 10 folds, batches of 32. Each round checks
that both ways give the same weights.
"""

from __future__ import annotations

import argparse
import statistics
import time
from typing import Any

import torch
from sklearn.datasets import load_breast_cancer
from sklearn.preprocessing import StandardScaler

import kerastorch as kt
from kerastorch import layers


def build_fn(x: Any, y: Any) -> kt.Model:  # noqa: ARG001 - the training rows of the fold are not needed
    """Return the model of a fold."""
    model = kt.Sequential([layers.Dense(16, "relu"), layers.Dense(16, "relu"), layers.Dense(2)])
    model.compile("adam", "cross_entropy", metrics=["accuracy"])
    return model


def measure(x: Any, y: Any, epochs: int, together: bool) -> tuple[float, Any]:
    """Return the seconds that the training of all folds takes, and the result."""
    result = kt.model_selection.cross_validate(
        build_fn, x, y, cv=10, epochs=epochs, batch_size=32, together=together, return_models=True, verbose=0
    )
    return sum(fold.seconds for fold in result.folds), result


def main() -> None:
    """Measure, and print the ratio of the durations."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--epochs", type=int, default=20)
    parser.add_argument("--threads", type=int, default=1)
    given = parser.parse_args()
    torch.set_num_threads(given.threads)
    x, y = load_breast_cancer(return_X_y=True)
    x = StandardScaler().fit_transform(x).astype("float32")
    measure(x, y, 1, together=True)  # imports and first calls of kernels
    ratios = []
    for number in range(given.rounds):
        start = time.perf_counter()
        alone, expected = measure(x, y, given.epochs, together=False)
        together, result = measure(x, y, given.epochs, together=True)
        assert all(fold.alone_because is None for fold in result.folds)
        pairs = zip(expected.models, result.models, strict=True)
        equal = all(
            torch.equal(one, other)
            for own, model in pairs
            for one, other in zip(own.parameters(), model.parameters(), strict=True)
        )
        assert equal, "a fold has other weights than its own fit"
        ratios.append(alone / together)
        print(
            f"round {number + 1}: one after the other {alone:.2f} s, together {together:.2f} s, ratio {ratios[-1]:.2f} "
            f"({time.perf_counter() - start:.1f} s)",
            flush=True,
        )
    print(f"median ratio of {given.rounds} rounds, {given.epochs} epochs: {statistics.median(ratios):.2f}")


if __name__ == "__main__":
    main()
