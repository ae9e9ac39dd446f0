"""Measure kerastorch beside hand-written loops and other libraries: the same work in one go, interleaved.

    python benchmarks/run.py [--tasks ...] [--contenders ...] [--rounds 7] [--json out.json]

Every contender works in a process of its own. Who is not installed is left out, with a line that says so.
"""

import argparse
import json
import sys

import fresh
import goals
import machine
import report
import rounds
from contenders import CONTENDERS
from tasks import GROUPS


def arguments():
    """What the command line says."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    every = [*GROUPS, *fresh.KINDS]
    parser.add_argument("--tasks", nargs="+", choices=every, default=every, metavar="TASK", help=", ".join(every))
    everybody = list(CONTENDERS)
    parser.add_argument(
        "--contenders", nargs="+", choices=everybody, default=everybody, metavar="WHO", help=", ".join(everybody)
    )
    parser.add_argument("--rounds", type=int, default=7, help="timed runs of each, 7 by default")
    parser.add_argument("--threads", type=int, default=2, help="of each contender, 2 by default")
    parser.add_argument("--json", metavar="FILE", help="keep every number there; report.py and goals.py read it")
    parser.add_argument("--quick", action="store_true", help="four batches a task, to see that everything runs")
    return parser.parse_args()


def say(line):
    """Progress, beside the report."""
    print(line, file=sys.stderr, flush=True)


def present(names):
    """Those that are installed."""
    found = []
    for name in names:
        if missing := CONTENDERS[name].missing():
            say(f"{name} is left out: {' and '.join(missing)} not installed")
        else:
            found.append(name)
    return found


def main():
    asked = arguments()
    about = {"machine": machine.machine(), "versions": machine.versions()}
    about |= {"rounds": asked.rounds, "threads": asked.threads, "quick": asked.quick}
    contenders, results = present(asked.contenders), []
    for task in asked.tasks:
        say(f"{task} ...")
        measure = fresh.measure if task in fresh.KINDS else rounds.measure
        found = measure(task, contenders, asked.rounds, asked.threads, asked.quick)
        for one in found:
            if "skip" in one:
                say(f"  {one['contender']} sits {one['task']} out: {one['skip']}")
        results += found
        if asked.json:  # after each task, so that a run that is broken off is not lost
            with open(asked.json, "w") as file:
                json.dump(about | {"results": results}, file, indent=1)
    print(report.report(about | {"results": results}))
    print("\n## Goals\n\n" + goals.goals(about | {"results": results}))


if __name__ == "__main__":
    main()
