"""The end of a pass: how often the ranks ask each other about it, and that all of them end with the same batch."""

import os
import signal
import time

import pytest
import torch
from torch import distributed, nn

import kerastorch as kt
from kerastorch.core import collectives
from kerastorch.training import pass_end
from kerastorch.training.pass_end import PassEnd

X = torch.randn(600, 3, generator=torch.Generator().manual_seed(0))
Y = X.sum(1, keepdim=True)


class Counted:
    """Counts the messages of `collectives.largest` within a block."""

    def __enter__(self):
        self.messages, self._original = 0, collectives.largest
        collectives.largest = self._largest
        return self

    def __exit__(self, *error):
        collectives.largest = self._original

    def _largest(self, numbers):
        self.messages += 1
        return self._original(numbers)


class Sets(kt.callbacks.Callback):
    """A callback of the user's that may stop training at a batch; it runs on rank 0 alone."""

    def __init__(self, at_batch=None):
        self.at_batch = at_batch

    def on_train_batch_end(self, batch, logs=None):
        if batch == self.at_batch:
            self.model.stop_training = True


class OwnStep(kt.Model):
    """A step of the user's own, which ends training in its fifth batch on rank 1."""

    def __init__(self):
        super().__init__()
        self.layer, self.steps = nn.Linear(3, 1), 0

    def forward(self, x):
        return self.layer(x)

    def train_step(self, data):
        self.steps += 1
        if self.steps == 5 and distributed.get_rank() == 1:
            self.stop_training = True
        return super().train_step(data)


def fitted(callbacks, options):
    """Return the messages of a fit of 300 batches, and the number of steps that the optimizer has made."""
    model = kt.Model(nn.Linear(3, 1))
    model.compile(kt.optimizers.Adam(0.01), "mse")
    before, pass_end.SECONDS_BETWEEN_MESSAGES = pass_end.SECONDS_BETWEEN_MESSAGES, 5.0  # the machine may be busy
    try:
        with Counted() as counted:
            model.fit(X, Y, batch_size=2, epochs=1, verbose=0, callbacks=callbacks, **options)
    finally:
        pass_end.SECONDS_BETWEEN_MESSAGES = before
    return counted.messages, int(next(iter(model.optimizer.state.values()))["step"])


def test_without_batch_hooks_the_ranks_exchange_few_messages(two):
    for messages, steps in two.run(fitted, [], {}):
        assert steps == 300
        assert messages < 30


@pytest.mark.parametrize(
    ("callbacks", "options", "steps"),
    [
        ([Sets(at_batch=7)], {}, 8),
        ([Sets()], {}, 300),
        ([kt.callbacks.TerminateOnNaN()], {}, 300),
        ([], {"max_time": 1000}, 300),
    ],
    ids=["stops", "may stop", "guard", "max_time"],
)
def test_what_may_stop_after_any_batch_is_asked_after_each_batch(two, callbacks, options, steps):
    found = two.run(fitted, callbacks, options)
    assert [one for _, one in found] == [steps, steps]
    assert min(messages for messages, _ in found) >= steps


def ended_by_step():
    model = OwnStep()
    model.compile("sgd", "mse")
    model.fit(X, Y, batch_size=2, epochs=2, verbose=0)
    return model.steps


def test_a_step_of_the_users_own_ends_all_ranks_after_its_batch(two):
    assert two.run(ended_by_step) == [5, 5]


class Slow(nn.Module):
    """Sends a signal to its own process in its 40th batch, on rank 1; its batches take ten milliseconds."""

    def __init__(self):
        super().__init__()
        self.layer, self.calls = nn.Linear(3, 1), 0

    def forward(self, x):
        self.calls += 1
        if self.calls == 40 and distributed.get_rank() == 1:
            os.kill(os.getpid(), signal.SIGINT)
        time.sleep(0.01)
        return self.layer(x)


def interrupted():
    net = Slow()
    model = kt.Model(net)
    model.compile("sgd", "mse")
    try:
        model.fit(X, Y, batch_size=2, epochs=1, verbose=0)
    except KeyboardInterrupt:
        return net.calls, [one.tolist() for one in model.get_weights()]
    return None


def test_a_signal_to_one_rank_ends_all_after_the_same_batch_in_a_moment(two):
    first, second = two.run(interrupted)
    assert first == second
    assert 40 <= first[0] < 200  # of 300


def pace(seconds):
    """Return the batches after which ranks with batches of these durations have exchanged messages."""
    own = seconds[distributed.get_rank()]
    now = 0.0
    original, pass_end.time.monotonic = pass_end.time.monotonic, lambda: now
    try:
        ends, found = PassEnd(asks_each_batch=False), []
        for batch in range(60):
            now += own
            with Counted() as counted:
                ends(False)
            if counted.messages:
                found.append(batch)
    finally:
        pass_end.time.monotonic = original
    return found


def test_the_slowest_rank_sets_the_batches_between_messages(two):
    fast = two.run(pace, [1e-5, 1e-5])
    assert fast == [[0, 2, 6, 14, 30]] * 2  # twice as many each time
    slow = two.run(pace, [1e-5, 0.025])
    assert slow[0] == slow[1] == [0, 2, *range(6, 60, 4)]  # every fourth of 25 milliseconds
    assert two.run(pace, [1.0, 1e-5])[0] == list(range(60))
