"""Metrics of parts of the rows, merged as several processes do it."""

import itertools
import pickle

import torch

from kerastorch import losses
from kerastorch.metrics.registry import get, get_weighted
from kerastorch.training.metrics_tracker import MetricsTracker
from kerastorch.training.scores import Scores

CPU = torch.device("cpu")
# where 90 rows are cut
SPLITS = {
    "even": (0, 45, 90), "uneven": (0, 7, 90), "first empty": (0, 0, 90), "last empty": (0, 90, 90),
    "three": (0, 20, 61, 90),
}  # fmt: skip


def tracker(metrics, loss, is_part=False, weighted=False):
    """Return a tracker with metrics of an output whose loss has this name."""
    spec = [(get_weighted if weighted else get)(one) for one in metrics]
    found = None if loss is None else losses.get(loss)
    return MetricsTracker({"": Scores(spec, lambda: found, is_part=is_part)})


def fill(one, y_pred, y_true, weight=None, step=8):
    """Update a tracker batch by batch."""
    for start in range(0, len(y_pred), step):
        rows = slice(start, start + step)
        one.update({"": y_pred[rows]}, {"": y_true[rows]}, {} if weight is None else {"": weight[rows]})
    return one


def sent(state):
    """Return a state as another process gets it."""
    return pickle.loads(pickle.dumps(state))


def merged(parts, at=0):
    """Return the tracker of all rows, as the process number `at` makes it."""
    return parts[at].merged([sent(part.part_state()) for part in parts], CPU)


def in_parts(make, cut, y_pred, y_true, weight=None):
    """Return the trackers of parts of the rows, which `make()` makes."""
    return [
        fill(make(), y_pred[start:end], y_true[start:end], None if weight is None else weight[start:end])
        for start, end in itertools.pairwise(cut)
    ]
