"""Measure a step of a small network alone and in two processes at once, in all threads and in one.

python benchmarks/two_fits.py
"""

import subprocess
import sys
import time

ROWS, BATCH, EPOCHS = 12_800, 32, 3
RULES = {"all threads": False, "one thread": True}


def seconds_a_step(is_limited):
    """Train in this process."""
    import torch
    from torch import nn

    import kerastorch as kt
    from kerastorch.training import thread_limit

    if not is_limited:
        thread_limit.MOST = 0  # no step is small
    torch.manual_seed(0)
    x, y = torch.randn(ROWS, 30), torch.randint(0, 2, (ROWS,))
    model = kt.Model(nn.Sequential(nn.Linear(30, 16), nn.ReLU(), nn.Linear(16, 16), nn.ReLU(), nn.Linear(16, 2)))
    model.compile("adam", "cross_entropy")
    model.fit(x, y, batch_size=BATCH, verbose=0)
    began = time.perf_counter()
    model.fit(x, y, batch_size=BATCH, epochs=EPOCHS, verbose=0)
    return (time.perf_counter() - began) / (EPOCHS * ROWS / BATCH)


def together(rule, number):
    """The mean of the processes, in microseconds a step."""
    command = [sys.executable, __file__, rule]
    running = [subprocess.Popen(command, stdout=subprocess.PIPE, text=True) for _ in range(number)]
    found = [float(one.communicate()[0]) for one in running]
    return sum(found) / number * 1e6


def main():
    if len(sys.argv) > 1:
        print(seconds_a_step(RULES[sys.argv[1]]))
        return
    for number in (1, 2):
        for rule in RULES:
            print(f"{number} at once, {rule}: {together(rule, number):.0f} us a step", flush=True)


if __name__ == "__main__":
    main()
