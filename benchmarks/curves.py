"""Measure how costs grow: with batches, outputs, metrics, callbacks and layers; memory over many epochs; rows a second.

    python benchmarks/curves.py [--only batches layers ...] [--json FILE] [--plot FILE]

Each curve is measured in interleaved rounds of this process, in processor time of one thread, with medians; its slope
is that of a straight line by least squares. A hand-written loop of the same work stands beside it where there is one.
"""

import argparse
import json
import resource
import statistics
import tempfile
import time
from pathlib import Path

import numpy as np
import torch
from torch import nn
from torch.utils.data import DataLoader, Dataset

import kerastorch as kt

BATCH, FEATURES = 32, 16


class Listener(kt.callbacks.Callback):
    """A callback that does nothing at the end of each batch."""

    def on_train_batch_end(self, batch, logs=None):
        return


class Outputs(nn.Module):
    """A dense layer for each output."""

    def __init__(self, count):
        super().__init__()
        self.heads = nn.ModuleDict({f"out{one}": nn.Linear(FEATURES, 2) for one in range(count)})

    def forward(self, x):
        return {name: head(x) for name, head in self.heads.items()}


def rows(batches):
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(batches * BATCH, FEATURES, generator=generator)
    return x, (x.sum(1) > 0).long()


def stack(layers):
    return nn.Sequential(*[part for _ in range(layers) for part in (nn.Linear(FEATURES, FEATURES), nn.ReLU())])


def fit_of(net, batches, *, targets=None, metrics=(), callbacks=(), loss="cross_entropy"):
    """A function that trains for an epoch, and the number of its steps."""
    model = kt.Model(net)
    model.compile("adam", loss, metrics=list(metrics))
    x, y = rows(batches)
    y = targets(y) if targets else y
    return lambda: model.fit(x, y, batch_size=BATCH, verbose=0, callbacks=list(callbacks)), batches


def loop_of(net, batches, loss_of=nn.functional.cross_entropy):
    """The same by hand."""
    optimizer = torch.optim.Adam(net.parameters(), fused=True)
    x, y = rows(batches)

    def epoch():
        total = torch.zeros(())
        for chosen in torch.randperm(len(x)).split(BATCH):
            optimizer.zero_grad()
            loss = loss_of(net(x[chosen]), y[chosen])
            loss.backward()
            optimizer.step()
            total += loss.detach()
        return total.item()

    return epoch, batches


def sum_of_losses(outputs, y):
    return sum(nn.functional.cross_entropy(one, y) for one in outputs.values())


def same_for_each(count):
    return lambda y: {f"out{one}": y for one in range(count)}


METRICS = (
    "accuracy",
    "precision",
    "recall",
    "f1",
    "auc",
    "top_k_categorical_accuracy",
    "matthews_corrcoef",
    "cohen_kappa",
)
CURVES = {
    "batches": ([100, 1000, 4000], "batches of a pass", {
        "fit": lambda n: fit_of(stack(2), n), "by hand": lambda n: loop_of(stack(2), n),
    }),
    "outputs": ([1, 2, 4, 8], "outputs", {
        "fit": lambda n: fit_of(Outputs(n), 100, targets=same_for_each(n)),
        "by hand": lambda n: loop_of(Outputs(n), 100, sum_of_losses),
    }),
    "layers": ([2, 8, 32, 64], "dense layers with a ReLU", {
        "fit": lambda n: fit_of(stack(n), 50), "by hand": lambda n: loop_of(stack(n), 50),
    }),
    "metrics": ([0, 1, 2, 4], "metrics", {"fit": lambda n: fit_of(nn.Linear(FEATURES, 2), 200, metrics=METRICS[:n])}),
    "callbacks": ([0, 5, 10, 20], "callbacks with a batch hook", {
        "fit": lambda n: fit_of(stack(2), 200, callbacks=[Listener() for _ in range(n)]),
    }),
}  # fmt: skip


def curve(name, rounds):
    """Microseconds of a step for each size, by contender, and the slope of each line."""
    sizes, unit, makers = CURVES[name]
    works = {(who, size): make(size) for who, make in makers.items() for size in sizes}
    times = {key: [] for key in works}
    for number in range(-1, rounds):
        for key, (work, steps) in works.items():
            began = time.process_time()
            work()
            if number >= 0:
                times[key].append((time.process_time() - began) / steps * 1e6)
    found = {}
    for who in makers:
        values = [statistics.median(times[who, size]) for size in sizes]
        found[who] = {"sizes": sizes, "microseconds": values, "slope": float(np.polyfit(sizes, values, 1)[0])}
    return {"unit": unit, "lines": found}


def resident():
    """Megabytes of memory of this process now."""
    with open("/proc/self/statm") as counts:
        return int(counts.read().split()[1]) * resource.getpagesize() / 1e6


def memory(epochs):
    """Memory of a fit after each tenth of its epochs; the slope is that of the second half, in kilobytes an epoch."""
    seen = []
    note = kt.callbacks.LambdaCallback(on_epoch_end=lambda epoch, logs: seen.append(resident()))
    model = kt.Model(stack(2))
    model.compile("adam", "cross_entropy", metrics=["accuracy"])
    x, y = rows(10)
    model.fit(x, y, validation_data=(x[:64], y[:64]), batch_size=BATCH, epochs=epochs, verbose=0, callbacks=note)
    half = np.array(seen[epochs // 2 :])
    slope = float(np.polyfit(np.arange(len(half)), half, 1)[0] * 1000)
    return {"epochs": epochs, "megabytes": seen[:: max(1, epochs // 10)], "slope": slope}


class Rows(Dataset):
    """Rows of a memory map, one by one, as a `DataLoader` reads them."""

    def __init__(self, images, labels):
        self.images, self.labels = images, labels

    def __len__(self):
        return len(self.images)

    def __getitem__(self, index):
        return torch.from_numpy(self.images[index].astype(np.float32)) / 255, int(self.labels[index])

    def __getitems__(self, indices):
        places = np.sort(indices)  # reads of neighbouring rows are faster
        chosen = torch.from_numpy(self.images[places].astype(np.float32)) / 255
        return list(zip(chosen, self.labels[places].tolist(), strict=True))


class Pictures(Dataset):
    """JPEG files and the numbers of their folders."""

    def __init__(self, folder):
        self.files = sorted(folder.glob("*/*.jpg"))

    def __len__(self):
        return len(self.files)

    def __getitem__(self, index):
        from PIL import Image

        pixels = np.asarray(Image.open(self.files[index]), dtype=np.float32)
        return torch.from_numpy(pixels).permute(2, 0, 1), int(self.files[index].parent.name)


def by_hand(loader, features):
    """An epoch of a linear model over a loader."""
    net = nn.Sequential(nn.Flatten(), nn.Linear(features, 2))
    optimizer = torch.optim.SGD(net.parameters(), lr=0.01)
    for x, y in loader:
        optimizer.zero_grad()
        nn.functional.cross_entropy(net(x), y).backward()
        optimizer.step()


def linear(features, *first):
    model = kt.Model(nn.Sequential(*first, nn.Flatten(), nn.Linear(features, 2)))
    model.compile(kt.optimizers.SGD(0.01), "cross_entropy")
    return model


def reading(rounds, count=20_000, pictures=1_000):
    """Rows a second of an epoch over a uint8 memory map, and over JPEG files, of a linear model."""
    from PIL import Image

    random = np.random.default_rng(0)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder)
        images = np.lib.format.open_memmap(path / "x.npy", mode="w+", dtype=np.uint8, shape=(count, 3072))
        images[:] = random.integers(0, 256, images.shape, dtype=np.uint8)
        images.flush()
        images, labels = np.load(path / "x.npy", mmap_mode="r"), random.integers(0, 2, count)
        for number in range(pictures):
            place = path / "jpg" / str(number % 2)
            place.mkdir(parents=True, exist_ok=True)
            Image.fromarray(random.integers(0, 256, (64, 64, 3), dtype=np.uint8)).save(place / f"{number}.jpg")
        found = kt.utils.image_dataset_from_directory(
            path / "jpg", image_size=(64, 64), batch_size=BATCH, verbose=False
        )
        on_map, on_files = linear(3072, kt.layers.Rescaling(1 / 255)), linear(64 * 64 * 3)
        loaders = {
            workers: DataLoader(Rows(images, labels), 128, shuffle=True, num_workers=workers) for workers in (0, 2)
        }
        files = {
            workers: DataLoader(Pictures(path / "jpg"), BATCH, shuffle=True, num_workers=workers) for workers in (0, 2)
        }
        works = {
            "uint8 memory map, fit": (lambda: on_map.fit(images, labels, batch_size=128, verbose=0), count),
            "uint8 memory map, DataLoader": (lambda: by_hand(loaders[0], 3072), count),
            "uint8 memory map, DataLoader, 2 workers": (lambda: by_hand(loaders[2], 3072), count),
            "JPEG files, fit": (lambda: on_files.fit(found, verbose=0), pictures),
            "JPEG files, fit, 2 workers": (lambda: on_files.fit(found, workers=2, verbose=0), pictures),
            "JPEG files, DataLoader": (lambda: by_hand(files[0], 64 * 64 * 3), pictures),
            "JPEG files, DataLoader, 2 workers": (lambda: by_hand(files[2], 64 * 64 * 3), pictures),
        }
        speeds = {name: [] for name in works}
        for number in range(-1, rounds):
            for name, (work, total) in works.items():
                began = time.perf_counter()
                work()
                if number >= 0:
                    speeds[name].append(total / (time.perf_counter() - began))
        return {name: statistics.median(values) for name, values in speeds.items()}


def report(found):
    """Print tables."""
    print("| grows with | | " + "| ".join(["", "", "", ""]) + "| one more |")
    print("|---|---|---|---|---|---|---|")
    for one in found.get("curves", {}).values():
        for who, line in one["lines"].items():
            cells = [f"{size}: {value:.0f}" for size, value in zip(line["sizes"], line["microseconds"], strict=True)]
            cells += [""] * (4 - len(cells))
            print(f"| {one['unit']} | {who} | {' | '.join(cells)} | {line['slope']:.3g} |")
    if "memory" in found:
        kept = found["memory"]
        print(f"\nmemory over {kept['epochs']} epochs: {kept['megabytes'][0]:.0f} MB after the first, ", end="")
        print(f"{kept['megabytes'][-1]:.0f} MB near the end, {kept['slope']:.2f} kB an epoch in the second half")
    for name, speed in found.get("reading", {}).items():
        print(f"| {name} | {speed:,.0f} |")


def plot(found, path):
    """Draw the curves: microseconds of a step over each size."""
    import matplotlib

    matplotlib.use("agg")
    from matplotlib import pyplot as plt

    curves = found["curves"]
    figure, axes = plt.subplots(1, len(curves), figsize=(3 * len(curves), 3), layout="constrained", squeeze=False)
    for axis, one in zip(axes[0], curves.values(), strict=True):
        for who, line in one["lines"].items():
            axis.plot(line["sizes"], line["microseconds"], marker="o", label=who)
        axis.set(xlabel=one["unit"], ylim=(0, None))
        axis.legend()
    axes[0][0].set_ylabel("microseconds a step")
    figure.savefig(path, dpi=120)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    kinds = [*CURVES, "memory", "reading"]
    parser.add_argument("--only", nargs="+", choices=kinds, default=kinds, metavar="WHAT", help=", ".join(kinds))
    parser.add_argument("--rounds", type=int, default=7, help="timed runs, 7 by default")
    parser.add_argument("--epochs", type=int, default=1000, help="of the fit whose memory is measured, 1000 by default")
    parser.add_argument("--json", metavar="FILE", help="keep the numbers there")
    parser.add_argument("--plot", metavar="FILE", help="draw the curves there")
    asked = parser.parse_args()
    torch.set_num_threads(1)
    found = {"curves": {name: curve(name, asked.rounds) for name in asked.only if name in CURVES}}
    if "memory" in asked.only:
        found["memory"] = memory(asked.epochs)
    if "reading" in asked.only:
        found["reading"] = reading(max(1, asked.rounds // 2))
    report(found)
    if asked.json:
        Path(asked.json).write_text(json.dumps(found, indent=1))
    if asked.plot:
        plot(found, asked.plot)


if __name__ == "__main__":
    main()
