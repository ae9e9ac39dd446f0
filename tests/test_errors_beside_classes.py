"""Metrics of values beside losses of classes: the error of the probabilities, with class numbers as one-hot targets."""

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional as F

import kerastorch as kt

N = 50
X = torch.randn(N, 4, generator=torch.Generator().manual_seed(0))
LABELS = (torch.arange(N) * 7) % 3
ONE_HOT = F.one_hot(LABELS, 3).float()


def errors(p, y):
    difference = (p - y).detach().double()
    return {
        "mae": difference.abs().mean().item(),
        "mse": difference.square().mean().item(),
        "root_mean_squared_error": difference.square().mean().sqrt().item(),
    }


def evaluated(net, loss, y, x=X, **arguments):
    model = kt.Model(net)
    model.compile("sgd", loss, metrics=["mae", "mse", "root_mean_squared_error"])
    found = [model.evaluate(x, y, batch_size=size, verbose=0, return_dict=True, **arguments) for size in (7, N)]
    history = model.fit(x, y, validation_data=(x, y), verbose=0).history
    assert history["val_mae"] == [pytest.approx(model.evaluate(x, y, verbose=0, return_dict=True)["mae"], rel=1e-5)]
    assert found[0] == pytest.approx(found[1], rel=1e-5)
    return {name: found[0][name] for name in ("mae", "mse", "root_mean_squared_error")}


@pytest.mark.parametrize("y", [LABELS, LABELS[:, None], LABELS.float(), LABELS.numpy()])
def test_class_numbers_are_compared_as_one_hot_with_the_probabilities_of_a_softmax(y):
    net = nn.Sequential(nn.Linear(4, 3), nn.Softmax(1))
    wanted = errors(net(X), ONE_HOT)
    assert evaluated(net, "sparse_categorical_crossentropy", y) == pytest.approx(wanted, rel=1e-5)


@pytest.mark.parametrize("loss", ["categorical_crossentropy", "ce"])
def test_one_hot_targets_are_compared_as_they_are(loss):
    net = nn.Sequential(nn.Linear(4, 3), nn.Softmax(1))
    wanted = errors(net(X), ONE_HOT)
    assert evaluated(net, loss, ONE_HOT) == pytest.approx(wanted, rel=1e-5)


def test_logits_are_compared_after_their_softmax():
    net = nn.Linear(4, 3)
    wanted = errors(net(X).softmax(1), ONE_HOT)
    assert evaluated(net, "cross_entropy", LABELS) == pytest.approx(wanted, rel=1e-5)


@pytest.mark.parametrize(
    ("loss", "last"), [("binary_crossentropy", [nn.Sigmoid()]), ("binary_cross_entropy_with_logits", [])]
)
def test_several_labels_a_row_are_compared_with_their_probabilities(loss, last):
    y = (X[:, :3] > 0).float()
    net = nn.Sequential(nn.Linear(4, 3), *last)
    wanted = errors(net(X).sigmoid() if not last else net(X), y)
    assert evaluated(net, loss, y) == pytest.approx(wanted, rel=1e-5)


def test_rows_of_an_ignored_class_are_left_out():
    y = LABELS.clone()
    y[::4] = -100
    net = nn.Linear(4, 3)
    kept = y >= 0
    wanted = errors(net(X[kept]).softmax(1), ONE_HOT[kept])
    assert evaluated(net, nn.CrossEntropyLoss(), y) == pytest.approx(wanted, rel=1e-5)


def test_images_of_class_numbers_are_compared_along_their_channels():
    x = torch.randn(N, 2, 3, 4, generator=torch.Generator().manual_seed(1))
    y = torch.randint(0, 3, (N, 3, 4), generator=torch.Generator().manual_seed(2))
    net = nn.Conv2d(2, 3, 1)
    wanted = errors(net(x).softmax(1), F.one_hot(y, 3).movedim(-1, 1))
    assert evaluated(net, "cross_entropy", y, x) == pytest.approx(wanted, rel=1e-5)


def test_weighted_errors_count_rows_with_their_weights():
    weight = np.random.default_rng(0).random(N).astype("float32")
    net = nn.Linear(4, 3)
    model = kt.Model(net)
    model.compile("sgd", "cross_entropy", weighted_metrics=["mae"])
    rows = (net(X).softmax(1) - ONE_HOT).detach().abs().mean(1).numpy()
    for size in (7, N):
        found = model.evaluate(X, LABELS, sample_weight=weight, batch_size=size, verbose=0, return_dict=True)["mae"]
        assert found == pytest.approx((rows * weight).sum() / weight.sum(), rel=1e-5)


@pytest.mark.parametrize("name", ["r2", "pearson", "spearman", "explained_variance"])
def test_correlations_of_values_are_refused_beside_classes(name):
    model = kt.Model(nn.Linear(4, 3))
    model.compile("sgd", "cross_entropy", metrics=[name])
    with pytest.raises(ValueError, match=f"metric '{name}' is for values, the loss is for classes"):
        model.evaluate(X, LABELS, verbose=0)
