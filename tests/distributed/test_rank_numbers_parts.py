"""Steps that train parts of a model, or several times, in two processes: the numbers of one process."""

import numpy as np
import pytest
import torch
from torch import nn

import kerastorch as kt

X = torch.randn(46, 4, generator=torch.Generator().manual_seed(0))
Y = torch.randint(0, 3, (46,), generator=torch.Generator().manual_seed(1))


class Plain(kt.Model):
    def __init__(self):
        super().__init__()
        self.body, self.head = nn.Linear(4, 6), nn.Linear(6, 3)

    def forward(self, x):
        return self.head(torch.tanh(self.body(x)))


class Adversarial(kt.Model):
    """Two networks, each with an optimizer of its own; the step calls them, not the model."""

    def __init__(self):
        super().__init__()
        self.generator, self.critic = nn.Linear(4, 4), nn.Sequential(nn.Linear(4, 6), nn.Tanh(), nn.Linear(6, 1))

    def forward(self, x):
        return self.generator(x)

    def train_step(self, data):
        x, _ = data
        critic_loss = nn.functional.softplus(-self.critic(x)).mean()
        critic_loss = critic_loss + nn.functional.softplus(self.critic(self.generator(x).detach())).mean()
        self.trainer.backward_and_step(critic_loss, "critic")
        loss = nn.functional.softplus(-self.critic(self.generator(x))).mean()
        self.trainer.backward_and_step(loss, "generator")
        return {"loss": loss, "critic_loss": critic_loss}


class OwnBackward(Plain):
    """Calls `backward` and the optimizer itself."""

    def train_step(self, data):
        x, y = data
        loss = self.compute_loss(x, y, self(x))
        self.optimizer.zero_grad()
        loss.backward()
        self.optimizer.step()
        return {"loss": loss}


class TwoPasses(OwnBackward):
    """Sums the gradients of two backward passes."""

    def train_step(self, data):
        x, y = data
        self.optimizer.zero_grad()
        nn.functional.cross_entropy(self(x), y).backward()
        loss = nn.functional.cross_entropy(self(2 * x), y)
        loss.backward()
        self.optimizer.step()
        return {"loss": loss}


def sgd():
    return kt.optimizers.SGD(0.1)


def adversarial():
    return {"critic": kt.optimizers.Adam(0.01, epsilon=1e-4), "generator": kt.optimizers.SGD(0.1, clipnorm=0.05)}


CASES = {  # model, optimizers, options of compile, rows of a batch
    "adversarial": (Adversarial, adversarial, {}, 7),
    "own backward, equal parts": (OwnBackward, sgd, {}, 2),
    "two backward passes, equal parts": (TwoPasses, sgd, {}, 2),
    "schedule-free": (Plain, lambda: kt.optimizers.ScheduleFreeAdamW(0.01, epsilon=1e-4), {}, 7),
    "lamb": (Plain, lambda: kt.optimizers.Lamb(0.01, epsilon=1e-4), {}, 7),
    "muon": (Plain, lambda: kt.optimizers.Muon(0.01, epsilon=1e-4), {}, 7),
    "two optimizers at once": (Plain, lambda: {"body": sgd(), "head": kt.optimizers.SGD(0.2)}, {}, 7),
    "jit": (Plain, sgd, {"jit_compile": True}, 7),
}


def trained(name, ranks):
    make, optimizers, options, rows = CASES[name]
    torch.manual_seed(0)
    model = make()
    model.compile(optimizers(), None if make is Adversarial else "cross_entropy", **options)
    if name == "jit":
        if ranks and torch.distributed.get_rank() == 0:  # all ranks would warn, and one warning is enough
            with pytest.warns(UserWarning, match="several processes train the model together"):
                history = model.fit(X, Y, batch_size=rows, epochs=3, verbose=0)
        else:
            if not ranks:
                model.compile(optimizers(), "cross_entropy")
            history = model.fit(X, Y, batch_size=rows, epochs=3, verbose=0)
    else:
        history = model.fit(X, Y, batch_size=rows, epochs=3, verbose=0)
    return [one.detach().numpy() for one in model.parameters()], history.history


@pytest.mark.parametrize("name", CASES)
def test_parts_of_a_model_are_trained_as_in_one_process(two, name):
    weights, logs = trained(name, ranks=False)
    for found_weights, found_logs in two.run(trained, name, ranks=True):
        for log, values in logs.items():
            np.testing.assert_allclose(found_logs[log], values, atol=2e-6, err_msg=log)
        for one, expected in zip(found_weights, weights, strict=True):
            np.testing.assert_allclose(one, expected, atol=2e-6)


def with_nan(raises):
    """Train on data of which one row makes the loss infinite, on rank 1 alone."""
    torch.manual_seed(0)
    model = Plain()
    model.compile(sgd(), "cross_entropy")
    x = X.clone()
    x[19] = torch.inf
    guard = kt.callbacks.TerminateOnNaN(raise_error=raises)
    fit = {"batch_size": 10, "epochs": 2, "shuffle": False, "verbose": 0, "check_finite": False}
    try:
        history = model.fit(x, Y, callbacks=guard, **fit)
    except RuntimeError as error:
        return "error", "NaN" in str(error), [one.detach().tolist() for one in model.parameters()]
    return len(history.epoch), None, [one.detach().tolist() for one in model.parameters()]


@pytest.mark.parametrize("raises", [False, True])
def test_a_step_that_is_not_finite_on_one_rank_ends_training_on_all(two, raises):
    first, second = two.run(with_nan, raises, timeout=40)
    expected = with_nan(raises)
    assert first[2] == second[2]
    assert first[0] == second[0] == expected[0]
    for one, other in zip(first[2], expected[2], strict=True):
        np.testing.assert_allclose(one, other, atol=2e-6)
