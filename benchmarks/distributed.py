"""Measure steps of one and of several processes: fit beside hand-written loops, with and without communication.

    python benchmarks/distributed.py [--processes 2] [--tasks dense conv] [--rounds 9] [--json FILE] [--plot FILE.png]
    python benchmarks/distributed.py --page docs/distributed.md --plot docs/assets/distributed.png

The processes run on this machine with the gloo backend on loopback, one thread each. In each round every contender
trains some epochs, one contender at a time. The time of an epoch is that of the slowest process. The strong scaling
has the same batch for any number of processes, the weak scaling the same batch for each process.
"""

import argparse
import json
import pathlib
import statistics
import sys
from contextlib import ExitStack

import machine
import rank_work
import reckon_workers
from rank_pool import RankPool
from report import table
from tasks import TASKS

STEPS = {"dense": 50, "conv": 4}  # of an epoch
EPOCHS = 3  # of a round; the first one is not counted
MESSAGES = tuple(4**power * 1024 for power in range(7))  # bytes: 1 KiB to 4 MiB


def arguments():
    """Return what the command line says."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--processes", nargs="+", type=int, default=[2], help="numbers of processes beside one")
    parser.add_argument("--tasks", nargs="+", choices=list(STEPS), default=list(STEPS))
    names = list(rank_work.CONTENDERS)
    parser.add_argument("--contenders", nargs="+", choices=names, default=names, metavar="WHO", help=", ".join(names))
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--quick", action="store_true", help="two rounds of few steps, to see that everything runs")
    parser.add_argument("--json", metavar="FILE", help="write every number there")
    parser.add_argument("--plot", metavar="FILE", help="draw measured and reckoned speeds there")
    parser.add_argument("--page", metavar="FILE", help="write the tables between the comments of this page")
    return parser.parse_args()


def cases(asked):
    """Return (task, processes, contender, batch, kind of scaling) of everything that is measured."""
    found = []
    for task in asked.tasks:
        rows = TASKS[task].batch
        alone = [name for name in asked.contenders if name in rank_work.ONE_PROCESS]
        found += [(task, 1, name, rows, "strong") for name in alone]
        for world in asked.processes:
            several = [name for name in asked.contenders if name in rank_work.SEVERAL]
            found += [(task, world, name, rows, "strong") for name in several]
            found += [(task, world, name, rows * world, "weak") for name in several]
    return found


def measure(asked, say):
    """Return a dict for each case: seconds of a step by round, Python calls and bytes of a step, and the last loss."""
    steps = {task: 4 if asked.quick else STEPS[task] for task in asked.tasks}
    rounds, results = (2 if asked.quick else asked.rounds), []
    with ExitStack() as stack:
        pools = {world: stack.enter_context(RankPool(world)) for world in dict.fromkeys([1, *asked.processes])}
        for task in asked.tasks:
            entries = [
                {"task": name, "processes": world, "contender": who, "batch": batch, "scaling": kind, "seconds": []}
                for name, world, who, batch, kind in cases(asked)
                if name == task
            ]
            for entry in entries:
                say(f"{task}: preparing {entry['contender']} of {entry['processes']}, batch {entry['batch']}")
                pool, key = pools[entry["processes"]], (entry["contender"], task, entry["batch"])
                pool.run(rank_work.prepare, *key, steps[task])
                pool.run(rank_work.work, *key, 1)
                entry["calls"] = pool.run(rank_work.count_calls, *key)[0] / steps[task]
            for number in range(rounds):
                say(f"{task}: round {number + 1} of {rounds}")
                turn = number % len(entries)  # so that no contender is always the first
                for entry in entries[turn:] + entries[:turn]:
                    key = entry["contender"], task, entry["batch"]
                    note(entry, pools[entry["processes"]].run(rank_work.work, *key, EPOCHS), steps[task])
            results += entries
            for pool in pools.values():
                pool.run(rank_work.forget)
        messages = {}
        for world in asked.processes:
            say(f"all-reduce of {world} processes alone")
            repeats = 3 if asked.quick else 30
            messages[world] = {
                size: statistics.median(max(one) for one in zip(*answers, strict=True))
                for size in MESSAGES
                if (answers := pools[world].run(rank_work.all_reduce_seconds, size, repeats))
            }
    return results, messages


def note(entry, answers, steps):
    """Add a round to the entry of a case.

    Args:
        entry: The entry.
        answers: What the processes have measured.
        steps: Steps of an epoch.
    """
    slowest = [max(seconds) for seconds in zip(*(one["seconds"] for one in answers), strict=True)]
    entry["seconds"] += [seconds / steps for seconds in slowest[1:]]
    entry["loss"] = answers[0]["loss"]
    if answers[0]["bytes"] is not None:
        sent = answers[0]["bytes"] / steps / EPOCHS / entry["processes"]
        entry["bytes"] = min(sent, entry.get("bytes", sent))  # other programs use loopback, too


class Medians:
    """Median step times by case.

    Args:
        run: What `measure` returned, as in the JSON file.
    """

    def __init__(self, run):
        self.run = run
        self.entries = {
            (one["task"], one["processes"], one["contender"], one["scaling"]): one for one in run["results"]
        }

    def seconds(self, *case):
        """Return the median of a step of (task, processes, contender, scaling), or `None`."""
        return statistics.median(self.entries[case]["seconds"]) if case in self.entries else None

    def ratio(self, first, second):
        """Return the median over the rounds of the ratio of two cases, or `None`."""
        if first not in self.entries or second not in self.entries:
            return None
        pairs = zip(self.entries[first]["seconds"], self.entries[second]["seconds"], strict=True)
        return statistics.median(one / two for one, two in pairs)


BESIDE = {  # contender -> whose time it is compared with, and what is the same without communication
    "kerastorch": ("hand", None),
    "kerastorch alone": ("hand alone", None),
    "DDP": (None, "hand alone"),
    "DataParallel": ("DDP", "kerastorch alone"),
    "FSDP2": (None, "hand alone"),
    "FullyShard": ("FSDP2", "kerastorch alone"),
}


def report(run):
    """Return the tables of a run."""
    medians = Medians(run)
    where = run["machine"]
    parts = [
        f"{where['processor']}, {where['cores']} cores, load {where['load']} before; torch {run['versions']['torch']}. "
        f"One thread a process, gloo on loopback, {run['rounds']} rounds.",
    ]
    for task in run["gradient_bytes"]:
        rows = []
        for (name, world, who, kind), entry in medians.entries.items():
            if name != task:
                continue
            rows.append(_row(medians, (name, world, who, kind), entry))
        head = ["processes", "batch", "", "a step", "ratio", "speed", "communication", "sent a step", "Python calls"]
        title = f"### {TASKS[task].title}, {run['gradient_bytes'][task] / 1e6:.2f} MB of gradients"
        parts += [title, table(head, rows)]
    for world, seconds in run["messages"].items():
        cells = [[f"{int(size) / 1024:.0f} KiB", f"{1e6 * one:.0f} µs"] for size, one in seconds.items()]
        parts += [f"### An all-reduce of {world} processes, alone", table(["bytes", "median"], cells)]
    return "\n\n".join(parts)


def _row(medians, case, entry):
    """Return the cells of a case.

    `ratio` compares with the hand-written loop of the same kind. `speed` compares rows a second with those of `hand`.
    `communication` is the share of a step by which it is longer than without communication.
    """
    task, world, who, kind = case
    beside, silent = BESIDE.get(who, (None, None))
    ratio = beside and medians.ratio(case, (task, world, beside, kind))
    quiet = silent and medians.ratio((task, world, silent, kind), case)
    alone = medians.seconds(task, 1, "hand", "strong")
    seconds = medians.seconds(*case)
    speed = alone and (entry["batch"] / seconds) / (TASKS[task].batch / alone)
    return [
        world,
        entry["batch"],
        who,
        f"{1e3 * seconds:.2f} ms",
        None if not ratio else f"{ratio:.2f}",
        None if not speed else f"{speed:.2f}",
        None if not quiet else f"{100 * (1 - quiet):.0f} %",
        None if world == 1 or "bytes" not in entry else f"{entry['bytes'] / 1e6:.2f} MB",
        f"{entry['calls']:.0f}",
    ]


def main():
    asked = arguments()

    def say(line):
        print(line, file=sys.stderr, flush=True)

    run = {"machine": machine.machine(), "versions": machine.versions(), "rounds": asked.rounds}
    run["gradient_bytes"] = {task: rank_work.gradient_bytes(task) for task in asked.tasks}
    run["results"], run["messages"] = measure(asked, say)
    if asked.json:
        with open(asked.json, "w") as file:
            json.dump(run, file, indent=1)
    print(report(run))
    can_reckon = {"kerastorch alone", "DataParallel"} <= set(asked.contenders)
    if can_reckon:
        print("\n" + reckon_workers.report(run))
    if can_reckon and asked.plot:
        from distributed_plot import draw

        draw(run, asked.plot)
    if can_reckon and asked.page:
        write_page(pathlib.Path(asked.page), run, asked.plot)


def write_page(page, run, plot):
    """Write the tables of a run, and its picture, between the comments of a page that mark their places.

    Args:
        page: Path of the page.
        run: What was measured.
        plot: File name of the picture, or `None`.
    """
    text = page.read_text(encoding="utf-8")
    measured = report(run)
    if plot:
        relative = pathlib.Path(plot).resolve().relative_to(page.resolve().parent)
        alternative = "Speed of several processes, and reckoned efficiency of up to 1,024 workers"
        measured = f"![{alternative}]({relative.as_posix()})\n\n{measured}"
    for name, tables in (("measured", measured), ("reckoned", reckon_workers.report(run))):
        begin, end = f"<!-- what was {name} -->", f"<!-- end of what was {name} -->"
        before, _, rest = text.partition(begin)
        text = f"{before}{begin}\n\n{tables}\n\n{end}{rest.partition(end)[2]}"
    page.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
