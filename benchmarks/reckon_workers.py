"""Reckon the step time of many workers from a measured step, the bytes of the gradients, and the speed of a link.

    python benchmarks/reckon_workers.py run.json            # the tables of what distributed.py has measured
    python benchmarks/reckon_workers.py --step-ms 250 --megabytes 500 --hidden 0.6

A step of `n` workers takes the time of its computation, and what the computation cannot hide of the all-reduce:

    step = computation + max(0, all-reduce - hidden * computation)
    ring = 2 (n - 1) latency + 2 (n - 1) / n * bytes / bandwidth
    tree = 2 log2(n) latency + 2 * bytes / bandwidth

The faster one of ring and tree counts. With weak scaling each worker has the batch of one, so that the computation
stays the same; with strong scaling the workers share it, so that the part of the computation that grows with the rows
is divided among them.
"""

import argparse
import json
import statistics
from dataclasses import dataclass
from math import ceil, inf, log2

from report import table
from tasks import TASKS

WORKERS = (8, 64, 1024)


@dataclass(frozen=True)
class Link:
    """What connects two workers.

    Args:
        title: Name in tables.
        bandwidth: Bytes a second in one direction.
        latency: Seconds of a message without content, software included.
    """

    title: str
    bandwidth: float
    latency: float


# Bandwidths are published ones; docs/distributed.md has the sources. Latencies are assumptions.
LINKS = {
    "10 GbE": Link("10 GbE", 10e9 / 8, 50e-6),
    "100 GbE": Link("100 GbE", 100e9 / 8, 20e-6),
    "NDR": Link("InfiniBand NDR", 400e9 / 8, 5e-6),
    "NVLink 4": Link("NVLink 4", 450e9, 5e-6),
}


@dataclass(frozen=True)
class Step:
    """A step of one worker.

    Args:
        fixed: Seconds of its computation that do not depend on the number of rows, such as those of the optimizer.
        per_batch: Seconds of its computation that grow with the rows.
        size: Bytes of the gradients.
        hidden: Share of the computation that runs while gradients are sent: 0 if they are sent after the backward pass.
        rows: Rows of the batch, which no more workers can share.
    """

    fixed: float
    per_batch: float
    size: float
    hidden: float = 0.0
    rows: float = inf

    def computation(self, workers=1):
        """Return the seconds of computation if `workers` share a batch."""
        return self.fixed + self.per_batch / workers


def ring_seconds(size, workers, link):
    """Return the seconds of a ring all-reduce: each worker sends `2 (n - 1)` messages of an `n`-th of the bytes."""
    return 2 * (workers - 1) * (link.latency + size / workers / link.bandwidth)


def tree_seconds(size, workers, link):
    """Return the seconds of an all-reduce by two pipelined binary trees, up and down again."""
    return 2 * ceil(log2(workers)) * link.latency + 2 * size / link.bandwidth


def all_reduce_seconds(size, workers, link):
    """Return the seconds of the faster one of a ring and a tree; 0 for one worker."""
    if workers == 1:
        return 0.0
    return min(ring_seconds(size, workers, link), tree_seconds(size, workers, link))


def step_seconds(step, workers, link, scaling):
    """Return the seconds of a step of several workers.

    Args:
        step: The step of one worker.
        workers: Their number.
        link: What connects them.
        scaling: `"weak"`, where each has the batch of one worker, or `"strong"`, where they share it.
    """
    computation = step.computation(workers if scaling == "strong" else 1)
    return computation + max(0.0, all_reduce_seconds(step.size, workers, link) - step.hidden * computation)


def speed(step, workers, link, scaling):
    """Return how many times as many rows a second the workers train as one; `None` if some would have no row."""
    if scaling == "strong" and workers > step.rows:
        return None
    batches = workers if scaling == "weak" else 1
    return batches * step.computation() / step_seconds(step, workers, link, scaling)


def fit_link(seconds, workers=2):
    """Return the link for which a ring takes the seconds that were measured, with the least sum of relative squares.

    Args:
        seconds: Seconds of an all-reduce, by bytes.
        workers: Number of processes.
    """
    # seconds = latency a + 1 / bandwidth b; each row is divided by the seconds that were measured
    a = 2 * (workers - 1)
    rows = [(a / time, a * float(size) / workers / time) for size, time in seconds.items()]
    aa, ab, bb = (sum(one[i] * one[j] for one in rows) for i, j in ((0, 0), (0, 1), (1, 1)))
    a1, b1 = (sum(one[i] for one in rows) for i in (0, 1))
    determinant = aa * bb - ab * ab
    return Link("loopback", determinant / (aa * b1 - ab * a1), (bb * a1 - ab * b1) / determinant)


def measured_step(run, task, contender="kerastorch alone", processes=2):
    """Return the step of one worker in a run of `distributed.py`.

    The time of a batch, and of a part of it, without communication gives what grows with the rows.

    Args:
        run: What `distributed.py` wrote.
        task: Name of the task.
        contender: What ran without communication.
        processes: Number of processes that did so at the same time.
    """
    found = {
        one["scaling"]: (one["batch"] / processes, statistics.median(one["seconds"]))
        for one in run["results"]
        if (one["task"], one["contender"], one["processes"]) == (task, contender, processes)
    }
    (rows, whole), (fewer, part) = found["weak"], found["strong"]
    per_row = max(0.0, (whole - part) / (rows - fewer))
    return Step(max(0.0, whole - per_row * rows), per_row * rows, run["gradient_bytes"][task], rows=rows)


def reckoned_table(step, workers=WORKERS):
    """Return a table: a row for each link and kind of scaling, and for each number of workers speed and efficiency."""
    rows = []
    for link in LINKS.values():
        for scaling in ("weak", "strong"):
            speeds = [(n, speed(step, n, link, scaling)) for n in workers]
            cells = [None if one is None else f"{one:.1f} ({100 * one / n:.0f} %)" for n, one in speeds]
            rows.append([link.title, scaling, *cells])
    return table(["link", "scaling", *(f"{n:,} workers" for n in workers)], rows)


def report(run):
    """Return the tables of a run of `distributed.py`, and how well the formula tells what was measured."""
    parts = []
    for processes, seconds in run["messages"].items():
        link = fit_link(seconds, int(processes))
        parts.append(
            f"Loopback, {processes} processes: latency {1e6 * link.latency:.0f} µs, {link.bandwidth / 1e9:.2f} GB/s."
        )
        for task in run["gradient_bytes"]:
            step = measured_step(run, task, processes=int(processes))
            for one in run["results"]:
                if (one["task"], one["contender"], one["processes"]) == (task, "DataParallel", int(processes)):
                    told = step_seconds(step, one["processes"], link, one["scaling"])
                    found = statistics.median(one["seconds"])
                    parts.append(
                        f"- {task}, {one['scaling']}: reckoned {1e3 * told:.2f} ms, measured {1e3 * found:.2f} ms "
                        f"({100 * (told / found - 1):+.0f} %)."
                    )
    first = int(next(iter(run["messages"])))
    for task in run["gradient_bytes"]:
        step = measured_step(run, task, processes=first)
        parts += [
            f"### {TASKS[task].title}, reckoned",
            f"{1e3 * step.computation():.2f} ms of computation for {step.rows:.0f} rows, of which "
            f"{1e3 * step.fixed:.2f} ms do not depend on them, and {step.size / 1e6:.2f} MB of gradients.",
            reckoned_table(step),
        ]
    return "\n\n".join(parts)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("run", nargs="?", help="JSON file of distributed.py")
    parser.add_argument("--step-ms", type=float, help="milliseconds of a step of one worker")
    parser.add_argument("--fixed-ms", type=float, default=0.0, help="of them, those that do not depend on the rows")
    parser.add_argument("--megabytes", type=float, help="of gradients")
    parser.add_argument("--hidden", type=float, default=0.0, help="share of a step that hides communication, 0 to 1")
    parser.add_argument("--workers", nargs="+", type=int, default=WORKERS)
    asked = parser.parse_args()
    if asked.run:
        with open(asked.run) as file:
            print(report(json.load(file)))
        return
    if asked.step_ms is None or asked.megabytes is None:
        parser.error("give the JSON file of a run, or both --step-ms and --megabytes")
    grows = max(0.0, asked.step_ms - asked.fixed_ms)
    step = Step(asked.fixed_ms / 1e3, grows / 1e3, 1e6 * asked.megabytes, asked.hidden)
    print(reckoned_table(step, workers=asked.workers))


if __name__ == "__main__":
    main()
