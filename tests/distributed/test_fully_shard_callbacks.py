"""Callbacks, steps of the user's own and several optimizers on models that `fully_shard` has sharded."""

import math
import warnings

import pytest
import torch
from support.sharded_case import BATCH, largest_difference, network, rows, shard, whole
from torch import nn

import kerastorch as kt

# --- callbacks --------------------------------------------------------------------------------------------------------

CALLBACKS = {
    "early stopping": lambda: kt.callbacks.EarlyStopping("loss", patience=1, mode="max", restore_best_weights=True),
    "moving average": lambda: kt.callbacks.ExponentialMovingAverage(0.9),
    "average of epochs": lambda: kt.callbacks.StochasticWeightAveraging(start_epoch=1),
    "average of the optimizer": lambda: kt.callbacks.SwapEMAWeights(),
    "norms of gradients": lambda: kt.callbacks.GradientNorm(per_layer=True),
    "plateau": lambda: kt.callbacks.ReduceLROnPlateau("loss", patience=1, mode="max"),
}


def _with_callback(name, how):
    """Return how far weights and logs are from those of one process."""
    x, y = rows()
    ends, logs = [], []
    for module in (network(), shard(network(), how)):
        model = kt.Model(module)
        optimizer = kt.optimizers.Adam(0.01, use_ema=name == "average of the optimizer", ema_momentum=0.9)
        model.compile(optimizer, "mse", distribution=None)
        history = model.fit(
            x, y, batch_size=BATCH, epochs=4, verbose=0, shuffle=False, validation_data=(x, y),
            callbacks=[CALLBACKS[name]()],
        )  # fmt: skip
        ends.append(whole(module))
        logs.append(history.history)
    assert logs[0].keys() == logs[1].keys()
    differences = [
        abs(a - b) for key in logs[0] for a, b in zip(logs[0][key], logs[1][key], strict=True) if "seconds" not in key
    ]
    return largest_difference(*ends), max(differences)


@pytest.mark.parametrize("name", CALLBACKS)
def test_callbacks_have_the_effect_that_they_have_in_one_process(two, name):
    for weights, logs in two.run(_with_callback, name, "root"):
        assert weights < 1e-6
        assert logs < 1e-6


@pytest.mark.distributed
@pytest.mark.parametrize("how", ["blocks", "some"])
@pytest.mark.parametrize("name", CALLBACKS)
def test_callbacks_on_other_ways_of_sharding(three, name, how):
    for weights, logs in three.run(_with_callback, name, how):
        assert weights < 1e-6
        assert logs < 1e-6


def _nan_on_one_rank():
    """Give one rank a row that is not finite; return whether the weights stayed as they were before that batch."""
    x, y = rows()
    ends = []
    for batches in (1, 2):
        module = shard(network())
        model = kt.Model(module)
        model.compile("adam", "mse")
        own = y[: batches * BATCH].clone()
        if batches == 2 and torch.distributed.get_rank() == 1:
            own[BATCH] = math.nan
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            guard = kt.callbacks.TerminateOnNaN()
            model.fit(
                x[: len(own)], own, batch_size=BATCH, verbose=0, shuffle=False, callbacks=[guard], check_finite=False
            )
        ends.append(whole(module))
    return largest_difference(*ends)


def test_a_step_that_is_not_finite_on_one_rank_changes_the_weights_on_none(two):
    assert two.run(_nan_on_one_rank) == [0, 0]


# --- steps of one's own, frozen parts, several optimizers -------------------------------------------------------------


class OwnStep(kt.Model):
    """A model with a step of its own, which adds a penalty by hand."""

    def __init__(self, inner):
        super().__init__()
        self.inner = inner

    def forward(self, x):
        return self.inner(x)

    def train_step(self, data):
        x, y = data[:2]
        loss = nn.functional.mse_loss(self(x), y) + 0.1 * self(x).square().mean()
        self.trainer.backward_and_step(loss)
        return {"loss": loss}


class Adversarial(kt.Model):
    """A generator and a critic, which is trained first in each step."""

    def __init__(self, generator, critic):
        super().__init__()
        self.generator, self.critic = generator, critic

    def forward(self, x):
        return self.critic(self.generator(x))

    def train_step(self, data):
        x, y = data[:2]
        fake = self.generator(x)
        critic_loss = (self.critic(fake.detach()) - self.critic(y)).mean() + self.critic(y).square().mean()
        self.trainer.backward_and_step(critic_loss, "critic")
        generator_loss = -self.critic(self.generator(x)).mean() + fake.square().mean()
        self.trainer.backward_and_step(generator_loss, "generator")
        return {"critic_loss": critic_loss, "generator_loss": generator_loss}


def _critic():
    torch.manual_seed(1)
    return nn.Sequential(nn.Linear(3, 5), nn.Tanh(), nn.Linear(5, 1))


def _model(kind, sharded, how):
    """Return a model and its optimizer."""
    parts = [network(), _critic()]
    if kind == "frozen":
        parts[0][2].requires_grad_(False)
    parts = [shard(part, how) for part in parts] if sharded else parts
    if kind == "adversarial":
        optimizers = {"generator": kt.optimizers.Adam(0.01), "critic": kt.optimizers.SGD(0.05)}
        return Adversarial(*parts), optimizers
    model = OwnStep(parts[0]) if kind == "own step" else kt.Model(parts[0])
    return model, "adam"


def _against_one_process(kind, how):
    x, y = rows()
    ends = []
    for sharded in (False, True):
        model, optimizer = _model(kind, sharded, how)
        model.compile(optimizer, "mse", distribution=None)
        model.fit(x, y, batch_size=BATCH, epochs=2, verbose=0, shuffle=False)
        if kind == "frozen":
            net = model.module_viewed
            net[0].requires_grad_(False)
            net[2].requires_grad_(True)
            model.fit(x, y, batch_size=BATCH, epochs=2, verbose=0, shuffle=False)
        ends.append(whole(model))
    return largest_difference(*ends)


KINDS = ["own step", "frozen", "adversarial"]


@pytest.mark.parametrize("kind", KINDS)
def test_own_steps_frozen_parts_and_several_optimizers_train_as_in_one_process(two, kind):
    assert max(two.run(_against_one_process, kind, "blocks")) < 1e-6


@pytest.mark.distributed
@pytest.mark.parametrize("how", ["root", "some"])
@pytest.mark.parametrize("kind", KINDS)
def test_own_steps_on_other_ways_of_sharding(two, kind, how):
    assert max(two.run(_against_one_process, kind, how)) < 1e-6
