"""Diagnose the runs of a half and print the confusion table: `python benchmarks/diagnosis/score.py --half unseen`."""

from __future__ import annotations

import argparse
import gzip
import json
from collections import Counter
from pathlib import Path

import numpy as np
from cases import CAUSES, make_case
from data_sets import DATA_SETS
from generate import FILE
from truth import Truth, references, truth_of

from kerastorch.diagnosis.curves import Curves
from kerastorch.diagnosis.data_facts import NO_DATA, facts_of_data
from kerastorch.diagnosis.judge import findings_of
from kerastorch.diagnosis.run import Run
from kerastorch.diagnosis.settings import UNKNOWN, FitSettings

NEED_DATA = ("label problems", "suspected leakage")  # curves and settings alone cannot show them


def read_runs(path: Path = FILE) -> list[dict]:
    return json.loads(gzip.decompress(path.read_bytes()))


def data_of(run: dict):
    """Make the data of a run anew: x, y, and the validation data."""
    cause, data_set, number = run["name"].split("/")
    case = make_case(cause, DATA_SETS[data_set], int(number))
    part = case.parts
    if case.split:
        return np.concatenate([part.x, part.x_val]), np.concatenate([part.y, part.y_val]), None
    return part.x, part.y, (part.x_val, part.y_val)


def diagnose(run: dict, *, settings: bool = True, data: bool = True):
    """Return the findings on a run, from its curves and what else is to be used."""
    epochs = len(run["curves"]["loss"])
    logs = {
        name: (range(1, epochs + 1), [float(one) for one in (values * epochs)[:epochs]])
        for name, values in run["curves"].items()
    }
    used = FitSettings.from_dict(run["settings"]) if settings else UNKNOWN
    facts = facts_of_data(*data_of(run), used) if data else NO_DATA
    curves = Curves.of(logs)
    assert curves is not None
    return findings_of(Run(curves, used, facts))


def named(findings, truth: Truth) -> str:
    """Return the cause that a diagnosis names: the true one if the diagnosis is right, else the first one."""
    causes = [one.cause for one in findings]
    is_right = causes[0] in truth.first and any(cause in truth.must for cause in causes)
    return "" if is_right else causes[0]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--file", type=Path, default=FILE)
    parser.add_argument("--half", choices=("known", "unseen"), default="known")
    parser.add_argument("--without", choices=("data", "settings"), action="append", default=[])
    parser.add_argument("--show", action="store_true", help="print the runs that are wrong; not for the unseen half")
    options = parser.parse_args()
    runs = read_runs(options.file)
    levels = references(runs)
    table: dict[str, Counter] = {cause: Counter() for cause in CAUSES}
    for run in runs:
        cause, data_set, _ = run["name"].split("/")
        truth = truth_of(run, levels[data_set])
        if run["half"] != options.half or truth is None or (options.without and cause in NEED_DATA):
            continue
        findings = diagnose(run, settings="settings" not in options.without, data=not options.without)
        wrong = named(findings, truth)
        table[cause][wrong or cause] += 1
        if wrong and options.show and options.half == "known":
            print(f"{run['name']} ({run['kind']}): {[one.cause for one in findings]}, not {set(truth.first)}")
            for one in findings:
                print("     ", one.title, *one.evidence)
    print_table(table)


def print_table(table) -> None:
    """Print each cause with the number of its runs, how many are right, and what the others are taken for."""
    runs = sum(map(Counter.total, table.values()))
    right = sum(counts[cause] for cause, counts in table.items())
    print(f"\n{'cause':32} runs right  taken for")
    for cause, counts in table.items():
        if counts.total():
            others = ", ".join(f"{name} {count}" for name, count in counts.most_common() if name != cause)
            print(f"{cause:32} {counts.total():4} {counts[cause] / counts.total():5.0%}  {others}")
    print(f"{'all':32} {runs:4} {right / max(1, runs):5.0%}")


if __name__ == "__main__":
    main()
