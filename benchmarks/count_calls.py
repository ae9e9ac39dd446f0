"""Count the calls of functions in a step, a batch and a call of `predict`: these numbers are the same in each run.

    python benchmarks/count_calls.py                     # this tree, as JSON
    python benchmarks/count_calls.py --run step 40       # work alone, without counting, for callgrind

Calls of Python functions and of functions written in C are counted. The time of a step of a small network is mostly the
time of these calls.
"""

import argparse
import json
import sys

import torch
from torch import nn

import kerastorch as kt

ROWS = 32  # of a batch


def works():
    """What is counted, by name: a function of the number of units, which are batches, or calls."""
    torch.manual_seed(0)
    torch.set_num_threads(1)
    net = nn.Sequential(nn.Linear(30, 16), nn.ReLU(), nn.Linear(16, 16), nn.ReLU(), nn.Linear(16, 2))
    model = kt.Model(net)
    model.compile("adam", "cross_entropy")

    def rows(units):
        return torch.zeros(units * ROWS, 30), torch.zeros(units * ROWS, dtype=torch.int64)

    def predict_rows(units):
        row = torch.zeros(1, 30)
        for _ in range(units):
            model.predict(row, verbose=0)

    return {
        "step": lambda units: model.fit(*rows(units), batch_size=ROWS, verbose=0),
        "evaluate": lambda units: model.evaluate(*rows(units), batch_size=ROWS, verbose=0),
        "predict": lambda units: model.predict(rows(units)[0], batch_size=ROWS, verbose=0),
        "one row": predict_rows,
    }


def count(work, units):
    """Return the number of calls while `work` does its units."""
    calls = 0

    def note(frame, event, argument):  # noqa: ARG001
        nonlocal calls
        calls += event in ("call", "c_call")

    sys.setprofile(note)
    try:
        work(units)
    finally:
        sys.setprofile(None)
    return calls


def counts(few=40, many=60):
    """Return the calls of one more unit, by name: the difference of two runs leaves out what happens once."""
    found = {}
    for name, work in works().items():
        work(many)  # what is done at the first use alone
        found[name] = (count(work, many) - count(work, few)) / (many - few)
    return found


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--run", nargs=2, metavar=("WORK", "UNITS"), help="do work without counting")
    given = parser.parse_args()
    if given.run is None:
        print(json.dumps(counts()))
    else:
        works()[given.run[0]](int(given.run[1]))


if __name__ == "__main__":
    main()
