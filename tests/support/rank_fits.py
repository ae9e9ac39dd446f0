"""Fits of a small network, each with other options, and what they give: for several ranks beside one process."""

import numpy as np
import pytest
import torch
from torch import distributed, nn

import kerastorch as kt
from kerastorch.core.distributed_tensors import full_tensor

X = torch.randn(67, 4, generator=torch.Generator().manual_seed(0))
Y = torch.randint(0, 3, (67,), generator=torch.Generator().manual_seed(1))


def network(seed=0):
    torch.manual_seed(seed)
    return nn.Sequential(nn.Linear(4, 8), nn.Tanh(), nn.Linear(8, 3))


def trained(options, fit_options, seed=0):
    """Train a network; return its weights, logs, evaluation and predictions."""
    model = kt.Model(network(seed))
    model.compile(**{"optimizer": kt.optimizers.SGD(0.1), "loss": "cross_entropy", **options})
    torch.manual_seed(3)
    history = model.fit(X, Y, **{"batch_size": 10, "epochs": 3, "verbose": 0, **fit_options})
    scores = model.evaluate(X, Y, verbose=0, return_dict=True)
    weights = [full_tensor(one.detach()).numpy() for one in model.parameters()]
    return weights, history.history, scores, model.predict(X, verbose=0)


def trained_on_ranks(options, fit_options):
    return trained(options, fit_options, seed=distributed.get_rank())  # weights come from rank 0


def check_same(found, expected):
    for weights, logs, scores, predictions in found:
        for one, two in zip(weights, expected[0], strict=True):
            np.testing.assert_allclose(one, two, atol=1e-6)
        assert logs.keys() == expected[1].keys()
        for name, values in expected[1].items():
            np.testing.assert_allclose(logs[name], values, atol=2e-6, err_msg=name)
        assert scores == pytest.approx(expected[2], abs=2e-6)
        np.testing.assert_allclose(predictions, expected[3], atol=2e-6)


FITS = {
    "plain": ({}, {}),
    "adam": ({"optimizer": kt.optimizers.Adam(0.01)}, {}),
    "validation": ({}, {"validation_split": 0.2}),
    "one row each": ({}, {"batch_size": 1, "epochs": 1}),
    "rows that do not divide": ({}, {"batch_size": 7}),
    "class weights": ({}, {"class_weight": {0: 1.0, 1: 3.0, 2: 0.5}}),
    "limited": ({}, {"limit_batches": 3}),
    "spanning": ({}, {"steps_per_epoch": 5}),
    "l2": ({"regularizers": {"*.weight": kt.regularizers.L2(0.01)}}, {}),
    "accumulation": ({"optimizer": kt.optimizers.SGD(0.1, gradient_accumulation_steps=3)}, {}),
    "clip": ({"optimizer": kt.optimizers.SGD(0.1, global_clipnorm=0.1)}, {}),
    "ema": ({"optimizer": kt.optimizers.SGD(0.1, use_ema=True)}, {}),
    "mean of weights": (
        {"loss": kt.losses.SparseCategoricalCrossentropy(from_logits=True, reduction="mean_with_sample_weight")},
        {"class_weight": {0: 1.0, 1: 3.0, 2: 0.5}},
    ),
    "torch weights": ({"loss": nn.CrossEntropyLoss(weight=torch.tensor([1.0, 2.0, 0.1]))}, {}),
    "metrics": (
        {"metrics": ["accuracy", "f1", kt.metrics.SparseTopKCategoricalAccuracy(2)]},
        {"validation_split": 0.3},
    ),
    "weighted metrics": (
        {"weighted_metrics": ["accuracy", "crossentropy"]},
        {"class_weight": {0: 1.0, 1: 3.0, 2: 0.5}, "validation_data": (X, Y, torch.arange(67.0))},
    ),
    "sum": ({"loss": nn.CrossEntropyLoss(reduction="sum"), "optimizer": kt.optimizers.SGD(0.01)}, {}),
}
