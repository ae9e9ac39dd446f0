"""From the JSON of a run to Markdown: medians, and ratios to the expert's loop.

python benchmarks/report.py out.json
"""

import json
import statistics
import sys
from math import log

from contenders import CONTENDERS
from tasks import BATCHES, CALLBACKS, METRICS, OTHER_VERBS, TASKS, TRAINING, task_of

BASE = "expert"


class Results:
    """The numbers of a run, by task and contender.

    Args:
        run: what `run.py` wrote.
    """

    def __init__(self, run):
        self.run = run
        self.entries = {(one["task"], one["contender"]): one for one in run["results"] if "skip" not in one}

    def seconds(self, task, contender):
        """The median of a timed run, or `None`."""
        entry = self.entries.get((task, contender))
        return statistics.median(entry["seconds"]) if entry else None

    def micro(self, task, contender):
        """Microseconds a step or call, or `None`."""
        seconds = self.seconds(task, contender)
        return None if seconds is None else seconds / task_of(task, self.run["quick"]).units * 1e6

    def ratio(self, task, one, other):
        """How long `one` takes beside `other`, or `None`."""
        first, second = self.seconds(task, one), self.seconds(task, other)
        return first / second if first and second else None

    def field(self, task, contender, name):
        """`first`, `memory` or `loss`, or `None`."""
        return self.entries.get((task, contender), {}).get(name)

    def contenders(self, tasks):
        """Who did any of the tasks."""
        return [name for name in CONTENDERS if any((task, name) in self.entries for task in tasks)]

    def tasks(self, names):
        """Which of the tasks were done."""
        done = {task for task, _ in self.entries}
        return [name for name in names if name in done]


def table(head, rows):
    """A Markdown table; a cell that is `None` is a dash."""
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join("| " + " | ".join("-" if cell is None else str(cell) for cell in line) + " |" for line in lines)


def by_contender(results, names, cell):
    """A row a contender, a column a task."""
    tasks = results.tasks(names)
    if not tasks:
        return None
    rows = [[who, *(cell(task, who) for task in tasks)] for who in results.contenders(tasks)]
    return table(["", *(TASKS[task].title if task in TASKS else task for task in tasks)], rows)


def with_ratio(value, form):
    """A cell: the value and in brackets its ratio to the expert's, or where there is none to the naive loop's."""

    def cell(task, who):
        own = value(task, who)
        if own is None:
            return None
        base = value(task, BASE) or value(task, "naive")
        return form.format(own) + (f" ({own / base:.2f})" if base else "")

    return cell


def number(value, form):
    """A cell without a ratio."""
    return None if value is None else form.format(value)


def growth(results):
    """What more batches, metrics and callbacks add to a step: kerastorch beside the expert."""
    parts = []
    for names in (BATCHES, METRICS, CALLBACKS):
        first = next(iter(names))
        tasks = results.tasks(names)
        rows = []
        for who in results.contenders(tasks):
            base = results.micro(first, who)
            for task in tasks:
                own = results.micro(task, who)
                if own is not None:
                    rows.append([who, TASKS[task].title, f"{own:.0f} µs", f"{own / base:.2f}" if base else None])
        if rows:
            parts.append(table(["", "", "a step", f"to {TASKS[first].title}"], rows))
    return "\n\n".join(parts)


def disagreeing(results):
    """Lines on contenders whose last loss is far from the median: a tenth of what guessing loses."""
    lines = []
    for task in results.tasks(TRAINING):
        losses = {who: results.field(task, who, "loss") for who in results.contenders([task])}
        losses = {who: loss for who, loss in losses.items() if loss is not None}
        middle = statistics.median(losses.values()) if losses else 0
        far = [
            f"{who} {loss:.3f}" for who, loss in losses.items() if abs(loss - middle) > 0.1 * log(TASKS[task].classes)
        ]
        if far:
            lines.append(f"- {TASKS[task].title}: the median of the last losses is {middle:.3f}, but {', '.join(far)}.")
    return "\n".join(lines)


def skipped(run):
    """Lines on who sat out what, and why."""
    reasons = {}
    for one in run["results"]:
        if "skip" in one:
            reasons.setdefault((one["contender"], one["skip"]), []).append(one["task"])
    return "\n".join(f"- {who}: {why} ({', '.join(tasks)})" for (who, why), tasks in reasons.items())


def about(run):
    """Where and with what."""
    machine, versions = run["machine"], run["versions"]
    where = f"{machine['processor']}, {machine['cores']} cores, {machine['system']}, load {machine['load']} before"
    with_what = ", ".join(f"{name} {number}" for name, number in versions.items())
    settings = "".join(f", {name}={value}" for name, value in machine["settings"].items())
    return f"{where}. {run['threads']} threads{settings}, {run['rounds']} rounds. {with_what}."


def report(run):
    """The whole of it."""
    results = Results(run)
    micro = with_ratio(results.micro, "{:.0f} µs")
    seconds = with_ratio(results.seconds, "{:.2f} s")
    sections = {
        "Training, a step": by_contender(results, TRAINING, micro),
        "Evaluating and predicting, a step or call": by_contender(results, OTHER_VERBS, micro),
        "The first epoch, compiling included": by_contender(
            results, TRAINING, lambda task, who: number(results.field(task, who, "first"), "{:.2f} s")
        ),
        "Peak memory of the process": by_contender(
            results, TRAINING, lambda task, who: number(results.field(task, who, "memory"), "{:.0f} MB")
        ),
        "What more of it costs": growth(results),
        "Fresh processes": by_contender(results, ["import", "first-epoch"], seconds),
        "Losses that do not agree": disagreeing(results),
        "Not measured": skipped(run),
    }
    parts = [f"## {title}\n\n{text}" for title, text in sections.items() if text]
    return "\n\n".join([about(run), "In brackets the ratio to the expert's loop.", *parts])


if __name__ == "__main__":
    with open(sys.argv[1]) as file:
        print(report(json.load(file)))
