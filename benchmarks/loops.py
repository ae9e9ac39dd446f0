"""kerastorch's `fit` beside two hand-written loops, the same work in one go: medians of interleaved rounds, and ratios.

    python benchmarks/loops.py [rounds]

- naive: `DataLoader(shuffle=True)`, `Adam()`, `loss.item()` every batch;
- expert: batches by index, fused Adam, the loss summed on the device;
- kerastorch: `kt.Model(net)`, the same fused Adam, no callbacks, without and with three metrics.
"""

import platform
import statistics
import sys
import time

import torch
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

import kerastorch as kt


def tiny():
    return nn.Sequential(nn.Linear(30, 16), nn.ReLU(), nn.Linear(16, 16), nn.ReLU(), nn.Linear(16, 2))


def dense():
    return nn.Sequential(nn.Linear(784, 512), nn.ReLU(), nn.Dropout(0.2), nn.Linear(512, 10))


def conv():
    layers = [nn.Conv2d(1, 16, 3), nn.ReLU(), nn.Conv2d(16, 32, 3), nn.ReLU(), nn.MaxPool2d(2), nn.Flatten()]
    return nn.Sequential(*layers, nn.Linear(4608, 10))


# name -> (network, shape of a row, classes, rows, batch size)
TASKS = {
    "30-16-16-2, batch 32": (tiny, (30,), 2, 20_000, 32),
    "30-16-16-2, batch 256": (tiny, (30,), 2, 80_000, 256),
    "784-512-10 dropout, batch 128": (dense, (784,), 10, 12_800, 128),
    "conv 28x28, batch 128": (conv, (1, 28, 28), 10, 1_280, 128),
}


def naive(net, x, y, size):
    """What a tutorial shows."""
    optimizer, loss_function, total = torch.optim.Adam(net.parameters()), nn.CrossEntropyLoss(), 0.0
    for inputs, targets in DataLoader(TensorDataset(x, y), size, shuffle=True):
        optimizer.zero_grad()
        loss = loss_function(net(inputs), targets)
        loss.backward()
        optimizer.step()
        total += loss.item()
    return total


def expert(net, x, y, size):
    """What somebody writes who has measured."""
    optimizer, loss_function = torch.optim.Adam(net.parameters(), fused=True), nn.CrossEntropyLoss()
    total = torch.zeros(())
    for rows in torch.randperm(len(x)).split(size):
        optimizer.zero_grad()
        loss = loss_function(net(x[rows]), y[rows])
        loss.backward()
        optimizer.step()
        total += loss.detach()
    return total.item()


def fit(metrics=()):
    """One epoch of `fit`."""

    def run(net, x, y, size):
        model = kt.Model(net)
        model.compile(torch.optim.Adam(net.parameters(), fused=True), nn.CrossEntropyLoss(), metrics=list(metrics))
        return model.fit(x, y, batch_size=size, verbose=0)

    return run


LOOPS = {"naive": naive, "expert": expert, "kerastorch": fit(), "+ 3 metrics": fit(("accuracy", "f1", "auc"))}


def seconds(loop, make, x, y, size):
    """The time of one epoch from fresh weights."""
    torch.manual_seed(0)
    net = make()
    began = time.perf_counter()
    loop(net, x, y, size)
    return time.perf_counter() - began


def main(rounds):
    """Print a table: microseconds a step, and the ratio to the expert's loop."""
    print(f"torch {torch.__version__}, {torch.get_num_threads()} threads, {platform.machine()}, {rounds} rounds\n")
    print("| work | " + " | ".join(LOOPS) + " |\n|---|" + "---|" * len(LOOPS))
    for name, (make, shape, classes, rows, size) in TASKS.items():
        x, y = torch.randn(rows, *shape), torch.randint(0, classes, (rows,))
        for loop in LOOPS.values():  # warm up
            seconds(loop, make, x[: 4 * size], y[: 4 * size], size)
        taken = {key: [] for key in LOOPS}
        for _ in range(rounds):
            for key, loop in LOOPS.items():
                taken[key].append(seconds(loop, make, x, y, size))
        steps = -(-rows // size)
        medians = {key: statistics.median(values) / steps * 1e6 for key, values in taken.items()}
        cells = [f"{micro:.0f} µs ({micro / medians['expert']:.2f})" for micro in medians.values()]
        print(f"| {name} | " + " | ".join(cells) + " |", flush=True)


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 9)
