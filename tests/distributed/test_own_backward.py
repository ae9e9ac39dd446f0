"""Steps that call `backward` and optimizers themselves, with whole or sharded weights: the numbers of one process."""

import warnings

import numpy as np
import pytest
import torch
from torch import nn

import kerastorch as kt
from kerastorch.core.distributed_tensors import full_tensor

X = torch.randn(29, 4, generator=torch.Generator().manual_seed(0))
Y = torch.randint(0, 3, (29,), generator=torch.Generator().manual_seed(1))


class Classifier(kt.Model):
    """A body and a head, with a learned temperature, which is one number and cannot be divided."""

    def __init__(self):
        super().__init__()
        self.body, self.head = nn.Linear(4, 6), nn.Linear(6, 3)
        self.temperature = nn.Parameter(torch.tensor(0.5))

    def forward(self, x):
        return self.head(torch.tanh(self.body(x))) / self.temperature


class Clipped(Classifier):
    """Clips the gradients between the backward pass and the step."""

    def train_step(self, data):
        x, y = data
        loss = nn.functional.cross_entropy(self(x), y)
        self.optimizer.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(self.parameters(), 0.1)
        self.optimizer.step()
        return {"loss": loss}


class Accumulated(Classifier):
    """Sums the gradients of three batches."""

    batches = 0

    def train_step(self, data):
        x, y = data
        loss = nn.functional.cross_entropy(self(x), y)
        (loss / 3).backward()
        self.batches += 1
        if self.batches % 3 == 0:
            self.optimizer.step()
            self.optimizer.zero_grad()
        return {"loss": loss}


class Mixed(Classifier):
    """Calls `backward` for one loss, and lets the trainer minimize another one."""

    def train_step(self, data):
        x, y = data
        self.optimizer.zero_grad()
        nn.functional.cross_entropy(self(2 * x), y).backward()
        self.optimizer.step()
        loss = nn.functional.cross_entropy(self(x), y)
        self.trainer.minimize(loss)
        return {"loss": loss}


class Adversarial(kt.Model):
    """Two networks with optimizers as attributes, in the form of Keras; the step calls the networks, not the model."""

    def __init__(self):
        super().__init__()
        self.generator, self.critic = nn.Linear(4, 4), nn.Sequential(nn.Linear(4, 6), nn.Tanh(), nn.Linear(6, 1))

    def forward(self, x):
        return self.generator(x)

    def compile(self, **options):
        super().compile(**options)
        self.of_critic = torch.optim.Adam(self.critic.parameters(), 0.01, eps=1e-4)
        self.of_generator = torch.optim.SGD(self.generator.parameters(), 0.1, momentum=0.9)

    def train_step(self, data):
        fake = self.generator(data[0])
        critic_loss = nn.functional.softplus(-self.critic(data[0])).mean()
        critic_loss = critic_loss + nn.functional.softplus(self.critic(fake.detach())).mean()
        self.of_critic.zero_grad()
        critic_loss.backward()
        self.of_critic.step()
        loss = nn.functional.softplus(-self.critic(fake)).mean()
        self.of_generator.zero_grad()
        loss.backward()
        self.of_generator.step()
        return {"loss": loss, "critic_loss": critic_loss}


class HalfCompiled(Adversarial):
    """One of the optimizers is that of `compile`; no optimizer of `compile` holds the weights of the critic."""

    def compile(self, **options):
        self.of_critic = torch.optim.Adam(self.critic.parameters(), 0.01, eps=1e-4)
        self.of_generator = torch.optim.SGD(self.generator.parameters(), 0.1, momentum=0.9)
        kt.Model.compile(self, self.of_generator, **options)


CASES = [Clipped, Accumulated, Mixed, Adversarial, HalfCompiled]


def trained(make, distribution=None, rows=7):
    torch.manual_seed(0)
    model = make()
    if isinstance(model, Adversarial):
        model.compile(distribution=distribution)
    else:
        model.compile(kt.optimizers.SGD(0.1), "cross_entropy", distribution=distribution)
    history = model.fit(X, Y, batch_size=rows, epochs=2, verbose=0)
    return [full_tensor(one.detach()).numpy() for one in model.parameters()], history.history


def check(found, expected):
    for weights, logs in found:
        for log, values in expected[1].items():
            np.testing.assert_allclose(logs[log], values, atol=2e-6, err_msg=log)
        for one, other in zip(weights, expected[0], strict=True):
            np.testing.assert_allclose(one, other, atol=2e-6)


def test_the_weights_are_those_of_a_loop_by_hand():
    """What is compared below is not the trainer's own arithmetic."""
    torch.manual_seed(0)
    model = Clipped()
    optimizer = torch.optim.SGD(model.parameters(), 0.1)
    for _ in range(2):
        for start in range(0, 29, 7):
            optimizer.zero_grad()
            nn.functional.cross_entropy(model(X[start : start + 7]), Y[start : start + 7]).backward()
            nn.utils.clip_grad_norm_(model.parameters(), 0.1)
            optimizer.step()
    torch.manual_seed(0)
    fitted = Clipped()
    fitted.compile(kt.optimizers.SGD(0.1), "cross_entropy")
    fitted.fit(X, Y, batch_size=7, epochs=2, shuffle=False, verbose=0)
    for one, other in zip(fitted.parameters(), model.parameters(), strict=True):
        torch.testing.assert_close(one, other)


@pytest.mark.parametrize("make", CASES)
def test_uneven_parts_of_batches_give_the_numbers_of_one_process(two, make):
    check(two.run(trained, make, kt.distribution.DataParallel()), trained(make))


@pytest.mark.parametrize("make", CASES)
def test_sharded_weights_do_too_and_optimizers_follow_them(two, make):
    check(two.run(trained, make, kt.distribution.FullyShard()), trained(make))


def test_a_process_without_a_row_adds_nothing(two):
    check(two.run(trained, Clipped, kt.distribution.DataParallel(), 1), trained(Clipped, rows=1))


@pytest.mark.distributed
@pytest.mark.parametrize("make", CASES)
@pytest.mark.parametrize("distribution", [kt.distribution.DataParallel(), kt.distribution.FullyShard()], ids=repr)
def test_three_processes_too(three, make, distribution):
    check(three.run(trained, make, distribution), trained(make))


@pytest.mark.parametrize("settings", [{}, {"global_clipnorm": 0.1, "use_ema": True}], ids=["plain", "clipped"])
def test_a_weight_of_one_number_stays_whole_in_a_sharded_model(two, settings):
    check(two.run(with_a_number, settings, kt.distribution.FullyShard()), with_a_number(settings))


def with_a_number(settings, distribution=None):
    torch.manual_seed(0)
    model = Classifier()
    model.compile(kt.optimizers.Adam(0.01, epsilon=1e-4, **settings), "cross_entropy", distribution=distribution)
    history = model.fit(X, Y, batch_size=7, epochs=2, verbose=0)
    return [full_tensor(one.detach()).numpy() for one in model.parameters()], history.history


class Global(Classifier):
    """Steps an optimizer that only the script holds."""

    def train_step(self, data):
        x, y = data
        loss = nn.functional.cross_entropy(self(x), y)
        HELD["optimizer"].zero_grad()
        loss.backward()
        HELD["optimizer"].step()
        return {"loss": loss}


HELD = {}


def with_an_optimizer_of_the_script(distribution):
    torch.manual_seed(0)
    model = Global()
    HELD["optimizer"] = torch.optim.SGD(model.parameters(), 0.1)
    model.compile(distribution=distribution)
    try:
        model.fit(X, Y, batch_size=7, verbose=0)
    except RuntimeError as error:
        return str(error)
    return [full_tensor(one.detach()).numpy() for one in model.parameters()]


@pytest.mark.parametrize(
    "distribution",
    [kt.distribution.FullyShard(), kt.distribution.TensorParallel({"body": "column", "head": "row"})],
    ids=["sharded", "tensor"],
)
def test_an_optimizer_that_holds_the_undivided_weights_is_an_error(two, distribution):
    for message in two.run(with_an_optimizer_of_the_script, distribution):
        assert "SGD would step 'body.weight', a weight that the model no longer has" in message


def test_an_optimizer_of_the_script_goes_on_with_whole_weights(two):
    expected = with_an_optimizer_of_the_script(None)
    for weights in two.run(with_an_optimizer_of_the_script, kt.distribution.DataParallel()):
        for one, other in zip(weights, expected, strict=True):
            np.testing.assert_allclose(one, other, atol=2e-6)


class OutsideCritic(Classifier):
    """Trains a network that is not an attribute of the model, with an optimizer that only the script holds."""

    def train_step(self, data):
        x = data[0]
        critic, optimizer = HELD["critic"], HELD["of critic"]
        optimizer.zero_grad()
        critic(x).square().mean().backward()
        optimizer.step()
        return super().train_step(data)


def with_a_critic(wraps, distribution):
    torch.manual_seed(0)
    critic = nn.Linear(4, 1)
    HELD["critic"] = nn.parallel.DistributedDataParallel(critic) if wraps else critic
    HELD["of critic"] = torch.optim.SGD(critic.parameters(), 0.1)
    model = OutsideCritic()
    model.compile(kt.optimizers.SGD(0.1), "cross_entropy", distribution=distribution)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("default")
        model.fit(X, Y, batch_size=8, epochs=2, verbose=0)
    return [one.detach().numpy() for one in critic.parameters()], [str(one.message) for one in caught]


def test_a_network_outside_of_the_model_is_warned_of(two):
    found = two.run(with_a_critic, False, kt.distribution.DataParallel())
    (first, messages), (second, _) = found
    assert [text for text in messages if "SGD steps 2 weights that are not of the model" in text] == messages
    assert len(messages) == 1
    assert any((one != other).any() for one, other in zip(first, second, strict=True))
    assert with_a_critic(False, None)[1] == []


@pytest.mark.filterwarnings("ignore")
def test_ddp_around_it_keeps_its_weights_equal(two):
    (first, _), (second, _) = two.run(with_a_critic, True, kt.distribution.DataParallel())
    for one, other in zip(first, second, strict=True):
        np.testing.assert_array_equal(one, other)
