"""Losses that have parameters of their own: they are trained with the model, as a hand-written loop does it."""

import pytest
import torch
from torch import nn

import kerastorch as kt

X = torch.randn(64, 5, generator=torch.Generator().manual_seed(0))
Y = X @ torch.randn(5, 2, generator=torch.Generator().manual_seed(1)) + 0.3
BATCH, EPOCHS = 16, 3


class Uncertain(nn.Module):
    """Gaussian likelihood with a variance that is learned, one for each column."""

    def __init__(self, columns=2):
        super().__init__()
        self.log_variance = nn.Parameter(torch.zeros(columns))

    def forward(self, y_pred, y_true):
        return ((y_pred - y_true) ** 2 * torch.exp(-self.log_variance) + self.log_variance).mean()


def net():
    torch.manual_seed(5)
    return nn.Sequential(nn.Linear(5, 8), nn.Tanh(), nn.Linear(8, 2))


def by_hand(make_optimizer):
    module, loss = net(), Uncertain()
    optimizer = make_optimizer([*module.parameters(), *loss.parameters()])
    for _ in range(EPOCHS):
        for x, y in zip(X.split(BATCH), Y.split(BATCH), strict=True):
            optimizer.zero_grad()
            loss(module(x), y).backward()
            optimizer.step()
    return module, loss


def batches():
    return list(zip(X.split(BATCH), Y.split(BATCH), strict=True))


@pytest.mark.parametrize(
    ("given", "make_optimizer"),
    [
        (lambda learned: kt.optimizers.SGD(0.1), lambda learned: torch.optim.SGD(learned, 0.1)),
        (lambda learned: kt.optimizers.Adam(0.01, epsilon=1e-8), lambda learned: torch.optim.Adam(learned, 0.01)),
        (lambda learned: torch.optim.AdamW(learned, 0.01), lambda learned: torch.optim.AdamW(learned, 0.01)),
    ],
    ids=["SGD", "Adam", "an optimizer that holds them"],
)
def test_a_loss_is_trained_with_the_model(given, make_optimizer):
    module, loss = net(), Uncertain()
    model = kt.Model(module)
    model.compile(given([*module.parameters(), *loss.parameters()]), loss)
    model.fit(lambda: iter(batches()), epochs=EPOCHS, verbose=0)
    expected, expected_loss = by_hand(make_optimizer)
    assert not torch.equal(loss.log_variance, torch.zeros(2))
    torch.testing.assert_close(loss.log_variance, expected_loss.log_variance)
    torch.testing.assert_close(module.state_dict(), expected.state_dict())


def test_each_loss_of_several_outputs_is_trained():
    class Twins(nn.Module):
        def __init__(self):
            super().__init__()
            self.a, self.b = nn.Linear(5, 2), nn.Linear(5, 2)

        def forward(self, x):
            return {"a": self.a(x), "b": self.b(x)}

    losses = {"a": Uncertain(), "b": Uncertain()}
    model = kt.Model(Twins())
    model.compile("sgd", losses)
    model.fit(X, {"a": Y, "b": 5 * Y}, verbose=0)
    assert all(not torch.equal(loss.log_variance, torch.zeros(2)) for loss in losses.values())


def test_train_on_batch_trains_the_loss():
    module, loss = net(), Uncertain()
    model = kt.Model(module)
    model.compile(kt.optimizers.SGD(0.5), loss)
    error = (module(X) - Y).square().mean(0).detach()
    model.train_on_batch(X, Y)
    # the derivative of e exp(-s) + s at s = 0 is 1 - e, averaged over two columns
    torch.testing.assert_close(loss.log_variance.detach(), -0.5 * (1 - error) / 2)


@pytest.mark.parametrize("verb", ["fit", "train_on_batch"])
def test_an_optimizer_without_the_parameters_of_the_loss_is_refused(verb):
    module, loss = net(), Uncertain()
    model = kt.Model(module)
    model.compile(torch.optim.SGD(module.parameters(), 0.1), loss)
    with pytest.raises(ValueError, match="the loss has 1 trainable parameters that the optimizer does not hold"):
        getattr(model, verb)(X, Y)


def test_frozen_parameters_of_a_loss_need_no_optimizer():
    module, loss = net(), Uncertain().requires_grad_(False)
    model = kt.Model(module)
    model.compile(torch.optim.SGD(module.parameters(), 0.1), loss)
    model.fit(X, Y, verbose=0)
    assert torch.equal(loss.log_variance, torch.zeros(2))
