"""Interleaved rounds: every contender does a group of tasks once, then all of them again."""

from contextlib import ExitStack

from contenders import takes_part
from process import Worker
from tasks import GROUPS, TASKS


def measure(group, contenders, rounds, threads, quick=False):
    """The times of a group of tasks, each contender in a fresh process of its own.

    Args:
        group: name in `tasks.GROUPS`.
        contenders: names.
        rounds: timed runs of each; one more before them warms up.
        threads: of each contender.
        quick: cut tasks down.

    Returns:
        A list of `{"task", "contender", "first", "seconds", "loss", "memory"}`, or `{"task", "contender", "skip"}`:
        seconds of the first epoch or call, with everything that is compiled then, and of each round.
    """
    found = {}
    present = [name for name in contenders if any(takes_part(name, TASKS[task]) for task in GROUPS[group])]
    with ExitStack() as stack:
        workers = [stack.enter_context(Worker(name, threads, quick)) for name in present]
        pairs = [(one, task) for one in workers for task in GROUPS[group] if takes_part(one.name, TASKS[task])]
        for number in range(-2, rounds):  # first epoch, warm-up, rounds
            turn = number % len(pairs) if pairs else 0  # so that nobody is always the first
            for worker, task in pairs[turn:] + pairs[:turn]:
                entry = found.setdefault((task, worker.name), {"task": task, "contender": worker.name, "seconds": []})
                if "skip" not in entry:
                    note(entry, worker.do(task), number)
    return [shorn(entry) for entry in found.values()]


def note(entry, answer, number):
    """Write an answer into its entry."""
    if "skip" in answer:
        entry["skip"] = answer["skip"]
    elif number == -2:
        entry["first"] = answer["seconds"]
    elif number >= 0:
        entry["seconds"].append(answer["seconds"])
        entry |= {"memory": answer["memory"], "loss": (answer["losses"] or [None])[-1]}


def shorn(entry):
    """Who sat a task out has no times."""
    return {key: entry[key] for key in ("task", "contender", "skip")} if "skip" in entry else entry
