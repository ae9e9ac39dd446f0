"""Steps and losses of the user's own, and parts that are unfrozen: several processes give the numbers of one."""

import numpy as np
import pytest
import torch
from torch import nn

import kerastorch as kt

X = torch.randn(23, 4, generator=torch.Generator().manual_seed(0))
Y = torch.randint(0, 3, (23,), generator=torch.Generator().manual_seed(1))


class Plain(kt.Model):
    def __init__(self):
        super().__init__()
        self.body, self.head = nn.Linear(4, 6), nn.Linear(6, 3)

    def forward(self, x):
        return self.head(torch.tanh(self.body(x)))


class Computed(Plain):
    """A step with `compute_loss`."""

    def train_step(self, batch):
        loss = self.compute_loss(batch.x, batch.y, self(batch.x))
        self.trainer.backward_and_step(loss)
        return {"loss": loss}


class HandWritten(Plain):
    """A step with a loss of its own."""

    def train_step(self, batch):
        loss = nn.functional.cross_entropy(self(batch.x), batch.y)
        self.trainer.minimize(loss)
        return {"loss": loss}


class OwnLoss(Plain):
    """A loss of its own."""

    def compute_loss(self, x, y, y_pred, sample_weight=None):
        return nn.functional.cross_entropy(y_pred, y) + 0.01 * y_pred.square().mean()


def sgd(**options):
    return kt.optimizers.SGD(0.1, **options)


CASES = {
    "compute_loss": (Computed, sgd),
    "hand-written loss": (HandWritten, sgd),
    "own loss": (OwnLoss, sgd),
    "closure": (Plain, lambda: lambda weights: torch.optim.LBFGS(weights, lr=0.01, max_iter=3)),
}


def stepped(name):
    make, optimizer = CASES[name]
    torch.manual_seed(0)
    model = make()
    if name == "closure":
        model.double()  # each step of LBFGS enlarges the rounding of the one before
    model.compile(optimizer(), "cross_entropy")
    history = model.fit(X, Y, batch_size=5, epochs=3, verbose=0)
    return [one.detach().numpy() for one in model.parameters()], history.history["loss"]


def check(found, expected):
    for weights, losses in found:
        np.testing.assert_allclose(losses, expected[1], atol=2e-6)
        for one, two in zip(weights, expected[0], strict=True):
            np.testing.assert_allclose(one, two, atol=2e-6)


@pytest.mark.parametrize("name", CASES)
def test_own_steps_give_the_numbers_of_one_process(two, name):
    check(two.run(stepped, name), stepped(name))


def with_unfreezing():
    torch.manual_seed(0)
    model = Plain()
    model.compile(kt.optimizers.Adam(0.01, epsilon=1e-4), "cross_entropy")
    history = model.fit(X, Y, batch_size=5, epochs=3, verbose=0, callbacks=[kt.callbacks.Unfreeze({2: "body"})])
    return [one.detach().numpy() for one in model.parameters()], history.history["loss"]


def test_parts_that_are_unfrozen_in_mid_fit_give_the_numbers_of_one_process(two):
    check(two.run(with_unfreezing), with_unfreezing())
