"""The name of a loss as a metric is the mean of that loss."""

import numpy as np
import pytest
import torch
from sklearn import metrics as sk
from torch import nn
from torch.nn import functional as F

import kerastorch as kt

RNG = np.random.default_rng(4)
N = 60
Z = torch.as_tensor(RNG.normal(size=(N, 4)).astype("float32"))
CLASSES = torch.as_tensor(RNG.integers(0, 4, N))
ONE_HOT = F.one_hot(CLASSES, 4).float()
P = Z.softmax(-1)
LABELS = torch.as_tensor(RNG.integers(0, 2, (N, 4))).float()
LABEL = LABELS[:, :1]
SIGNS = 2 * LABELS - 1
EVEN = torch.full((N, 4), 0.25)
WEIGHT = torch.as_tensor(RNG.random(N).astype("float32"))


def evaluate(outputs, targets, loss, name, weighted=False):
    model = kt.Model(nn.Identity())
    model.compile("sgd", loss, **{"weighted_metrics" if weighted else "metrics": [("value", name)]})
    data = {"sample_weight": WEIGHT} if weighted else {}
    return model.evaluate(outputs, targets, batch_size=7, verbose=0, return_dict=True, **data)["value"]


# name -> its value per sample, by torch's functions; outputs; targets; a loss of the same task
VALUES = {
    "l1": (lambda: (Z - P).abs().mean(1), Z, P, "mse"),
    "l1_loss": (lambda: (Z - P).abs().mean(1), Z, P, "mse"),
    "l2": (lambda: (Z - P).square().mean(1), Z, P, "mae"),
    "mse_loss": (lambda: (Z - P).square().mean(1), Z, P, "mae"),
    "smooth_l1": (lambda: F.smooth_l1_loss(Z, P, reduction="none").mean(1), Z, P, "mse"),
    "huber_loss": (lambda: F.huber_loss(Z, P, reduction="none").mean(1), Z, P, "mse"),
    "log_cosh_error": (lambda: (Z - P).cosh().log().mean(1), Z, P, "mse"),
    "logcosh": (lambda: (Z - P).cosh().log().mean(1), Z, P, "mse"),
    "kl_div": (lambda: F.kl_div(P.log(), EVEN, reduction="none").mean(1), P.log(), EVEN, "kl_div"),
    "poisson_nll_loss": (lambda: F.poisson_nll_loss(Z, LABELS, reduction="none").mean(1), Z, LABELS, "mse"),
    "soft_margin_loss": (lambda: F.soft_margin_loss(Z, SIGNS, reduction="none").mean(1), Z, SIGNS, "mse"),
    "nll_loss": (lambda: F.nll_loss(P.log(), CLASSES, reduction="none"), P.log(), CLASSES, "nll_loss"),
    "multi_margin_loss": (
        lambda: F.multi_margin_loss(Z, CLASSES, reduction="none"), Z, CLASSES, "cross_entropy",
    ),
    "categorical_hinge": (
        lambda: (1 + (Z * (1 - ONE_HOT)).amax(1) - (Z * ONE_HOT).sum(1)).clamp(min=0), Z, ONE_HOT, "cross_entropy",
    ),
}  # fmt: skip


@pytest.mark.filterwarnings("ignore:reduction. 'mean' divides")  # torch's, of kl_div
@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("name", VALUES)
def test_a_loss_by_name_is_its_mean(name, weighted):
    values, outputs, targets, loss = VALUES[name]
    expected = np.average(values(), weights=WEIGHT if weighted else None)
    assert evaluate(outputs, targets, loss, name, weighted) == pytest.approx(expected, rel=1e-4)


BINARY = ["crossentropy", "ce", "binary_crossentropy", "bce", "bce_loss", "bce_with_logits", "BinaryCrossentropy"]
CLASS = ["crossentropy", "ce", "categorical_crossentropy", "sparse_categorical_crossentropy", "cross_entropy"]


@pytest.mark.parametrize("name", BINARY)
def test_a_crossentropy_of_yes_or_no_questions_takes_logits_and_probabilities(name):
    expected = sk.log_loss(LABEL, Z[:, :1].sigmoid())
    assert evaluate(Z[:, :1], LABEL, nn.BCEWithLogitsLoss(), name) == pytest.approx(expected, rel=1e-4)
    assert evaluate(Z[:, :1].sigmoid(), LABEL, "binary_crossentropy", name) == pytest.approx(expected, rel=1e-4)
    assert evaluate(Z[:, :1], 2 * LABEL - 1, "hinge", name) == pytest.approx(expected, rel=1e-4)
    expected = F.binary_cross_entropy_with_logits(Z, LABELS)
    assert evaluate(Z, LABELS, nn.BCEWithLogitsLoss(), name) == pytest.approx(float(expected), rel=1e-4)


@pytest.mark.parametrize("name", CLASS)
def test_a_crossentropy_of_classes_takes_logits_and_probabilities_class_numbers_and_one_hot_targets(name):
    expected = sk.log_loss(CLASSES, P.double() / P.double().sum(1, keepdim=True))
    for targets in (CLASSES, ONE_HOT):
        sparse = "sparse_" if targets is CLASSES else ""
        assert evaluate(Z, targets, "cross_entropy", name) == pytest.approx(expected, rel=1e-4)
        assert evaluate(P, targets, f"{sparse}categorical_crossentropy", name) == pytest.approx(expected, rel=1e-4)


def test_the_binary_crossentropy_of_classes_is_that_of_their_elements():
    expected = float(F.binary_cross_entropy(P, ONE_HOT))
    assert evaluate(P, CLASSES, "sparse_categorical_crossentropy", "binary_crossentropy") == pytest.approx(expected)
    assert evaluate(Z, ONE_HOT, "cross_entropy", "bce") == pytest.approx(expected, rel=1e-4)


@pytest.mark.parametrize("name", ["categorical_crossentropy", "cross_entropy"])
def test_a_crossentropy_of_classes_is_refused_for_yes_or_no_questions(name):
    with pytest.raises(ValueError, match="is over classes, and the outputs are yes-or-no questions"):
        evaluate(Z, LABELS, "bce_with_logits", name)


@pytest.mark.parametrize("name", ["binary_focal_crossentropy", "categorical_focal_crossentropy"])
def test_a_loss_of_probabilities_gets_the_probabilities_of_logits(name):
    y = ONE_HOT if name.startswith("categorical") else LABELS
    p = P if name.startswith("categorical") else Z.sigmoid()
    of_logits = "cross_entropy" if name.startswith("categorical") else "bce_with_logits"
    right = torch.where(y == 1, p, 1 - p) if name.startswith("binary") else p
    factor = 1.0 if name.startswith("binary") else 0.25 * y
    values = -factor * (1 - right) ** 2 * right.log()
    expected = float(values.mean() if name.startswith("binary") else values.sum(1).mean())
    assert evaluate(Z, y, of_logits, name) == pytest.approx(expected, rel=1e-4)


def test_every_name_of_a_loss_is_a_metric():
    for name in kt.losses.registry.NAMES:
        assert kt.metrics.get(name).name == name
