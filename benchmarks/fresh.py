"""What a fresh process costs: the import, and all up to the end of the first epoch."""

import subprocess
import sys
import time

from contenders import CONTENDERS, takes_part
from process import Worker, environment
from tasks import TASKS

FIRST_EPOCH = "tiny-32"


def import_seconds(name):
    """The wall time of a fresh process that only imports what a user of `name` does."""
    began = time.perf_counter()
    subprocess.run([sys.executable, "-c", CONTENDERS[name].imports], env=environment(name), check=True)
    return {"seconds": time.perf_counter() - began}


def epoch_seconds(name, threads, quick):
    """From the start of a process to the end of its first epoch; imports, data and network included."""
    began = time.perf_counter()
    with Worker(name, threads, quick) as worker:
        answer = worker.do(FIRST_EPOCH)
        return answer if "skip" in answer else {"seconds": time.perf_counter() - began}


KINDS = ("import", "first-epoch")


def distinct(names):
    """Of contenders that import the same, the first."""
    seen = {}
    for name in names:
        seen.setdefault((CONTENDERS[name].imports, str(CONTENDERS[name].environment)), name)
    return list(seen.values())


def measure(kind, contenders, rounds, threads, quick=False):
    """As `rounds.measure`, for `import` or `first-epoch`; a round that is not counted fills the disk's cache."""
    names = [name for name in contenders if takes_part(name, TASKS[FIRST_EPOCH])]
    names = distinct(names) if kind == "import" else names
    once = import_seconds if kind == "import" else lambda name: epoch_seconds(name, threads, quick)
    found = {name: {"task": kind, "contender": name, "seconds": []} for name in names}
    for number in range(-1, rounds):
        for name, entry in found.items():
            answer = {} if "skip" in entry else once(name)
            if "skip" in answer:
                found[name] = {"task": kind, "contender": name, "skip": answer["skip"]}
            elif answer and number >= 0:
                entry["seconds"].append(answer["seconds"])
    return list(found.values())
