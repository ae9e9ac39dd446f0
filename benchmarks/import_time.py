"""How long `import kerastorch` takes beside `import torch`: medians of interleaved fresh processes, and their ratio."""

import statistics
import subprocess
import sys
import time

ROUNDS = 9


def seconds(module):
    """The wall time of a fresh process that only imports `module`."""
    began = time.perf_counter()
    subprocess.run([sys.executable, "-c", f"import {module}"], check=True)
    return time.perf_counter() - began


times = {"torch": [], "kerastorch": []}
for _ in range(ROUNDS):
    for module, taken in times.items():
        taken.append(seconds(module))
torch, kerastorch = (statistics.median(taken) for taken in times.values())
print(f"import torch {torch:.2f} s, import kerastorch {kerastorch:.2f} s, ratio {kerastorch / torch:.3f}")
