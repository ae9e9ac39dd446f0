"""Callbacks in several processes: which rank runs them, and what they decide for all."""

import os
import signal

import pytest
import torch
from torch import distributed, nn

import kerastorch as kt

X = torch.randn(40, 3, generator=torch.Generator().manual_seed(0))
Y = X.sum(1, keepdim=True)


def compiled(rate=0.01):
    torch.manual_seed(0)
    model = kt.Model(nn.Linear(3, 1))
    model.compile(kt.optimizers.SGD(rate), "mse")
    return model


class Seen(kt.callbacks.Callback):
    """Evaluates, and stops training after the second epoch or at a batch."""

    def __init__(self, at_batch=None):
        self.at_batch, self.losses = at_batch, []

    def on_epoch_end(self, epoch, logs=None):
        self.losses.append((logs["loss"], self.model.evaluate(X, Y, verbose=0), len(self.model.predict(X, verbose=0))))
        if self.at_batch is None and epoch == 1:
            self.model.stop_training = True
        self.model.optimizer.learning_rate = 0.02

    def on_train_batch_end(self, batch, logs=None):
        if batch == self.at_batch:
            self.model.stop_training = True


def fit_with_own(at_batch):
    model, seen = compiled(), Seen(at_batch)
    history = model.fit(X, Y, epochs=5, batch_size=10, verbose=0, callbacks=seen)
    return seen.losses, history.history["loss"], model.optimizer.learning_rate


@pytest.mark.parametrize("at_batch", [None, 1])
def test_rank_0_runs_callbacks_alone_and_what_they_set_is_for_all(two, at_batch):
    first, second = two.run(fit_with_own, at_batch)
    expected = fit_with_own(at_batch)
    assert second[0] == []
    assert first[1] == second[1] == pytest.approx(expected[1])
    assert first[2] == second[2] == 0.02
    assert [len(one) for one in first[0]] == [3] * len(expected[0])
    for found, wanted in zip(first[0], expected[0], strict=True):
        assert found == pytest.approx(wanted)


def fit_with_plateau():
    model = compiled(1e-9)
    C = kt.callbacks
    told = [C.ReduceLROnPlateau("loss", patience=1, min_delta=1.0), C.EarlyStopping("loss", patience=3, min_delta=1.0)]
    history = model.fit(X, Y, epochs=9, batch_size=10, verbose=0, callbacks=told)
    return history.history["loss"], model.optimizer.learning_rate


def test_callbacks_that_change_training_run_on_every_rank(two):
    first, second = two.run(fit_with_plateau)
    assert first == second
    expected = fit_with_plateau()
    assert len(first[0]) == len(expected[0])
    assert first[1] == expected[1] < 1e-9


class Kill(kt.callbacks.Callback):
    every_rank = True

    def __init__(self, number):
        self.number = number

    def on_train_batch_end(self, batch, logs=None):
        if batch == 1 and distributed.get_rank() == 1:
            os.kill(os.getpid(), self.number)


def interrupted(number):
    model = compiled()
    try:
        model.fit(X, Y, epochs=2, batch_size=10, verbose=0, callbacks=Kill(number))
    except BaseException as error:
        return type(error).__name__, getattr(error, "code", None), [one.tolist() for one in model.get_weights()]
    return None


@pytest.mark.parametrize(
    ("number", "expected"), [(signal.SIGINT, ("KeyboardInterrupt", None)), (signal.SIGTERM, ("SystemExit", 143))]
)
def test_a_signal_to_one_rank_ends_all_at_the_same_batch(two, number, expected):
    first, second = two.run(interrupted, int(number))
    assert first[:2] == second[:2] == expected
    assert first[2] == second[2]
