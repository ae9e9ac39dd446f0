"""Fits in several processes beside the same fits in one: optimizers, losses, weights, penalties, frozen parts."""

import numpy as np
import pytest
import torch
from torch import distributed, nn

import kerastorch as kt

ROWS = torch.Generator().manual_seed(0)
X = torch.randn(67, 4, generator=ROWS)
Y = torch.randint(0, 3, (67,), generator=ROWS)
WEIGHTS = torch.rand(67, generator=ROWS) + 0.1
TOKENS = torch.randint(0, 7, (67, 5), generator=ROWS)
CLASS_WEIGHT = {0: 1.0, 1: 3.0, 2: 0.5}
STEPS = 51  # three epochs of batches of 4 rows, the last one of 3


def network():
    return nn.Sequential(nn.Linear(4, 8), nn.Tanh(), nn.Linear(8, 3))


class Branches(nn.Module):
    """One layer for rows whose sum is above a bound, which is in few batches the case on every rank."""

    def __init__(self):
        super().__init__()
        self.always, self.seldom, self.never = nn.Linear(4, 3), nn.Linear(4, 3), nn.Linear(4, 3)

    def forward(self, x):
        is_high = x.sum(1) > 2.5
        y = self.always(x)
        if is_high.any():
            y = torch.where(is_high[:, None], y + self.seldom(x), y)
        return y


class Tied(nn.Module):
    """Two layers with one weight."""

    def __init__(self):
        super().__init__()
        self.encode, self.decode = nn.Linear(4, 4), nn.Linear(4, 4)
        self.decode.weight = self.encode.weight
        self.head = nn.Linear(4, 3)

    def forward(self, x):
        return self.head(torch.tanh(self.decode(torch.tanh(self.encode(x)))))


class TwoHeads(nn.Module):
    """Class scores and a number."""

    def __init__(self):
        super().__init__()
        self.body, self.classes, self.number = nn.Linear(4, 6), nn.Linear(6, 3), nn.Linear(6, 1)

    def forward(self, x):
        hidden = torch.tanh(self.body(x))
        return {"classes": self.classes(hidden), "number": self.number(hidden)}


def embedded(sparse=False):
    return nn.Sequential(nn.Embedding(7, 4, sparse=sparse), nn.Flatten(), nn.Linear(20, 3))


def masked():
    layers = kt.layers
    return kt.Sequential([layers.Embedding(7, 4, mask_zero=True), layers.GRU(5), layers.Dense(3)])


def masked_sequence():
    layers = kt.layers
    return kt.Sequential(
        [layers.Embedding(7, 4, mask_zero=True), layers.GRU(5, return_sequences=True), layers.Dense(3)]
    )


def regularized_activity():
    layers = kt.layers
    return kt.Sequential([layers.Dense(6, activation="tanh", activity_regularizer="l2"), layers.Dense(3)])


class AddsLoss(kt.layers.Layer):
    """A layer that adds a loss of its own."""

    def __init__(self):
        super().__init__()
        self.body, self.head = nn.Linear(4, 6), nn.Linear(6, 3)

    def forward(self, x):
        hidden = torch.tanh(self.body(x))
        self.add_loss(0.1 * hidden.square().mean())
        return self.head(hidden)


def frozen_part():
    net = network()
    net[0].requires_grad_(False)
    return net


TWO_Y = {"classes": Y, "number": X[:, :1] * 2}
IGNORED = torch.where(torch.arange(67) % 3 == 0, -100, Y)
NAMES = {
    "sgd": lambda **k: kt.optimizers.SGD(0.1, **k),
    "momentum": lambda **k: kt.optimizers.SGD(0.05, momentum=0.9, nesterov=True, **k),
    "adam": lambda **k: kt.optimizers.Adam(0.01, epsilon=1e-4, **k),
    "adamw": lambda **k: kt.optimizers.AdamW(0.01, epsilon=1e-4, weight_decay=0.01, **k),
    "rmsprop": lambda **k: kt.optimizers.RMSprop(0.005, epsilon=1e-4, **k),
}
# what is set: of the optimizer, of compile, of fit
KINDS = {
    "plain": ({}, {}, {}),
    "l2": ({}, {"regularizers": {"*.weight": kt.regularizers.L2(0.01)}}, {}),
    "clipnorm": ({"clipnorm": 0.1}, {}, {}),
    "clipvalue": ({"clipvalue": 0.02}, {}, {}),
    "global_clipnorm": ({"global_clipnorm": 0.1}, {}, {}),
    "accumulation": ({"gradient_accumulation_steps": 3}, {}, {}),  # 17 batches an epoch: sums span epochs
    "ema": ({"use_ema": True, "ema_momentum": 0.9}, {}, {}),
    "class weights": ({}, {}, {"class_weight": CLASS_WEIGHT}),
    "sample weights": ({}, {}, {"sample_weight": WEIGHTS}),
    "mean of weights": (
        {},
        {"loss": kt.losses.SparseCategoricalCrossentropy(from_logits=True, reduction="mean_with_sample_weight")},
        {"sample_weight": WEIGHTS},
    ),
    "rows that do not divide": ({}, {}, {"batch_size": 7}),
    "one row each": ({}, {}, {"batch_size": 1, "epochs": 1}),
}
MODELS = {
    "ignore_index": (network, X, IGNORED, {"loss": nn.CrossEntropyLoss()}),
    "ignored classes": (
        network,
        X,
        IGNORED,
        {"loss": kt.losses.SparseCategoricalCrossentropy(from_logits=True, ignore_class=-100)},
    ),
    "frozen part": (frozen_part, X, Y, {}),
    "branches": (Branches, X, Y, {}),
    "shared weights": (Tied, X, Y, {}),
    "several outputs": (
        TwoHeads,
        X,
        TWO_Y,
        {"loss": {"classes": "cross_entropy", "number": "mse"}, "loss_weights": {"classes": 0.3, "number": 2.0}},
    ),
    "sparse embedding": (lambda: embedded(sparse=True), TOKENS, Y, {"optimizer": kt.optimizers.SGD(0.1)}),
    "mask of an embedding": (masked, TOKENS, Y, {}),
    "mask of each step": (
        masked_sequence,
        TOKENS,
        TOKENS % 3,
        {"loss": kt.losses.SparseCategoricalCrossentropy(from_logits=True)},
    ),
    "activity regularizer": (regularized_activity, X, Y, {}),
    "added loss": (AddsLoss, X, Y, {}),
    "constraint": (
        lambda: kt.Sequential([kt.layers.Dense(8, kernel_constraint=kt.constraints.MaxNorm(0.4)), kt.layers.Dense(3)]),
        X,
        Y,
        {},
    ),
    "smoothed labels": (network, X, Y, {"loss": nn.CrossEntropyLoss(label_smoothing=0.1)}),
}
CHOSEN = [
    ("sgd", "accumulation"),
    ("adam", "l2"),
    ("adamw", "ema"),
    ("rmsprop", "class weights"),
    ("momentum", "clipnorm"),
]


def fitted(make, x, y, options, fit_options, optimizer=None):
    """Train a model for 51 steps; return its numbers."""
    torch.manual_seed(0)
    model = kt.Model(make())
    model(x[:2])
    if distributed.is_initialized() and distributed.get_rank():
        with torch.no_grad():
            for weight in model.parameters():
                weight.add_(1.0)  # weights come from rank 0
    settings = {"optimizer": optimizer or NAMES["sgd"](), "loss": "cross_entropy", **options}
    model.compile(**settings)
    torch.manual_seed(3)
    history = model.fit(x, y, **{"batch_size": 4, "epochs": 3, "verbose": 0, **fit_options})
    after = torch.get_rng_state().numpy()
    scores = model.evaluate(x, y, verbose=0, return_dict=True)
    return {
        "weights": [one.detach().to_dense().numpy() for one in model.state_dict().values()],
        "logs": history.history,
        "scores": scores,
        "predictions": model.predict(x, verbose=0),
        "random state": after,
    }


def fitted_kind(name, kind):
    own, options, fit_options = KINDS[kind]
    return fitted(network, X, Y, options, fit_options, NAMES[name](**own))


def fitted_model(name, optimizer):
    make, x, y, options = MODELS[name]
    return fitted(make, x, y, options, {}, NAMES[optimizer]())


def check_equal(found, expected, atol=1e-6):
    """Compare the numbers of each rank with those of one process."""
    for one in found:
        compare(one, expected, atol, "")


def compare(one, expected, atol, where):
    if isinstance(expected, dict):
        assert one.keys() == expected.keys(), where
        for name in expected:
            compare(one[name], expected[name], atol, f"{where} {name}")
    elif isinstance(expected, (list, tuple)):
        assert len(one) == len(expected), where
        for index, (first, second) in enumerate(zip(one, expected, strict=True)):
            compare(first, second, atol, f"{where} {index}")
    else:
        np.testing.assert_allclose(one, expected, atol=atol, rtol=1e-6, err_msg=where)


@pytest.mark.parametrize(("name", "kind"), CHOSEN)
def test_two_processes_give_the_numbers_of_one(two, name, kind):
    check_equal(two.run(fitted_kind, name, kind), fitted_kind(name, kind))


@pytest.mark.distributed
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("world", ["two", "three"])
def test_every_optimizer_gives_the_numbers_of_one_process(request, world, name, kind):
    atol = 3e-6 if kind == "one row each" else 1e-6  # rounding in float32 grows over many steps
    check_equal(request.getfixturevalue(world).run(fitted_kind, name, kind), fitted_kind(name, kind), atol)


@pytest.mark.distributed
@pytest.mark.parametrize("name", MODELS)
@pytest.mark.parametrize("optimizer", ["sgd", "adam"])
@pytest.mark.parametrize("world", ["two", "three"])
def test_every_kind_of_model_gives_the_numbers_of_one_process(request, world, name, optimizer):
    check_equal(request.getfixturevalue(world).run(fitted_model, name, optimizer), fitted_model(name, optimizer))
