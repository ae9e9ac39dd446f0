"""Train all runs and write their curves: `python benchmarks/diagnosis/generate.py`, about a quarter of an hour."""

from __future__ import annotations

import argparse
import gzip
import json
import sys
import time
import warnings
from multiprocessing import get_context
from pathlib import Path

import numpy as np
import torch
from cases import Case, all_cases, make_case
from data_sets import DATA_SETS

import kerastorch as kt

FILE = Path(__file__).parent / "runs.json.gz"


class HeldOut(kt.callbacks.Callback):
    """Measure the loss on the held-out rows after each epoch: what the truth of a run is found with."""

    def __init__(self, x, y, loss):
        self.x, self.y, self.loss, self.values = torch.as_tensor(x), torch.as_tensor(y), loss, []

    def on_epoch_end(self, epoch, logs=None):
        self.values.append(plain_loss(self.model, self.x, self.y, self.loss))


def plain_loss(model, x, y, loss):
    """The loss without penalties and dropout, by torch alone."""
    was, _ = model.training, model.eval()
    with torch.no_grad():
        value = loss(model(x), y).item()
    model.train(was)
    return value


def build(case: Case):
    kt.utils.set_random_seed(case.seed % 2**31)
    penalty = kt.regularizers.L2(case.l2) if case.l2 else None
    start = "zeros" if case.zeros else "glorot_uniform"
    layers = [kt.layers.GaussianNoise(case.input_noise)] if case.input_noise else []
    for width in case.widths:
        layers.append(kt.layers.Dense(width, case.activation, kernel_regularizer=penalty, kernel_initializer=start))
        if case.dropout:
            layers.append(kt.layers.Dropout(case.dropout))
    layers.append(kt.layers.Dense(case.data_set.classes or 1, kernel_regularizer=penalty))
    model = kt.Sequential(layers)
    kinds = {
        "adam": lambda: kt.optimizers.Adam(case.rate),
        "sgd": lambda: kt.optimizers.SGD(case.rate, momentum=0.9 if case.rate < 0.2 else 0.0),
        "rmsprop": lambda: kt.optimizers.RMSprop(case.rate),
    }
    classes = bool(case.data_set.classes)
    names = (["accuracy"] if classes else ["mae"]) if case.metrics else None
    model.compile(kinds[case.optimizer](), "cross_entropy" if classes else "mse", metrics=names)
    return model


def loss_of(case: Case):
    if case.data_set.classes:
        return torch.nn.functional.cross_entropy
    return lambda output, y: torch.nn.functional.mse_loss(output[:, 0], y)


def train(case: Case) -> dict:
    """Train a run; return its curves, its settings, and the numbers that its truth follows from."""
    model, part = build(case), case.parts
    held = HeldOut(part.x_held, part.y_held, loss_of(case))
    callbacks = [held]
    if case.decay != 1:
        callbacks.append(kt.callbacks.LearningRateScheduler(lambda epoch, rate: case.rate * case.decay**epoch))
    x, y, options = part.x, part.y, {"validation_data": (part.x_val, part.y_val)}
    if case.split:
        x, y = np.concatenate([part.x, part.x_val]), np.concatenate([part.y, part.y_val])
        options = {"validation_split": len(part.x_val) / len(x)}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        history = model.fit(
            x, y, batch_size=case.batch_size, epochs=case.epochs, verbose=0, shuffle=case.shuffle, callbacks=callbacks,
            check_finite=False, **options,
        )  # fmt: skip
        on_training = plain_loss(model, torch.as_tensor(part.x), torch.as_tensor(part.y), loss_of(case))
    settings = history.settings.to_dict()
    settings["callbacks"] = [name for name in settings.get("callbacks", []) if name != "HeldOut"]
    y_held = part.y_held
    if case.data_set.classes:
        shares = np.bincount(y_held) / len(y_held)
        baseline = float(-(shares[shares > 0] * np.log(shares[shares > 0])).sum())
    else:
        baseline = float(y_held.var())
    curves = {name: [short(value) for value in values] for name, values in history.history.items()}
    if len(set(curves["learning_rate"])) == 1:
        curves["learning_rate"] = curves["learning_rate"][:1]
    return {
        "name": case.name, "kind": case.kind, "half": case.half, "curves": curves, "settings": settings,
        "held": [short(value) for value in held.values], "baseline": short(baseline), "on_training": short(on_training),
    }  # fmt: skip


def train_by_name(name: str) -> dict:
    cause, data_set, number = name.split("/")
    return train(make_case(cause, DATA_SETS[data_set], int(number)))


def short(value: float):
    """Return four digits of a number, and the name of one that JSON has not."""
    return float(f"{value:.4g}") if np.isfinite(value) else str(value)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--file", type=Path, default=FILE, help="where the runs are written")
    parser.add_argument("--only", default="", help="train only the runs whose names contain this text")
    parser.add_argument("--processes", type=int, default=1, help="number of processes that train")
    options = parser.parse_args()
    cases = [case.name for case in all_cases() if options.only in case.name]
    start, runs = time.perf_counter(), []
    with get_context("spawn").Pool(options.processes, torch.set_num_threads, (1,)) as pool:
        for run in pool.imap(train_by_name, cases):
            runs.append(run)
            print(f"{time.perf_counter() - start:6.0f} s  {run['name']}  {run['kind']}", file=sys.stderr)
            if len(runs) % 20 == 0 or len(runs) == len(cases):
                text = json.dumps(runs, separators=(",", ":"))
                options.file.write_bytes(gzip.compress(text.encode(), mtime=0))


if __name__ == "__main__":
    main()
