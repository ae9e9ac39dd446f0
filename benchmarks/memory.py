"""Measure the memory that training on a memory map adds to a process in which kerastorch is imported.

    python benchmarks/memory.py [--gigabytes 1.0]

The file has images of uint8, `(rows, 3, 64, 64)`, in batches of 32. Private memory counts (RssAnon of Linux). The page
cache of the file is no part of it. The training runs in a process of its own; its memory is read every 20 ms.
"""

import argparse
import os
import subprocess
import sys
import tempfile
import threading
import time

import numpy as np

SHAPE = (3, 64, 64)
GOAL = 200 * 10**6  # bytes


def private_bytes():
    """The private memory of this process."""
    with open("/proc/self/status") as file:
        return 1024 * int(next(line for line in file if line.startswith("RssAnon:")).split()[1])


def write(path, rows):
    """Images of random bytes."""
    random = np.random.default_rng(0)
    with open(path, "wb") as file:
        for _ in range(rows):
            file.write(random.bytes(int(np.prod(SHAPE))))


def train(path, rows):
    """Train, evaluate and predict, and print the bytes that this adds at most."""
    from torch import nn

    import kerastorch as kt

    before = private_bytes()
    peak, done = before, threading.Event()

    def watch():
        nonlocal peak
        while not done.wait(0.02):
            peak = max(peak, private_bytes())

    watcher = threading.Thread(target=watch)
    watcher.start()
    x = np.memmap(path, dtype="uint8", mode="r", shape=(rows, *SHAPE))
    y = np.arange(rows) % 10
    model = kt.Sequential(
        [kt.layers.Rescaling(1 / 255), nn.AvgPool2d(8), kt.layers.Flatten(), kt.layers.Dense(10)],
    )
    model.compile("adam", "cross_entropy", metrics=["accuracy"])
    start = time.perf_counter()
    model.fit(x, y, batch_size=32, validation_split=0.1, verbose=0)
    seconds = time.perf_counter() - start
    model.evaluate(x, y, verbose=0)
    model.predict(x, verbose=0)
    done.set()
    watcher.join()
    print(peak - before, before, f"{seconds:.1f}")


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--gigabytes", type=float, default=1.0, help="size of the file, 1 by default")
    parser.add_argument("--train", nargs=2, metavar=("FILE", "ROWS"), help=argparse.SUPPRESS)
    asked = parser.parse_args()
    if asked.train:
        train(asked.train[0], int(asked.train[1]))
        return
    rows = int(asked.gigabytes * 10**9 / np.prod(SHAPE))
    with tempfile.TemporaryDirectory() as folder:
        path = os.path.join(folder, "images.bin")
        write(path, rows)
        command = [sys.executable, __file__, "--train", path, str(rows)]
        added, before, seconds = subprocess.run(command, capture_output=True, text=True, check=True).stdout.split()
    verdict = "reached" if int(added) <= GOAL else "not reached"
    print(f"{rows} images, {asked.gigabytes:g} GB of uint8: one epoch {seconds} s")
    print(f"imported {int(before) / 1e6:.0f} MB, added {int(added) / 1e6:.0f} MB; goal at most 200 MB: {verdict}")


if __name__ == "__main__":
    main()
