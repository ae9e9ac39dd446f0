"""Unfreeze: what is frozen when, and that training is that of a loop that sets requires_grad by hand."""

import itertools

import pytest
import torch
from support.interrupted_training import check
from support.problems import regression, same_weights
from torch import nn

import kerastorch as kt
from kerastorch.callbacks import Callback, ExponentialMovingAverage, LambdaCallback, Unfreeze

X, Y = regression(64)
FIT = {"batch_size": 16, "verbose": 0, "shuffle": False}
BATCHES = list(zip(X.split(16), Y.split(16), strict=True))


class Net(nn.Module):
    """A backbone with batch normalization, and a head."""

    def __init__(self):
        super().__init__()
        torch.manual_seed(0)
        self.backbone = nn.Sequential(nn.Linear(6, 5), nn.BatchNorm1d(5), nn.Tanh(), nn.Linear(5, 4))
        self.head = nn.Linear(4, 1)

    def forward(self, x):
        return self.head(self.backbone(x))


def adam(module):
    return torch.optim.Adam(module.parameters(), lr=0.05)


def sgd(module):
    return torch.optim.SGD(module.parameters(), lr=0.05, momentum=0.9)


def model(module=None, optimizer=adam, **options):
    module = Net() if module is None else module
    one = kt.Model(module)
    one.compile(optimizer(module), "mse", **options)
    return one


def by_hand(optimizer, epochs, frozen_until):
    """Train as a PyTorch user does; `frozen_until` has the first epoch, from 1, of names that begin in some way."""
    module = Net()
    step = optimizer(module)
    for epoch in range(1, epochs + 1):
        module.train()
        for name, weight in module.named_parameters():
            first = max((first for start, first in frozen_until.items() if name.startswith(start)), default=1)
            weight.requires_grad_(epoch >= first)
            weight.grad = None
        for part in module.modules():
            if isinstance(part, nn.BatchNorm1d) and not part.weight.requires_grad:
                part.eval()
        for x, y in BATCHES:
            step.zero_grad()
            nn.functional.mse_loss(module(x), y).backward()
            step.step()
    return module


class Trained(Callback):
    """Write down which weights are trained in each epoch, and which batch normalization is in training mode."""

    def __init__(self):
        self.epochs, self.norms = [], []

    def on_train_batch_begin(self, batch, logs=None):
        if batch == 0:
            self.epochs.append({name for name, weight in self.model.named_parameters() if weight.requires_grad})
            self.norms.append([part.training for part in self.model.modules() if isinstance(part, nn.BatchNorm1d)])


HEAD = {"head.weight", "head.bias"}
LAST = {"backbone.3.weight", "backbone.3.bias"}
NORM = {"backbone.1.weight", "backbone.1.bias"}
ALL = HEAD | LAST | NORM | {"backbone.0.weight", "backbone.0.bias"}


@pytest.mark.parametrize("optimizer", [adam, sgd])
@pytest.mark.parametrize(
    ("schedule", "frozen_until"),
    [
        ({3: "backbone.*"}, {"backbone": 3}),
        ({3: "backbone"}, {"backbone": 3}),
        ({2: "backbone.3", 4: "backbone"}, {"backbone.3": 2, "backbone.0": 4, "backbone.1": 4}),
        ({2: ["backbone.3.*", "backbone.1.*"], 4: "backbone.*"},
         {"backbone.3": 2, "backbone.1": 2, "backbone.0": 4}),
        ({1: "head.*", 3: "*"}, {"backbone": 3}),
        ({9: "backbone.*"}, {"backbone": 9}),
    ],
)  # fmt: skip
def test_training_is_that_of_a_loop_which_freezes_by_hand(schedule, frozen_until, optimizer):
    one = model(optimizer=optimizer)
    one.fit(X, Y, epochs=5, callbacks=Unfreeze(schedule), **FIT)
    assert same_weights(one.module_viewed, by_hand(optimizer, 5, frozen_until))


@pytest.mark.parametrize(
    ("schedule", "trained"),
    [
        ({2: "backbone.*"}, [HEAD, ALL, ALL]),
        ({2: "*.bias", 3: "*.weight", 1: "head.*"},
         [HEAD, HEAD | {name for name in ALL if name.endswith("bias")}, ALL]),
        ({2: "backbone.[01]*", 3: "backbone.3.weight"},
         [HEAD | {"backbone.3.bias"}, (ALL - LAST) | {"backbone.3.bias"}, ALL]),
    ],
)  # fmt: skip
def test_patterns_match_modules_and_parameters(schedule, trained):
    look = Trained()
    model().fit(X, Y, epochs=3, callbacks=[Unfreeze(schedule), look], **FIT)
    assert look.epochs == trained


def test_frozen_batch_normalization_is_in_inference_mode_until_its_epoch():
    one, look = model(), Trained()
    norm = one.module_viewed.backbone[1]
    seen = []
    note = LambdaCallback(on_epoch_end=lambda epoch, logs: seen.append(norm.running_mean.clone()))
    one.fit(X, Y, epochs=3, callbacks=[look, note, Unfreeze({3: "backbone"})], **FIT)
    assert look.norms == [[False], [False], [True]]
    assert torch.equal(seen[0], torch.zeros(5))
    assert torch.equal(seen[1], torch.zeros(5))
    assert not torch.equal(seen[2], torch.zeros(5))
    assert norm.training


def test_layers_of_kerastorch_are_frozen_with_their_batch_normalization():
    torch.manual_seed(0)
    one = kt.Sequential([kt.layers.Dense(5), kt.layers.BatchNormalization(), kt.layers.Dense(1)])
    one.compile("adam", "mse")
    weights, means = [], []

    class Look(Callback):
        def on_epoch_end(self, epoch, logs=None):
            weights.append(one[0].weight.detach().clone())
            means.append(one[1].running_mean.clone())

    one.fit(X, Y, epochs=3, callbacks=[Unfreeze({3: ["0", "1"]}), Look()], **FIT)
    assert torch.equal(weights[0], weights[1])
    assert torch.equal(means[0], means[1])
    assert not torch.equal(weights[1], weights[2])
    assert not torch.equal(means[1], means[2])
    assert one[0].trainable
    assert one[1].trainable


def test_weights_that_never_train_stay_as_they_are():
    class Fixed(kt.layers.Layer):
        def build(self, input_shape):
            self.scale = self.add_weight((1,), "ones", trainable=False)
            self.shift = self.add_weight((1,), "zeros")

        def forward(self, x):
            return x * self.scale + self.shift

    one = kt.Sequential([Fixed(), kt.layers.Dense(1)])
    one.compile("adam", "mse")
    one.fit(X, Y, epochs=3, callbacks=Unfreeze({2: "0.*"}), **FIT)
    assert not one[0].scale.requires_grad
    assert one[0].scale.item() == 1
    assert one[0].shift.requires_grad
    assert one[0].shift.item() != 0


def test_parts_whose_epoch_did_not_come_stay_frozen_and_another_fit_goes_by_its_own_epochs():
    one, look = model(), Trained()
    callback = Unfreeze({4: "backbone"})
    one.fit(X, Y, epochs=2, callbacks=[callback, look], **FIT)
    assert not one.module_viewed.backbone[0].weight.requires_grad
    one.fit(X, Y, initial_epoch=2, epochs=5, callbacks=[callback, look], **FIT)
    assert look.epochs == [HEAD, HEAD, HEAD, ALL, ALL]
    assert same_weights(one.module_viewed, by_hand(adam, 5, {"backbone": 4}))
    one.fit(X, Y, epochs=1, callbacks=[callback, look], **FIT)
    assert look.epochs[-1] == HEAD


def test_a_part_that_was_frozen_before_is_trained_from_its_epoch_on():
    one, look = model(), Trained()
    one.module_viewed.backbone.requires_grad_(False)
    one.fit(X, Y, epochs=2, callbacks=[Unfreeze({2: "backbone.3.*"}), look], **FIT)
    assert look.epochs == [HEAD, HEAD | LAST]


def test_a_resumed_training_has_the_bits_of_an_uninterrupted_one(tmp_path):
    check(tmp_path, broken_at=(3, 7, 12, 16), also=[Unfreeze({2: "1", 3: "0.*"})])


def test_resuming_with_moving_averages_and_momentum(tmp_path):
    check(
        tmp_path,
        broken_at=(3, 7, 12, 16),
        optimizer=lambda: kt.optimizers.SGD(0.05, momentum=0.9),
        also=[Unfreeze({2: "1", 3: "0.*"}), ExponentialMovingAverage(0.9)],
    )


def test_compiled_training_follows_the_schedule():
    x, y = regression(320)
    one, look = model(optimizer=sgd, jit_compile=True), Trained()
    other = model(optimizer=sgd)
    for fitted, callbacks in ((one, [look]), (other, [])):
        fitted.fit(x, y, epochs=3, batch_size=16, verbose=0, shuffle=False,
                   callbacks=[Unfreeze({2: "backbone"}), *callbacks])  # fmt: skip
    assert look.epochs == [HEAD, ALL, ALL]
    for found, expected in zip(one.parameters(), other.parameters(), strict=True):
        torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-5)


def test_the_functional_api_and_generators_work_too():
    torch.manual_seed(0)
    inputs = kt.Input((6,))
    outputs = kt.layers.Dense(1, name="head")(kt.layers.Dense(4, name="body")(inputs))
    one, look = kt.Model(inputs, outputs), Trained()
    one.compile("sgd", "mse")
    one.fit(itertools.cycle(BATCHES), steps_per_epoch=4, epochs=2, verbose=0,
            callbacks=[Unfreeze({2: "body"}), look])  # fmt: skip
    assert look.epochs == [{"head.weight", "head.bias"}, {"head.weight", "head.bias", "body.weight", "body.bias"}]


def test_verbose_prints_what_is_trained_from_now_on(capsys):
    model().fit(X, Y, epochs=2, callbacks=Unfreeze({2: "backbone.*"}, verbose=1), **FIT)
    assert capsys.readouterr().out == "Epoch 2: training backbone.* (6 weights) from now on.\n"


@pytest.mark.parametrize(
    "schedule",
    [{}, {0: "a"}, {-1: "a"}, {"5": "a"}, {2.5: "a"}, {True: "a"}, {2: 3}, {2: []}, {2: [""]}, "head", None],
)
def test_other_schedules_are_refused(schedule):
    with pytest.raises(ValueError, match="schedule must be a dict of epochs, counted from 1, and patterns"):
        Unfreeze(schedule)


@pytest.mark.parametrize(
    ("schedule", "match"),
    [
        ({5: "backbon.*"}, r"'backbon\.\*' matches no module and no parameter.*The model has: backbone, backbone\.0"),
        ({5: ["head", "hed"]}, "'hed' matches no module and no parameter. Did you mean 'head'"),
        ({5: "*"}, "all weights would be frozen until epoch 5"),
        ({2: "backbone", 5: "head"}, "all weights would be frozen until epoch 2"),
    ],
)
def test_a_schedule_that_cannot_be_meant_is_refused_before_training(schedule, match):
    one = model()
    with pytest.raises(ValueError, match=match):
        one.fit(X, Y, epochs=2, callbacks=Unfreeze(schedule), **FIT)
    assert all(weight.requires_grad for weight in one.parameters())
    assert same_weights(one.module_viewed, Net())


def test_an_optimizer_without_the_weights_of_later_is_refused():
    module = Net()
    module.backbone.requires_grad_(False)
    one = kt.Model(module)
    one.compile(torch.optim.SGD(module.head.parameters(), lr=0.1), "mse")
    with pytest.raises(ValueError, match=r"the optimizer does not hold backbone\.0\.weight, .*Make it of all"):
        one.fit(X, Y, epochs=2, callbacks=Unfreeze({2: "backbone"}), **FIT)
