"""Compare the speed of this tree with another commit, interleaved, and fail if this tree is slower.

    python benchmarks/guard.py [--against REF] [--tasks ...] [--rounds 15] [--instructions]

Both trees do the same work in processes of their own, which take turns. A task fails if the whole confidence interval
of its ratio, this tree to the other, is above the limit. Calls of functions in a step are counted, too; with
`--instructions` also the instructions of the processor, by callgrind, in about ten minutes. These two do not depend on
how busy the machine is.
"""

import argparse
import contextlib
import json
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
from process import Worker, environment
from tasks import OTHER_VERBS, TRAINING

HERE = Path(__file__).resolve().parent
THIS = HERE.parent
LIMIT = 1.05
EAGER = [*TRAINING, *OTHER_VERBS]
COMPILED = ["tiny-32"]
WORKS = ("step", "evaluate", "predict", "one row")  # of count_calls.py
UNITS = 50  # batches or calls whose instructions are counted


def last_release():
    """The newest tag, else the commit that set the present version."""
    tags = git("tag", "--list", "v*", "--sort=-version:refname").split()
    return tags[0] if tags else git("log", "-1", "--format=%h", "--", "src/kerastorch/version.py").strip()


def git(*arguments):
    return subprocess.run(["git", "-C", THIS, *arguments], check=True, capture_output=True, text=True).stdout


@contextlib.contextmanager
def tree_of(reference):
    """A folder with the files of a commit, which is removed at the end."""
    with tempfile.TemporaryDirectory() as folder:
        archive = Path(folder) / "tree.tar"
        git("archive", "--output", archive, reference, "src")
        shutil.unpack_archive(archive, folder)
        yield Path(folder)


def ratios(contender, task, other, rounds, threads, quick=False):
    """The ratio of the seconds of each round, this tree to the other.

    Args:
        contender: its name.
        task: name of the task.
        other: folder of the other tree.
        rounds: their number; one more before them warms up.
        threads: of each process.
        quick: cut the task down.

    Raises:
        RuntimeError: A process does not do the task.
    """
    found = []
    with Worker(contender, threads, quick, THIS) as here, Worker(contender, threads, quick, other) as there:
        for number in range(-2, rounds):
            pair = {}
            for worker in (here, there) if number % 2 else (there, here):
                answer = worker.do(task)
                if "skip" in answer:
                    raise RuntimeError(f"{contender}, {task}: {answer['skip']}")
                pair[worker] = answer["seconds"]
            if number >= 0:
                found.append(pair[here] / pair[there])
    return found


def interval(values, level=0.95, draws=4000):
    """The median of values, and a confidence interval of it by the bootstrap."""
    values = np.asarray(values)
    drawn = np.random.default_rng(0).choice(values, (draws, len(values)))
    low, high = np.quantile(np.median(drawn, axis=1), [(1 - level) / 2, (1 + level) / 2])
    return float(np.median(values)), float(low), float(high)


def call_counts(tree):
    """Calls of functions in one more unit, by name."""
    command = [sys.executable, str(HERE / "count_calls.py")]
    done = subprocess.run(command, env=environment("kerastorch", tree), check=True, capture_output=True, text=True)
    return json.loads(done.stdout)


def instructions(tree, work, units=UNITS):
    """Instructions of one more unit of work: the difference of two runs under callgrind."""

    def total(count):
        with tempfile.TemporaryDirectory() as folder:
            out = Path(folder) / "out"
            command = ["valgrind", "--tool=callgrind", f"--callgrind-out-file={out}", sys.executable]
            command += [str(HERE / "count_calls.py"), "--run", work, str(count)]
            threads = {"OMP_NUM_THREADS": "1", "MKL_NUM_THREADS": "1", "PYTHONHASHSEED": "0"}
            environ = environment("kerastorch", tree) | threads
            subprocess.run(command, env=environ, check=True, capture_output=True)
            summary = next(line for line in out.read_text().splitlines() if line.startswith(("summary:", "totals:")))
            return int(summary.split()[1])

    return (total(2 * units) - total(units)) / units


def arguments():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--against", metavar="REF", help="a commit; the last release by default")
    parser.add_argument("--tasks", nargs="+", choices=EAGER, default=EAGER, metavar="TASK", help=", ".join(EAGER))
    parser.add_argument("--rounds", type=int, default=15, help="timed runs of each tree, 15 by default")
    parser.add_argument("--threads", type=int, default=min(2, os.cpu_count() or 1), help="of each tree, 2 by default")
    parser.add_argument("--instructions", action="store_true", help="count instructions by callgrind, too")
    parser.add_argument("--quick", action="store_true", help="four batches a task, to see that everything runs")
    return parser.parse_args()


def main():
    asked = arguments()
    if asked.instructions and shutil.which("valgrind") is None:
        sys.exit("--instructions needs valgrind, which is not installed.")
    reference = asked.against or last_release()
    failed = []

    def say(name, ratio, is_slower, more):
        print(f"{name:28} {ratio:.3f}  {more}{'  slower' if is_slower else ''}", flush=True)
        failed.extend([name] if is_slower else [])

    def say_counts(unit, here, there):
        for work in here:
            ratio = here[work] / there[work]
            say(f"{unit}, {work}", ratio, ratio > LIMIT, f"{here[work]:,.0f} and {there[work]:,.0f}")

    with tree_of(reference) as other:
        print(f"this tree / {reference}: the median of the ratio, and its confidence interval", flush=True)
        pairs = [("kerastorch", task) for task in asked.tasks]
        pairs += [("kerastorch-compiled", task) for task in COMPILED if task in asked.tasks and not asked.quick]
        for contender, task in pairs:
            middle, low, high = interval(ratios(contender, task, other, asked.rounds, asked.threads, asked.quick))
            name = task if contender == "kerastorch" else f"{task}, compiled"
            say(name, middle, low > LIMIT, f"{low:.3f} to {high:.3f}")
        say_counts("calls", call_counts(THIS), call_counts(other))
        if asked.instructions:
            say_counts("instructions", *({work: instructions(tree, work) for work in WORKS} for tree in (THIS, other)))
    if failed:
        sys.exit(f"slower than {reference} by more than {LIMIT - 1:.0%}: {', '.join(failed)}")
    print(f"not slower than {reference} by more than {LIMIT - 1:.0%}")


if __name__ == "__main__":
    main()
