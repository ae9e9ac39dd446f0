"""Every metric class, and those of torchmetrics that give a number, over the rows of all processes."""

import inspect
import re
import warnings

import numpy as np
import pytest
import torch
from support.metric_table import ROWS, TABLE, arrays, expected, name_of
from torch import nn
from torchmetrics import classification, regression

import kerastorch as kt

BATCH_SIZE = 5  # of 24 rows, so that the processes get different numbers of batches and rows
CHOSEN = [row for row in ROWS if row[0] not in ("Mean", "Sum")]  # these two have no targets
DRAW = torch.Generator().manual_seed(3)
SCORES = torch.rand(24, 4, generator=DRAW)
LABELS, TARGETS = torch.randint(0, 2, (24, 4), generator=DRAW), torch.randint(0, 4, (24,), generator=DRAW)
SHARES = SCORES / SCORES.sum(1, keepdim=True)
DATA = {  # by the start of the class's name: outputs and targets
    "Binary": (SCORES[:, 0], LABELS[:, 0]),
    "Multiclass": (SHARES, TARGETS),
    "Multilabel": (SCORES, LABELS),
    "CosineSimilarity": (SCORES, SCORES.flip(0)),
    "JensenShannonDivergence": (SHARES, SHARES.flip(0)),
    "KLDivergence": (SHARES, SHARES.flip(0)),
    "": (SCORES[:, 0] + 0.1, SCORES[:, 1] + 0.1),
}
ARGUMENTS = {"beta": 2.0, "num_classes": 4, "num_labels": 4, "threshold": 0.5, "p": 3.0}
LEFT_OUT = re.compile(  # they give several numbers, or want groups as a third argument or several outputs for a target
    "At[A-Z]|(?<!AU)ROC|Curve|ConfusionMatrix|StatScores|Multi.*(EER|LogAUC)|Fairness|GroupStatRates|RankedProb"
)


class Same(nn.Module):
    """Returns its input, which is what the metrics are given."""

    def forward(self, x):
        return x


def evaluated(metric, x, y, weights=None):
    """Return the logs of `evaluate` with one metric, in this process or in all."""
    axes = 1 if weights is None else np.ndim(weights)
    model = kt.Model(Same())
    model.compile(
        loss=lambda y_true, y_pred: torch.zeros(y_pred.shape[:axes]),
        **{"metrics" if weights is None else "weighted_metrics": [metric]},
    )
    return model.evaluate(x, y, sample_weight=weights, batch_size=BATCH_SIZE, verbose=0, return_dict=True)


def values_of_classes(rows):
    found = []
    for name, options, kind, weight, *_ in rows:
        (y, x), named = arrays(TABLE["data"], kind, weight)
        metric = getattr(kt.metrics, name)(**options)
        evaluated(metric, x, y, named.get("sample_weight"))
        found.append(np.atleast_1d(metric.result().numpy()))
    return found


def of_torchmetrics():
    """Return the metrics of torchmetrics that give a number, by name, with outputs and targets."""
    warnings.filterwarnings("ignore", message="Metric `.*` will save all targets and predictions")
    found = {}
    for module, start in [(classification, "Binary"), (classification, "Multi"), (regression, "")]:
        for name in (one for one in module.__all__ if one.startswith(start) and not LEFT_OUT.search(one)):
            x, y = next(data for kind, data in DATA.items() if name.startswith(kind))
            wanted = inspect.signature(getattr(module, name)).parameters
            metric = getattr(module, name)(**{key: value for key, value in ARGUMENTS.items() if key in wanted})
            found[name] = metric, x, y
    return found


def check_classes(ranks, rows):
    alone = values_of_classes(rows)
    for found in ranks.run(values_of_classes, rows, timeout=600):
        for row, value, one in zip(rows, found, alone, strict=True):
            np.testing.assert_allclose(value, expected(row[-1]), rtol=2e-5, atol=2e-6, err_msg=name_of(row))
            np.testing.assert_array_max_ulp(value, one, maxulp=4)


def test_each_class_gives_the_value_of_keras_for_the_rows_of_all_processes(two):
    check_classes(two, list({row[0]: row for row in CHOSEN}.values()))


@pytest.mark.distributed
@pytest.mark.parametrize("world", ["two", "three"])
def test_classes_with_all_options_give_the_values_of_keras_for_the_rows_of_all_processes(request, world):
    check_classes(request.getfixturevalue(world), CHOSEN)


def values_of_torchmetrics():
    logs = {name: evaluated(metric, x, y) for name, (metric, x, y) in of_torchmetrics().items()}
    return {name: value for name, one in logs.items() for key, value in one.items() if key != "loss"}


@pytest.mark.parametrize("world", ["two", pytest.param("three", marks=pytest.mark.distributed)])
def test_objects_of_torchmetrics_give_their_own_values_for_the_rows_of_all_processes(request, world):
    plain = {}
    for name, (metric, x, y) in of_torchmetrics().items():
        metric.update(x, y)
        plain[name] = float(metric.compute())
    assert len(plain) > 50
    for found in request.getfixturevalue(world).run(values_of_torchmetrics, timeout=300):
        assert found == pytest.approx(plain, rel=2e-6, abs=1e-7)
