"""The accuracy that needs no torchmetrics is torchmetrics' to the bit, and nothing heavy is loaded for it."""

import subprocess
import sys

import pytest
import torch
from torchmetrics.classification import BinaryAccuracy, MulticlassAccuracy, MultilabelAccuracy

from kerastorch.metrics.accumulators import Accuracy


def pieces(make, sizes=(7, 64, 1, 300)):
    generator = torch.Generator().manual_seed(3)
    return [make(size, generator) for size in sizes]


def probabilities(size, generator):
    return torch.rand(size, generator=generator), torch.randint(0, 2, (size,), generator=generator)


def exact_halves(size, generator):
    return torch.randint(0, 3, (size,), generator=generator) / 2, torch.randint(0, 2, (size,), generator=generator)


def logits(size, generator):
    return 3 * torch.randn(size, generator=generator), torch.randint(0, 2, (size,), generator=generator)


def with_nan(size, generator):
    scores, y_true = probabilities(size, generator)
    return scores.where(scores > 0.2, torch.nan), y_true


def several(size, generator):
    return torch.rand(size, 5, generator=generator), torch.randint(0, 2, (size, 5), generator=generator)


def classes(size, generator):
    return torch.randn(size, 5, generator=generator), torch.randint(0, 5, (size,), generator=generator)


def ties(size, generator):
    return torch.randint(0, 2, (size, 5), generator=generator).float(), torch.randint(
        0, 5, (size,), generator=generator
    )


CASES = [
    (probabilities, BinaryAccuracy(validate_args=False), False),
    (exact_halves, BinaryAccuracy(validate_args=False), False),
    (logits, BinaryAccuracy(validate_args=False), False),
    (with_nan, BinaryAccuracy(validate_args=False), False),
    (several, MultilabelAccuracy(5, average="micro", validate_args=False), False),
    (classes, MulticlassAccuracy(5, average="micro", validate_args=False), True),
    (ties, MulticlassAccuracy(5, average="micro", validate_args=False), True),
]


@pytest.mark.parametrize(("make", "theirs", "by_class"), CASES, ids=[case[0].__name__ for case in CASES])
def test_accuracy_is_that_of_torchmetrics_to_the_bit(make, theirs, by_class):
    ours = Accuracy(classes=by_class)
    for y_pred, y_true in pieces(make):
        ours.update(y_pred, y_true)
        theirs.update(y_pred, y_true)
        assert torch.equal(ours.compute(), theirs.compute())
    ours.reset()
    y_pred, y_true = pieces(make)[1]
    ours.update(y_pred, y_true)
    theirs.reset()
    theirs.update(y_pred, y_true)
    assert torch.equal(ours.compute(), theirs.compute())


def test_accuracy_of_no_row_is_zero():
    ours = Accuracy(classes=True)
    ours.update(torch.zeros(0, 3), torch.zeros(0, dtype=torch.int64))
    assert float(ours.compute()) == 0.0


SCRIPT = """
import sys, torch, kerastorch as kt
net = torch.nn.Sequential(torch.nn.Linear(4, 3))
model = kt.Model(net)
model.compile("adam", "cross_entropy", metrics={metrics})
x, y = torch.randn(64, 4), torch.randint(0, 3, (64,))
model.fit(x, y, validation_data=(x, y), verbose=0)
model.evaluate(x, y, verbose=0)
model.predict(x, verbose=0)
print([name for name in ("torchmetrics", "sklearn", "matplotlib", "pandas", "scipy", "tqdm") if name in sys.modules])
"""


@pytest.mark.parametrize(
    "metrics", [pytest.param([], id="loss", marks=pytest.mark.slow), pytest.param(["accuracy"], id="accuracy")]
)
def test_training_loads_nothing_heavy_for(metrics):
    code = SCRIPT.format(metrics=metrics)
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert found.stdout.strip() in ("[]", "['tqdm']")  # torch has it loaded already, or has not
