"""The goals, reached or not, from the JSON of a run.

python benchmarks/goals.py out.json
"""

import json
import sys
from collections.abc import Callable
from dataclasses import dataclass

from report import Results, table
from tasks import GROUPS, OTHER_VERBS, TRAINING

OURS = ("kerastorch", "kerastorch-compiled")
TORCH_PEERS = ("poutyne", "skorch", "lightning", "ignite")
PEERS = {  # name -> its modes
    "Keras on torch": ("keras-torch",),
    "Keras on JAX": ("keras-jax", "keras-jax-32"),
    "Keras on TensorFlow": ("keras-tensorflow", "keras-tensorflow-32"),
    "Poutyne": ("poutyne",),
    "skorch": ("skorch",),
    "Lightning": ("lightning",),
    "ignite": ("ignite",),
}
TINY, ELSEWHERE = ("tiny-32", "tiny-256"), ("dense", "conv", "lstm", "transformer")
EVERY = (*TRAINING, *OTHER_VERBS)


@dataclass(frozen=True)
class Goal:
    """A ratio that is to be at most `most`.

    Args:
        title: in words.
        most: the bound.
        ratio: `results, task -> ratio`, `None` where it was not measured.
        tasks: on each of which it is to hold.
    """

    title: str
    most: float
    ratio: Callable[[Results, str], float | None]
    tasks: tuple[str, ...]


def fastest(results, task, names):
    """The least seconds any of them takes, or `None`."""
    return min((taken for name in names if (taken := results.seconds(task, name))), default=None)


def of(ours, theirs):
    """The ratio of the fastest of `ours` to the fastest of `theirs`."""

    def ratio(results, task):
        own, other = fastest(results, task, ours), fastest(results, task, theirs)
        return own / other if own and other else None

    return ratio


def added(results, group):
    """The last task of a group beside its first, in eager kerastorch."""
    own, other = (results.seconds(GROUPS[group][at], "kerastorch") for at in (-1, 0))
    return own / other if own and other else None


EAGER, COMPILED = OURS[:1], OURS[1:]
EXPERTS = ("expert", "expert-channels-last")
GOALS = [
    Goal("eager / expert", 1.15, of(EAGER, EXPERTS), TINY[:1]),
    Goal("eager / expert", 1.05, of(EAGER, EXPERTS), (TINY[1], *ELSEWHERE, *OTHER_VERBS)),
    Goal("eager / naive", 0.70, of(EAGER, ("naive",)), TINY),
    Goal("eager / fastest of Poutyne, skorch, Lightning, ignite", 0.80, of(EAGER, TORCH_PEERS), TINY),
    Goal("eager / fastest of Poutyne, skorch, Lightning, ignite", 0.95, of(EAGER, TORCH_PEERS), ELSEWHERE),
    Goal("eager / Keras on torch", 0.30, of(EAGER, ("keras-torch",)), TINY),
    Goal("eager / Keras on torch", 0.75, of(EAGER, ("keras-torch",)), ELSEWHERE),
    Goal("eager / expert without channels-last", 0.85, of(EAGER, ("expert",)), ("conv",)),
    Goal("compiled / expert", 0.15, of(COMPILED, ("expert",)), TINY),
    Goal("compiled / Keras on JAX, 32 steps at once", 0.60, of(COMPILED, ("keras-jax-32",)), TINY),
    *(Goal(f"best mode / best mode of {name}", 1.00, of(OURS, modes), EVERY) for name, modes in PEERS.items()),
    Goal("accuracy, f1, auc / no metrics", 1.15, added, ("metrics",)),
    Goal("process start to first epoch / hand-written script", 1.15, of(EAGER, ("naive",)), ("first-epoch",)),
]


def verdict(ratios, most):
    """In words, over the tasks of a goal."""
    measured = [ratio for ratio in ratios.values() if ratio is not None]
    if not measured:
        return "not measured"
    if any(ratio > most for ratio in measured):
        return "**not reached**"
    return "reached" if len(measured) == len(ratios) else "reached where measured"


def cell(task, ratio, most):
    """A ratio; where it is too large, in bold."""
    text = f"{task} {ratio:.2f}"
    return text if ratio <= most else f"**{text}**"


def goals(run):
    """A table, a row a goal, and how many are reached."""
    results, rows = Results(run), []
    for goal in GOALS:
        ratios = {task: goal.ratio(results, task) for task in goal.tasks}
        cells = [cell(task, ratio, goal.most) for task, ratio in ratios.items() if ratio is not None]
        rows.append([goal.title, f"<= {goal.most:.2f}", ", ".join(cells) or None, verdict(ratios, goal.most)])
    reached = sum(row[-1].startswith("reached") for row in rows)
    measured = sum(row[-1] != "not measured" for row in rows)
    return table(["ratio", "goal", "measured", ""], rows) + f"\n\nReached {reached} of {measured} that were measured."


if __name__ == "__main__":
    with open(sys.argv[1]) as file:
        print(goals(json.load(file)))
