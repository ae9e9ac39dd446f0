"""A process of one contender: is told "do this task once" on stdin, answers with seconds, losses and peak memory.

    python benchmarks/worker.py CONTENDER THREADS

A line in: `{"task": name, "quick": false}`. A line out: `{"seconds": ..., "losses": [...], "memory": ...}`, or
`{"skip": reason}`. The first time of a task is one epoch from the first batch ever, whatever is compiled then included.
"""

import json
import os
import resource
import sys
import time


def limit(threads):
    """The same number of threads, and no more cores, for every library that will be imported."""
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[:threads])
    for name in ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS", "NPROC"):
        os.environ[name] = str(threads)


def predict_one(work):
    """One call a row, as a service does."""
    row = work.row()
    for _ in range(work.task.calls):
        work.predict(row)


VERBS = {
    "fit": lambda work: work.fit(work.task.epochs),
    "evaluate": lambda work: [work.evaluate()],
    "predict": lambda work: work.predict(work.x),
    "predict_one": predict_one,
}


def timed(work, do):
    """One run from the first weights: what to answer."""
    work.reset()
    began = time.perf_counter()
    found = do(work)
    seconds = time.perf_counter() - began
    losses = [float(loss) for loss in found] if isinstance(found, list) else []
    return {"seconds": seconds, "losses": losses, "memory": peak()}


def peak():
    """Peak memory of this process so far, in MB."""
    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit / 1e6


def answer(works, contender, request):
    """Do what `request` says; what a task needs is made at its first request and kept in `works`."""
    from contenders import Unsupported, make
    from tasks import data, task_of

    name, task = request["task"], task_of(request["task"], request["quick"])
    try:
        if name in works:
            return timed(works[name], VERBS[task.verb])
        works[name] = make(contender, task, *data(task))
        if task.verb == "fit":
            return timed(works[name], lambda work: work.fit(1))
        return timed(works[name], VERBS[task.verb])
    except Unsupported as reason:
        return {"skip": str(reason)}


def main(contender, threads):
    limit(threads)
    out = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # what a library prints is no answer
    works = {}
    for line in sys.stdin:
        print(json.dumps(answer(works, contender, json.loads(line))), file=out, flush=True)


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]))
